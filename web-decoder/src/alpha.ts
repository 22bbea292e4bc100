/** The ALPHA chunk: a lossless WebP or a grey PNG file, decoded by the platform (docs/format.md, section 3). */
import { formatError } from "./errors.js";
import { platformPixels } from "./platform.js";

const PNG = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const PNG_GREY_8 = [8, 0];
const VP8L = 0x4c385056;

/** The opacity of `width` × `height` pixels. The size in the file's header is compared before pixels are decoded. */
export async function decodeAlpha(data: Uint8Array, width: number, height: number): Promise<Uint8Array> {
  const size = PNG.every((byte, index) => data[index] === byte) ? pngSize(data) : losslessWebpSize(data);
  if (size === null) throw formatError("The alpha plane is neither a grey PNG nor a lossless WebP file.");
  if (size[0] !== width || size[1] !== height) throw formatError("The alpha plane has another size than the picture.");
  const rgba = await platformPixels(data, data[0] === PNG[0] ? "image/png" : "image/webp", width, height);
  if (rgba === null) throw formatError("The alpha plane is damaged.");
  return Uint8Array.from({ length: width * height }, (_, index) => rgba[4 * index]!);
}

function pngSize(data: Uint8Array): [number, number] | null {
  if (data.length < 26 || data[24] !== PNG_GREY_8[0] || data[25] !== PNG_GREY_8[1]) return null;
  const view = new DataView(data.buffer, data.byteOffset);
  return [view.getUint32(16), view.getUint32(20)];
}

/** RIFF, length, WEBP, VP8L, length, 0x2F; then 14 bits of width − 1 and of height − 1. */
function losslessWebpSize(data: Uint8Array): [number, number] | null {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  if (data.length < 25 || view.getUint32(0, false) !== 0x52494646 || view.getUint32(8, false) !== 0x57454250) return null;
  if (view.getUint32(12, true) !== VP8L || data[20] !== 0x2f) return null;
  const bits = view.getUint32(21, true);
  return [(bits & 0x3fff) + 1, ((bits >>> 14) & 0x3fff) + 1];
}
