/** The decoder network over latents of any size: tiles that overlap by the radius of its receptive field. */
import { type BackendOption, ExecutorChoice, type Part, type Tile } from "./choice.js";
import { type Backend, type Executor, type Rectangle, runSteps, type Samples } from "./executor.js";
import { openGpu } from "./gpu.js";
import { grainBytes, GRAIN_PER_LATENT, grainRow, grainValue } from "./grain.js";
import { compile, inputsOf, type Program, type Step } from "./graph.js";
import type { FloatKernels } from "./kernels.js";
import type { Latents } from "./latents.js";
import { readOnnx } from "./onnx.js";
import { CHANNELS, PIXELS_PER_LATENT } from "./header.js";
import { modelError } from "./errors.js";
import { WasmExecutor } from "./wasm.js";

/** Sides of the kept part of a tile, in latent positions: for the first stage, and within it for the second. */
const OUTER_TILE = 128;
const INNER_TILE = 64;
/** Latents that are repeated on every side of an extended picture. */
const EXTENSION = 8;

/** One part of the network: what is done at few samples per latent, then what is done at many. */
interface Stage {
  readonly steps: readonly Step[];
  readonly output: string;
  /** Samples of the output per latent position. */
  readonly scale: number;
  /** The radius of the receptive field in latent positions, rounded up to an even number. */
  readonly margin: number;
}

/** A rectangle of latent positions. */
interface Area {
  readonly top: number;
  readonly left: number;
  readonly bottom: number;
  readonly right: number;
}

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
  private readonly stages: readonly Stage[];
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
    this.choice = new ExecutorChoice<Area>(new WasmExecutor(kernels, this.program), openGpu);
  }

  async decode(latents: Latents, extended: boolean, backend: BackendOption = "auto"): Promise<DecodedPixels> {
    const { rows, columns } = latents;
    const inputs = new Inputs(latents, extended ? EXTENSION : 0);
    const rgba = new Uint8ClampedArray(rows * columns * PIXELS_PER_LATENT ** 2 * 4);
    const tiles = areas({ top: 0, left: 0, bottom: inputs.rows, right: inputs.columns }, OUTER_TILE);
    let used: Backend = "wasm";
    for (const [index, tile] of tiles.entries()) {
      const show = (part: Part<Area>) => inputs.show(rgba, part);
      const decodeTile: Tile<Area> = (executor, give) => this.decodeTile(executor, inputs, tile, give);
      used = await this.choice.decode(backend, sizeOf(tile), decodeTile, show, index < tiles.length - 1);
    }
    return { rgba, backend: used };
  }

  private async decodeTile<Plane>(executor: Executor<Plane>, inputs: Inputs, tile: Area, give: (part: Part<Area>) => void): Promise<void> {
    const [first, second] = this.stages as [Stage, Stage | undefined];
    const load = (area: Area, steps: readonly Step[]): Map<string, Plane> => {
      const read = new Set(steps.flatMap(inputsOf));
      const names = this.program.inputs.filter((name) => read.has(name));
      return new Map(names.map((name) => [name, executor.load(inputs.samples(name, area))]));
    };
    const needed = grown(tile, second?.margin ?? 0, inputs);
    const read = grown(needed, first.margin, inputs);
    const early = runSteps(executor, first.steps, load(read, first.steps), first.output);
    if (!second) {
      give({ area: tile, bytes: await executor.bytes(early, placeWithin(tile, read, first.scale)) });
      return;
    }
    const parts = areas(tile, INNER_TILE);
    for (const [place, area] of parts.entries()) {
      const window = grown(area, second.margin, inputs);
      const [width, height] = evenSize(window).map((side) => side * first.scale) as [number, number];
      const values = load(window, second.steps);
      values.set(first.output, executor.cut(early, { ...placeWithin(window, read, first.scale), width, height }));
      if (place === parts.length - 1) executor.release(early);
      const pixels = runSteps(executor, second.steps, values, second.output);
      give({ area, bytes: await executor.bytes(pixels, placeWithin(area, window, second.scale)) });
      executor.release(pixels);
    }
  }
}

/** The network's inputs over the whole picture, extended at its borders and to an even number of positions. */
class Inputs {
  readonly rows: number;
  readonly columns: number;

