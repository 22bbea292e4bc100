/** Frequency tables, and the place of a prediction in them (docs/format.md, section 8). */
import { modelError } from "./errors.js";

export const SIGMAS = 49;
export const PHASES = 16;
/** Symbols of a table: residuals from −20 to 20, and an escape. */
export const SYMBOLS = 42;
export const MAX_RESIDUAL = 20;
export const ESCAPE = 41;
const TOTAL = 65_536;
const NODES = 64;

/** Cumulative frequencies: `SYMBOLS + 1` numbers from 0 to 65,536 for each sigma index and phase. */
export type FrequencyTables = Uint32Array;

/** Checks and accumulates `frequencies`, uint16[49, 16, 42]. */
export function accumulate(frequencies: Uint16Array): FrequencyTables {
  if (frequencies.length !== SIGMAS * PHASES * SYMBOLS) throw modelError("The context model has another shape than this decoder reads.");
  const cumulative = new Uint32Array(SIGMAS * PHASES * (SYMBOLS + 1));
  for (let table = 0; table < SIGMAS * PHASES; table++) {
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

/** A quantised prediction: the table of the residual, its origin, and the number of low bits that are coded without a model. */
export interface QuantisedPrediction {
  /** Index of the standard deviation, relative to the step: the first index of the frequency tables. */
  sigmaIndex: number;
  phase: number;
  /** Number of bypass bits. */
  lowBits: number;
  centre: number;
}

/** Quantises a prediction (`mean`, `scale`) at the effective level `effective` with the step `step` into `quantised`. */
export function quantisePrediction(quantised: QuantisedPrediction, mean: number, scale: number, effective: number, step: number): void {
  let t = Math.floor((mean * 262_144 + (step >> 1)) / step);
  let sigmaIndex = Math.max(scale - effective + 40, 0) >> 1;
  const lowBits = Math.max(sigmaIndex - 41, 0) >> 3;
  sigmaIndex -= 8 * lowBits;
  t = (t - 8 * (2 ** lowBits - 1)) >> lowBits;
  quantised.sigmaIndex = sigmaIndex;
  quantised.lowBits = lowBits;
  quantised.centre = (t + 8) >> 4;
  quantised.phase = (t + 8) & 15;
}

const offsets = new Map<number, number>();

/**
 * The conditional mean of a latent within its step, relative to the step's centre, in steps: −1/2 to 1/2. `residual` is from −20
 * to 20; escapes and integers with bypass bits have the offset 0.
 */
export function conditionalOffset(sigmaIndex: number, phase: number, residual: number): number {
  const key = (sigmaIndex * PHASES + phase) * SYMBOLS + residual + MAX_RESIDUAL;
  const known = offsets.get(key);
  if (known !== undefined) return known;
  const sigma = 2 ** ((sigmaIndex + 0.5) / 8 - 4);
  const places = Array.from({ length: NODES }, (_, node) => (node + 0.5) / NODES - 0.5);
  const exponents = places.map((place) => -0.5 * ((residual + place - (phase / 16 - 0.5)) / sigma) ** 2);
  const largest = Math.max(...exponents); // Far from the mean all weights would be 0 without it.
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
