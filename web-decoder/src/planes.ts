/** Planes of float32 in the memory of the kernels, channels side by side, with a border of zeros. */
import type { Arena } from "./memory.js";

const LANES = 8;
const TILE = 4;

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

  /** A plane of zeros. */
  take(width: number, height: number, channels: number): Plane {
    const stride = padded(channels);
    const row = Math.ceil(width / TILE) * TILE + 2;
    const needed = (Math.ceil(height / TILE) * TILE + 2) * row * stride * 4;
    const fitting = this.free.filter(({ bytes }) => bytes >= needed && bytes <= 2 * needed).sort((a, b) => a.bytes - b.bytes)[0];
    if (fitting) this.free.splice(this.free.indexOf(fitting), 1);
    const { address, bytes } = fitting ?? { address: this.arena.allocate(needed), bytes: needed };
    this.arena.zero(address, needed);
    return { address, bytes, width, height, channels, stride, row };
  }

  release({ address, bytes }: Plane): void {
    this.free.push({ address, bytes });
  }

  view(): Float32Array {
    return new Float32Array(this.arena.buffer);
  }
}
