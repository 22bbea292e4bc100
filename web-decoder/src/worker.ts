/** The worker: decodes what the page sends, one picture after another, and parts of another worker's picture. */
import { fetchAsset, unpacked } from "./assets.js";
import { type DecodeOptions, Engine, type Findings, type Reduction, type Thumbnail } from "./engine.js";
import { CalotypeError, type ErrorCode } from "./errors.js";
import { HelpDesk, type Helped, type HelpOffer, type HelpRequest, type HelpResult, type HelpTask, type HelpWanted } from "./help.js";
import type { Pixels } from "./picture.js";

/** "pixels" gives bytes, "bitmap" a bitmap to draw, "thumbnail" the bytes of a small picture, "preview" a bitmap made of one. */
export type Wanted = "pixels" | "bitmap" | "thumbnail" | "preview";

export interface Request {
  readonly id: number;
  readonly data: Uint8Array;
  readonly options: DecodeOptions;
  readonly wanted: Wanted;
  /** How much smaller a thumbnail is; null for what has arrived. */
  readonly reduce: Reduction | null;
}

/** The decoder's files in base64, sent once to a worker that can fetch none. */
export interface GivenFiles {
  readonly files: Readonly<Record<string, string>>;
}

/** A picture, and the size of `pixels` or `bitmap`. A preview has the size of the picture that it is of. */
export interface Decoded extends Partial<Findings> {
  readonly width: number;
  readonly height: number;
  readonly pixels?: Uint8ClampedArray;
  readonly bitmap?: ImageBitmap;
}

/** An answer that is `early` shows a picture for the time being, and another one follows. */
export type Answer =
  | HelpWanted
  | HelpTask
  | Helped
  | (Decoded & { readonly id: number; readonly early?: true })
  | { readonly id: number; readonly code: ErrorCode; readonly message: string };

const scope = self as unknown as DedicatedWorkerGlobalScope;
const given = new Map<string, string>();
const engine = new Engine(async (name) => {
  const file = given.get(name);
  return file === undefined ? fetchAsset(scope.location.href, name) : unpacked(name, Uint8Array.from(atob(file), (each) => each.charCodeAt(0)));
});

const helpDesk = new HelpDesk((message, transferred) => scope.postMessage(message, transferred));

/** What the page sends. */
export type Message = Request | GivenFiles | HelpRequest | HelpOffer | HelpResult;

scope.addEventListener("message", ({ data: message }: MessageEvent<Message>) => {
  if ("files" in message) for (const [name, file] of Object.entries(message.files)) given.set(name, file);
  else if ("offered" in message || "result" in message) helpDesk.receive(message);
  else if ("task" in message) void help(message);
  else void answer(message);
});

async function help({ network, task }: HelpRequest): Promise<void> {
  let [helped, failed]: [ArrayBuffer | null, boolean] = [null, false];
  try {
    helped = await engine.help(network, task);
  } catch {
    failed = true; // The other worker computes the part itself.
  }
  scope.postMessage({ helped, failed } satisfies Answer, helped ? [helped] : []);
}

async function answer(request: Request): Promise<void> {
  const { id } = request;
  try {
    const [decoded, transferred] = await answerTo(request);
    scope.postMessage({ id, ...decoded }, transferred);
  } catch (error) {
    const known = error instanceof CalotypeError;
    // WebAssembly that finds no memory throws errors of many kinds.
    const message = known ? error.message : `The picture cannot be decoded here: ${String(error)}`;
    scope.postMessage({ id, code: known ? error.code : "ModelError", message } satisfies Answer);
  }
}

async function answerTo({ id, data, options, wanted, reduce }: Request): Promise<[Decoded, Transferable[]]> {
  if (wanted === "preview") return preview(await engine.thumbnail(data, null, options));
  if (wanted === "thumbnail") {
    const { width, height, data: pixels } = await engine.thumbnail(data, reduce, options);
    return [{ width, height, pixels }, [pixels.buffer]];
  }
  const early = async (small: Thumbnail): Promise<void> => {
    const [answer, transferred] = await preview(small);
    scope.postMessage({ id, early: true, ...answer } satisfies Answer, transferred);
  };
  const findHelper = helpDesk.forPicture(options.network ?? "pocket");
  const { width, height, data: pixels, ...found } = await engine.decode(data, options, wanted === "bitmap" ? early : undefined, findHelper);
  if (wanted === "pixels") return [{ width, height, pixels, ...found }, [pixels.buffer]];
  const bitmap = await bitmapOf({ width, height, data: pixels });
  return [{ width, height, bitmap, ...found }, [bitmap]];
}

/** Enlarged here, so that the page has nothing to do but to show it. */
async function preview(small: Thumbnail): Promise<[Decoded, Transferable[]]> {
  const { shownWidth: width, shownHeight: height } = small;
  const bitmap = await bitmapOf(small, { resizeWidth: width, resizeHeight: height });
  return [{ width, height, bitmap }, [bitmap]];
}

const bitmapOf = ({ width, height, data }: Pixels, options: ImageBitmapOptions = {}): Promise<ImageBitmap> =>
  createImageBitmap(new ImageData(data as ImageDataArray, width, height), options);
