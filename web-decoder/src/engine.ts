/** Everything that decoding needs, loaded when it is needed first. It runs wherever there is WebAssembly: page, worker, service worker. */
import { decodeAlpha } from "./alpha.js";
import type { BackendOption } from "./choice.js";
import { CHUNK, nameOfPart } from "./chunks.js";
import { ContextModel } from "./context.js";
import { DecoderNetwork } from "./decoder.js";
import { modelError } from "./errors.js";
import type { Backend } from "./executor.js";
import { markUncertain, readUncertainty } from "./fidelity.js";
import type { FindHelper, PartTask } from "./help.js";
import { type Header, HIERARCHICAL, PIXELS_PER_LATENT } from "./header.js";
import type { Detail } from "./latents.js";
import { type FloatKernels, wasmKernels } from "./kernels.js";
import { type Limits, PAGE_LIMITS } from "./limits.js";
import type { ParsedFile } from "./file.js";
import { type OpenedFile, openFile, type OpenOptions } from "./open.js";
import { decodePatches } from "./patches.js";
import { finishPicture, finishThumbnail, type Layers, type Pixels } from "./picture.js";
import { ThumbnailNetwork } from "./thumbnail.js";

/** Decoder networks by name; "tiny" is for tests. */
export type NetworkName = "pocket" | "tiny";

/** By how much a thumbnail is smaller along each side. */
export type Reduction = 8 | 16;

export interface DecodeOptions {
  readonly limits?: Partial<Limits>;
  /** Refuse faults that cannot change the picture, too. */
  readonly strict?: boolean;
  /** The data may be the beginning of a file: what has not arrived is predicted. */
  readonly partial?: boolean;
  /** Mark with stripes where the picture is uncertain, as the file has recorded it. */
  readonly overlay?: boolean;
  readonly network?: NetworkName;
  /** What runs the decoder network: "wasm", "webgpu" or, by default, "auto" for the faster one. */
  readonly backend?: BackendOption;
}

/** What is known about a picture besides its pixels. */
export interface Findings {
  /** Whether all integers are there and match the checksum. */
  readonly verified: boolean;
  /** The share of the integers that have arrived, 0 to 1. */
  readonly arrived: number;
  /** Damaged parts that were left out, which do not change the picture. */
  readonly dropped: readonly string[];
  /** Whether the file records where the picture is uncertain; null unless `overlay` asked for it. */
  readonly recorded: boolean | null;
  /** What ran the decoder network. */
  readonly backend: Backend;
}

export type DecodedPicture = Pixels & Findings;

/** A thumbnail, and the size of the picture that it is of. */
export interface Thumbnail extends Pixels {
  readonly shownWidth: number;
  readonly shownHeight: number;
}

/** The coarse latents serve for a picture of at most 1/0.75 times as many pixels along each side. */
const MIN_POSITIONS_PER_PIXEL = 0.75;

/** Loads a file of the decoder by its name. */
export type AssetLoader = (name: string) => Promise<Uint8Array>;

/** A decoder with its own memory. Calls run one after another. */
export class Engine {
  private kernels: Promise<FloatKernels> | null = null;
  private readonly contextModels = new Map<number, Promise<ContextModel>>();
  private readonly networks = new Map<string, Promise<DecoderNetwork>>();
  private readonly thumbnailNetworks = new Map<string, Promise<ThumbnailNetwork>>();
  private last: Promise<unknown> = Promise.resolve();

  constructor(private readonly load: AssetLoader) {}

