/** The palette coding (docs/format.md, section 11). */
import { CHANNELS } from "./header.js";
import { inflate } from "./inflate.js";
import type { Latents } from "./latents.js";

const COLOURS = 256;

/** Decodes a payload of the palette coding: `rows` × `columns` positions at level `level`. */
export async function decodePalette(payload: Uint8Array, rows: number, columns: number, level: number): Promise<Latents> {
  const positions = rows * columns;
  const content = await inflate(payload, "deflate", COLOURS * CHANNELS + positions);
  const integers = new Int16Array(CHANNELS * positions);
  for (let position = 0; position < positions; position++) {
    const colour = content[COLOURS * CHANNELS + position]!;
    for (let channel = 0; channel < CHANNELS; channel++) {
      integers[channel * positions + position] = content[colour * CHANNELS + channel]!;
    }
  }
  const latents = Float32Array.from(integers, (integer) => ((2 * integer - 255) * 331_786_225) / 20_000_000_000);
  const logStep = new Float32Array(positions).fill(level / 16 - 5);
  const arrivedMask = new Uint8Array(integers.length).fill(1);
  return { rows, columns, integers, latents, conditionalMeans: latents, logStep, arrivedMask, arrived: integers.length, spacing: 1 };
}
