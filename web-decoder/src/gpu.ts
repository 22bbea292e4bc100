/** The executor on a GPU, by WebGPU. Planes are buffers: vec4f[⌈channels / 8⌉ · 2, height, width], the unused channels 0. */
import type { OpenedGpu } from "./choice.js";
import { modelError } from "./errors.js";
import type { Executor, Rectangle, Samples } from "./executor.js";
import { type Convolution, eachWeight, inputsOf, type Step } from "./graph.js";
import { padded } from "./planes.js";
import { BYTES, convolution, GROUP, OUTPUTS, OWN, pointwise, STRIP, VECTOR } from "./shaders.js";

/** Flags of WebGPU's specification. */
const USAGE = { mapRead: 1, copySource: 4, copyTarget: 8, uniform: 64, storage: 128 };
const MAP_READ = 1;
const FLOAT_BYTES = 4;
const SIZES_BYTES = 8 * 4 * FLOAT_BYTES;
const SCOPES = ["validation", "out-of-memory", "internal"] as const;

export interface GpuPlane {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  readonly buffer: GPUBuffer;
}

interface Constants {
  readonly weights: GPUBuffer;
  readonly bias: GPUBuffer;
}

/** A GPU of this browser, or null. */
export async function openGpu(): Promise<OpenedGpu | null> {
  const { gpu } = (globalThis.navigator ?? {}) as { gpu?: GPU };
  const adapter = await gpu?.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) return null;
  return { executor: new GpuExecutor(await adapter.requestDevice()), software: adapter.info.isFallbackAdapter };
}

export class GpuExecutor implements Executor<GpuPlane> {
  readonly backend = "webgpu";
  private readonly pipelines = new Map<string, GPUComputePipeline>();
  private readonly constants = new Map<Convolution, Constants>();
  private free: GPUBuffer[] = [];
  private planes = new Set<GPUBuffer>();
  private sizes: GPUBuffer[] = [];
  private commands: GPUCommandEncoder | null = null;
  private watched = false;

  constructor(private readonly device: GPUDevice) {}

  begin(): void {
    this.watch();
  }

  end(): void {
    this.failure().catch(() => undefined);
    this.commands = null;
    for (const buffer of [...this.planes, ...this.sizes]) buffer.destroy();
    [this.free, this.sizes] = [[], []];
    this.planes.clear();
  }

  load({ width, height, channels, data }: Samples): GpuPlane {
    const plane = this.take(width, height, channels);
    const numbers = new Float32Array(plane.buffer.size / FLOAT_BYTES);
    let source = 0;
    for (let pixel = 0; pixel < width * height; pixel++) {
      for (let c = 0; c < channels; c++) {
        numbers[(Math.floor(c / VECTOR) * width * height + pixel) * VECTOR + (c % VECTOR)] = data[source++]!;
      }
    }
    // Commands before this one may use the buffer's memory for another plane.
    this.submit();
    this.device.queue.writeBuffer(plane.buffer, 0, numbers);
    return plane;
  }

  run(step: Step, valueOf: (name: string) => GpuPlane): GpuPlane {
    const operands = inputsOf(step).map(valueOf);
    const [{ width, height, channels }] = operands as [GpuPlane];
    switch (step.kind) {
      case "convolution":
        return this.convolve(step, operands);
      case "affine": {
        const value = "a0(y, x, c) * own.x + own.y";
        const body = step.relu ? `max(${value}, 0)` : value;
        const own = new Int32Array(Float32Array.of(step.factor, step.shift).buffer);
        return this.pointwise(operands, `let own = bitcast<vec4f>(sizes[${OWN}]); return ${body};`, width, height, channels, [...own]);
      }
      case "sum":
        return this.pointwise(operands, `return a0(y, x, c) ${step.sign < 0 ? "-" : "+"} a1(y, x, c);`, width, height, channels);
      case "concatenation": {
        const parts = operands.map((_, k) => `if (k < sizes[${k + 1}].z) { return a${k}(y, x, k); } k -= sizes[${k + 1}].z;`);
        const all = operands.reduce((sum, operand) => sum + operand.channels, 0);
        return this.pointwise(operands, `var k = c; ${parts.join(" ")} return 0;`, width, height, all);
      }
      case "averagePool": {
        const mean = "(a0(2 * y, 2 * x, c) + a0(2 * y, 2 * x + 1, c) + a0(2 * y + 1, 2 * x, c) + a0(2 * y + 1, 2 * x + 1, c)) / 4";
        return this.pointwise(operands, `return ${mean};`, width / 2, height / 2, channels);
      }
      case "nearest":
      case "depthToSpace": {
        const { factor } = step;
        const from = step.kind === "nearest" ? "c" : "(c * f + y % f) * f + x % f";
        const body = `let f = sizes[${OWN}].x; return a0(y / f, x / f, ${from});`;
        const kept = step.kind === "nearest" ? channels : channels / factor ** 2;
        return this.pointwise(operands, body, width * factor, height * factor, kept, [factor]);
      }
    }
  }

  cut(plane: GpuPlane, { left, top, width, height }: Rectangle): GpuPlane {
    const body = `return a0(y + sizes[${OWN}].x, x + sizes[${OWN}].y, c);`;
    return this.pointwise([plane], body, width, height, plane.channels, [top, left]);
  }

  release({ buffer }: GpuPlane): void {
    this.free.push(buffer);
  }

