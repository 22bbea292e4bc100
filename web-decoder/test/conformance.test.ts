/** The exact half of the conformance suite, with kernels in WebAssembly and in plain JavaScript. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { ContextModel } from "../src/context.js";
import { DecoderNetwork } from "../src/decoder.js";
import { CalotypeError } from "../src/errors.js";
import { type FloatKernels, type IntegerKernels, plainKernels, wasmKernels } from "../src/kernels.js";
import { FORMAT_LIMITS } from "../src/limits.js";
import { integerBytes, openFile, type OpenOptions } from "../src/open.js";

interface Suite {
  limits: { max_pixels: number };
  tolerance: { log_step: number };
  files: { name: string; file: string; shape: number[]; integers: string; latents: string; values?: number[] }[];
  prefixes: { name: string; bytes: number; arrived: number; integers: string; latents: string; log_step?: number[] }[];
  hostile: { name: string; error: string | null; strict: string | null; codec?: boolean }[];
}

const ROOT = process.env["CALOTYPE_ROOT"]!;
const DIST = process.env["CALOTYPE_DIST"]!;
const suite = JSON.parse(readFileSync(join(ROOT, "conformance/suite.json"), "utf8")) as Suite;
const limits = { ...FORMAT_LIMITS, maxPixels: suite.limits.max_pixels };
const sha256 = (data: Uint8Array) => createHash("sha256").update(data).digest("hex");
const read = (path: string) => new Uint8Array(readFileSync(join(ROOT, path)));
const fileOf = (name: string) => suite.files.find((each) => each.name === name)!.file;

/** float32, least significant byte first, as this machine stores it. */
const floatBytes = (values: Float32Array) => new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

const KERNELS: Record<string, () => Promise<IntegerKernels>> = {
  wasm: async () => wasmKernels(await WebAssembly.compile(readFileSync(join(DIST, "kernels.wasm")))),
  plain: async () => plainKernels(),
};
const loadModel = async (kernels: IntegerKernels) => ContextModel.load(read("src/calotype/models/weights/context-242.npz"), kernels);

for (const [name, kernels] of Object.entries(KERNELS)) {
  describe(`kernels: ${name}`, () => {
    let model: ContextModel;
    before(async () => {
      model = await loadModel(await kernels());
    });
    const open = (data: Uint8Array, options: Partial<OpenOptions>) => openFile(data, async () => model, { limits, ...options });

    for (const each of suite.files) {
      test(`integers of ${each.name}`, async () => {
        const { latents, verified } = await open(read(each.file), { strict: true });
        assert.ok(verified);
        assert.deepEqual([4, latents.rows, latents.columns], each.shape);
        if (each.values) assert.deepEqual([...latents.integers], each.values);
        assert.equal(sha256(integerBytes(latents)), each.integers);
        assert.equal(sha256(floatBytes(latents.latents)), each.latents);
        assert.ok(latents.conditionalMeans.every(Number.isFinite));
      });
    }

    for (const each of suite.prefixes) {
      test(`the first ${each.bytes} bytes of ${each.name}`, async () => {
        const { latents } = await open(read(fileOf(each.name)).subarray(0, each.bytes), { partial: true });
        assert.equal(latents.arrived, each.arrived);
        each.log_step?.forEach((value, place) => assert.ok(Math.abs(latents.logStep[place]! - value) <= suite.tolerance.log_step, `${place}`));
        assert.equal(sha256(integerBytes(latents)), each.integers);
        assert.equal(sha256(floatBytes(latents.latents)), each.latents);
      });
    }
  });
}

describe("hostile files", () => {
  let model: ContextModel;
  before(async () => {
    model = await loadModel(await KERNELS["wasm"]!());
  });
  const errorOf = async (data: Uint8Array, strict: boolean) => {
    try {
      await openFile(data, async () => model, { limits, strict });
      return null;
    } catch (error) {
      if (error instanceof CalotypeError) return error.code;
      throw error;
    }
  };
  for (const each of suite.hostile) {
    test(each.name, async () => {
      const data = read(`conformance/hostile/${each.name}.calo`);
      assert.equal(await errorOf(data, false), each.error);
      // Patches are decoded by the browser: what only a codec can recognise is tested there.
      if (!each.codec) assert.equal(await errorOf(data, true), each.strict);
    });
  }

  test("every beginning and every changed byte is an error", async () => {
    const whole = read(fileOf("rgb-24x24"));
    for (let place = 0; place < whole.length; place++) {
      const changed = whole.slice();
      changed[place]! ^= 0xff;
      assert.notEqual(await errorOf(changed, false), null, `byte ${place}`);
      assert.notEqual(await errorOf(whole.subarray(0, place), false), null, `${place} bytes`);
    }
  });
});

describe("memory", () => {
  test("of the decoder network does not grow with the picture beyond a tile", async () => {
    const kernels = await KERNELS["wasm"]!();
    const network = new DecoderNetwork(new Uint8Array(gunzipSync(readFileSync(join(DIST, "tiny-decoder.onnx.gz")))), kernels as FloatKernels);
    const taken = async (rows: number, columns: number): Promise<number> => {
      const planes = (count: number) => new Float32Array(count * rows * columns);
      const [integers, arrivedMask] = [new Int16Array(), new Uint8Array()];
      await network.decode(
        { rows, columns, integers, arrivedMask, latents: planes(4), conditionalMeans: planes(4), logStep: planes(1), arrived: 0, spacing: 1 },
        false,
      );
      return kernels.arena.buffer.byteLength;
    };
    const ofThreeTiles = await taken(20, 300);
    assert.equal(await taken(20, 600), ofThreeTiles);
  });
});
