/** Everything that decoding needs, loaded when it is needed first. It runs wherever there is WebAssembly: page, worker, service worker. */
import { decodeAlpha } from "./alpha.js";
import { CHUNK } from "./chunks.js";
import { ContextModel } from "./context.js";
import { DecoderNetwork, type Progress } from "./decoder.js";
import { modelError } from "./errors.js";
import { PIXELS_PER_LATENT, gridOf } from "./header.js";
import { type FloatKernels, wasmKernels } from "./kernels.js";
import { type Limits, PAGE_LIMITS } from "./limits.js";
import { openFile } from "./open.js";
import { finishPicture, type Pixels } from "./picture.js";
import { thinned } from "./preview.js";

/** Decoder networks by name; "tiny" is for tests. */
export type NetworkName = "pocket" | "tiny";

export interface DecodeOptions {
  readonly limits?: Partial<Limits>;
  /** Refuse faults that cannot change the picture, too. */
  readonly strict?: boolean;
  readonly network?: NetworkName;
}

export interface DecodedPicture extends Pixels {
  /** Whether all integers are there and match the checksum. */
  readonly verified: boolean;
}

/** Loads a file of the decoder by its name. */
export type AssetLoader = (name: string) => Promise<Uint8Array>;

/** A decoder with its own memory. Calls run one after another. */
export class Engine {
  private kernels: Promise<FloatKernels> | null = null;
  private readonly contextModels = new Map<number, Promise<ContextModel>>();
  private readonly networks = new Map<string, Promise<DecoderNetwork>>();
  private last: Promise<unknown> = Promise.resolve();

  constructor(private readonly load: AssetLoader) {}

  /** Decodes a whole file. Throws `CalotypeError`. */
  decode(data: Uint8Array, options: DecodeOptions = {}, progress?: Progress): Promise<DecodedPicture> {
    return this.afterOthers(async () => {
      const { header, latents, parsed, verified } = await this.open(data, options, false);
      const packed = parsed.chunks.found.get(CHUNK.alpha);
      const alpha = packed ? await decodeAlpha(packed, header.width, header.height) : null;
      const network = await this.network(options.network ?? "pocket");
      const rgba = await network.decode(latents, header.extended, progress);
      const pixels = { width: latents.columns * PIXELS_PER_LATENT, height: latents.rows * PIXELS_PER_LATENT, data: rgba };
      return { ...finishPicture(pixels, header, alpha), verified };
    });
  }

  /** A small picture from the beginning of a file, and the size of the whole one; null if nothing can be told yet. */
  preview(data: Uint8Array, options: DecodeOptions = {}): Promise<(Pixels & { shownWidth: number; shownHeight: number }) | null> {
    return this.afterOthers(async () => {
      const { header, latents } = await this.open(data, options, true);
      const [rows, columns] = gridOf(header);
      const known = (position: number) => [0, 1, 2, 3].every((channel) => latents.known[channel * rows * columns + position]);
      const small = thinned(latents, known);
      const rgba = await (await this.network(options.network ?? "pocket")).decode(small, header.extended);
      const part = (coded: number, positions: number, all: number) => Math.max(1, Math.round((coded / all) * positions));
      const unit = PIXELS_PER_LATENT;
      const width = part(header.codedWidth, small.columns * unit, columns * unit);
      const height = part(header.codedHeight, small.rows * unit, rows * unit);
      const cropped = { ...header, width, height, codedWidth: width, codedHeight: height };
      const pixels = finishPicture({ width: small.columns * unit, height: small.rows * unit, data: rgba }, cropped, null);
      return { ...pixels, shownWidth: header.width, shownHeight: header.height };
    });
  }

  private open(data: Uint8Array, options: DecodeOptions, partial: boolean) {
    const limits = { ...PAGE_LIMITS, ...options.limits };
    return openFile(data, (id) => this.contextModel(id), { limits, strict: options.strict ?? false, partial });
  }

  private afterOthers<T>(work: () => Promise<T>): Promise<T> {
    const result = this.last.then(work);
    this.last = result.catch(() => undefined);
    return result;
  }

  private contextModel(id: number): Promise<ContextModel> {
    return remembered(this.contextModels, id, async () => ContextModel.load(await this.load(`context-${id}.npz`), await this.compiled()));
  }

  private network(name: string): Promise<DecoderNetwork> {
    return remembered(this.networks, name, async () => new DecoderNetwork(await this.load(`${name}-decoder.onnx.gz`), await this.compiled()));
  }

  private compiled(): Promise<FloatKernels> {
    this.kernels ??= this.compile().catch((error: unknown) => {
      this.kernels = null;
      throw error;
    });
    return this.kernels;
  }

  /** Kernels with the fused multiply-add of relaxed SIMD where there is one. */
  private async compile(): Promise<FloatKernels> {
    if (typeof WebAssembly !== "object") throw modelError("This browser has no WebAssembly, or the page's policy forbids it.");
    for (const name of ["kernels-relaxed.wasm", "kernels.wasm"]) {
      const code = await this.load(name);
      if (WebAssembly.validate(code as BufferSource)) return wasmKernels(await WebAssembly.compile(code as BufferSource));
    }
    throw modelError("This browser has no WebAssembly with SIMD.");
  }
}

/** The value of `key`, made once; a failure is not remembered. */
function remembered<K, V>(known: Map<K, Promise<V>>, key: K, make: () => Promise<V>): Promise<V> {
  let value = known.get(key);
  if (value === undefined) {
    value = make();
    known.set(key, value);
    value.catch(() => known.delete(key));
  }
  return value;
}
