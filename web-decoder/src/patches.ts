/** Patches: rectangles that a still-image codec codes, laid over the picture (docs/format.md, sections 3 and 14). */
import { ByteReader } from "./bytes.js";
import { formatError, unsupportedError } from "./errors.js";
import type { Pixels } from "./picture.js";
import { platformPixels } from "./platform.js";
import { avifOf, webpOf } from "./stills.js";

const VP8 = 0;
const AV1 = 1;
const MAX_FEATHER = 63;
const ATLAS_UNIT = 8;
const MAX_ATLAS_SIDE = 16_383;
const FULL_WEIGHT = 256;

/** `row` is where the rectangle begins in the atlas, in its column 0. */
interface Rectangle {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
  readonly row: number;
}

/** Patches as a chunk describes them, before any pixel is decoded. */
export interface PatchList {
  readonly luma: boolean;
  readonly feather: number;
  readonly rectangles: readonly Rectangle[];
  readonly atlasWidth: number;
  readonly atlasHeight: number;
  /** The atlas as a WebP or AVIF file. */
  readonly file: Uint8Array;
  readonly type: "image/webp" | "image/avif";
}

/** Patches that can be laid over a picture. */
export interface Patches extends PatchList {
  readonly atlas: Pixels;
}

/** Reads a PATCHES chunk of a picture of `width` × `height` pixels. Throws `CalotypeError` if it is unusable. */
export function readPatches(data: Uint8Array, width: number, height: number): PatchList {
  const reader = new ByteReader(data);
  const [codec, luma, feather] = [reader.u8("patches"), reader.u8("patches"), reader.u8("patches")];
  if (codec !== VP8 && codec !== AV1) throw unsupportedError(`The patches have a codec that is not known: ${codec}.`);
  if (luma > 1) throw unsupportedError(`The luma flag of the patches (${luma}) must be 0 or 1.`);
  if (feather > MAX_FEATHER) throw unsupportedError(`The feather of the patches (${feather}) must be at most ${MAX_FEATHER}.`);
  const rectangles: Rectangle[] = [];
  let [atlasWidth, atlasHeight] = [0, 0];
  for (let count = reader.u8("patches") + 1; count > 0; count--) {
    const [left, top] = [reader.varint("patches"), reader.varint("patches")];
    const [across, down] = [reader.varint("patches") + 1, reader.varint("patches") + 1];
    if (left + across > width || top + down > height) throw formatError("A patch leaves the picture.");
    const row = Math.ceil(atlasHeight / ATLAS_UNIT) * ATLAS_UNIT;
    rectangles.push({ left, top, width: across, height: down, row });
    [atlasWidth, atlasHeight] = [Math.max(atlasWidth, across), row + down];
  }
  if (atlasWidth * atlasHeight > width * height || Math.max(atlasWidth, atlasHeight) > MAX_ATLAS_SIDE) {
    throw formatError("The patches together are larger than the picture.");
  }
  const coded = reader.bytes(reader.remaining, "patches");
  const file = codec === VP8 ? webpOf(coded, atlasWidth, atlasHeight) : avifOf(coded, atlasWidth, atlasHeight, luma === 1);
  const type = codec === VP8 ? "image/webp" : "image/avif";
  return { luma: luma === 1, feather, rectangles, atlasWidth, atlasHeight, file, type };
}

/** Decodes the atlas by the platform. Throws `FormatError` if it is damaged, or if the platform lacks the codec. */
export async function decodePatches(list: PatchList): Promise<Patches> {
  const { atlasWidth: width, atlasHeight: height } = list;
  const data = await platformPixels(list.file, list.type, width, height);
  if (data === null) throw formatError("The patches cannot be decoded: they are damaged, or the codec is missing here.");
  return { ...list, atlas: { width, height, data } };
}

const lumaOf = (data: Uint8ClampedArray, place: number): number =>
  (data[place]! * 19_595 + data[place + 1]! * 38_470 + data[place + 2]! * 7_471 + 32_768) >> 16;

/** Lays patches over the picture `shown`, before it becomes grey or transparent. */
export function layPatches(shown: Pixels, patches: Patches): void {
  const { width, data } = shown;
  const { atlas, luma } = patches;
  for (const rectangle of patches.rectangles) {
    const weights = weightsOf(rectangle, patches.feather, shown.width, shown.height);
    for (let y = 0; y < rectangle.height; y++) {
      for (let x = 0; x < rectangle.width; x++) {
        const weight = weights(x, y);
        const target = ((rectangle.top + y) * width + rectangle.left + x) * 4;
        const source = ((rectangle.row + y) * atlas.width + x) * 4;
        const change = luma ? ((lumaOf(atlas.data, source) - lumaOf(data, target)) * weight + 128) >> 8 : 0;
        for (let c = 0; c < 3; c++) {
          const value = data[target + c]!;
          data[target + c] = value + (luma ? change : ((atlas.data[source + c]! - value) * weight + 128) >> 8);
        }
      }
    }
  }
}

/** Lays patches over a picture of a `reduce`-th of width and height: a pixel gets the mean of what its pixels get. */
export function layReduced(small: Pixels, patches: Patches, reduce: number, width: number, height: number): void {
  const { atlas, luma } = patches;
  for (const rectangle of patches.rectangles) {
    const weights = weightsOf(rectangle, patches.feather, width, height);
    const [right, bottom] = [rectangle.left + rectangle.width, rectangle.top + rectangle.height];
    for (let row = Math.floor(rectangle.top / reduce); row * reduce < bottom; row++) {
      for (let column = Math.floor(rectangle.left / reduce); column * reduce < right; column++) {
        const place = (row * small.width + column) * 4;
        const under = lumaOf(small.data, place);
        const [lastX, lastY] = [Math.min((column + 1) * reduce, width), Math.min((row + 1) * reduce, height)];
        const sums = [0, 0, 0];
        for (let y = Math.max(row * reduce, rectangle.top); y < Math.min(lastY, bottom); y++) {
          for (let x = Math.max(column * reduce, rectangle.left); x < Math.min(lastX, right); x++) {
            const weight = weights(x - rectangle.left, y - rectangle.top);
            const source = ((rectangle.row + y - rectangle.top) * atlas.width + x - rectangle.left) * 4;
            for (let c = 0; c < 3; c++) {
              sums[c]! += weight * (luma ? lumaOf(atlas.data, source) - under : atlas.data[source + c]! - small.data[place + c]!);
            }
          }
        }
        const all = FULL_WEIGHT * (lastX - column * reduce) * (lastY - row * reduce);
        sums.forEach((sum, c) => (small.data[place + c] = small.data[place + c]! + Math.floor(sum / all + 0.5)));
      }
    }
  }
}

/** The weight, 0 to 256, at a column and row of a rectangle. Its edges that are edges of the picture have no ramp. */
function weightsOf(rectangle: Rectangle, feather: number, width: number, height: number): (x: number, y: number) => number {
  const rise = (distance: number): number =>
    feather === 0 ? FULL_WEIGHT : Math.min(FULL_WEIGHT, Math.floor(((2 * distance + 1) * 128) / feather));
  const along = (begin: number, size: number, end: number): number[] =>
    Array.from({ length: size }, (_, place) =>
      Math.min(begin === 0 ? FULL_WEIGHT : rise(place), begin + size === end ? FULL_WEIGHT : rise(size - 1 - place)),
    );
  const across = along(rectangle.left, rectangle.width, width);
  const down = along(rectangle.top, rectangle.height, height);
  return (x, y) => (across[x]! * down[y]! + 128) >> 8;
}
