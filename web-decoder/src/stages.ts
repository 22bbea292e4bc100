/** The stages of a decoder network, and how far their inputs reach. */
import { GRAIN_PER_LATENT } from "./grain.js";
import { inputsOf, type Program, type Step } from "./graph.js";

/** Steps that run one after another on the same area. */
export interface Stage {
  readonly steps: readonly Step[];
  /** The values that the steps read: inputs of the network, or the output of the stage before. */
  readonly inputs: readonly string[];
  readonly output: string;
  /** Samples of the output per latent position. */
  readonly scale: number;
  /** The radius of the receptive field in latent positions, rounded up to an even number. */
  readonly margin: number;
}

export interface Stages {
  /** What is computed at few samples per latent position, for a large tile. */
  readonly first: Stage;
  /** What is computed at many samples per latent position, for parts of the tile. */
  readonly second: Stage | null;
  /** The first stage, cut further. Two workers that share it exchange rows between its segments, so that margins are small. */
  readonly segments: readonly Stage[];
}

/** A segment ends where a longer one would have a margin of more latent positions, if it can be cut there. */
const MAX_SEGMENT_MARGIN = 8;

/** Cuts a program where only one value, at two samples per latent or more, is needed later, and finds the margins. */
export function stagesOf(program: Program): Stages {
  const scales = new Map<string, number>(program.inputs.map((name) => [name, name === "grain" ? GRAIN_PER_LATENT : 1]));
  for (const step of program.steps) scales.set(step.output, scales.get(inputsOf(step)[0]!)! * upscaling(step));
  const stage = (start: string | null, output: string): Stage => {
    const steps = stepsBetween(program, start, output);
    const made = new Set(steps.map((step) => step.output));
    const inputs = [...new Set(steps.flatMap(inputsOf))].filter((name) => !made.has(name));
    return { steps, inputs, output, scale: scales.get(output)!, margin: marginOf(steps, inputs, output, scales) };
  };
  const cut = program.steps.find(({ output }) => scales.get(output)! > 1 && output !== program.output && cutsAt(program, output, program.output));
  const end = cut?.output ?? program.output;
  const segments: Stage[] = [];
  let [start, previous]: [string | null, string | null] = [null, null];
  for (const { output } of program.steps) {
    if (output !== end && !cutsAt(program, output, end)) continue;
    if (previous !== null && stage(start, output).margin > MAX_SEGMENT_MARGIN) {
      segments.push(stage(start, previous));
      start = previous;
    }
    previous = output;
    if (output === end) break;
  }
  segments.push(stage(start, end));
  return { first: stage(null, end), second: cut ? stage(end, program.output) : null, segments };
}

/** The steps that lead to `output` from the network's inputs and the value `start`, in order. */
function stepsBetween({ steps }: Program, start: string | null, output: string): Step[] {
  const needed = new Set([output]);
  const found: Step[] = [];
  for (const step of [...steps].reverse()) {
    if (!needed.has(step.output) || step.output === start) continue;
    inputsOf(step).forEach((name) => needed.add(name));
    found.unshift(step);
  }
  return found;
}

/** Whether `output` follows from the value `value` and steps that cost little: those before it hold no convolution. */
function cutsAt(program: Program, value: string, output: string): boolean {
  const place = program.steps.findIndex((step) => step.output === value);
  const before = new Set(program.steps.slice(0, place + 1));
  const steps = stepsBetween(program, value, output);
  return steps.some((step) => inputsOf(step).includes(value)) && steps.every((step) => !before.has(step) || step.kind !== "convolution");
}

/** The samples of a step's output for each sample of its input, along a side. */
function upscaling(step: Step): number {
  if (step.kind === "convolution") return 1 / step.stride;
  if (step.kind === "averagePool") return 1 / step.factor;
  return step.kind === "depthToSpace" || step.kind === "nearest" ? step.factor : 1;
}

/** The radius of the receptive field of `output`, in latent positions, rounded up to an even number. */
function marginOf(
  steps: readonly Step[], inputs: readonly string[], output: string, scales: ReadonlyMap<string, number>,
): number {
  const reach = new Map<string, number>([[output, 0]]);
  for (const step of [...steps].reverse()) {
    const here = reach.get(step.output);
    if (here === undefined) continue;
    const across = Math.ceil(here / upscaling(step));
    const kernel = step.kind === "convolution" && step.weights.dims[2] === 3 ? 1 : 0;
    for (const name of inputsOf(step)) {
      const own = step.kind === "convolution" && name === step.addend && name !== step.input ? here : across + kernel;
      reach.set(name, Math.max(reach.get(name) ?? 0, own));
    }
  }
  const given = inputs.map((name) => reach.get(name)! / scales.get(name)!);
  return Math.ceil(Math.max(...given, 0) / 2) * 2;
}
