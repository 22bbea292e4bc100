/** From an ONNX graph to the steps of the decoder network, with additions and ReLUs fused into the convolutions before them. */
import { modelError } from "./errors.js";
import type { Constant, Graph, GraphNode } from "./onnx.js";

/** A convolution's weights: `data[outputs, inputs, kernel, kernel]` times `scale[outputs]`. */
export interface Weights {
  readonly dims: readonly number[];
  readonly data: Float32Array | Int8Array;
  readonly scale: Float32Array;
}

interface StepBase {
  readonly output: string;
}
export interface Convolution extends StepBase {
  readonly kind: "convolution";
  readonly input: string;
  readonly weights: Weights;
  readonly bias: Float32Array;
  readonly stride: number;
  addend: string | null;
  relu: boolean;
  output: string;
}
/** out = input · factor + shift, not below 0 if `relu`. */
export interface Affine extends StepBase {
  readonly kind: "affine";
  readonly input: string;
  readonly factor: number;
  readonly shift: number;
  readonly relu: boolean;
}
/** out = first + sign · second. */
export interface Sum extends StepBase {
  readonly kind: "sum";
  readonly first: string;
  readonly second: string;
  readonly sign: 1 | -1;
}
export interface Concatenation extends StepBase {
  readonly kind: "concatenation";
  readonly inputs: readonly string[];
}
/**
 * Average pooling of 2×2 samples; `factor` × `factor` samples from each pixel's channels, as ONNX's DepthToSpace of mode CRD; or
 * nearest-neighbour interpolation, which repeats each sample `factor` times along both sides.
 */
export interface Resampling extends StepBase {
  readonly kind: "averagePool" | "depthToSpace" | "nearest";
  readonly input: string;
  readonly factor: number;
}
export type Step = Convolution | Affine | Sum | Concatenation | Resampling;

export interface Program {
  readonly steps: readonly Step[];
  readonly inputs: readonly string[];
  readonly output: string;
}

/** The values that a step reads. */
export function inputsOf(step: Step): readonly string[] {
  if (step.kind === "sum") return [step.first, step.second];
  if (step.kind === "concatenation") return step.inputs;
  if (step.kind === "convolution" && step.addend !== null) return [step.input, step.addend];
  return [step.input];
}

/** Calls `use` with each weight of a convolution, not yet scaled; `tap` counts the places of the kernel row by row. */
export function eachWeight({ weights: { data, dims } }: Convolution, use: (value: number, output: number, input: number, tap: number) => void): void {
  const [outputs, inputs, kernel] = dims as [number, number, number];
  let place = 0;
  for (let output = 0; output < outputs; output++) {
    for (let input = 0; input < inputs; input++) {
      for (let tap = 0; tap < kernel ** 2; tap++) use(data[place++]!, output, input, tap);
    }
  }
}

/** Translates a graph. Throws `ModelError` for one with operators or attributes that are not known here. */
export function compile(graph: Graph): Program {
  const constants = new Map<string, Constant & { scale?: Float32Array }>(graph.constants);
  const aliases = new Map<string, string>();
  const named = (name: string) => aliases.get(name) ?? name;
  const steps: Step[] = [];
  for (const node of graph.nodes) {
    const inputs = node.inputs.map(named);
    const output = node.outputs[0]!;
    if (node.type === "Constant") {
      const value = node.attributes.get("value")?.tensor;
      if (!value) throw modelError("The decoder network holds a constant without a value.");
      constants.set(output, value);
    } else if (node.type === "Cast" && constants.has(inputs[0]!)) {
      constants.set(output, constants.get(inputs[0]!)!);
    } else if (node.type === "Cast") {
      aliases.set(output, inputs[0]!);
    } else if (node.type === "Mul" && inputs.every((input) => constants.has(input))) {
      const [value, scale] = [constants.get(inputs[0]!)!, constants.get(inputs[1]!)!];
      if (scale.data.length !== value.dims[0]) throw modelError("The decoder network's weights have scales of another shape.");
      constants.set(output, { ...value, scale: Float32Array.from(scale.data) });
    } else {
      steps.push(translate(node, inputs, output, constants));
    }
  }
  const [output] = graph.outputs;
  if (output === undefined) throw modelError("The decoder network has no output.");
  return { steps: fused(steps, named(output)), inputs: graph.inputs, output: named(output) };
}

type Constants = ReadonlyMap<string, Constant & { scale?: Float32Array }>;

