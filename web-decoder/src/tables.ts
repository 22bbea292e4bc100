/** Frequency tables, and the place of a prediction in them (docs/format.md, section 8). */
import { modelError } from "./errors.js";

export const ROWS = 49;
export const PHASES = 16;
/** Symbols of a table: residuals from −20 to 20, and an escape. */
export const SYMBOLS = 42;
export const REACH = 20;
export const ESCAPE = 41;
const TOTAL = 65_536;
const NODES = 64;

/** Cumulative frequencies: `SYMBOLS + 1` numbers from 0 to 65,536 for each row and phase. */
export type FrequencyTables = Uint32Array;

/** Checks and accumulates `frequencies`, uint16[49, 16, 42]. */
export function accumulate(frequencies: Uint16Array): FrequencyTables {
  if (frequencies.length !== ROWS * PHASES * SYMBOLS) throw modelError("The context model has another shape than this decoder reads.");
  const cumulative = new Uint32Array(ROWS * PHASES * (SYMBOLS + 1));
  for (let table = 0; table < ROWS * PHASES; table++) {
    let sum = 0;
    for (let symbol = 0; symbol < SYMBOLS; symbol++) {
      const frequency = frequencies[table * SYMBOLS + symbol]!;
      if (frequency < 1) throw modelError("The context model holds a frequency of zero.");
      sum += frequency;
      cumulative[table * (SYMBOLS + 1) + symbol + 1] = sum;
    }
    if (sum !== TOTAL) throw modelError("The frequencies of an entropy table do not add up to 65,536.");
  }
  return cumulative;
}

/** Where an integer is coded: its table, the number of its unmodelled low bits, and the residual's origin. */
export interface Slot {
  /** Row and phase of the frequency table. */
  row: number;
  phase: number;
  fine: number;
  centre: number;
}

/** Fills `slot` for a prediction (`mean`, `scale`) at effective level `effective` with the step `step`. */
export function placePrediction(slot: Slot, mean: number, scale: number, effective: number, step: number): void {
  let t = Math.floor((mean * 262_144 + (step >> 1)) / step);
  let row = Math.max(scale - effective + 40, 0) >> 1;
  const fine = Math.max(row - 41, 0) >> 3;
  row -= 8 * fine;
  t = (t - 8 * (2 ** fine - 1)) >> fine;
  slot.row = row;
  slot.fine = fine;
  slot.centre = (t + 8) >> 4;
  slot.phase = (t + 8) & 15;
}

const offsets = new Map<number, number>();

/**
 * The conditional mean of a latent within its step, relative to the step's centre, in steps: −1/2 to 1/2. `residual` is from −20
 * to 20; escapes and integers with unmodelled low bits have the offset 0.
 */
export function conditionalOffset(row: number, phase: number, residual: number): number {
  const key = (row * PHASES + phase) * SYMBOLS + residual + REACH;
  const known = offsets.get(key);
  if (known !== undefined) return known;
  const sigma = 2 ** ((row + 0.5) / 8 - 4);
  const places = Array.from({ length: NODES }, (_, node) => (node + 0.5) / NODES - 0.5);
  const exponents = places.map((place) => -0.5 * ((residual + place - (phase / 16 - 0.5)) / sigma) ** 2);
  const largest = Math.max(...exponents); // far from the mean all the weights alone would be 0
  let [total, moment] = [0, 0];
  for (const [node, place] of places.entries()) {
    const weight = Math.exp(exponents[node]! - largest);
    total += weight;
    moment += weight * place;
  }
  const offset = Math.round((moment / total) * 256) / 256;
  offsets.set(key, offset);
  return offset;
}
