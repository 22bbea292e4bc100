/** The noise input of decoder networks (docs/format.md, section 13). */

/** Samples of noise per latent position on a side. */
export const GRAIN_PER_LATENT = 4;
const DEVIATION = Math.sqrt((256 ** 2 - 1) / 12);

/** A permutation of the 32-bit integers: `lowbias32` by Chris Wellons. */
function mixed(x: number): number {
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
  return (x ^ (x >>> 16)) >>> 0;
}

/** The hash of sample row `row`, which `grainAt` takes. */
export const grainRow = (row: number): number => mixed(row);

/** The four channels' bytes at a sample, channel 0 lowest. */
export const grainBytes = (rowHash: number, column: number): number => mixed((rowHash + column) >>> 0);

/** The noise that a byte stands for: uniform, with mean 0 and standard deviation 1. */
export const grainValue = (byte: number): number => (byte - 127.5) / DEVIATION;
