/** Feature maps of float32 in the memory of the kernels, channels last, with a border of zeros that pads convolutions. */
import type { Arena } from "./memory.js";

/** Channels are padded to a multiple of this. */
export const LANES = 8;
/** The side of what a tile of Winograd's algorithm makes. */
export const TILE = 4;

/** `stride` floats for each pixel, of which the first `channels` are used and the others 0; `row` pixels from row to row. */
export interface Plane {
  readonly address: number;
  readonly bytes: number;
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  readonly stride: number;
  readonly row: number;
}

export const padded = (channels: number): number => Math.ceil(channels / LANES) * LANES;

/** The index of a pixel's first channel among float32 numbers. */
export const placeOf = (plane: Plane, y: number, x: number): number =>
  (plane.address >> 2) + ((y + 1) * plane.row + x + 1) * plane.stride;

/** Allocates planes, and uses the memory of those that were freed. */
export class PlanePool {
  private readonly free: { address: number; bytes: number }[] = [];

  constructor(private readonly arena: Arena) {}

  /** A plane with zeros around its pixels and in its unused channels; the other values are arbitrary. */
  take(width: number, height: number, channels: number): Plane {
    const stride = padded(channels);
    const row = Math.ceil(width / TILE) * TILE + 2;
    const needed = (Math.ceil(height / TILE) * TILE + 2) * row * stride * 4;
    const fitting = this.free.filter(({ bytes }) => bytes >= needed && bytes <= 2 * needed).sort((a, b) => a.bytes - b.bytes)[0];
    if (fitting) this.free.splice(this.free.indexOf(fitting), 1);
    const { address, bytes } = fitting ?? { address: this.arena.allocate(needed), bytes: needed };
    const plane = { address, bytes, width, height, channels, stride, row };
    const numbers = this.view();
    if (channels < stride) {
      numbers.fill(0, address >> 2, (address + needed) >> 2);
      return plane;
    }
    numbers.fill(0, address >> 2, placeOf(plane, 0, 0));
    for (let y = 0; y < height; y++) numbers.fill(0, placeOf(plane, y, width), placeOf(plane, y + 1, 0));
    numbers.fill(0, placeOf(plane, height, 0), (address + needed) >> 2);
    return plane;
  }

  release({ address, bytes }: Plane): void {
    this.free.push({ address, bytes });
  }

  view(): Float32Array {
    return new Float32Array(this.arena.buffer);
  }
}
