/** The container: from bytes to header, payload and chunks (docs/format.md, sections 2 and 3). */
import { ByteReader } from "./bytes.js";
import { type Chunks, CHUNK, ChunkReader } from "./chunks.js";
import { formatError, truncatedError } from "./errors.js";
import { type Header, type KnownIds, PALETTE, readHeader } from "./header.js";
import type { Limits } from "./limits.js";

export interface ParseOptions {
  readonly known: KnownIds;
  readonly limits: Limits;
  /** Refuse faults that cannot change the picture, too. */
  readonly strict?: boolean;
  /** The bytes may be the beginning of a file only. */
  readonly partial?: boolean;
}

export interface ParsedFile {
  readonly header: Header;
  /** The bytes of the fixed header, which the checksum covers. */
  readonly fixedHeader: Uint8Array;
  /** The payload, or with `partial` as much of it as is there. */
  readonly payload: Uint8Array;
  /** The length of the whole payload. */
  readonly payloadLength: number;
  readonly checksum: number;
  readonly chunks: Chunks;
}

/** Takes a file apart. No memory in proportion to anything that the file claims is allocated. */
export function parseFile(data: Uint8Array, options: ParseOptions): ParsedFile {
  const { known, limits, strict = false, partial = false } = options;
  const reader = new ByteReader(data);
  const header = readHeader(reader, known, limits);
  const fixedHeader = data.subarray(0, reader.position);
  const payloadLength = reader.varint("payload length");
  const checksum = reader.u32("checksum");
  const chunkReader = new ChunkReader(reader, limits, strict);
  if (header.regionsFirst) chunkReader.regionsFirst();
  const arrived = partial && header.coding !== PALETTE ? Math.min(payloadLength, reader.remaining) : payloadLength;
  const payload = reader.bytes(arrived, "payload");
  const { chunks } = chunkReader;
  chunkReader.rest(partial);
  for (const [name, type, announced] of [["ALPHA", CHUNK.alpha, header.alpha], ["REGIONS", CHUNK.regions, header.regions]] as const) {
    const found = chunks.found.has(type);
    if (found && !announced) throw formatError(`The file has an ${name} chunk that its flags do not announce.`);
    if (!found && announced && !(partial && type === CHUNK.alpha)) throw truncatedError(`The file ends before its ${name} chunk.`);
  }
  if (header.coding === PALETTE && header.regions) throw formatError("A file of the palette coding has a REGIONS chunk.");
  return { header, fixedHeader, payload, payloadLength, checksum, chunks };
}

