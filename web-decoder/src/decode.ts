/** Functions that decode in a worker. */
import type { DecodeOptions, Findings, Reduction } from "./engine.js";
import { limitError } from "./errors.js";
import { pool } from "./pool.js";
import type { Decoded } from "./worker.js";

/** A stream that pauses so long has its beginning shown. In milliseconds. */
const PREVIEW_DELAY = 150;
/** Files larger than this are refused while they load, unless the options say otherwise. In bytes. */
export const MAX_FILE_BYTES = 67_108_864;

export interface PageDecodeOptions extends DecodeOptions {
  readonly signal?: AbortSignal;
}

export interface ThumbnailOptions extends PageDecodeOptions {
  /** How many times smaller the thumbnail is along each side: 8 by default, or 16. */
  readonly reduce?: Reduction;
}

export interface StreamOptions extends PageDecodeOptions {
  readonly maxFileBytes?: number;
  /** Called with an enlarged thumbnail, of the size of the picture, while the file or the decoder network still loads. */
  readonly onPreview?: (bitmap: ImageBitmap) => void;
}

/** A picture, and what is known about it. */
export interface Picture extends Findings {
  readonly image: ImageData;
}

const bytesOf = (file: ArrayBuffer | Uint8Array): Uint8Array => (file instanceof Uint8Array ? file : new Uint8Array(file));
const imageOf = ({ width, height, pixels }: Decoded): ImageData => new ImageData(pixels as ImageDataArray, width, height);

/** Decodes a `.calo` file. Rejects with `CalotypeError`. */
export async function decode(file: ArrayBuffer | Uint8Array, options: PageDecodeOptions = {}): Promise<ImageData> {
  return (await decodePicture(file, options)).image;
}

/** Decodes a `.calo` file, or with `partial` its beginning, and tells what is known about it. Rejects with `CalotypeError`. */
export async function decodePicture(file: ArrayBuffer | Uint8Array, options: PageDecodeOptions = {}): Promise<Picture> {
  const { signal, ...rest } = options;
  const decoded = await pool.run(bytesOf(file), "pixels", { options: rest, signal });
  const { verified = false, arrived = 0, dropped = [], recorded = null, backend = "wasm" } = decoded;
  return { image: imageOf(decoded), verified, arrived, dropped, recorded, backend };
}

/** An eighth or a sixteenth of a picture's width and height, rounded up, without the decoder network. Rejects with `CalotypeError`. */
export async function thumbnail(file: ArrayBuffer | Uint8Array, options: ThumbnailOptions = {}): Promise<ImageData> {
  const { signal, reduce = 8, ...rest } = options;
  return imageOf(await pool.run(bytesOf(file), "thumbnail", { options: rest, signal, reduce }));
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
      const shown = await pool.run(joined(parts, size), "preview", { options: { ...rest, partial: true }, signal });
      if (!finished) onPreview(shown.bitmap!);
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
  const early = onPreview && ((small: Decoded) => onPreview(small.bitmap!));
  return (await pool.run(joined(parts, size), "bitmap", { options: rest, signal, early })).bitmap!;
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
