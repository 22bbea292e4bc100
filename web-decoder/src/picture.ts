/** From the network's pixels to the picture to show: cropped, resampled, grey, transparent (docs/format.md, sections 2 and 13). */
import type { Header } from "./header.js";
import { layPatches, layReduced, type Patches } from "./patches.js";

const LOBES = 3;

/** Pixels in rows from top to bottom, four bytes each: red, green, blue (sRGB) and opacity. */
export interface Pixels {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8ClampedArray;
}

/** What is laid over a picture or sets its opacity: `alpha` has one byte for each pixel that is shown. */
export interface Layers {
  readonly patches: Patches | null;
  readonly alpha: Uint8Array | null;
}

/** Finishes a picture of the decoder network's `pixels`. */
export function finishPicture(pixels: Pixels, header: Header, { patches, alpha }: Layers): Pixels {
  const cropped = crop(pixels, header.codedWidth, header.codedHeight);
  const shown = resize(cropped, header.width, header.height);
  if (patches) layPatches(shown, patches);
  return coloured(shown, header.grey, alpha);
}

/**
 * Finishes a thumbnail of a `reduce`-th of width and height, rounded up. A pixel of `pixels` is the mean of `unit` × `unit` pixels
 * of the coded picture; `layers` are those of the whole picture.
 */
export function finishThumbnail(pixels: Pixels, header: Header, unit: number, reduce: number, { patches, alpha }: Layers): Pixels {
  const [width, height] = [Math.ceil(header.width / reduce), Math.ceil(header.height / reduce)];
  const plain = header.codedWidth * reduce === header.width * unit && header.codedHeight * reduce === header.height * unit;
  const across = plain ? pixels.width : (width * reduce * header.codedWidth) / (header.width * unit);
  const down = plain ? pixels.height : (height * reduce * header.codedHeight) / (header.height * unit);
  const small = resize(pixels, width, height, across, down);
  if (patches) layReduced(small, patches, reduce, header.width, header.height);
  return coloured(small, header.grey, alpha && meansOf(alpha, header.width, header.height, reduce));
}

function coloured(shown: Pixels, grey: boolean, alpha: Uint8Array | null): Pixels {
  const { data } = shown;
  for (let index = 0; grey && index < data.length; index += 4) {
    data.fill((data[index]! * 19_595 + data[index + 1]! * 38_470 + data[index + 2]! * 7_471 + 32_768) >> 16, index, index + 3);
  }
  alpha?.forEach((opacity, index) => (data[4 * index + 3] = opacity));
  return shown;
}

/** The rounded means of squares of `side` pixels of a plane; those at its right and lower borders may be smaller. */
function meansOf(plane: Uint8Array, width: number, height: number, side: number): Uint8Array {
  const [across, down] = [Math.ceil(width / side), Math.ceil(height / side)];
  return Uint8Array.from({ length: across * down }, (_, index) => {
    const [left, top] = [(index % across) * side, Math.floor(index / across) * side];
    const [right, bottom] = [Math.min(left + side, width), Math.min(top + side, height)];
    let sum = 0;
    for (let y = top; y < bottom; y++) for (let x = left; x < right; x++) sum += plane[y * width + x]!;
    return Math.floor(sum / ((right - left) * (bottom - top)) + 0.5);
  });
}

function crop(pixels: Pixels, width: number, height: number): Pixels {
  if (pixels.width === width && pixels.height === height) return pixels;
  const data = new Uint8ClampedArray(width * height * 4);
  for (let y = 0; y < height; y++) {
    data.set(pixels.data.subarray(y * pixels.width * 4, (y * pixels.width + width) * 4), y * width * 4);
  }
  return { width, height, data };
}

/**
 * Resamples by Lanczos' kernel of three lobes, first along rows, then along columns, with bytes in between. The result shows
 * `across` by `down` pixels from the upper left corner; beyond the picture, which they may exceed, its outermost pixels are repeated.
 */
export function resize(pixels: Pixels, width: number, height: number, across = pixels.width, down = pixels.height): Pixels {
  const plainRows = pixels.width === width && across === width;
  const wide = plainRows ? pixels.data : resizeRows(pixels.data, pixels.width, pixels.height, width, across);
  const plainColumns = pixels.height === height && down === height;
  const data = plainColumns ? wide : resizeColumns(wide, width, pixels.height, height, down);
  return { width, height, data };
}

interface Taps {
  readonly places: readonly number[];
  readonly weights: readonly number[];
}

/** Where each of `to` samples comes from: of `from` samples the first `span`. */
function tapsOf(from: number, to: number, span: number): Taps[] {
  const ratio = span / to;
  const size = Math.max(from, Math.ceil(span));
  const stretch = Math.max(ratio, 1);
  return Array.from({ length: to }, (_, index) => {
    const centre = (index + 0.5) * ratio;
    const first = Math.max(Math.floor(centre - LOBES * stretch + 0.5), 0);
    const end = Math.min(Math.floor(centre + LOBES * stretch + 0.5), size);
    const weights = Array.from({ length: end - first }, (__, tap) => lanczos((first + tap - centre + 0.5) / stretch));
    const sum = weights.reduce((total, weight) => total + weight, 0);
    const places = weights.map((_, tap) => Math.min(first + tap, from - 1));
    return { places, weights: weights.map((weight) => weight / sum) };
  });
}

function lanczos(x: number): number {
  if (x === 0) return 1;
  if (Math.abs(x) >= LOBES) return 0;
  const angle = Math.PI * x;
  return (LOBES * Math.sin(angle) * Math.sin(angle / LOBES)) / angle ** 2;
}

function resizeRows(data: Uint8ClampedArray, from: number, height: number, to: number, span: number): Uint8ClampedArray {
  const result = new Uint8ClampedArray(to * height * 4);
  tapsOf(from, to, span).forEach(({ places, weights }, x) => {
    for (let y = 0; y < height; y++) mix(data, y * from * 4, 4, places, weights, result, (y * to + x) * 4);
  });
  return result;
}

function resizeColumns(data: Uint8ClampedArray, width: number, from: number, to: number, span: number): Uint8ClampedArray {
  const result = new Uint8ClampedArray(width * to * 4);
  tapsOf(from, to, span).forEach(({ places, weights }, y) => {
    for (let x = 0; x < width; x++) mix(data, x * 4, width * 4, places, weights, result, (y * width + x) * 4);
  });
  return result;
}

/** Writes the weighted mean of the pixels at `places` of a row or column that begins at `start`, `step` bytes apart. */
function mix(
  data: Uint8ClampedArray, start: number, step: number, places: readonly number[], weights: readonly number[],
  target: Uint8ClampedArray, place: number,
): void {
  let [red, green, blue] = [0, 0, 0];
  for (let tap = 0; tap < places.length; tap++) {
    const [source, weight] = [start + places[tap]! * step, weights[tap]!];
    red += weight * data[source]!;
    green += weight * data[source + 1]!;
    blue += weight * data[source + 2]!;
  }
  target[place] = Math.floor(red + 0.5);
  target[place + 1] = Math.floor(green + 0.5);
  target[place + 2] = Math.floor(blue + 0.5);
  target[place + 3] = 255;
}
