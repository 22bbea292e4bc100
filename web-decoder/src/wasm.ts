/** The executor in WebAssembly. */
import type { Executor, Rectangle, Samples } from "./executor.js";
import { type Affine, type Convolution, eachWeight, type Program, type Step } from "./graph.js";
import type { FloatKernels } from "./kernels.js";
import { LANES, type Plane, padded, placeOf, PlanePool, TILE } from "./planes.js";

/**
 * Bytes that the transformed tiles of a convolution take together: about a second-level cache. They take as much as the weights if
 * those are larger, which are read again for each block of tiles.
 */
const MIN_BLOCK_BYTES = 1 << 20;
const TAPS = 9;
/** Pixels, or tiles of Winograd's algorithm, that the kernels work on together. */
const PIXELS_AT_ONCE = 6;
/** What `transformWeights` needs. */
const TAPS_BYTES = 18 * 16;
/** Winograd's algorithm does not pay for fewer channels. */
const MIN_CHANNELS = 12;

interface Prepared {
  readonly winograd: boolean;
  readonly weights: number;
  readonly scales: number;
  readonly bias: number;
}

/** Keeps the constants of a network in the memory of the kernels. */
export class WasmExecutor implements Executor<Plane> {
  readonly backend = "wasm";
  private readonly prepared = new Map<Convolution, Prepared>();
  private readonly transformed: number;
  private readonly taps: number;
  private pool: PlanePool;
  private mark: number;

  constructor(
    private readonly kernels: FloatKernels,
    program: Program,
  ) {
    let largest = 0;
    for (const step of program.steps) {
      if (step.kind !== "convolution") continue;
      this.prepared.set(step, this.prepare(step));
      const [outputs, inputs] = step.weights.dims as [number, number];
      if (!this.prepared.get(step)!.winograd) continue;
      largest = Math.max(largest, kernels.winogradWeightBytes(padded(inputs), padded(outputs)));
    }
    this.transformed = kernels.arena.allocate(largest);
    this.taps = kernels.arena.allocate(TAPS_BYTES);
    this.mark = kernels.arena.mark();
    this.pool = new PlanePool(kernels.arena);
  }

  begin(): void {
    this.mark = this.kernels.arena.mark();
    this.pool = new PlanePool(this.kernels.arena);
  }

  end(): void {
    this.kernels.arena.release(this.mark);
  }

  load(samples: Samples, below?: Samples): Plane {
    const { width, channels } = samples;
    const plane = this.pool.take(width, samples.height + (below?.height ?? 0), channels);
    const numbers = this.pool.view();
    let row = 0;
    for (const { data, height } of below ? [samples, below] : [samples]) {
      for (let y = 0; y < height; y++) {
        copyRow(data, y * width * channels, channels, numbers, placeOf(plane, row++, 0), plane.stride, width, channels);
      }
    }
    return plane;
  }

  read(plane: Plane, { left, top, width, height }: Rectangle): Samples {
    const { channels, stride } = plane;
    const data = new Float32Array(width * height * channels);
    const numbers = this.pool.view();
    for (let y = 0; y < height; y++) {
      copyRow(numbers, placeOf(plane, top + y, left), stride, data, y * width * channels, channels, width, channels);
    }
    return { width, height, channels, data };
  }

  cut(plane: Plane, { left, top, width, height }: Rectangle): Plane {
    const part = this.pool.take(width, height, plane.channels);
    const numbers = this.pool.view();
    for (let y = 0; y < height; y++) {
      const source = placeOf(plane, top + y, left);
      numbers.copyWithin(placeOf(part, y, 0), source, source + width * plane.stride);
    }
    return part;
  }

  release(plane: Plane): void {
    this.pool.release(plane);
  }

  async bytes(plane: Plane, { left, top, width, height }: Rectangle): Promise<Uint8ClampedArray> {
    const rgba = new Uint8ClampedArray(width * height * 4);
    const numbers = this.pool.view();
    let target = 0;
    for (let y = top; y < top + height; y++) {
      for (let x = left; x < left + width; x++, target += 4) {
        const source = placeOf(plane, y, x);
        // The array clips, and would round halves to even.
        for (let c = 0; c < 3; c++) rgba[target + c] = Math.floor(numbers[source + c]! * 255 + 0.5);
        rgba[target + 3] = 255;
      }
    }
    return rgba;
  }

