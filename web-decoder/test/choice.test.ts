/** The choice between WebAssembly and a GPU, with executors that only pretend to decode. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type BackendOption, ExecutorChoice, type Part, type Tile } from "../src/choice.js";
import { CalotypeError } from "../src/errors.js";
import type { Executor } from "../src/executor.js";

const LARGE = 4096;
const PIXELS = Uint8ClampedArray.from({ length: 4000 }, (_, index) => index % 251);

interface Pretended {
  readonly software?: boolean;
  /** Milliseconds of a tile. */
  wasm?: number;
  webgpu?: number;
  /** What the GPU makes. */
  bytes?: Uint8ClampedArray;
  fails?: boolean;
}

const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

class Machine {
  opened = 0;
  readonly open = new Set<Executor<unknown>>();
  private readonly executors: Record<"wasm" | "webgpu", Executor<unknown>>;
  private readonly choice: ExecutorChoice<string>;

  constructor(readonly pretended: Pretended) {
    const executor = (backend: "wasm" | "webgpu") => {
      const made = { backend, begin: () => void this.open.add(made), end: () => void this.open.delete(made) } as unknown as Executor<unknown>;
      return made;
    };
    this.executors = { wasm: executor("wasm"), webgpu: executor("webgpu") };
    this.choice = new ExecutorChoice<string>(this.executors.wasm, async () => {
      this.opened++;
      return { executor: this.executors.webgpu, software: pretended.software ?? false };
    });
  }

  private readonly tile: Tile<string> = async (executor, give) => {
    assert.ok(this.open.has(executor));
    const { wasm = 50, webgpu = 0, bytes = PIXELS, fails = false } = this.pretended;
    await pause(executor.backend === "wasm" ? wasm : webgpu);
    give({ area: "first half", bytes: executor.backend === "wasm" ? PIXELS : bytes });
    if (fails && executor.backend === "webgpu") throw new Error("the device is lost");
    give({ area: "second half", bytes: executor.backend === "wasm" ? PIXELS : bytes });
  };

  /** What decodes each of a number of tiles, one picture after another. */
  async backends(count: number, option: BackendOption = "auto", positions = LARGE): Promise<string[]> {
    const used: string[] = [];
    for (let index = 0; index < count; index++) {
      const picture = new Map<string, Uint8ClampedArray>();
      used.push(await this.choice.decode(option, positions, this.tile, ({ area, bytes }: Part<string>) => picture.set(area, bytes), true));
      assert.deepEqual([...picture.keys()].sort(), ["first half", "second half"]);
      assert.equal(this.open.size, 0);
      if (used.at(-1) === "wasm") for (const bytes of picture.values()) assert.equal(bytes, PIXELS);
    }
    return used;
  }
}

/** The pixels, with some bytes changed. */
const changed = (places: number, by: number): Uint8ClampedArray => PIXELS.map((value, index) => (index < places ? value + by : value));

describe("the choice of an executor", () => {
  test("a GPU that is faster decodes all but the first tile", async () => {
    assert.deepEqual(await new Machine({}).backends(4), ["wasm", "webgpu", "webgpu", "webgpu"]);
  });
  test("a GPU that is slower decodes one tile", async () => {
    const machine = new Machine({ wasm: 10 });
    assert.deepEqual(await machine.backends(1), ["wasm"]);
    machine.pretended.webgpu = 60;
    assert.deepEqual(await machine.backends(3), ["webgpu", "wasm", "wasm"]);
  });
  test("a GPU that rounds otherwise is used, within the tolerance", async () => {
    assert.deepEqual(await new Machine({ bytes: changed(500, 1) }).backends(2), ["wasm", "webgpu"]);
  });
  test("a GPU that makes other pixels is not used", async () => {
    assert.deepEqual(await new Machine({ bytes: changed(1, 2) }).backends(3), ["wasm", "wasm", "wasm"]);
    assert.deepEqual(await new Machine({ bytes: changed(2000, 1) }).backends(3), ["wasm", "wasm", "wasm"]);
  });
  test("a GPU that the processor imitates is not used", async () => {
    const machine = new Machine({ software: true });
    assert.deepEqual(await machine.backends(3), ["wasm", "wasm", "wasm"]);
    assert.equal(machine.opened, 1);
  });
  test("a GPU that fails at once is not used", async () => {
    assert.deepEqual(await new Machine({ fails: true }).backends(3), ["wasm", "wasm", "wasm"]);
  });
  test("where a GPU fails later, WebAssembly decodes the tile again, and all others", async () => {
    const machine = new Machine({});
    assert.deepEqual(await machine.backends(2), ["wasm", "webgpu"]);
    machine.pretended.fails = true;
    assert.deepEqual(await machine.backends(2), ["wasm", "wasm"]);
    machine.pretended.fails = false;
    assert.deepEqual(await machine.backends(1), ["wasm"]);
  });
  test("small tiles and other options leave the GPU alone", async () => {
    const machine = new Machine({});
    assert.deepEqual(await machine.backends(3, "auto", 100), ["wasm", "wasm", "wasm"]);
    assert.deepEqual(await machine.backends(3, "wasm"), ["wasm", "wasm", "wasm"]);
    assert.equal(machine.opened, 0);
  });
  test("a GPU that is asked for decodes everything or is an error", async () => {
    const machine = new Machine({ software: true });
    assert.deepEqual(await machine.backends(2, "webgpu", 100), ["webgpu", "webgpu"]);
    machine.pretended.fails = true;
    await assert.rejects(machine.backends(1, "webgpu"), (error) => error instanceof CalotypeError && error.code === "ModelError");
    machine.pretended.fails = false;
    assert.deepEqual(await machine.backends(1, "webgpu"), ["webgpu"]);
    assert.equal(machine.opened, 2);
  });
});
