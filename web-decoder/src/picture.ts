/** From the network's pixels to the picture to show: cropped, resampled, grey, transparent (docs/format.md, sections 2 and 13). */
import type { Header } from "./header.js";

const LOBES = 3;

/** Pixels in rows from top to bottom, four bytes each: red, green, blue (sRGB) and opacity. */
export interface Pixels {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8ClampedArray;
}

/** Finishes a picture. `pixels` are the decoder network's, `alpha` has one byte for each pixel that is shown. */
export function finishPicture(pixels: Pixels, header: Header, alpha: Uint8Array | null): Pixels {
  const cropped = crop(pixels, header.codedWidth, header.codedHeight);
  const shown = resize(cropped, header.width, header.height);
  const { data } = shown;
  for (let index = 0; header.grey && index < data.length; index += 4) {
    data.fill((data[index]! * 19_595 + data[index + 1]! * 38_470 + data[index + 2]! * 7_471 + 32_768) >> 16, index, index + 3);
  }
  alpha?.forEach((opacity, index) => (data[4 * index + 3] = opacity));
  return shown;
}

function crop(pixels: Pixels, width: number, height: number): Pixels {
  if (pixels.width === width && pixels.height === height) return pixels;
  const data = new Uint8ClampedArray(width * height * 4);
  for (let y = 0; y < height; y++) {
    data.set(pixels.data.subarray(y * pixels.width * 4, (y * pixels.width + width) * 4), y * width * 4);
  }
  return { width, height, data };
}

/** Resamples by Lanczos' kernel of three lobes, first along rows, then along columns, with bytes in between. */
export function resize(pixels: Pixels, width: number, height: number): Pixels {
  const wide = pixels.width === width ? pixels.data : resizeRows(pixels.data, pixels.width, pixels.height, width);
  const data = pixels.height === height ? wide : resizeColumns(wide, width, pixels.height, height);
  return { width, height, data };
}

interface Taps {
  readonly first: number;
  readonly weights: readonly number[];
}

function tapsOf(from: number, to: number): Taps[] {
  const ratio = from / to;
  const stretch = Math.max(ratio, 1);
  return Array.from({ length: to }, (_, index) => {
    const centre = (index + 0.5) * ratio;
    const first = Math.max(Math.floor(centre - LOBES * stretch + 0.5), 0);
    const end = Math.min(Math.floor(centre + LOBES * stretch + 0.5), from);
    const weights = Array.from({ length: end - first }, (__, tap) => lanczos((first + tap - centre + 0.5) / stretch));
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return { first, weights: weights.map((weight) => weight / sum) };
  });
}

function lanczos(x: number): number {
  if (x === 0) return 1;
  if (Math.abs(x) >= LOBES) return 0;
  const angle = Math.PI * x;
  return (LOBES * Math.sin(angle) * Math.sin(angle / LOBES)) / angle ** 2;
}

function resizeRows(data: Uint8ClampedArray, from: number, height: number, to: number): Uint8ClampedArray {
  const result = new Uint8ClampedArray(to * height * 4);
  tapsOf(from, to).forEach(({ first, weights }, x) => {
    for (let y = 0; y < height; y++) mix(data, (y * from + first) * 4, 4, weights, result, (y * to + x) * 4);
  });
  return result;
}

function resizeColumns(data: Uint8ClampedArray, width: number, from: number, to: number): Uint8ClampedArray {
  const result = new Uint8ClampedArray(width * to * 4);
  tapsOf(from, to).forEach(({ first, weights }, y) => {
    for (let x = 0; x < width; x++) mix(data, (first * width + x) * 4, width * 4, weights, result, (y * width + x) * 4);
  });
  return result;
}

/** Writes the weighted mean of pixels that lie `step` bytes apart. */
function mix(
  data: Uint8ClampedArray, source: number, step: number, weights: readonly number[], target: Uint8ClampedArray, place: number,
): void {
  let [red, green, blue] = [0, 0, 0];
  for (const weight of weights) {
    red += weight * data[source]!;
    green += weight * data[source + 1]!;
    blue += weight * data[source + 2]!;
    source += step;
  }
  target[place] = Math.floor(red + 0.5);
  target[place + 1] = Math.floor(green + 0.5);
  target[place + 2] = Math.floor(blue + 0.5);
  target[place + 3] = 255;
}
