/** The decoder network over latents of any size: tiles that overlap by the radius of its receptive field. */
import { type Area, areas, sizeOf } from "./areas.js";
import { type BackendOption, ExecutorChoice, type Part, type Tile, within } from "./choice.js";
import { modelError } from "./errors.js";
import { type Backend, runSteps } from "./executor.js";
import { openGpu } from "./gpu.js";
import { compile, type Program } from "./graph.js";
import { PIXELS_PER_LATENT } from "./header.js";
import type { FindHelper, PartTask } from "./help.js";
import { Inputs } from "./inputs.js";
import type { FloatKernels } from "./kernels.js";
import type { Latents } from "./latents.js";
import { readOnnx } from "./onnx.js";
import { type Stages, stagesOf } from "./stages.js";
import { TileDecoder } from "./tile.js";
import { WasmExecutor } from "./wasm.js";

/** The side of the kept part of a tile, in latent positions. */
const OUTER_TILE = 128;
/** Latents that are repeated on every side of an extended picture. */
const EXTENSION = 8;

/** What a file gives, and what has decoded it. */
export interface DecodedPixels {
  /** RGBA, opaque, row by row: `8 · columns` by `8 · rows` pixels. */
  readonly rgba: Uint8ClampedArray;
  /** What has decoded the last tile. */
  readonly backend: Backend;
}

/** A loaded decoder network. */
export class DecoderNetwork {
  private readonly program: Program;
  private readonly stages: Stages;
  private readonly wasm: WasmExecutor;
  private readonly choice: ExecutorChoice<Area>;

  /** Reads an ONNX file into the memory of `kernels`. */
  constructor(file: Uint8Array, kernels: FloatKernels) {
    this.program = compile(readOnnx(file));
    for (const input of this.program.inputs) {
      if (!["latents", "log_step", "conditional_mean", "grain"].includes(input)) {
        throw modelError(`The decoder network has an input that this decoder does not know: ${input}.`);
      }
    }
    this.stages = stagesOf(this.program);
    this.wasm = new WasmExecutor(kernels, this.program);
    this.choice = new ExecutorChoice<Area>(this.wasm, openGpu);
  }

  /** Decodes latents. `findHelper` is asked for another worker that computes parts of it at the same time. */
  async decode(
    latents: Latents, extended: boolean, backend: BackendOption = "auto", findHelper: FindHelper = async () => null,
  ): Promise<DecodedPixels> {
    const { rows, columns } = latents;
    const inputs = new Inputs(latents, extended ? EXTENSION : 0);
    const rgba = new Uint8ClampedArray(rows * columns * PIXELS_PER_LATENT ** 2 * 4);
    const tiles = areas(inputs.whole, OUTER_TILE);
    let used: Backend = "wasm";
    for (const [index, tile] of tiles.entries()) {
      const show = (part: Part<Area>) => inputs.show(rgba, part);
      const decodeTile: Tile<Area> = (executor, give) => new TileDecoder(executor, this.stages, inputs, findHelper).decode(tile, give);
      used = await this.choice.decode(backend, sizeOf(tile), decodeTile, show, index < tiles.length - 1);
    }
    return { rgba, backend: used };
  }

  /** Computes a part of another worker's picture: the samples of a segment's output or, after the second stage, bytes in RGBA. */
  computePart({ stage: index, inputs, wanted }: PartTask): Promise<ArrayBuffer> {
    const { segments, second } = this.stages;
    const { steps, output } = segments[index] ?? second!;
    return within(this.wasm, async () => {
      const values = new Map(inputs.map(([name, samples]) => [name, this.wasm.load(samples)]));
      const plane = runSteps(this.wasm, steps, values, output);
      const { buffer } = index < segments.length ? this.wasm.read(plane, wanted).data : await this.wasm.bytes(plane, wanted);
      return buffer as ArrayBuffer;
    });
  }
}
