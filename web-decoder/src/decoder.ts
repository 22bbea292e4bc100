/** The decoder network over latents of any size: tiles that overlap by the radius of its receptive field. */
import { type BackendOption, ExecutorChoice, type Part, type Tile, within } from "./choice.js";
import { type Backend, type Executor, type Rectangle, runSteps, type Samples } from "./executor.js";
import { openGpu } from "./gpu.js";
import { grainBytes, GRAIN_PER_LATENT, grainRow, grainValue } from "./grain.js";
import { compile, inputsOf, type Program, type Step } from "./graph.js";
import type { FindHelper, PartTask } from "./help.js";
import type { FloatKernels } from "./kernels.js";
import type { Latents } from "./latents.js";
import { readOnnx } from "./onnx.js";
import { CHANNELS, PIXELS_PER_LATENT } from "./header.js";
import { modelError } from "./errors.js";
import { type Stage, stagesOf } from "./stages.js";
import { WasmExecutor } from "./wasm.js";

/** Sides of the kept part of a tile, in latent positions: for the first stage, and within it for the second. */
const OUTER_TILE = 128;
const INNER_TILE = 64;
/** A part with fewer rows of latents is not halved for a helper: each half computes its margin, too. */
const MIN_HALVED_ROWS = 32;
/** Latents that are repeated on every side of an extended picture. */
const EXTENSION = 8;

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

  /** Decodes latents. `findHelper` is asked for another worker that computes parts of the second stage at the same time. */
  async decode(
    latents: Latents, extended: boolean, backend: BackendOption = "auto", findHelper: FindHelper = async () => null,
  ): Promise<DecodedPixels> {
    const { rows, columns } = latents;
    const inputs = new Inputs(latents, extended ? EXTENSION : 0);
    const rgba = new Uint8ClampedArray(rows * columns * PIXELS_PER_LATENT ** 2 * 4);
    const tiles = areas({ top: 0, left: 0, bottom: inputs.rows, right: inputs.columns }, OUTER_TILE);
    let used: Backend = "wasm";
    for (const [index, tile] of tiles.entries()) {
      const show = (part: Part<Area>) => inputs.show(rgba, part);
      const decodeTile: Tile<Area> = (executor, give) => this.decodeTile(executor, inputs, tile, give, findHelper);
      used = await this.choice.decode(backend, sizeOf(tile), decodeTile, show, index < tiles.length - 1);
    }
    return { rgba, backend: used };
  }

  /** Computes a part of another worker's picture. */
  decodePart({ inputs, wanted }: PartTask): Promise<Uint8ClampedArray> {
    const { steps, output } = this.stages.at(-1)!;
    return within(this.wasm, () => {
      const values = new Map(inputs.map(([name, samples]) => [name, this.wasm.load(samples)]));
      return this.wasm.bytes(runSteps(this.wasm, steps, values, output), wanted);
    });
  }

  private async decodeTile<Plane>(
    executor: Executor<Plane>, inputs: Inputs, tile: Area, give: (part: Part<Area>) => void, findHelper: FindHelper,
  ): Promise<void> {
    const [first, second] = this.stages as [Stage, Stage | undefined];
    const samplesOf = (area: Area, steps: readonly Step[]): [string, Samples][] => {
      const read = new Set(steps.flatMap(inputsOf));
      return this.program.inputs.filter((name) => read.has(name)).map((name) => [name, inputs.samples(name, area)]);
    };
    const load = (area: Area, { steps }: Stage) => new Map(samplesOf(area, steps).map(([name, samples]) => [name, executor.load(samples)]));
    const needed = grown(tile, second?.margin ?? 0, inputs);
    const read = grown(needed, first.margin, inputs);
    const early = runSteps(executor, first.steps, load(read, first), first.output);
    if (!second) {
      give({ area: tile, bytes: await executor.bytes(early, placeWithin(tile, read, first.scale)) });
      return;
    }
    const windowOf = (area: Area): { window: Area; cutting: Rectangle } => {
      const window = grown(area, second.margin, inputs);
      const [width, height] = evenSize(window).map((side) => side * first.scale) as [number, number];
      return { window, cutting: { ...placeWithin(window, read, first.scale), width, height } };
    };
    const bytesOf = async (area: Area, isLast: boolean): Promise<Uint8ClampedArray> => {
      const { window, cutting } = windowOf(area);
      const values = load(window, second).set(first.output, executor.cut(early, cutting));
      if (isLast) executor.release(early);
      const pixels = runSteps(executor, second.steps, values, second.output);
      const bytes = await executor.bytes(pixels, placeWithin(area, window, second.scale));
      executor.release(pixels);
      return bytes;
    };
    const taskOf = (area: Area): PartTask => {
      const { window, cutting } = windowOf(area);
      const value = executor.read!(early, cutting);
      return { inputs: [...samplesOf(window, second.steps), [first.output, value]], wanted: placeWithin(area, window, second.scale) };
    };
    const parts = areas(tile, INNER_TILE);
    while (parts.length > 0) {
      const part = parts.shift()!;
      const [own, other] = parts.length > 0 ? [part, parts[0]!] : halvesOf(part);
      const helper = executor.read && own.bottom > own.top ? await findHelper() : null;
      if (!helper) {
        give({ area: part, bytes: await bytesOf(part, parts.length === 0) });
        continue;
      }
      const start = performance.now();
      const answer = helper(taskOf(other));
      const ownBytes = await bytesOf(own, false);
      // A helper that takes twice as long as this worker is not waited for.
      const otherBytes = (await answer(performance.now() - start)) ?? (await bytesOf(other, false));
      if (other === parts[0]) {
        give({ area: own, bytes: ownBytes });
        give({ area: parts.shift()!, bytes: otherBytes });
      } else {
        give({ area: part, bytes: joined(ownBytes, otherBytes) });
      }
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

/** The upper and the lower half of an area; the upper one is empty if the area has too few rows. */
function halvesOf(area: Area): [Area, Area] {
  const rows = area.bottom - area.top;
  const middle = area.top + (rows < MIN_HALVED_ROWS ? 0 : 2 * Math.ceil(rows / 4));
  return [{ ...area, bottom: middle }, { ...area, top: middle }];
}

function joined(upper: Uint8ClampedArray, lower: Uint8ClampedArray): Uint8ClampedArray {
  const bytes = new Uint8ClampedArray(upper.length + lower.length);
  bytes.set(upper);
  bytes.set(lower, upper.length);
  return bytes;
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