  /**
   * Decodes a file. Throws `CalotypeError`. If the decoder network has to be loaded first, `early` is given a thumbnail to show
   * in the meantime. `findHelper` finds another engine to share the work with.
   */
  decode(
    data: Uint8Array, options: DecodeOptions = {}, early?: (small: Thumbnail) => void, findHelper?: FindHelper,
  ): Promise<DecodedPicture> {
    return this.afterOthers(async () => {
      const file = await this.open(data, options, "all");
      const { header, latents, parsed, verified } = file;
      const layers = await layersOf(file, options.strict ?? false);
      const name = options.network ?? "pocket";
      if (early && !this.networks.has(name)) {
        await this.reduced(file, layers, PIXELS_PER_LATENT).then(early).catch(() => undefined); // The picture follows.
      }
      const { rgba, backend } = await (await this.network(name)).decode(latents, header.extended, options.backend, findHelper);
      const pixels = { width: latents.columns * PIXELS_PER_LATENT, height: latents.rows * PIXELS_PER_LATENT, data: rgba };
      const shown = finishPicture(pixels, header, layers);
      const recorded = options.overlay ? await this.mark(shown, parsed, options.strict ?? false) : null;
      const dropped = parsed.chunks.dropped.map(nameOfPart);
      return { ...shown, verified, arrived: latents.arrived / latents.integers.length, dropped, recorded, backend };
    });
  }

  /**
   * A small picture of a file or, if `partial`, of its beginning. Without `reduce` it is an eighth of the size if all latents of
   * the even rows and columns have arrived, otherwise a sixteenth.
   */
  thumbnail(data: Uint8Array, reduce: Reduction | null, options: DecodeOptions = {}): Promise<Thumbnail> {
    return this.afterOthers(async () => {
      const detail = (header: Header): Detail => (reduce === null ? "arrived" : coarseServes(header, reduce) ? "coarse" : "all");
      const file = await this.open(data, options, detail);
      return this.reduced(file, await layersOf(file, options.strict ?? false), reduce ?? file.latents.spacing * PIXELS_PER_LATENT);
    });
  }

  /** Loads a decoder network and, if there is a task, computes a part of another engine's picture. */
  help(network: NetworkName, task: PartTask | null): Promise<ArrayBuffer | null> {
    return this.afterOthers(async () => {
      const loaded = await this.network(network);
      return task && loaded.computePart(task);
    });
  }

  /** Marks what a file calls uncertain; false if it has no usable record. */
  private async mark(shown: Pixels, { chunks }: ParsedFile, strict: boolean): Promise<boolean> {
    const record = chunks.found.get(CHUNK.fidelity);
    if (!record) return false;
    try {
      const map = await readUncertainty(record, shown.width, shown.height);
      if (map) markUncertain(shown, map);
      return true;
    } catch (error) {
      if (strict) throw error;
      chunks.dropped.push(CHUNK.fidelity);
      return false;
    }
  }

  private async reduced({ header, latents }: OpenedFile, layers: Layers, reduce: number): Promise<Thumbnail> {
    const network = await remembered(this.thumbnailNetworks, "thumbnail", async () => ThumbnailNetwork.load(await this.load("thumbnail.npz")));
    const small = finishThumbnail(network.picture(latents), header, latents.spacing * PIXELS_PER_LATENT, reduce, layers);
    return { ...small, shownWidth: header.width, shownHeight: header.height };
  }

  private open(data: Uint8Array, { limits, strict = false, partial = false }: DecodeOptions, detail: OpenOptions["detail"]) {
    return openFile(data, (id) => this.contextModel(id), { limits: { ...PAGE_LIMITS, ...limits }, strict, partial, detail });
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

/** What lies over the picture. A chunk that has not arrived is left out, as are patches that cannot be decoded unless `strict`. */
async function layersOf({ parsed: { chunks }, header, patches }: OpenedFile, strict: boolean): Promise<Layers> {
  const packed = chunks.found.get(CHUNK.alpha);
  const alpha = packed ? await decodeAlpha(packed, header.width, header.height) : null;
  try {
    return { alpha, patches: patches && (await decodePatches(patches)) };
  } catch (error) {
    if (strict) throw error;
    chunks.dropped.push(CHUNK.patches);
    return { alpha, patches: null };
  }
}

/** Whether the latents of the even rows and columns, which are coded before the others, serve for a thumbnail. */
function coarseServes(header: Header, reduce: number): boolean {
  const perPixel = Math.min(header.codedWidth / header.width, header.codedHeight / header.height) * (reduce / (2 * PIXELS_PER_LATENT));
  return header.coding === HIERARCHICAL && perPixel >= MIN_POSITIONS_PER_PIXEL;
}
