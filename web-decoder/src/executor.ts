/** Runs the steps of a decoder network on planes. */
import { type Affine, type Convolution, eachWeight, inputsOf, type Program, type Step } from "./graph.js";
import type { FloatKernels } from "./kernels.js";
import { LANES, type Plane, padded, placeOf, PlanePool, TILE } from "./planes.js";
import { modelError } from "./errors.js";

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

/** The constants of a network in the memory of the kernels. */
export class Executor {
  private readonly prepared = new Map<Convolution, Prepared>();
  private readonly transformed: number;
  private readonly taps: number;

  constructor(
    private readonly kernels: FloatKernels,
    readonly program: Program,
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
  }

  /** Runs `steps` on the values `given`, which are freed as soon as nothing needs them, and returns `wanted`. */
  run(steps: readonly Step[], pool: PlanePool, given: Map<string, Plane>, wanted: string): Plane {
    const values = new Map(given);
    const lastUse = new Map<string, number>();
    steps.forEach((step, index) => inputsOf(step).forEach((name) => lastUse.set(name, index)));
    steps.forEach((step, index) => {
      values.set(step.output, this.step(step, pool, values));
      for (const name of new Set(inputsOf(step))) {
        if (lastUse.get(name) !== index || name === wanted) continue;
        pool.release(values.get(name)!);
        values.delete(name);
      }
    });
    return values.get(wanted)!;
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

  private step(step: Step, pool: PlanePool, values: ReadonlyMap<string, Plane>): Plane {
    const of = (name: string): Plane => {
      const plane = values.get(name);
      if (!plane) throw modelError(`The decoder network needs ${name}, which nothing makes.`);
      return plane;
    };
    switch (step.kind) {
      case "convolution":
        return this.convolve(step, pool, of(step.input), step.addend === null ? null : of(step.addend));
      case "affine":
        return scaled(pool, of(step.input), step);
      case "sum":
        return added(pool, of(step.first), of(step.second), step.sign);
      case "concatenation":
        return concatenated(pool, step.inputs.map(of));
      case "halving":
        return halved(pool, of(step.input));
      default:
        return enlarged(pool, of(step.input), step.factor, step.kind === "depthToSpace");
    }
  }

  private convolve(step: Convolution, pool: PlanePool, input: Plane, addend: Plane | null): Plane {
    const { arena } = this.kernels;
    const [outputs, , kernel] = step.weights.dims as [number, number, number];
    const { winograd, weights, scales, bias } = this.prepared.get(step)!;
    const [width, height] = [input.width / step.stride, input.height / step.stride];
    const output = pool.take(width, height, outputs);
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

function halved(pool: PlanePool, input: Plane): Plane {
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
