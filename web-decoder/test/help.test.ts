/** Two workers for one picture: its pixels, and what happens without an answer. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { DecoderNetwork } from "../src/decoder.js";
import { type FindHelper, HelpDesk, type HelpTask, type HelpWanted, type PartTask } from "../src/help.js";
import { wasmKernels } from "../src/kernels.js";
import type { Latents } from "../src/latents.js";

const DIST = process.env["CALOTYPE_DIST"]!;

async function openNetwork(): Promise<DecoderNetwork> {
  const kernels = await wasmKernels(await WebAssembly.compile(readFileSync(join(DIST, "kernels.wasm"))));
  return new DecoderNetwork(new Uint8Array(gunzipSync(readFileSync(join(DIST, "pocket-decoder.onnx.gz")))), kernels);
}

function someLatents(rows: number, columns: number): Latents {
  const planes = (count: number, value: (place: number) => number) => Float32Array.from({ length: count * rows * columns }, (_, place) => value(place));
  const latents = planes(4, (place) => 2 * Math.sin(place / 7) * Math.cos(place / 61));
  const [integers, arrivedMask] = [new Int16Array(), new Uint8Array()];
  return { rows, columns, integers, arrivedMask, latents, conditionalMeans: latents, logStep: planes(1, () => -1), arrived: 0, spacing: 1 };
}

describe("a picture that two workers decode", () => {
  let [own, other]: DecoderNetwork[] = [];
  before(async () => {
    [own, other] = [await openNetwork(), await openNetwork()];
  });

  /** The two compute some sums beside other numbers, so that a value on the boundary of two bytes may be rounded otherwise. */
  async function checkPixels(rows: number, columns: number, tasks: number): Promise<void> {
    const latents = someLatents(rows, columns);
    const alone = (await own!.decode(latents, false, "wasm")).rgba;
    let count = 0;
    const helper = (task: PartTask) => {
      count++;
      const result = other!.computePart(structuredClone(task));
      return () => result;
    };
    const failing = () => async () => null;
    for (const each of [helper, failing]) {
      const shared = (await own!.decode(latents, false, "wasm", async () => each)).rgba;
      assert.equal(shared.length, alone.length);
      const differences = shared.map((value, place) => Math.abs(value - alone[place]!)).filter(Boolean);
      assert.ok(differences.every((difference) => difference === 1));
      assert.ok(differences.length <= alone.length / 1000);
    }
    assert.equal(count, tasks);
  }

  test("the halves of a part give the same pixels", () => checkPixels(40, 4, 3));
  test("halves of different heights give the same pixels", () => checkPixels(46, 4, 3));
  test("two parts give the same pixels", () => checkPixels(4, 68, 1));

  test("a low picture has no part to share", async () => {
    const asked: FindHelper = async () => assert.fail("asked for a helper");
    await own!.decode(someLatents(16, 16), false, "wasm", asked);
  });
});

describe("the help desk of a worker", () => {
  const task: PartTask = {
    stage: 0,
    inputs: [["x", { width: 1, height: 1, channels: 1, data: new Float32Array(1) }]], wanted: { left: 0, top: 0, width: 1, height: 1 },
  };
  const bytes = new ArrayBuffer(4);

  function deskWith(page: (message: HelpWanted | HelpTask, desk: HelpDesk) => void): [HelpDesk, (HelpWanted | HelpTask)[]] {
    const sent: (HelpWanted | HelpTask)[] = [];
    const desk: HelpDesk = new HelpDesk((message) => {
      sent.push(message);
      queueMicrotask(() => page(message, desk));
    });
    return [desk, sent];
  }

  test("passes a task to a helper, and its result back", async () => {
    const [desk, sent] = deskWith((message, to) =>
      to.receive("task" in message ? { number: message.number, result: bytes } : { offered: true }));
    const find = desk.forPicture("pocket");
    assert.equal(await (await find())!(task)(1000), bytes);
    assert.equal(await (await find())!(task)(1000), bytes);
    assert.deepEqual(sent.map((message) => ("task" in message ? message.number : message.helpWanted)), ["pocket", 0, "pocket", 1]);
  });
  test("does not wait for a page that does not answer", async () => {
    const [desk] = deskWith(() => undefined);
    assert.equal(await desk.forPicture("pocket")(), null);
  });
  test("asks again where no helper is free", async () => {
    let free = false;
    const [desk] = deskWith((_, to) => to.receive({ offered: free }));
    const find = desk.forPicture("pocket");
    assert.equal(await find(), null);
    free = true;
    assert.notEqual(await find(), null);
  });
  test("finds no helper for a picture of which one failed, or took too long", async () => {
    for (const answers of [true, false]) {
      const [desk] = deskWith((message, to) => {
        if ("helpWanted" in message) to.receive({ offered: true });
        else if (answers) to.receive({ number: message.number, result: null });
      });
      const find = desk.forPicture("pocket");
      assert.equal(await (await find())!(task)(0), null);
      assert.equal(await find(), null);
      assert.notEqual(await desk.forPicture("pocket")(), null);
    }
  });
  test("drops a result that comes too late", async () => {
    const late: number[] = [];
    const [desk] = deskWith((message, to) => {
      if ("helpWanted" in message) to.receive({ offered: true });
      else late.push(message.number);
    });
    assert.equal(await (await desk.forPicture("pocket")())!(task)(0), null);
    desk.receive({ number: late[0]!, result: bytes });
    const answer = (await desk.forPicture("pocket")())!(task);
    desk.receive({ number: late[0]!, result: new ArrayBuffer(8) });
    desk.receive({ number: 1, result: bytes });
    assert.equal(await answer(1000), bytes);
  });
});
