/** The arithmetic that takes the time: WebAssembly with SIMD, and plain JavaScript for the integers where SIMD is missing. */
import { Arena } from "./memory.js";

/**
 * The kernel of the context model. Feature maps are stored with the channels last. `…Pixel` and `…Row` are strides, from one pixel to
 * the next and from one row to the next. Addresses and strides are in bytes; `width`, `height` and `outputs` are those of the result.
 */
export interface IntegerKernels {
  readonly arena: Arena;
  /**
   * A layer of the context model (docs/format.md, section 10). `input` is the address of the first element below the kernel of
   * the first output. A row of the kernel reads `pairs` pairs of int16 that lie side by side. `weights`: int16[kernelRows · pairs,
   * outputs, 2], `outputs` being a multiple of 8; `multipliers` and `biases`: float64[outputs]. Results are clipped to `low` … `high`.
   */
  convolveIntegers(
    input: number, inputPixel: number, inputRow: number, kernelRows: number, pairs: number,
    weights: number, multipliers: number, biases: number, low: number, high: number,
    output: number, outputPixel: number, outputRow: number, width: number, height: number, outputs: number,
  ): void;
}

/** The kernels of the decoder network, too. */
export interface FloatKernels extends IntegerKernels {
  /**
   * A direct convolution. `inputPixel` and `inputStep` are the strides in the input from one output to the next, along a row and from row
   * to row; `inputRow` is that from one row of the kernel to the next, of which each reads `run` floats side by side. `weights`: float32[outputs / 8, kernelRows · run, 8]; `bias`: float32[outputs]; `addend`: the address of a plane of
   * the output's shape that is added, or 0; negative results become 0 if `relu` is 1.
   */
  convolveFloats(
    input: number, inputPixel: number, inputStep: number, inputRow: number, kernelRows: number, run: number,
    weights: number, bias: number, addend: number, relu: number,
    output: number, outputPixel: number, outputRow: number, width: number, height: number, outputs: number,
  ): void;
  /**
   * Makes 2×2 pixels of each from its channels, as ONNX's DepthToSpace of mode CRD. A pixel of the input has `4 · outputs` channels
   * or more, and `outputs` is a multiple of 4.
   */
  depthToSpace(
    input: number, inputPixel: number, inputRow: number, output: number, outputPixel: number, outputRow: number,
    width: number, height: number, outputs: number,
  ): void;
  /** The bytes that transformed weights take, and those that `convolveWinograd` needs besides to work on `tiles` tiles together. */
  winogradWeightBytes(inputs: number, outputs: number): number;
  winogradScratchBytes(inputs: number, outputs: number, tiles: number): number;
  /** Transforms int8[outputs / 8, inputs, 9, 8], times `scales` float32[outputs], for `convolveWinograd`. `scratch` has 288 bytes. */
  transformWeights(weights: number, scales: number, inputs: number, outputs: number, target: number, scratch: number): void;
  /** A 3×3 convolution by Winograd's algorithm F(4×4, 3×3). Planes have a border of one pixel. */
  convolveWinograd(
    input: number, inputRow: number, inputs: number, weights: number, bias: number, addend: number, relu: number,
    output: number, outputRow: number, outputs: number, width: number, height: number, scratch: number, tiles: number,
  ): void;
}

/** Instantiates a compiled module. */
export async function wasmKernels(module: WebAssembly.Module): Promise<FloatKernels> {
  const memory = new WebAssembly.Memory({ initial: 16, maximum: 32_768 });
  const { exports } = await WebAssembly.instantiate(module, { env: { memory } });
  return { ...(exports as unknown as FloatKernels), arena: new Arena(memory) };
}

/** The context model's kernel without WebAssembly code: slower, and exact likewise. */
export function plainKernels(): IntegerKernels {
  const arena = new Arena(new WebAssembly.Memory({ initial: 16, maximum: 32_768 }));
  return {
    arena,
    convolveIntegers(
      input, inputPixel, inputRow, kernelRows, pairs, weights, multipliers, biases, low, high,
      output, outputPixel, outputRow, width, height, outputs,
    ) {
      const numbers = new Int16Array(arena.buffer);
      const factors = new Float64Array(arena.buffer, multipliers, outputs);
      const addends = new Float64Array(arena.buffer, biases, outputs);
      const sums = new Int32Array(outputs);
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) {
          sums.fill(0);
          let weight = weights >> 1;
          for (let row = 0; row < kernelRows; row++) {
            let source = (input + (y + row) * inputRow + x * inputPixel) >> 1;
            for (let pair = 0; pair < pairs; pair++, weight += 2 * outputs) {
              const [first, second] = [numbers[source++]!, numbers[source++]!];
              if (first === 0 && second === 0) continue;
              for (let index = 0; index < outputs; index++) {
                sums[index]! += first * numbers[weight + 2 * index]! + second * numbers[weight + 2 * index + 1]!;
              }
            }
          }
          const target = (output + y * outputRow + x * outputPixel) >> 1;
          for (let index = 0; index < outputs; index++) {
            const value = Math.floor((sums[index]! * factors[index]! + addends[index]!) / 65_536);
            numbers[target + index] = Math.min(Math.max(value, low), high);
          }
        }
      }
    },
  };
}
