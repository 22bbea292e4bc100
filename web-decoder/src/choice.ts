/** Which executor decodes a tile: a GPU only where it gives the same pixels as WebAssembly, and sooner. */
import { CalotypeError, modelError } from "./errors.js";
import type { Backend, Executor } from "./executor.js";

/** "auto" takes the faster one; the others are for tests and measurements. */
export type BackendOption = "auto" | Backend;

/** An executor on a GPU, which `software` imitates on the processor. */
export interface OpenedGpu {
  readonly executor: Executor<unknown>;
  readonly software: boolean;
}

/** Pixels in RGBA of an area of the picture. */
export interface Part<Area> {
  readonly area: Area;
  readonly bytes: Uint8ClampedArray;
}

/** Decodes a tile by an executor, and gives its parts one after another. */
export type Tile<Area> = (executor: Executor<unknown>, give: (part: Part<Area>) => void) => Promise<void>;

/** Smaller tiles are never given to a GPU: their time goes into the way there and back. In latent positions. */
const MIN_POSITIONS = 1024;
/** By how much bytes may differ between executors: the tolerance of the conformance suite. */
const MAX_DIFFERENCE = 1;
const MAX_RMSE = 0.5;

/**
 * The state of the choice. The first tile that is large enough is decoded by WebAssembly, and then by the GPU, while the page has
 * its picture already ("checking"). If the pixels are the same, the next tile is decoded by the GPU and timed ("equal"), and the
 * faster one of the two decodes all others ("chosen" or "refused"). Whatever fails on the GPU ends in "refused".
 */
type State = "untried" | "checking" | "equal" | "chosen" | "refused";

export class ExecutorChoice<Area> {
  private state: State = "untried";
  private checked: Promise<void> = Promise.resolve();
  private opened: Promise<OpenedGpu | null> | null = null;
  /** The least milliseconds per position that WebAssembly has taken. */
  private pace = Infinity;

  constructor(
    private readonly wasm: Executor<unknown>,
    private readonly open: () => Promise<OpenedGpu | null>,
  ) {}

  /** Decodes a tile of a number of latent positions, and tells by what. `more`: whether other tiles of the picture follow. */
  async decode(option: BackendOption, positions: number, tile: Tile<Area>, give: (part: Part<Area>) => void, more: boolean): Promise<Backend> {
    if (option === "webgpu") {
      await this.byGpu(tile, give);
      return "webgpu";
    }
    const large = option === "auto" && positions >= MIN_POSITIONS;
    if (large && (this.state === "equal" || this.state === "chosen") && (await this.tried(positions, tile, give))) return "webgpu";
    const parts: Part<Area>[] = [];
    const start = performance.now();
    const keep = (part: Part<Area>): void => {
      parts.push(part);
      give(part);
    };
    await within(this.wasm, () => tile(this.wasm, keep));
    const milliseconds = performance.now() - start;
    this.pace = Math.min(this.pace, milliseconds / positions);
    if (large && this.state === "untried") {
      this.state = "checking";
      this.checked = this.check(tile, parts);
      if (more) await Promise.race([this.checked, pause(milliseconds)]);
    } else if (more && this.state === "checking") {
      await pause(0);
    }
    return "wasm";
  }

  /** Decodes by the GPU, whatever it is. Throws `ModelError` if that fails. */
  private async byGpu(tile: Tile<Area>, give: (part: Part<Area>) => void): Promise<void> {
    await this.checked;
    try {
      const gpu = await this.gpu();
      if (!gpu) throw modelError("This browser gives no GPU to compute with.");
      await within(gpu.executor, () => tile(gpu.executor, give));
    } catch (error) {
      this.opened = null;
      throw error instanceof CalotypeError ? error : modelError(`The GPU cannot decode the picture: ${String(error)}`);
    }
  }

  /** Decodes by the GPU if nothing fails; otherwise it is not used again. */
  private async tried(positions: number, tile: Tile<Area>, give: (part: Part<Area>) => void): Promise<boolean> {
    const start = performance.now();
    try {
      await this.byGpu(tile, give);
    } catch {
      this.state = "refused";
      return false;
    }
    if (this.state === "equal") this.state = (performance.now() - start) / positions < this.pace ? "chosen" : "refused";
    return true;
  }

  private async check(tile: Tile<Area>, expected: readonly Part<Area>[]): Promise<void> {
    try {
      const gpu = await this.gpu();
      if (gpu && !gpu.software) {
        const found: Part<Area>[] = [];
        await within(gpu.executor, () => tile(gpu.executor, (part) => found.push(part)));
        if (found.every(({ bytes }, index) => areEqual(bytes, expected[index]!.bytes))) {
          this.state = "equal";
          return;
        }
      }
    } catch {
      // A GPU that fails is not used.
    }
    this.state = "refused";
  }

  private gpu(): Promise<OpenedGpu | null> {
    this.opened ??= this.open();
    return this.opened;
  }
}

/** Does `work` with planes of the executor, and frees them. */
export async function within<T>(executor: Executor<unknown>, work: () => Promise<T>): Promise<T> {
  executor.begin();
  try {
    return await work();
  } finally {
    executor.end();
  }
}

const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

function areEqual(found: Uint8ClampedArray, expected: Uint8ClampedArray): boolean {
  let [squares, largest] = [0, 0];
  for (let index = 0; index < expected.length; index++) {
    const difference = Math.abs(found[index]! - expected[index]!);
    squares += difference ** 2;
    largest = Math.max(largest, difference);
  }
  return largest <= MAX_DIFFERENCE && squares <= MAX_RMSE ** 2 * expected.length;
}
