/** The step as decoder networks take it: log2 at each position, the mean over the channels (docs/format.md, section 12). */
import { CHANNELS } from "./header.js";
import { clip } from "./quantiser.js";

/** Below this share of integers that have arrived the map is smoothed, and fully so below `FULLY_BELOW`. */
const SMOOTHED_BELOW = 1 / 4;
const FULLY_BELOW = 1 / 8;

/** log2 of the step for an integer of level `level` that has arrived. */
export const logStepOf = (level: number): number => level / 16 - 5;

/** The same for an integer that has not arrived: log2 of the step at which rounding errors have the predicted deviation. */
export const logStepOfMissing = (level: number, scale: number): number => Math.max(logStepOf(level), scale / 16 - 6.5 + Math.log2(12) / 2);

/** The map from the `sums` over the channels. `arrived`: the share of integers, 0 to 1, of the positions at multiples of `spacing`. */
export function finishedStepMap(sums: Float64Array, rows: number, columns: number, spacing: number, arrived: number): Float32Array {
  const map = sums.map((sum) => sum / CHANNELS);
  const smoothing = clip((SMOOTHED_BELOW - arrived) / (SMOOTHED_BELOW - FULLY_BELOW), 0, 1);
  if (smoothing === 0) return Float32Array.from(map);
  const smoothed = new Float32Array(map.length);
  for (let y = 0; y < rows; y += spacing) {
    for (let x = 0; x < columns; x += spacing) {
      let mean = 0;
      for (let dy = -1; dy <= 1; dy++) {
        // Beyond the borders the outermost numbers are repeated.
        const row = y + dy * spacing < 0 || y + dy * spacing >= rows ? y : y + dy * spacing;
        for (let dx = -1; dx <= 1; dx++) {
          const column = x + dx * spacing < 0 || x + dx * spacing >= columns ? x : x + dx * spacing;
          mean += (map[row * columns + column]! * (2 - Math.abs(dy)) * (2 - Math.abs(dx))) / 16;
        }
      }
      const own = map[y * columns + x]!;
      smoothed[y * columns + x] = own + smoothing * (mean - own);
    }
  }
  return smoothed;
}