  constructor(
    private readonly whole: Latents,
    private readonly extension: number,
  ) {
    this.rows = whole.rows + 2 * extension;
    this.columns = whole.columns + 2 * extension;
  }

  /** The numbers of an input over `area`. An area with an odd side at the border gets one position more. */
  samples(name: string, area: Area): Samples {
    if (name === "grain") return grainSamples(area);
    const { rows, columns, latents, conditionalMeans, logStep } = this.whole;
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
    const [columns, rows] = [this.whole.columns * unit, this.whole.rows * unit];
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

const sizeOf = ({ top, left, bottom, right }: Area): number => (bottom - top) * (right - left);

const evenSize = ({ top, left, bottom, right }: Area): [number, number] => [
  Math.ceil((right - left) / 2) * 2,
  Math.ceil((bottom - top) / 2) * 2,
];

/** `area` cut into squares of `side`, row by row. */
function areas(area: Area, side: number): Area[] {
  const found: Area[] = [];
  for (let { top } = area; top < area.bottom; top += side) {
    for (let { left } = area; left < area.right; left += side) {
      found.push({ top, left, bottom: Math.min(top + side, area.bottom), right: Math.min(left + side, area.right) });
    }
  }
  return found;
}

const grown = (area: Area, margin: number, { rows, columns }: { rows: number; columns: number }): Area => ({
  top: Math.max(area.top - margin, 0),
  left: Math.max(area.left - margin, 0),
  bottom: Math.min(area.bottom + margin, rows),
  right: Math.min(area.right + margin, columns),
});

/** The place of `part` in a plane that covers `whole`; `scale` samples for each position. */
function placeWithin(part: Area, whole: Area, scale: number): Rectangle {
  const { top, left, bottom, right } = part;
  return {
    left: (left - whole.left) * scale, top: (top - whole.top) * scale, width: (right - left) * scale, height: (bottom - top) * scale,
  };
}

/** Cuts a program where only one value, at two samples per latent or more, is needed later, and finds the margins. */
function stagesOf(program: Program): Stage[] {
  const scales = new Map<string, number>(program.inputs.map((name) => [name, name === "grain" ? GRAIN_PER_LATENT : 1]));
  for (const step of program.steps) scales.set(step.output, scales.get(inputsOf(step)[0]!)! * enlargement(step));
  const stage = (steps: readonly Step[], output: string): Stage => {
    const scale = scales.get(output)!;
    return { steps, output, scale, margin: marginOf(steps, output, scales) };
  };
  for (const [index, { output }] of program.steps.entries()) {
    const [before, after] = [program.steps.slice(0, index + 1), program.steps.slice(index + 1)];
    const made = new Set(before.map((step) => step.output));
    const needed = new Set(after.flatMap(inputsOf).filter((name) => made.has(name)));
    if (scales.get(output)! > 1 && needed.size === 1 && needed.has(output)) return [stage(before, output), stage(after, program.output)];
  }
  return [stage(program.steps, program.output)];
}

function enlargement(step: Step): number {
  if (step.kind === "convolution") return 1 / step.stride;
  if (step.kind === "halving") return 1 / step.factor;
  return step.kind === "depthToSpace" || step.kind === "repetition" ? step.factor : 1;
}

/** The radius of the receptive field of `output`, in latent positions, rounded up to an even number. */
function marginOf(steps: readonly Step[], output: string, scales: ReadonlyMap<string, number>): number {
  const reach = new Map<string, number>([[output, 0]]);
  for (const step of [...steps].reverse()) {
    const here = reach.get(step.output);
    if (here === undefined) continue;
    const across = Math.ceil(here / enlargement(step));
    const kernel = step.kind === "convolution" && step.weights.dims[2] === 3 ? 1 : 0;
    for (const name of inputsOf(step)) {
      const own = step.kind === "convolution" && name === step.addend && name !== step.input ? here : across + kernel;
      reach.set(name, Math.max(reach.get(name) ?? 0, own));
    }
  }
  const made = new Set(steps.map((step) => step.output));
  const given = [...reach].filter(([name]) => !made.has(name)).map(([name, samples]) => samples / scales.get(name)!);
  return Math.ceil(Math.max(...given, 0) / 2) * 2;
}
