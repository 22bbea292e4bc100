/** The entropy decoder (docs/format.md, section 9). */
import { checksumError, truncatedError } from "./errors.js";
import { type FrequencyTables, PHASES, SYMBOLS } from "./tables.js";

const STATE_BYTES = 5;
const LOWER_BOUND = 2 ** 24;
const WORD = 65_536;

/** The result if the payload ends before the next symbol (section 12). */
export const NOT_ARRIVED = -1;

/** Reads symbols from a payload. The state stays below 2⁴⁰, which a double holds exactly. */
export class RansReader {
  private state = 0;
  private position = STATE_BYTES;
  /** Whether a symbol could not be decoded because its bytes have not arrived. */
  ended = false;

  /** `partial`: a payload may end anywhere; otherwise that is an error. */
  constructor(
    private readonly payload: Uint8Array,
    private readonly partial: boolean,
  ) {
    if (!partial && payload.length >= STATE_BYTES && (payload.length - STATE_BYTES) % 2 === 1) {
      throw checksumError("The payload is damaged: it holds an odd number of bytes behind its state.");
    }
    if (payload.length < STATE_BYTES) {
      this.end();
      return;
    }
    for (let index = STATE_BYTES - 1; index >= 0; index--) this.state = this.state * 256 + payload[index]!;
    if (this.state < LOWER_BOUND) throw checksumError("The payload is damaged: its first state is too small.");
  }

  /** Decodes the next symbol, by the table `[sigmaIndex, phase]`. */
  symbol(tables: FrequencyTables, sigmaIndex: number, phase: number): number {
    if (!this.ready()) return NOT_ARRIVED;
    const base = (sigmaIndex * PHASES + phase) * (SYMBOLS + 1);
    const high = Math.floor(this.state / WORD);
    const slot = this.state - high * WORD;
    let [low, above] = [0, SYMBOLS];
    while (above - low > 1) {
      const middle = (low + above) >> 1;
      if (tables[base + middle]! <= slot) low = middle;
      else above = middle;
    }
    const start = tables[base + low]!;
    this.state = (tables[base + low + 1]! - start) * high + slot - start;
    return low;
  }

  /** Decodes a number of `count` bypass bits, 0 to 16. */
  bits(count: number): number {
    if (count === 0) return 0;
    if (!this.ready()) return NOT_ARRIVED;
    const high = Math.floor(this.state / WORD);
    const slot = this.state - high * WORD;
    const number = slot >> (16 - count);
    const frequency = 1 << (16 - count);
    this.state = frequency * high + slot - number * frequency;
    return number;
  }

  /** Checks that the whole payload was used, and that the state is the encoder's initial one. */
  finish(): void {
    if (!this.ready() || this.position !== this.payload.length || this.state !== LOWER_BOUND) {
      throw checksumError("The payload is damaged: it does not decode to its end.");
    }
  }

  /** Reads a word if the next symbol needs it; returns false if the word has not arrived. */
  private ready(): boolean {
    if (this.ended) return false;
    if (this.state >= LOWER_BOUND) return true;
    if (this.position + 2 > this.payload.length) return this.end();
    this.state = this.state * WORD + this.payload[this.position]! + 256 * this.payload[this.position + 1]!;
    this.position += 2;
    // A symbol of frequency 1 may leave a state so small that one word does not suffice.
    if (this.state < LOWER_BOUND) throw checksumError("The payload is damaged: its state is too small.");
    return true;
  }

  private end(): false {
    if (!this.partial) throw truncatedError("The payload ends before its last integer.");
    this.ended = true;
    return false;
  }
}

