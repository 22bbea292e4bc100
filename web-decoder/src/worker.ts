/** The worker: decodes what the page sends, one picture after another. */
import { fetchAsset } from "./assets.js";
import { type DecodeOptions, Engine } from "./engine.js";
import { CalotypeError, type ErrorCode } from "./errors.js";

export interface Request {
  readonly id: number;
  readonly data: Uint8Array;
  readonly options: DecodeOptions;
  /** "pixels" gives bytes, "bitmap" a bitmap to draw, "preview" a small bitmap of the beginning of a file. */
  readonly wanted: "pixels" | "bitmap" | "preview";
}

export type Answer =
  | { readonly id: number; readonly width: number; readonly height: number; readonly pixels?: Uint8ClampedArray; readonly bitmap?: ImageBitmap }
  | { readonly id: number; readonly code: ErrorCode; readonly message: string };

const scope = self as unknown as DedicatedWorkerGlobalScope;
const engine = new Engine((name) => fetchAsset(scope.location.href, name));

scope.addEventListener("message", async ({ data: request }: MessageEvent<Request>) => {
  const { id } = request;
  try {
    const [answer, transferred] = await answerTo(request);
    scope.postMessage({ id, ...answer }, transferred);
  } catch (error) {
    const known = error instanceof CalotypeError;
    // WebAssembly that finds no memory throws errors of many kinds.
    const message = known ? error.message : `The picture cannot be decoded here: ${String(error)}`;
    scope.postMessage({ id, code: known ? error.code : "ModelError", message } satisfies Answer);
  }
});

async function answerTo({ data, options, wanted }: Request): Promise<[object, Transferable[]]> {
  if (wanted === "preview") {
    const small = await engine.preview(data, options);
    if (small === null) return [{ width: 0, height: 0 }, []];
    const bitmap = await createImageBitmap(new ImageData(small.data as ImageDataArray, small.width, small.height));
    return [{ width: small.shownWidth, height: small.shownHeight, bitmap }, [bitmap]];
  }
  const { width, height, data: pixels } = await engine.decode(data, options);
  if (wanted === "pixels") return [{ width, height, pixels }, [pixels.buffer]];
  const bitmap = await createImageBitmap(new ImageData(pixels as ImageDataArray, width, height));
  return [{ width, height, bitmap }, [bitmap]];
}
