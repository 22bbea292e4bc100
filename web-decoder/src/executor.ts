/** What runs the steps of a decoder network, the kernels in WebAssembly or a GPU. A plane is a feature map in its memory. */
import { modelError } from "./errors.js";
import { inputsOf, type Step } from "./graph.js";

/** What runs a decoder network. */
export type Backend = "wasm" | "webgpu";

/** The numbers of a feature map: float32 `data[height, width, channels]`. */
export interface Samples {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  readonly data: Float32Array;
}

/** A part of a feature map, in its pixels. */
export interface Rectangle {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** Runs steps on planes, which it keeps where it computes. */
export interface Executor<Plane> {
  readonly backend: Backend;
  /** Comes before the first plane is made. */
  begin(): void;
  /** Frees all planes. */
  end(): void;
  /** Loads numbers: those of `below` under the others, if there are any. Only executors that have `read` are given two. */
  load(samples: Samples, below?: Samples): Plane;
  run(step: Step, valueOf: (name: string) => Plane): Plane;
  cut(plane: Plane, part: Rectangle): Plane;
  /** Copies the numbers of a part, for another worker. Only where planes lie in the worker's own memory. */
  read?(plane: Plane, part: Rectangle): Samples;
  /** Lets another plane have the memory of this one. */
  release(plane: Plane): void;
  /** Bytes in RGBA, opaque: ⌊255 v + 1/2⌋ of the three channels of a part, clipped to 0 … 255. */
  bytes(plane: Plane, part: Rectangle): Promise<Uint8ClampedArray>;
}

/** Runs `steps` on the values `given`, which are freed as soon as nothing needs them, and returns `wanted`. */
export function runSteps<Plane>(
  executor: Executor<Plane>, steps: readonly Step[], given: ReadonlyMap<string, Plane>, wanted: string,
): Plane {
  const values = new Map(given);
  const lastUse = new Map<string, number>();
  steps.forEach((step, index) => inputsOf(step).forEach((name) => lastUse.set(name, index)));
  const valueOf = (name: string): Plane => {
    const plane = values.get(name);
    if (plane === undefined) throw modelError(`The decoder network needs ${name}, which nothing makes.`);
    return plane;
  };
  steps.forEach((step, index) => {
    values.set(step.output, executor.run(step, valueOf));
    for (const name of new Set(inputsOf(step))) {
      if (lastUse.get(name) !== index || name === wanted) continue;
      executor.release(valueOf(name));
      values.delete(name);
    }
  });
  return valueOf(wanted);
}
