/** From the bytes of a file, or of its beginning, to latents: the exact half of decoding. */
import { crc32 } from "./bytes.js";
import { CHUNK } from "./chunks.js";
import type { ContextModel } from "./context.js";
import { checksumError, truncatedError } from "./errors.js";
import { type ParsedFile, parseFile } from "./file.js";
import { gridOf, type Header, PALETTE } from "./header.js";
import { decodeHierarchical, type Detail, type Latents } from "./latents.js";
import type { Limits } from "./limits.js";
import { decodePalette } from "./palette.js";
import { type PatchList, readPatches } from "./patches.js";
import { levelMap } from "./regions.js";

/** Ids that this decoder knows: those of the Python package. */
export const KNOWN_CONTEXT_MODELS = [242];
export const KNOWN_ENCODERS = [240, 250, 241, 242, 243, 244];

export interface OpenOptions {
  readonly limits: Limits;
  readonly strict?: boolean;
  /** The bytes may be the beginning of a file only. */
  readonly partial?: boolean;
  /** Which latents are wanted, all by default. */
  readonly detail?: Detail | ((header: Header) => Detail);
}

/** A file before the decoder network. */
export interface OpenedFile {
  readonly parsed: ParsedFile;
  readonly header: Header;
  readonly latents: Latents;
  /** Usable patches, before their pixels are decoded. */
  readonly patches: PatchList | null;
  /** Whether the latents are complete and match the checksum. */
  readonly verified: boolean;
}

/** Opens a file. `contextModels` loads the context model of an id; it is not called for files that need none. */
export async function openFile(
  data: Uint8Array, contextModels: (id: number) => Promise<ContextModel>, options: OpenOptions,
): Promise<OpenedFile> {
  const parsed = parseFile(data, { ...options, known: { contextModels: KNOWN_CONTEXT_MODELS, encoders: KNOWN_ENCODERS } });
  const { header, payload, payloadLength } = parsed;
  const [rows, columns] = gridOf(header);
  if (header.coding === PALETTE) {
    const latents = await decodePalette(payload, rows, columns, header.level);
    verify(parsed, latents, payload);
    return { parsed, header, latents, patches: patchesOf(parsed, options.strict ?? false), verified: true };
  }
  const levels = levelMap(header.level, parsed.chunks.found.get(CHUNK.regions), rows, columns);
  const latents = decodeHierarchical(await contextModels(header.contextModel), {
    payload, payloadLength, levels, rows, columns,
    detail: typeof options.detail === "function" ? options.detail(header) : (options.detail ?? "all"),
  });
  // Without all integers there is nothing to compare the checksum with.
  const complete = payload.length === payloadLength && latents.spacing === 1;
  if (complete) verify(parsed, latents, new Uint8Array());
  else if (!options.partial && latents.spacing === 1) throw truncatedError("The file ends within its payload.");
  return { parsed, header, latents, patches: patchesOf(parsed, options.strict ?? false), verified: complete };
}

/** The patches of a file. Unusable ones are dropped, or an error if `strict`. */
function patchesOf({ header, chunks }: ParsedFile, strict: boolean): PatchList | null {
  const data = chunks.found.get(CHUNK.patches);
  if (data === undefined) return null;
  try {
    return readPatches(data, header.width, header.height);
  } catch (error) {
    if (strict) throw error;
    chunks.dropped.push(CHUNK.patches);
    return null;
  }
}

function verify(parsed: ParsedFile, latents: Latents, also: Uint8Array): void {
  if (crc32(also, crc32(integerBytes(latents), crc32(parsed.fixedHeader))) !== parsed.checksum) {
    throw checksumError("The file is damaged: its integers do not match their checksum.");
  }
}

/** The integers as the checksum covers them: int16, least significant byte first. */
export function integerBytes({ integers }: Latents): Uint8Array {
  const view = new DataView(new ArrayBuffer(integers.length * 2));
  integers.forEach((integer, index) => view.setInt16(2 * index, integer, true));
  return new Uint8Array(view.buffer);
}
