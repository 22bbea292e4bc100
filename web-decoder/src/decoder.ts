/** The decoder network over latents of any size: tiles that overlap by the radius of its receptive field. */
import { Executor } from "./executor.js";
import { grainBytes, GRAIN_PER_LATENT, grainRow, grainValue } from "./grain.js";
import { compile, inputsOf, type Program, type Step } from "./graph.js";
import type { FloatKernels } from "./kernels.js";
import type { Latents } from "./latents.js";
import { readOnnx } from "./onnx.js";
import { type Plane, placeOf, PlanePool } from "./planes.js";
import { CHANNELS, PIXELS_PER_LATENT } from "./header.js";
import { modelError } from "./errors.js";

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

/** Called after each tile with the part that is done, 0 to 1; it may return a promise to wait for. */
export type Progress = (fraction: number) => void | Promise<void>;

/** A loaded decoder network. */
export class DecoderNetwork {
  private readonly executor: Executor;
  private readonly stages: readonly Stage[];

  /** Reads an ONNX file into the memory of `kernels`. */
  constructor(
    file: Uint8Array,
    private readonly kernels: FloatKernels,
  ) {
    const program = compile(readOnnx(file));
    for (const input of program.inputs) {
      if (!["latents", "log_step", "conditional_mean", "grain"].includes(input)) {
        throw modelError(`The decoder network has an input that this decoder does not know: ${input}.`);
      }
    }
    this.executor = new Executor(kernels, program);
    this.stages = stagesOf(program);
  }

  /** Decodes latents to RGBA, opaque, row by row: `8 · columns` by `8 · rows` pixels. */
  async decode(latents: Latents, extended: boolean, progress?: Progress): Promise<Uint8ClampedArray> {
    const { rows, columns } = latents;
    const inputs = new Inputs(latents, extended ? EXTENSION : 0);
    const rgba = new Uint8ClampedArray(rows * columns * PIXELS_PER_LATENT ** 2 * 4);
    const mark = this.kernels.arena.mark();
    const pool = new PlanePool(this.kernels.arena);
    try {
      const tiles = areas({ top: 0, left: 0, bottom: inputs.rows, right: inputs.columns }, OUTER_TILE);
      for (const [index, tile] of tiles.entries()) {
        const [first, second] = this.stages as [Stage, Stage | undefined];
        const needed = grown(tile, second?.margin ?? 0, inputs);
        const read = grown(needed, first.margin, inputs);
        const early = this.executor.run(first.steps, pool, inputs.planes(pool, this.executor.program.inputs, read, first.steps), first.output);
        if (!second) {
          inputs.show(rgba, pool, early, read, tile);
          pool.release(early);
        } else {
          const parts = areas(tile, INNER_TILE);
          for (const [place, part] of parts.entries()) {
            const window = grown(part, second.margin, inputs);
            const values = inputs.planes(pool, this.executor.program.inputs, window, second.steps);
            values.set(first.output, cut(pool, early, read, window, first.scale));
            if (place === parts.length - 1) pool.release(early);
            const pixels = this.executor.run(second.steps, pool, values, second.output);
            inputs.show(rgba, pool, pixels, window, part);
            pool.release(pixels);
            await progress?.((index + (place + 1) / parts.length) / tiles.length);
          }
        }
      }
    } finally {
      this.kernels.arena.release(mark);
    }
    return rgba;
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

  /** Planes over `area` of the inputs that `steps` read. An area with an odd side at the border gets one position more. */
  planes(pool: PlanePool, names: readonly string[], area: Area, steps: readonly Step[]): Map<string, Plane> {
    const read = new Set(steps.flatMap(inputsOf));
    const values = new Map<string, Plane>();
    for (const name of names) {
      if (!read.has(name)) continue;
      values.set(name, name === "grain" ? grainPlane(pool, area) : this.plane(pool, name, area));
    }
    return values;
  }

  private plane(pool: PlanePool, name: string, area: Area): Plane {
    const { rows, columns, latents, conditionalMeans, logStep } = this.whole;
    const channels = name === "log_step" ? 1 : CHANNELS;
    const values = name === "log_step" ? logStep : name === "latents" ? latents : conditionalMeans;
    const [width, height] = evenSize(area);
    const plane = pool.take(width, height, channels);
    const numbers = pool.view();
    const within = (place: number, size: number) => Math.min(Math.max(place - this.extension, 0), size - 1);
    for (let y = 0; y < height; y++) {
      const row = within(area.top + y, rows) * columns;
      for (let x = 0; x < width; x++) {
        const [source, target] = [row + within(area.left + x, columns), placeOf(plane, y, x)];
        for (let channel = 0; channel < channels; channel++) numbers[target + channel] = values[channel * rows * columns + source]!;
      }
    }
    return plane;
  }

  /** Writes the pixels of `kept`, which lie in `plane` over `window`, as bytes. */
  show(rgba: Uint8ClampedArray, pool: PlanePool, plane: Plane, window: Area, kept: Area): void {
    const unit = PIXELS_PER_LATENT;
    const numbers = pool.view();
    const border = this.extension * unit;
    const [width, height] = [this.whole.columns * unit, this.whole.rows * unit];
    for (let y = kept.top * unit; y < kept.bottom * unit; y++) {
      for (let x = kept.left * unit; x < kept.right * unit; x++) {
        const [row, column] = [y - border, x - border];
        if (row < 0 || column < 0 || row >= height || column >= width) continue;
        const source = placeOf(plane, y - window.top * unit, x - window.left * unit);
        const target = (row * width + column) * 4;
        // ⌊255 v + 1/2⌋ clipped to 0 … 255: the array clips, and would round halves to even.
        for (let c = 0; c < 3; c++) rgba[target + c] = Math.floor(numbers[source + c]! * 255 + 0.5);
        rgba[target + 3] = 255;
      }
    }
  }
}

function grainPlane(pool: PlanePool, area: Area): Plane {
  const [width, height] = evenSize(area).map((side) => side * GRAIN_PER_LATENT) as [number, number];
  const plane = pool.take(width, height, CHANNELS);
  const numbers = pool.view();
  for (let y = 0; y < height; y++) {
    const rowHash = grainRow(area.top * GRAIN_PER_LATENT + y);
    for (let x = 0; x < width; x++) {
      const bytes = grainBytes(rowHash, area.left * GRAIN_PER_LATENT + x);
      const target = placeOf(plane, y, x);
      for (let channel = 0; channel < CHANNELS; channel++) numbers[target + channel] = grainValue((bytes >>> (8 * channel)) & 255);
    }
  }
  return plane;
}

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

/** The part of `plane`, which covers `from`, that covers `to`; `scale` samples for each position. */
function cut(pool: PlanePool, plane: Plane, from: Area, to: Area, scale: number): Plane {
  const [width, height] = evenSize(to).map((side) => side * scale) as [number, number];
  const part = pool.take(width, height, plane.channels);
  const numbers = pool.view();
  for (let y = 0; y < height; y++) {
    const source = placeOf(plane, (to.top - from.top) * scale + y, (to.left - from.left) * scale);
    numbers.copyWithin(placeOf(part, y, 0), source, source + width * plane.stride);
  }
  return part;
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
