/** Functions that decode in a worker. */
import type { DecodeOptions } from "./engine.js";
import { limitError } from "./errors.js";
import { type Decoded, pool } from "./pool.js";

/** A stream that pauses so long has its beginning shown. In milliseconds. */
const PREVIEW_DELAY = 150;
/** Files larger than this are refused while they load, unless the options say otherwise. In bytes. */
export const MAX_FILE_BYTES = 67_108_864;

export interface PageDecodeOptions extends DecodeOptions {
  readonly signal?: AbortSignal;
}

export interface StreamOptions extends PageDecodeOptions {
  readonly maxFileBytes?: number;
  /** Called with a small picture of the beginning of a file that loads slowly. `width` and `height` are those of the whole one. */
  readonly onPreview?: (bitmap: ImageBitmap, width: number, height: number) => void;
}

/** Decodes a whole `.calo` file. Rejects with `CalotypeError`. */
export async function decode(file: ArrayBuffer | Uint8Array, options: PageDecodeOptions = {}): Promise<ImageData> {
  const { signal, ...rest } = options;
  const data = file instanceof Uint8Array ? file : new Uint8Array(file);
  const { width, height, pixels } = await pool.run(data, "pixels", rest, signal);
  return new ImageData(pixels as ImageDataArray, width, height);
}

/** Decodes a `.calo` file while it loads, to a bitmap. Rejects with `CalotypeError`, or with what the stream fails with. */
export async function decodeStream(stream: ReadableStream<Uint8Array>, options: StreamOptions = {}): Promise<ImageBitmap> {
  const { signal, onPreview, maxFileBytes = MAX_FILE_BYTES, ...rest } = options;
  const reader = stream.getReader();
  signal?.addEventListener("abort", () => void reader.cancel(signal.reason), { once: true });
  const parts: Uint8Array[] = [];
  let [size, finished, previewing] = [0, false, false];
  const preview = async (): Promise<void> => {
    if (previewing || finished || size === 0 || !onPreview) return;
    previewing = true;
    try {
      const shown: Decoded = await pool.run(joined(parts, size), "preview", rest, signal);
      if (shown.bitmap && !finished) onPreview(shown.bitmap, shown.width, shown.height);
    } catch {
      // A beginning that cannot be shown is no fault: the whole file tells.
    } finally {
      previewing = false;
    }
  };
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    for (;;) {
      timer = setTimeout(() => void preview(), PREVIEW_DELAY);
      const { done, value } = await reader.read();
      clearTimeout(timer);
      if (done) break;
      parts.push(value);
      size += value.length;
      if (size > maxFileBytes) {
        void reader.cancel();
        throw limitError(`The file has more than ${maxFileBytes} bytes.`);
      }
    }
  } finally {
    clearTimeout(timer);
    finished = true;
  }
  signal?.throwIfAborted();
  return (await pool.run(joined(parts, size), "bitmap", rest, signal)).bitmap!;
}

function joined(parts: readonly Uint8Array[], size: number): Uint8Array {
  const data = new Uint8Array(size);
  let place = 0;
  for (const part of parts) {
    data.set(part, place);
    place += part.length;
  }
  return data;
}