  async bytes(plane: GpuPlane, { left, top, width, height }: Rectangle): Promise<Uint8ClampedArray> {
    const size = width * height * 4;
    const result = this.device.createBuffer({ size, usage: USAGE.storage | USAGE.copySource });
    const read = this.device.createBuffer({ size, usage: USAGE.mapRead | USAGE.copyTarget });
    try {
      const sizes = sizesOf([{ width, height, channels: 1 }, plane], [left, top]);
      this.dispatch(BYTES, sizes, [result, plane.buffer], width, height, 1);
      this.commands!.copyBufferToBuffer(result, 0, read, 0, size);
      this.submit();
      const failed = this.failure();
      await Promise.all([failed, read.mapAsync(MAP_READ)]);
      this.watch();
      return new Uint8ClampedArray(read.getMappedRange().slice(0));
    } finally {
      result.destroy();
      read.destroy();
    }
  }

  private pointwise(
    operands: readonly GpuPlane[], body: string, width: number, height: number, channels: number, own: readonly number[] = [],
  ): GpuPlane {
    const result = this.take(width, height, channels);
    const buffers = [result, ...operands].map(({ buffer }) => buffer);
    this.dispatch(pointwise(operands.length, body), sizesOf([result, ...operands], own), buffers, width, height, padded(channels) / VECTOR);
    return result;
  }

  private convolve(step: Convolution, operands: readonly GpuPlane[]): GpuPlane {
    const [input, addend] = operands as [GpuPlane, GpuPlane | undefined];
    const outputs = step.weights.dims[0]!;
    const result = this.take(input.width / step.stride, input.height / step.stride, outputs);
    const { weights, bias } = this.constantsOf(step);
    const buffers = [result.buffer, input.buffer, weights, bias, ...(addend ? [addend.buffer] : [])];
    const blocks = padded(outputs) / OUTPUTS;
    this.dispatch(convolution(step, addend !== undefined), sizesOf([result, input], []), buffers, result.width, result.height / STRIP, blocks);
    return result;
  }

  private constantsOf(step: Convolution): Constants {
    const known = this.constants.get(step);
    if (known) return known;
    const [outputs, inputs, kernel] = step.weights.dims as [number, number, number];
    const [taps, vectors] = [kernel ** 2, padded(inputs) / VECTOR];
    const weights = new Float32Array(taps * padded(inputs) * padded(outputs));
    eachWeight(step, (value, output, input, tap) => {
      const column = (((output >> 3) * taps + tap) * vectors + (input >> 2)) * 8 + (output & 4) + (input & 3);
      weights[column * VECTOR + (output & 3)] = value * step.weights.scale[output]!;
    });
    const bias = new Float32Array(padded(outputs));
    bias.set(step.bias);
    const made = { weights: this.constant(weights), bias: this.constant(bias) };
    this.constants.set(step, made);
    return made;
  }

  private constant(values: Float32Array | Int32Array, usage = USAGE.storage): GPUBuffer {
    const buffer = this.device.createBuffer({ size: values.byteLength, usage, mappedAtCreation: true });
    new Uint8Array(buffer.getMappedRange()).set(new Uint8Array(values.buffer));
    buffer.unmap();
    return buffer;
  }

  private take(width: number, height: number, channels: number): GpuPlane {
    const size = width * height * padded(channels) * FLOAT_BYTES;
    const place = this.free.findIndex((each) => each.size >= size && each.size <= 2 * size);
    const [known] = place < 0 ? [] : this.free.splice(place, 1);
    const buffer = known ?? this.device.createBuffer({ size, usage: USAGE.storage | USAGE.copyTarget });
    this.planes.add(buffer);
    return { width, height, channels, buffer };
  }

  /** Runs a program for `width` × `height` threads, `depth` times. */
  private dispatch(program: string, sizes: Int32Array, buffers: readonly GPUBuffer[], width: number, height: number, depth: number): void {
    const pipeline = this.pipelineOf(program);
    const uniform = this.constant(sizes, USAGE.uniform);
    this.sizes.push(uniform);
    const entries = [uniform, ...buffers].map((buffer, binding) => ({ binding, resource: { buffer } }));
    this.commands ??= this.device.createCommandEncoder();
    const pass = this.commands.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, this.device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
    pass.dispatchWorkgroups(Math.ceil(width / GROUP), Math.ceil(height / GROUP), depth);
    pass.end();
  }

  private pipelineOf(program: string): GPUComputePipeline {
    let pipeline = this.pipelines.get(program);
    if (!pipeline) {
      const module = this.device.createShaderModule({ code: program });
      pipeline = this.device.createComputePipeline({ layout: "auto", compute: { module } });
      this.pipelines.set(program, pipeline);
    }
    return pipeline;
  }

  private submit(): void {
    if (this.commands) this.device.queue.submit([this.commands.finish()]);
    this.commands = null;
  }

  /** Collects errors until `failure` is called. */
  private watch(): void {
    this.watched = true;
    for (const scope of SCOPES) this.device.pushErrorScope(scope);
  }

  /** Rejects with an error of the commands since `watch`. */
  private async failure(): Promise<void> {
    if (!this.watched) return;
    this.watched = false;
    const errors = await Promise.all(SCOPES.map(() => this.device.popErrorScope()));
    const error = errors.find((each) => each !== null);
    if (error) throw modelError(`The GPU cannot run the decoder network: ${error.message}`);
  }
}

const sizesOf = (planes: readonly { width: number; height: number; channels: number }[], own: readonly number[]): Int32Array => {
  if (planes.length > OWN) throw modelError("The decoder network joins more values than the GPU's programs take.");
  const sizes = new Int32Array(SIZES_BYTES / FLOAT_BYTES);
  planes.forEach(({ width, height, channels }, index) => sizes.set([width, height, channels], VECTOR * index));
  sizes.set(own, VECTOR * OWN);
  return sizes;
};
