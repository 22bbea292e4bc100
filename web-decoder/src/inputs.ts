/** What a decoder network reads, over any area of a picture. */
import { type Area, evenSize } from "./areas.js";
import type { Part } from "./choice.js";
import type { Samples } from "./executor.js";
import { grainBytes, GRAIN_PER_LATENT, grainRow, grainValue } from "./grain.js";
import { CHANNELS, PIXELS_PER_LATENT } from "./header.js";
import type { Latents } from "./latents.js";

/** The network's inputs over the whole picture, extended at its borders and to an even number of positions. */
export class Inputs {
  /** The area of the picture with its extension. */
  readonly whole: Area;

  constructor(
    private readonly latents: Latents,
    private readonly extension: number,
  ) {
    this.whole = { top: 0, left: 0, bottom: latents.rows + 2 * extension, right: latents.columns + 2 * extension };
  }

  /** The numbers of an input over `area`. An area with an odd side at the border gets one position more. */
  samples(name: string, area: Area): Samples {
    if (name === "grain") return grainSamples(area);
    const { rows, columns, latents, conditionalMeans, logStep } = this.latents;
    const channels = name === "log_step" ? 1 : CHANNELS;
    const values = name === "log_step" ? logStep : name === "latents" ? latents : conditionalMeans;
    const [width, height] = evenSize(area);
    const data = new Float32Array(width * height * channels);
    const within = (place: number, size: number) => Math.min(Math.max(place - this.extension, 0), size - 1);
    let target = 0;
    for (let y = 0; y < height; y++) {
      const row = within(area.top + y, rows) * columns;
      for (let x = 0; x < width; x++) {
        const source = row + within(area.left + x, columns);
        for (let channel = 0; channel < channels; channel++) data[target++] = values[channel * rows * columns + source]!;
      }
    }
    return { width, height, channels, data };
  }

  /** Copies the pixels of a part into the picture, but of its extension. */
  show(rgba: Uint8ClampedArray, { area, bytes }: Part<Area>): void {
    const unit = PIXELS_PER_LATENT;
    const [left, top, width] = [(area.left - this.extension) * unit, (area.top - this.extension) * unit, (area.right - area.left) * unit];
    const [columns, rows] = [this.latents.columns * unit, this.latents.rows * unit];
    const [first, end] = [Math.max(left, 0), Math.min(left + width, columns)];
    if (first >= end) return;
    for (let y = Math.max(top, 0); y < Math.min((area.bottom - this.extension) * unit, rows); y++) {
      const source = ((y - top) * width - left) * 4;
      rgba.set(bytes.subarray(source + first * 4, source + end * 4), (y * columns + first) * 4);
    }
  }
}

function grainSamples(area: Area): Samples {
  const [width, height] = evenSize(area).map((side) => side * GRAIN_PER_LATENT) as [number, number];
  const data = new Float32Array(width * height * CHANNELS);
  let target = 0;
  for (let y = 0; y < height; y++) {
    const rowHash = grainRow(area.top * GRAIN_PER_LATENT + y);
    for (let x = 0; x < width; x++) {
      const bytes = grainBytes(rowHash, area.left * GRAIN_PER_LATENT + x);
      for (let channel = 0; channel < CHANNELS; channel++) data[target++] = grainValue((bytes >>> (8 * channel)) & 255);
    }
  }
  return { width, height, channels: CHANNELS, data };
}
