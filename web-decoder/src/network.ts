/** The context model's networks: layers of integers (docs/format.md, section 10). */
import { modelError } from "./errors.js";
import type { IntegerKernels } from "./kernels.js";

const LANES = 8;
const MAX_SUM = 2 ** 24;
const MAX_ACTIVATION = 255;
const roundUp = (value: number, unit: number) => Math.ceil(value / unit) * unit;

/** A layer in the layout of the kernels. */
interface Layer {
  readonly kernel: number;
  readonly pairs: number;
  readonly weights: number;
  readonly multipliers: number;
  readonly biases: number;
  readonly outputs: number;
  readonly low: number;
  readonly high: number;
}

/** The arrays of a context model, from which the layers take their parts in order. */
export class LayerSource {
  private weight = 0;
  private output = 0;

  constructor(
    private readonly kernels: IntegerKernels,
    private readonly weights: Int8Array,
    private readonly multipliers: Int32Array,
    private readonly biases: BigInt64Array,
  ) {}

  /** The next layer, of `inputs` channels out of `stride` that lie side by side. */
  take(inputs: number, stride: number, outputs: number, kernel: number, low: number, high: number): Layer {
    const count = outputs * inputs * kernel * kernel;
    const [firstWeight, firstOutput] = [this.weight, this.output];
    this.weight += count;
    this.output += outputs;
    if (this.weight > this.weights.length || this.output > this.multipliers.length || this.output > this.biases.length) {
      throw modelError("The context model ends before its last layer.");
    }
    const padded = roundUp(outputs, LANES);
    const pairs = (kernel * stride) / 2;
    const { arena } = this.kernels;
    const layer = {
      kernel, pairs, low, high,
      outputs: padded,
      weights: arena.allocate(kernel * pairs * padded * 4),
      multipliers: arena.allocate(padded * 8),
      biases: arena.allocate(padded * 8),
    };
    const packed = new Int16Array(arena.buffer, layer.weights, kernel * pairs * padded * 2).fill(0);
    const factors = new Float64Array(arena.buffer, layer.multipliers, padded).fill(0);
    const addends = new Float64Array(arena.buffer, layer.biases, padded).fill(0);
    let source = firstWeight;
    for (let output = 0; output < outputs; output++) {
      let sum = 0;
      for (let input = 0; input < inputs; input++) {
        for (let tap = 0; tap < kernel * kernel; tap++, source++) {
          const column = tap * stride + input;
          packed[((column >> 1) * padded + output) * 2 + (column & 1)] = this.weights[source]!;
          sum += Math.abs(this.weights[source]!);
        }
      }
      factors[output] = this.multipliers[firstOutput + output]!;
      addends[output] = Number(this.biases[firstOutput + output]!);
      if (sum * MAX_ACTIVATION > MAX_SUM || Math.abs(factors[output]!) >= 2 ** 24 || Math.abs(addends[output]!) >= 2 ** 48) {
        throw modelError("The context model holds numbers for which arithmetic would not be exact.");
      }
    }
    return layer;
  }

  /** Checks that all numbers of the arrays were taken. */
  finish(): void {
    if (this.weight !== this.weights.length || this.output !== this.multipliers.length || this.output !== this.biases.length) {
      throw modelError("The context model holds more numbers than its layers need.");
    }
  }
}

/** A plane of int16 with a border of one pixel of zeros, channels side by side. */
interface Plane {
  readonly address: number;
  readonly stride: number;
}

/** The networks of one site. */
export class SiteNetwork {
  private readonly enter: Layer;
  private readonly blocks: (readonly [Layer, Layer])[] = [];
  private readonly heads: (readonly [Layer, Layer, Layer])[] = [];
  private readonly inputStride: number;
  private readonly stride: number;
  private readonly hidden: number;
  private planes: { input: Plane; trunk: Plane; inner: Plane; head: Plane[]; last: Plane } | null = null;
  private width = 0;
  private height = 0;

  /** `inputs`: channels of the trunk's input; `width`: N; `hidden`: K; `residual`: whether the trunk has blocks. */
  constructor(
    private readonly kernels: IntegerKernels,
    source: LayerSource,
    inputs: number,
    private readonly channels: number,
    hidden: number,
    residual: boolean,
  ) {
    this.inputStride = roundUp(inputs, 2);
    this.stride = roundUp(Math.max(roundUp(channels, LANES), channels + 4), 2);
    this.hidden = roundUp(hidden, LANES);
    this.enter = source.take(inputs, this.inputStride, channels, 3, 0, 255);
    for (let block = 0; residual && block < 2; block++) {
      const first = source.take(channels, this.stride, channels, 3, 0, 255);
      this.blocks.push([first, source.take(channels, this.stride, channels, 3, -255, 255)]);
    }
    for (let channel = 0; channel < 4; channel++) {
      const first = source.take(channels + channel, this.stride, hidden, 3, 0, 255);
      const second = source.take(hidden, this.hidden, hidden, 1, 0, 255);
      this.heads.push([first, second, source.take(hidden, this.hidden, 2, 1, -2047, 2047)]);
    }
  }

