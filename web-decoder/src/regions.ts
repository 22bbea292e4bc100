/** The REGIONS chunk: levels of latent positions (docs/format.md, section 3). */
import { ByteReader } from "./bytes.js";
import { CalotypeError, formatError } from "./errors.js";

const MAX_REGIONS = 255;
const MAX_OFFSET = 127;

/** Levels of `rows` × `columns` positions, in raster order. `data` is the content of a REGIONS chunk, if there is one. */
export function levelMap(level: number, data: Uint8Array | undefined, rows: number, columns: number): Uint8Array {
  const levels = new Uint8Array(rows * columns).fill(level);
  if (data === undefined) return levels;
  if (data.length === 0) throw formatError("The REGIONS chunk holds no rectangle.");
  const reader = new ByteReader(data);
  for (let count = 0; reader.remaining > 0; count++) {
    if (count === MAX_REGIONS) throw formatError(`The REGIONS chunk holds more than ${MAX_REGIONS} rectangles.`);
    const [left, top, width, height, offset] = rectangle(reader);
    if (left + width > columns || top + height > rows) throw formatError("A rectangle of the REGIONS chunk leaves the picture.");
    if (offset < 1 || offset > MAX_OFFSET) throw formatError(`A level offset of ${offset} is not within 1 to ${MAX_OFFSET}.`);
    const lowered = Math.max(level - offset, 0);
    for (let y = top; y < top + height; y++) {
      for (let index = y * columns + left; index < y * columns + left + width; index++) {
        levels[index] = Math.min(levels[index]!, lowered);
      }
    }
  }
  return levels;
}

function rectangle(reader: ByteReader): [number, number, number, number, number] {
  try {
    const [left, top] = [reader.varint("rectangle"), reader.varint("rectangle")];
    const [width, height] = [reader.varint("rectangle") + 1, reader.varint("rectangle") + 1];
    return [left, top, width, height, reader.u8("rectangle")];
  } catch (error) {
    if (!(error instanceof CalotypeError)) throw error;
    throw formatError("The REGIONS chunk ends within a rectangle.");
  }
}