  private prepare(step: Convolution): Prepared {
    const { arena } = this.kernels;
    const { data, dims, scale } = step.weights;
    const [outputs, inputs, kernel] = dims as [number, number, number];
    const [paddedInputs, paddedOutputs] = [padded(inputs), padded(outputs)];
    const store = (values: Float32Array, count: number): number => {
      const address = arena.allocate(count * 4);
      new Float32Array(arena.buffer, address, count).fill(0).set(values);
      return address;
    };
    const bias = store(step.bias, paddedOutputs);
    if (data instanceof Int8Array && kernel === 3 && step.stride === 1 && Math.min(inputs, outputs) >= MIN_CHANNELS) {
      const weights = arena.allocate(TAPS * paddedInputs * paddedOutputs);
      const packed = new Int8Array(arena.buffer, weights, TAPS * paddedInputs * paddedOutputs).fill(0);
      eachWeight(step, (value, output, input, tap) => {
        packed[((Math.floor(output / LANES) * paddedInputs + input) * TAPS + tap) * LANES + (output % LANES)] = value;
      });
      return { winograd: true, weights, scales: store(scale, paddedOutputs), bias };
    }
    const taps = kernel * kernel;
    const packed = new Float32Array(taps * paddedInputs * paddedOutputs);
    eachWeight(step, (value, output, input, tap) => {
      packed[((Math.floor(output / LANES) * taps + tap) * paddedInputs + input) * LANES + (output % LANES)] = value * scale[output]!;
    });
    return { winograd: false, weights: store(packed, packed.length), scales: 0, bias };
  }

  run(step: Step, valueOf: (name: string) => Plane): Plane {
    const { pool } = this;
    switch (step.kind) {
      case "convolution":
        return this.convolve(step, valueOf(step.input), step.addend === null ? null : valueOf(step.addend));
      case "affine":
        return scaled(pool, valueOf(step.input), step);
      case "sum":
        return added(pool, valueOf(step.first), valueOf(step.second), step.sign);
      case "concatenation":
        return concatenated(pool, step.inputs.map(valueOf));
      case "averagePool":
        return averagePooled(pool, valueOf(step.input));
      case "depthToSpace":
        return this.spread(valueOf(step.input), step.factor);
      case "nearest":
        return enlarged(pool, valueOf(step.input), step.factor, false);
    }
  }

  private spread(input: Plane, factor: number): Plane {
    const channels = input.channels / factor ** 2;
    const written = Math.ceil(channels / 4) * 4;
    if (factor !== 2 || input.stride < 4 * written) return enlarged(this.pool, input, factor, true);
    const output = this.pool.take(input.width * 2, input.height * 2, channels);
    const [inputPixel, outputPixel] = [input.stride * 4, output.stride * 4];
    this.kernels.depthToSpace(
      placeOf(input, 0, 0) * 4, inputPixel, input.row * inputPixel, placeOf(output, 0, 0) * 4, outputPixel, output.row * outputPixel,
      input.width, input.height, written,
    );
    return output;
  }

  private convolve(step: Convolution, input: Plane, addend: Plane | null): Plane {
    const { arena } = this.kernels;
    const [outputs, , kernel] = step.weights.dims as [number, number, number];
    const { winograd, weights, scales, bias } = this.prepared.get(step)!;
    const [width, height] = [input.width / step.stride, input.height / step.stride];
    const output = this.pool.take(width, height, outputs);
    const added = addend ? placeOf(addend, 0, 0) * 4 : 0;
    const [inputPixel, outputPixel] = [input.stride * 4, output.stride * 4];
    const target = placeOf(output, 0, 0) * 4;
    const relu = Number(step.relu);
    if (!winograd) {
      const reach = kernel === 3 ? -1 : 0;
      this.kernels.convolveFloats(
        placeOf(input, reach, reach) * 4, inputPixel * step.stride, input.row * inputPixel * step.stride, input.row * inputPixel,
        kernel, kernel * input.stride, weights, bias, added, relu, target, outputPixel, output.row * outputPixel, width, height,
        output.stride,
      );
      return output;
    }
    this.kernels.transformWeights(weights, scales, input.stride, output.stride, this.transformed, this.taps);
    const block = Math.max(MIN_BLOCK_BYTES, this.kernels.winogradWeightBytes(input.stride, output.stride));
    const bytesOfTile = this.kernels.winogradScratchBytes(input.stride, output.stride, 1);
    const count = Math.ceil(width / TILE) * Math.ceil(height / TILE);
    const tiles = Math.ceil(Math.min(block / bytesOfTile, count) / PIXELS_AT_ONCE) * PIXELS_AT_ONCE;
    const mark = arena.mark();
    const scratch = arena.allocate(this.kernels.winogradScratchBytes(input.stride, output.stride, tiles));
    this.kernels.convolveWinograd(
      placeOf(input, -1, -1) * 4, input.row * inputPixel, input.stride, this.transformed, bias, added, relu,
      target, output.row * outputPixel, output.stride, width, height, scratch, tiles,
    );
    arena.release(mark);
    return output;
  }
}

