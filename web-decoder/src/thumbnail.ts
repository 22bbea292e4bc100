/** Small pictures from latents, without the decoder network: the mean colours of 8×8 or 16×16 pixels. */
import { halfToFloat } from "./bytes.js";
import { modelError } from "./errors.js";
import { CHANNELS } from "./header.js";
import type { Latents } from "./latents.js";
import { readNpz } from "./npz.js";
import type { Pixels } from "./picture.js";

const SPACINGS = [1, 2] as const;
const LAYERS = 3;
const INPUTS = 9 * (CHANNELS + 1);
const COLOURS = 3;

/** `weights[outputs, inputs]`, rows of which belong to one output each. */
interface Layer {
  readonly weights: Float32Array;
  readonly bias: Float32Array;
}

/** The networks for every position, and for every second row and column. */
export class ThumbnailNetwork {
  private constructor(private readonly layers: ReadonlyMap<number, readonly Layer[]>) {}

  /** Reads an `.npz` file with `weight_S_L` and `bias_S_L`, binary16, for the spacings S = 1, 2 and the layers L = 0, 1, 2. */
  static async load(file: Uint8Array): Promise<ThumbnailNetwork> {
    const arrays = await readNpz(file);
    const numbers = (name: string): Float32Array => {
      const array = arrays.get(name);
      if (array?.dtype !== "<f2") throw modelError(`The thumbnail network lacks the array ${name}.`);
      return Float32Array.from(new Uint16Array(array.buffer), halfToFloat);
    };
    const layers = SPACINGS.map((spacing) => {
      let inputs = INPUTS;
      const found = Array.from({ length: LAYERS }, (_, layer) => {
        const [weights, bias] = [numbers(`weight_${spacing}_${layer}`), numbers(`bias_${spacing}_${layer}`)];
        if (weights.length !== bias.length * inputs) throw modelError(`Layer ${layer} of the thumbnail network has another shape.`);
        inputs = bias.length;
        return { weights, bias };
      });
      if (inputs !== COLOURS) throw modelError("The thumbnail network makes no colours.");
      return [spacing, found] as const;
    });
    return new ThumbnailNetwork(new Map(layers));
  }

  /** One pixel for each position of `latents`, or for each of the even rows and columns if their spacing is 2. */
  picture(latents: Latents): Pixels {
    const { rows, columns, spacing, conditionalMeans, logStep } = latents;
    const [width, height] = [Math.ceil(columns / spacing), Math.ceil(rows / spacing)];
    const data = new Uint8ClampedArray(width * height * 4);
    const layers = this.layers.get(spacing)!;
    const inputs = new Float32Array(INPUTS);
    const planes = Array.from({ length: CHANNELS }, (_, channel) => conditionalMeans.subarray(channel * rows * columns, (channel + 1) * rows * columns));
    planes.push(logStep);
    const values = layers.map(({ bias }) => new Float32Array(bias.length));
    // Beyond the borders the outermost values are repeated.
    const within = (place: number, size: number): number => Math.min(Math.max(place, 0), size - 1) * spacing;
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        for (let tap = 0; tap < 9; tap++) {
          const source = within(y + Math.floor(tap / 3) - 1, height) * columns + within(x + (tap % 3) - 1, width);
          for (let plane = 0; plane < planes.length; plane++) inputs[9 * plane + tap] = planes[plane]![source]!;
        }
        layers.forEach((layer, index) => runLayer(layer, index ? values[index - 1]! : inputs, values[index]!, index < LAYERS - 1));
        const [target, colours] = [(y * width + x) * 4, values[LAYERS - 1]!];
        for (let c = 0; c < COLOURS; c++) data[target + c] = Math.floor(colours[c]! * 255 + 0.5);
        data[target + 3] = 255;
      }
    }
    return { width, height, data };
  }
}

function runLayer({ weights, bias }: Layer, input: Float32Array, output: Float32Array, relu: boolean): void {
  for (let index = 0, weight = 0; index < bias.length; index++) {
    let sum = bias[index]!;
    for (let place = 0; place < input.length; place++) sum += weights[weight++]! * input[place]!;
    output[index] = relu && sum < 0 ? 0 : sum;
  }
}
