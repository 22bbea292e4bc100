/** The record of how certain a picture is, and stripes where it is not (docs/format.md, section 3). */
import { ByteReader } from "./bytes.js";
import { formatError } from "./errors.js";
import { inflate } from "./inflate.js";
import type { Pixels } from "./picture.js";

const SMALLEST_CELL = 16;
const MAX_DOUBLINGS = 10;
const NO_MAP = 255;
const MAX_LEVEL = 3;
/** The colour of the stripes, its largest share, and their width in pixels. */
const COLOUR = [255, 60, 0] as const;
const LARGEST_SHARE = 0.7;
const STRIPE = 4;

/** A level of 0, certain, to 3 for each cell of `cell` × `cell` pixels, row by row. */
export interface UncertaintyMap {
  readonly cell: number;
  readonly columns: number;
  readonly levels: Uint8Array;
}

/** The map in the data of a FIDELITY chunk, or null if the record has none. Throws `FormatError` if the record is unusable. */
export async function readUncertainty(data: Uint8Array, width: number, height: number): Promise<UncertaintyMap | null> {
  const reader = new ByteReader(data);
  reader.bytes(3, "record of its fidelity");
  const doublings = reader.u8("record of its fidelity");
  if (doublings === NO_MAP) {
    if (reader.remaining > 0) throw formatError("The record of its fidelity has no map, but more bytes.");
    return null;
  }
  if (doublings > MAX_DOUBLINGS) throw formatError(`The record of its fidelity has cells of an unknown size: ${doublings}.`);
  const cell = SMALLEST_CELL << doublings;
  const columns = Math.ceil(width / cell);
  let levels: Uint8Array;
  try {
    levels = await inflate(data.subarray(reader.position), "deflate-raw", columns * Math.ceil(height / cell));
  } catch {
    throw formatError("The map in the record of its fidelity is damaged.");
  }
  if (levels.some((level) => level > MAX_LEVEL)) throw formatError("The map in the record of its fidelity has an unknown level.");
  return { cell, columns, levels };
}

/** Lays stripes over the uncertain parts of a picture, the stronger the less certain they are. */
export function markUncertain({ width, height, data }: Pixels, { cell, columns, levels }: UncertaintyMap): void {
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const level = levels[Math.floor(y / cell) * columns + Math.floor(x / cell)]!;
      if (level === 0 || Math.floor((x + y) / STRIPE) % 2 === 1) continue;
      const [share, place] = [(level / MAX_LEVEL) * LARGEST_SHARE, (y * width + x) * 4];
      COLOUR.forEach((value, c) => (data[place + c] = Math.floor(data[place + c]! + share * (value - data[place + c]!) + 0.5)));
    }
  }
}