/** Copies `count` pixels of `channels` numbers that lie `sourceStride` and `targetStride` apart. */
function copyRow(
  source: Float32Array, from: number, sourceStride: number, target: Float32Array, to: number, targetStride: number, count: number, channels: number,
): void {
  if (sourceStride === channels && targetStride === channels) {
    target.set(source.subarray(from, from + count * channels), to);
    return;
  }
  for (let pixel = 0; pixel < count; pixel++, from += sourceStride, to += targetStride) {
    for (let c = 0; c < channels; c++) target[to + c] = source[from + c]!;
  }
}

function scaled(pool: PlanePool, input: Plane, { factor, shift, relu }: Affine): Plane {
  const output = pool.take(input.width, input.height, input.channels);
  const numbers = pool.view();
  const least = relu ? 0 : -Infinity;
  for (let y = 0; y < input.height; y++) {
    for (let x = 0; x < input.width; x++) {
      const [source, target] = [placeOf(input, y, x), placeOf(output, y, x)];
      for (let c = 0; c < input.channels; c++) numbers[target + c] = Math.max(numbers[source + c]! * factor + shift, least);
    }
  }
  return output;
}

function added(pool: PlanePool, first: Plane, second: Plane, sign: number): Plane {
  const output = pool.take(first.width, first.height, first.channels);
  const numbers = pool.view();
  for (let y = 0; y < first.height; y++) {
    const [a, b, target] = [placeOf(first, y, 0), placeOf(second, y, 0), placeOf(output, y, 0)];
    for (let index = 0; index < first.width * first.stride; index++) {
      numbers[target + index] = numbers[a + index]! + sign * numbers[b + index]!;
    }
  }
  return output;
}

function concatenated(pool: PlanePool, inputs: readonly Plane[]): Plane {
  const [{ width, height }] = inputs as [Plane];
  const output = pool.take(width, height, inputs.reduce((sum, { channels }) => sum + channels, 0));
  const numbers = pool.view();
  let first = 0;
  for (const input of inputs) {
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const [source, target] = [placeOf(input, y, x), placeOf(output, y, x) + first];
        for (let channel = 0; channel < input.channels; channel++) numbers[target + channel] = numbers[source + channel]!;
      }
    }
    first += input.channels;
  }
  return output;
}

function averagePooled(pool: PlanePool, input: Plane): Plane {
  const { channels, stride } = input;
  const output = pool.take(input.width / 2, input.height / 2, channels);
  const numbers = pool.view();
  for (let y = 0; y < output.height; y++) {
    for (let x = 0; x < output.width; x++) {
      const [target, a, b] = [placeOf(output, y, x), placeOf(input, 2 * y, 2 * x), placeOf(input, 2 * y + 1, 2 * x)];
      for (let c = 0; c < channels; c++) {
        numbers[target + c] = (numbers[a + c]! + numbers[a + stride + c]! + numbers[b + c]! + numbers[b + stride + c]!) / 4;
      }
    }
  }
  return output;
}

/** Repeats samples, or takes them from the channels of a pixel, `factor` times along each side. */
function enlarged(pool: PlanePool, input: Plane, factor: number, fromChannels: boolean): Plane {
  const step = fromChannels ? factor ** 2 : 1;
  const output = pool.take(input.width * factor, input.height * factor, input.channels / step);
  const numbers = pool.view();
  for (let y = 0; y < output.height; y++) {
    for (let x = 0; x < output.width; x++) {
      const part = fromChannels ? (y % factor) * factor + (x % factor) : 0;
      const source = placeOf(input, Math.floor(y / factor), Math.floor(x / factor)) + part;
      const target = placeOf(output, y, x);
      for (let c = 0; c < output.channels; c++) numbers[target + c] = numbers[source + c * step]!;
    }
  }
  return output;
}
