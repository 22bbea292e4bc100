// The slider: a logarithmic scale of bits per pixel, shown in bytes.

const LOWEST = 0.02;
const HIGHEST = 0.8;
const STEPS = 1000;
const USUAL = 0.15;

const number = (value) => value.toLocaleString("en-GB");

/** Bytes as people read them. */
export const bytes = (count) => `${number(count)} bytes`;

/** The slider's position for so many bits per pixel. */
export const position = (bpp = USUAL) =>
  Math.round((STEPS * Math.log(bpp / LOWEST)) / Math.log(HIGHEST / LOWEST));

/** The bytes of a file of so many pixels at a position, to two or three digits. */
export function sizeAt(where, pixels) {
  const bpp = LOWEST * (HIGHEST / LOWEST) ** (where / STEPS);
  const exact = Math.max(100, (bpp * pixels) / 8);
  const unit = 10 ** Math.max(0, Math.floor(Math.log10(exact)) - 1) / 2;
  return Math.max(1, Math.round(Math.round(exact / unit) * unit));
}

/** What so many bytes mean for so many pixels. */
export function meaning(size, pixels) {
  const bpp = ((8 * size) / pixels).toFixed(3);
  return `${bpp} bits per pixel, 1/${number(Math.round((3 * pixels) / size))} of the raw pixels`;
}
