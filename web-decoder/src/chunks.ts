/** Chunks (docs/format.md, section 3). */
import { ByteReader, crc32 } from "./bytes.js";
import { CalotypeError, checksumError, formatError, limitError, truncatedError, unsupportedError } from "./errors.js";
import type { Limits } from "./limits.js";

export const CHUNK = { icc: 0x01, exif: 0x02, xmp: 0x03, alpha: 0x84, regions: 0x85, patches: 0x06, fidelity: 0x07 } as const;
const CRITICAL = 0x80;
const NAMED: readonly number[] = Object.values(CHUNK);
const READABLE_CRITICAL: readonly number[] = [CHUNK.alpha, CHUNK.regions];
const METADATA: readonly number[] = [CHUNK.icc, CHUNK.exif, CHUNK.xmp];

/** The usable chunks of a file, and what was dropped: types, or "trailing" for trailing bytes. */
export interface Chunks {
  readonly found: Map<number, Uint8Array>;
  readonly dropped: (number | "trailing")[];
}

/** What a dropped part is called. */
export function nameOfPart(part: number | "trailing"): string {
  if (part === "trailing") return "trailing bytes";
  const name = Object.entries(CHUNK).find(([, type]) => type === part)?.[0];
  return name?.toUpperCase() ?? `a chunk of type 0x${part.toString(16).padStart(2, "0")}`;
}

/** Limits count over the whole file, so that both places where chunks may stand share one reader. */
export class ChunkReader {
  readonly chunks: Chunks = { found: new Map(), dropped: [] };
  private count = 0;
  private metadataBytes = 0;

  constructor(
    private readonly reader: ByteReader,
    private readonly limits: Limits,
    private readonly strict: boolean,
  ) {}

  /** Reads the one chunk that the regions-first flag announces. */
  regionsFirst(): void {
    const type = this.reader.data[this.reader.position];
    if (type !== undefined && type !== CHUNK.regions) throw formatError(`A chunk of type 0x${type.toString(16)} stands where REGIONS must.`);
    if (type === undefined) throw truncatedError("The file ends before its REGIONS chunk.");
    this.next();
  }

  /** Reads chunks to the end of the file. With `partial`, an incomplete last chunk has not arrived yet. */
  rest(partial = false): void {
    while (this.reader.remaining > 0) {
      try {
        if (!this.next()) return;
      } catch (error) {
        if (partial && error instanceof CalotypeError && error.code === "TruncatedError") return;
        throw error;
      }
    }
  }

  /** Reads one chunk; false if trailing bytes begin here. */
  private next(): boolean {
    const { reader, limits, strict, chunks } = this;
    const start = reader.position;
    const type = reader.u8("chunk");
    const critical = (type & CRITICAL) !== 0;
    let length: number;
    try {
      if (type === 0) throw formatError("The file ends with bytes that are no chunk.");
      length = reader.varint("chunk length");
      if (reader.remaining < length + 4) throw truncatedError("The file ends within a chunk.");
    } catch (error) {
      const known = NAMED.includes(type) && error instanceof CalotypeError && error.code === "TruncatedError";
      if (critical || strict || known) throw error;
      chunks.dropped.push("trailing");
      reader.position = reader.data.length;
      return false;
    }
    this.count += 1;
    if (this.count > limits.maxChunks) throw limitError(`The file has more than ${limits.maxChunks} chunks.`);
    if (length > limits.maxChunkBytes) throw limitError(`A chunk of ${length} bytes is larger than this decoder allows.`);
    if (METADATA.includes(type)) this.metadataBytes += length;
    if (this.metadataBytes > limits.maxMetadataBytes) throw limitError(`The file has more than ${limits.maxMetadataBytes} bytes of metadata.`);
    const data = reader.bytes(length, "chunk");
    const sum = crc32(reader.data.subarray(start, reader.position));
    const fault = this.fault(type, critical, sum === reader.u32("checksum of a chunk"));
    if (fault === null) chunks.found.set(type, data);
    else if (critical || strict) throw fault;
    else chunks.dropped.push(type);
    return true;
  }

  private fault(type: number, critical: boolean, intact: boolean): CalotypeError | null {
    const name = `chunk of type 0x${type.toString(16).padStart(2, "0")}`;
    if (!intact) return checksumError(`The CRC-32 of the ${name} does not match.`);
    if (critical && !READABLE_CRITICAL.includes(type)) return unsupportedError(`The critical ${name} is not known.`);
    if (this.chunks.found.has(type)) return formatError(`There are two chunks: a second ${name}.`);
    return null;
  }
}