function translate(node: GraphNode, inputs: readonly string[], output: string, constants: Constants): Step {
  const [first, second] = inputs as [string, string];
  const scalar = (name: string): number | null => {
    const constant = constants.get(name);
    return constant?.data.length === 1 ? constant.data[0]! : null;
  };
  switch (node.type) {
    case "Conv":
      return convolution(node, inputs, output, constants);
    case "Relu":
      return { kind: "affine", input: first, factor: 1, shift: 0, relu: true, output };
    case "Add":
    case "Sub":
    case "Mul":
    case "Div": {
      const number = scalar(second);
      if (number !== null) {
        const factor = node.type === "Mul" ? number : node.type === "Div" ? 1 / number : 1;
        const shift = node.type === "Add" ? number : node.type === "Sub" ? -number : 0;
        return { kind: "affine", input: first, factor, shift, relu: false, output };
      }
      if (constants.has(first) || constants.has(second) || node.type === "Mul" || node.type === "Div") break;
      return { kind: "sum", first, second, sign: node.type === "Add" ? 1 : -1, output };
    }
    case "Concat":
      return { kind: "concatenation", inputs, output };
    case "AveragePool":
      if (String(node.attributes.get("kernel_shape")?.ints) !== "2,2" || String(node.attributes.get("strides")?.ints) !== "2,2") break;
      return { kind: "averagePool", input: first, factor: 2, output };
    case "DepthToSpace":
      if (node.attributes.get("mode")?.text !== "CRD") break;
      return { kind: "depthToSpace", input: first, factor: node.attributes.get("blocksize")!.int, output };
    case "Resize": {
      const scales = constants.get(inputs[2] ?? "")?.data;
      if (node.attributes.get("mode")?.text !== "nearest" || !scales || scales[2] !== scales[3]) break;
      return { kind: "nearest", input: first, factor: scales[2]!, output };
    }
  }
  throw modelError(`The decoder network holds the operator ${node.type} in a form that this decoder cannot run.`);
}

function convolution(node: GraphNode, inputs: readonly string[], output: string, constants: Constants): Convolution {
  const weights = constants.get(inputs[1]!);
  const bias = inputs[2] === undefined ? null : constants.get(inputs[2]);
  const kernel = weights?.dims[3] ?? 0;
  const stride = node.attributes.get("strides")?.ints[0] ?? 1;
  const padding = node.attributes.get("pads")?.ints ?? [0, 0, 0, 0];
  const centred = stride === 1 && kernel % 2 === 1 && padding.every((pad) => pad === kernel >> 1);
  const halving = stride === 2 && kernel === 2 && padding.every((pad) => pad === 0);
  if (!weights || bias === undefined || kernel > 3 || !(centred || halving) || (node.attributes.get("group")?.int ?? 1) !== 1) {
    throw modelError("The decoder network holds a convolution that this decoder cannot run.");
  }
  const outputs = weights.dims[0]!;
  return {
    kind: "convolution",
    input: inputs[0]!,
    weights: { dims: weights.dims, data: weights.data, scale: weights.scale ?? new Float32Array(outputs).fill(1) },
    bias: bias === null ? new Float32Array(outputs) : Float32Array.from(bias.data),
    stride, addend: null, relu: false, output,
  };
}

/** Fuses sums and ReLUs into the convolution that makes their input, where nothing else reads it. */
function fused(steps: readonly Step[], output: string): Step[] {
  const readers = new Map<string, number>([[output, 1]]);
  for (const step of steps) for (const input of inputsOf(step)) readers.set(input, (readers.get(input) ?? 0) + 1);
  const result: Step[] = [];
  const latest = (name: string): Convolution | null => {
    const found = result.find((step) => step.output === name);
    return found?.kind === "convolution" && readers.get(name) === 1 ? found : null;
  };
  for (const step of steps) {
    if (step.kind === "affine" && step.relu && step.factor === 1 && step.shift === 0) {
      const before = latest(step.input);
      if (before && !before.relu) {
        before.relu = true;
        before.output = step.output;
        continue;
      }
    }
    if (step.kind === "sum" && step.sign === 1) {
      // The sum is fused into the later of the two, so that the other one is there when it runs.
      const [place1, place2] = [step.first, step.second].map((name) => result.findIndex((each) => each.output === name)) as [number, number];
      const [later, earlier] = place1 > place2 ? [step.first, step.second] : [step.second, step.first];
      const before = latest(later);
      if (before && !before.relu && before.addend === null) {
        before.addend = earlier;
        before.output = step.output;
        continue;
      }
    }
    result.push(step);
  }
  return result;
}
