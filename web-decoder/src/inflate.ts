/** Decompression by the platform, bounded. */
import { CalotypeError, checksumError, truncatedError } from "./errors.js";

/** Decompresses `data`, which must give exactly `size` bytes; stops as soon as it gives more. */
export async function inflate(data: Uint8Array, format: CompressionFormat, size: number): Promise<Uint8Array> {
  const result = new Uint8Array(size);
  let filled = 0;
  const stream = new Blob([data as BlobPart]).stream().pipeThrough(new DecompressionStream(format));
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      if (filled + value.length > size) throw checksumError(`The compressed bytes give more than ${size} bytes.`);
      result.set(value, filled);
      filled += value.length;
    }
  } catch (error) {
    await reader.cancel().catch(() => undefined);
    throw error instanceof CalotypeError ? error : checksumError("The compressed bytes are damaged.");
  }
  if (filled !== size) throw truncatedError(`The compressed bytes give ${filled} bytes instead of ${size}.`);
  return result;
}
