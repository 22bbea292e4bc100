/** Reading of bytes: the conventions of docs/format.md, section 1. */
import { formatError, truncatedError } from "./errors.js";

const MAX_VARINT_BYTES = 5;

/** Reads numbers from `data`, and throws `TruncatedError` where `data` ends too early. */
export class ByteReader {
  position: number;

  constructor(
    readonly data: Uint8Array,
    position = 0,
  ) {
    this.position = position;
  }

  get remaining(): number {
    return this.data.length - this.position;
  }

  u8(what: string): number {
    if (this.remaining < 1) throw truncatedError(`The file ends within its ${what}.`);
    return this.data[this.position++]!;
  }

  u16(what: string): number {
    return this.u8(what) + 256 * this.u8(what);
  }

  u32(what: string): number {
    return this.u16(what) + 65_536 * this.u16(what);
  }

  /** An unsigned integer from 0 to 2³² − 1 in its shortest form. */
  varint(what: string): number {
    let value = 0;
    for (let index = 0; index < MAX_VARINT_BYTES; index++) {
      const byte = this.u8(what);
      value += (byte & 0x7f) * 2 ** (7 * index);
      if (byte & 0x80) continue;
      if (byte === 0 && index > 0) throw formatError(`The ${what} is a number with superfluous bytes.`);
      if (value > 0xffffffff) throw formatError(`The ${what} is above 2^32 - 1.`);
      return value;
    }
    throw formatError(`The ${what} is a number that does not end within ${MAX_VARINT_BYTES} bytes.`);
  }

  bytes(count: number, what: string): Uint8Array {
    if (this.remaining < count) throw truncatedError(`The file ends within its ${what}.`);
    this.position += count;
    return this.data.subarray(this.position - count, this.position);
  }
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

/** CRC-32 of zlib; `previous` is the CRC-32 of the bytes before `data`. */
export function crc32(data: Uint8Array, previous = 0): number {
  let value = ~previous;
  for (let index = 0; index < data.length; index++) {
    value = CRC_TABLE[(value ^ data[index]!) & 0xff]! ^ (value >>> 8);
  }
  return ~value >>> 0;
}

/** The number that the 16 bits of a binary16 stand for; infinities and NaN do not occur in weights. */
export function halfToFloat(half: number): number {
  const [sign, exponent, fraction] = [half & 0x8000 ? -1 : 1, (half >> 10) & 31, half & 1023];
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
}
