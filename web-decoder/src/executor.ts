/** Runs the steps of a decoder network on planes. */
import { type Convolution, inputsOf, type Program, type Step } from "./graph.js";
import type { FloatKernels } from "./kernels.js";
import { type Plane, padded, placeOf, PlanePool } from "./planes.js";
import { modelError } from "./errors.js";

const POINTS = 36;
const LOCAL_BYTES = 1024;
/** Bytes that the transformed tiles of a convolution may take: about a second-level cache. */
const BLOCK_BYTES = 1 << 20;
/** Winograd's algorithm does not pay for fewer channels. */
const MIN_CHANNELS = 16;

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

  constructor(
    private readonly kernels: FloatKernels,
    readonly program: Program,
  ) {
    let largest = 0;
    for (const step of program.steps) {
      if (step.kind !== "convolution") continue;
      this.prepared.set(step, this.prepare(step));
      const [outputs, inputs] = step.weights.dims as [number, number];
      if (this.prepared.get(step)!.winograd) largest = Math.max(largest, POINTS * padded(inputs) * padded(outputs) * 4);
    }
    this.transformed = kernels.arena.allocate(largest);
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
      const weights = arena.allocate(data.length);
      new Int8Array(arena.buffer, weights, data.length).set(data);
      return { winograd: true, weights, scales: store(scale, outputs), bias };
    }
    const packed = new Float32Array(kernel * kernel * paddedInputs * paddedOutputs);
    let source = 0;
    for (let output = 0; output < outputs; output++) {
      for (let input = 0; input < inputs; input++) {
        for (let tap = 0; tap < kernel * kernel; tap++) {
          packed[(tap * paddedInputs + input) * paddedOutputs + output] = data[source++]! * scale[output]!;
        }
      }
    }
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
      case "affine": {
        const { factor, shift, relu } = step;
        return mapped(pool, of(step.input), of(step.input), (value) => {
          const result = value * factor + shift;
          return relu && result < 0 ? 0 : result;
        });
      }
      case "sum":
        return mapped(pool, of(step.first), of(step.second), (first, second) => first + step.sign * second);
      case "concatenation":
        return concatenated(pool, step.inputs.map(of));
      default:
        return resampled(pool, of(step.input), step.kind, step.factor);
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
    this.kernels.transformWeights(weights, scales, step.weights.dims[1]!, outputs, input.stride, output.stride, this.transformed);
    const tiles = Math.max(4, Math.floor(BLOCK_BYTES / (POINTS * 4 * (input.stride + output.stride)) / 4) * 4);
    const mark = arena.mark();
    const scratch = arena.allocate(LOCAL_BYTES + POINTS * tiles * (input.stride + output.stride) * 4);
    this.kernels.convolveWinograd(
      placeOf(input, -1, -1) * 4, input.row * inputPixel, input.stride, this.transformed, bias, added, relu,
      target, output.row * outputPixel, output.stride, width, height, scratch, tiles,
    );
    arena.release(mark);
    return output;
  }
}

function mapped(pool: PlanePool, first: Plane, second: Plane, value: (first: number, second: number) => number): Plane {
  const output = pool.take(first.width, first.height, first.channels);
  const numbers = pool.view();
  for (let y = 0; y < first.height; y++) {
    for (let x = 0; x < first.width; x++) {
      const [a, b, target] = [placeOf(first, y, x), placeOf(second, y, x), placeOf(output, y, x)];
      for (let channel = 0; channel < first.channels; channel++) {
        numbers[target + channel] = value(numbers[a + channel]!, numbers[b + channel]!);
      }
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

function resampled(pool: PlanePool, input: Plane, kind: "halving" | "depthToSpace" | "repetition", factor: number): Plane {
  const larger = kind === "halving" ? 1 / factor : factor;
  const channels = kind === "depthToSpace" ? input.channels / factor ** 2 : input.channels;
  const output = pool.take(input.width * larger, input.height * larger, channels);
  const numbers = pool.view();
  for (let y = 0; y < output.height; y++) {
    for (let x = 0; x < output.width; x++) {
      const target = placeOf(output, y, x);
      if (kind === "halving") {
        const [a, b] = [placeOf(input, 2 * y, 2 * x), placeOf(input, 2 * y + 1, 2 * x)];
        for (let c = 0; c < channels; c++) {
          numbers[target + c] = (numbers[a + c]! + numbers[a + input.stride + c]! + numbers[b + c]! + numbers[b + input.stride + c]!) / 4;
        }
        continue;
      }
      const source = placeOf(input, Math.floor(y / factor), Math.floor(x / factor));
      const part = (y % factor) * factor + (x % factor);
      for (let c = 0; c < channels; c++) {
        numbers[target + c] = numbers[kind === "repetition" ? source + c : source + c * factor ** 2 + part]!;
      }
    }
  }
  return output;
}
