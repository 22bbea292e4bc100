/** The stages of a decoder network, and how far their inputs reach. */
import { GRAIN_PER_LATENT } from "./grain.js";
import { inputsOf, type Program, type Step } from "./graph.js";

/** One part of the network: what is done at few samples per latent, then what is done at many. */
export interface Stage {
  readonly steps: readonly Step[];
  readonly output: string;
  /** Samples of the output per latent position. */
  readonly scale: number;
  /** The radius of the receptive field in latent positions, rounded up to an even number. */
  readonly margin: number;
}

/** Cuts a program where only one value, at two samples per latent or more, is needed later, and finds the margins. */
export function stagesOf(program: Program): Stage[] {
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