  /** Allocates planes of `width` by `height` positions, until the arena is released. */
  begin(width: number, height: number): void {
    this.width = width;
    this.height = height;
    const plane = (stride: number): Plane => {
      const bytes = (height + 2) * (width + 2) * stride * 2;
      const address = this.kernels.arena.allocate(bytes);
      this.kernels.arena.zero(address, bytes);
      return { address, stride };
    };
    this.planes = {
      input: plane(this.inputStride),
      trunk: plane(this.stride),
      inner: plane(this.stride),
      head: [plane(this.hidden), plane(this.hidden)],
      last: plane(LANES),
    };
  }

  /** Writes channel `channel` of the trunk's input. */
  setInput(channel: number, value: (y: number, x: number) => number): void {
    this.write(this.planes!.input, channel, value);
  }

  /** Writes channel `channel` of this site's latents, for the heads of later channels. */
  setSiteInput(channel: number, value: (y: number, x: number) => number): void {
    this.write(this.planes!.trunk, this.channels + channel, value);
  }

  runTrunk(): void {
    const { input, trunk, inner } = this.planes!;
    this.run(this.enter, input, trunk);
    for (const [first, second] of this.blocks) {
      this.run(first, trunk, inner);
      // The addend has to be read before it is overwritten: the second layer goes to a plane of its own.
      const mark = this.kernels.arena.mark();
      const bytes = (this.height + 2) * (this.width + 2) * this.stride * 2;
      const sum = { address: this.kernels.arena.allocate(bytes), stride: this.stride };
      this.run(second, inner, sum);
      this.addClipped(trunk, sum);
      this.kernels.arena.release(mark);
    }
  }

  /** Runs head `channel`, and calls `each` with the prediction at every position, in raster order. */
  runHead(channel: number, each: (y: number, x: number, mean: number, scale: number) => void): void {
    const { trunk, head, last } = this.planes!;
    const [first, second, third] = this.heads[channel]!;
    this.run(first, trunk, head[0]!);
    this.run(second, head[0]!, head[1]!);
    this.run(third, head[1]!, last);
    const numbers = new Int16Array(this.kernels.arena.buffer);
    for (let y = 0; y < this.height; y++) {
      for (let x = 0; x < this.width; x++) {
        const place = this.place(last, y, x);
        each(y, x, numbers[place]!, Math.min(Math.max(numbers[place + 1]!, 0), 127));
      }
    }
  }

  /** The index of the first channel of a pixel among int16 numbers. */
  private place(plane: Plane, y: number, x: number): number {
    return (plane.address >> 1) + ((y + 1) * (this.width + 2) + x + 1) * plane.stride;
  }

  private write(plane: Plane, channel: number, value: (y: number, x: number) => number): void {
    const numbers = new Int16Array(this.kernels.arena.buffer);
    for (let y = 0; y < this.height; y++) {
      for (let x = 0; x < this.width; x++) numbers[this.place(plane, y, x) + channel] = value(y, x);
    }
  }

  private run(layer: Layer, input: Plane, output: Plane): void {
    const rowPixels = this.width + 2;
    const reach = layer.kernel >> 1;
    this.kernels.convolveIntegers(
      2 * this.place(input, -reach, -reach), input.stride * 2, rowPixels * input.stride * 2, layer.kernel, layer.pairs,
      layer.weights, layer.multipliers, layer.biases, layer.low, layer.high,
      2 * this.place(output, 0, 0), output.stride * 2, rowPixels * output.stride * 2, this.width, this.height, layer.outputs,
    );
  }

  /** trunk = clip(trunk + sum, 0, 255), over the trunk's own channels. */
  private addClipped(trunk: Plane, sum: Plane): void {
    const numbers = new Int16Array(this.kernels.arena.buffer);
    for (let y = 0; y < this.height; y++) {
      for (let x = 0; x < this.width; x++) {
        const [target, source] = [this.place(trunk, y, x), this.place(sum, y, x)];
        for (let channel = 0; channel < this.channels; channel++) {
          numbers[target + channel] = Math.min(Math.max(numbers[target + channel]! + numbers[source + channel]!, 0), 255);
        }
      }
    }
  }
}
