/** Steps of the quantiser in units of 2⁻²² of a scaled latent (docs/format.md, section 7). */
const OCTAVE = [
  65536, 68438, 71468, 74632, 77936, 81386, 84990, 88752, 92682, 96785, 101070, 105545, 110218, 115098, 120194, 125515,
];
const CHANNEL_OFFSETS = [1, -1, 3, -3];
const MIN_LEVEL = -16;

/** Value of a step's unit in scaled latents. */
export const STEP_UNIT = 2 ** -22;
/** The largest absolute value of an integer. */
export const MAX_INTEGER = 32_767;

/** The level of a channel at a position of level `level`. */
export const effectiveLevel = (level: number, channel: number): number => level + CHANNEL_OFFSETS[channel]!;

/** The step of an effective level from −16 to 143. */
export function stepOf(effective: number): number {
  const sixteenths = effective - MIN_LEVEL;
  return OCTAVE[sixteenths & 15]! << (sixteenths >> 4);
}

/** A latent as an input of networks, in sixteenths. The product is below 2⁵³, so that the arithmetic of doubles is exact. */
export function networkInput(integer: number, step: number): number {
  return clip(Math.floor((integer * step + 131_072) / 262_144), -127, 127);
}

/** The expected latent as an input of networks, in the place of an integer that has not arrived (section 12). */
export const expectedInput = (mean: number): number => clip((mean + 8) >> 4, -127, 127);

export const clip = (value: number, low: number, high: number): number => Math.min(Math.max(value, low), high);
