/** Files of still-image codecs, restored from what a PATCHES chunk holds of them (docs/format.md, section 14). */
import { formatError } from "./errors.js";

const FRAME_TAG_BYTES = 3;
const KEY_FRAME_START = [0x9d, 0x01, 0x2a];
const SEQUENCE_HEADER = 0x0a;
const FRAME = 0x32;
const RESERVED_TOOL = 0x80;
const MDAT_HEADER_BYTES = 8;

const numbers = (text: string): number[] => Array.from(text, (letter) => letter.charCodeAt(0));
const u32 = (value: number): number[] => [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
const u16Little = (value: number): number[] => [value & 255, value >> 8];
const u32Little = (value: number): number[] => u32(value).reverse();

/** A WebP file of a VP8 key frame that lacks its start code and size. Throws `FormatError` unless it is one. */
export function webpOf(data: Uint8Array, width: number, height: number): Uint8Array {
  if (data.length <= FRAME_TAG_BYTES || data[0]! & 1) throw formatError("The patches hold no key frame of VP8.");
  const frame = [...data.subarray(0, FRAME_TAG_BYTES), ...KEY_FRAME_START, ...u16Little(width), ...u16Little(height)];
  const size = frame.length + data.length - FRAME_TAG_BYTES;
  const padding = size % 2;
  const riff = [...numbers("RIFF"), ...u32Little(12 + size + padding), ...numbers("WEBPVP8 "), ...u32Little(size), ...frame];
  return joined([riff, data.subarray(FRAME_TAG_BYTES), new Array<number>(padding).fill(0)]);
}

/** An AVIF file of the content of an AV1 frame, behind a byte of coding tools. Throws `FormatError` unless it is one. */
export function avifOf(data: Uint8Array, width: number, height: number, luma: boolean): Uint8Array {
  const tools = data[0];
  if (tools === undefined || data.length < 2 || tools & RESERVED_TOOL) throw formatError("The patches hold no frame of AV1.");
  const sequence = sequenceHeader(tools, width, height, luma);
  const frame = data.subarray(1);
  const start = [SEQUENCE_HEADER, sequence.length, ...sequence, FRAME, ...leb128(frame.length)];
  return joined([boxes(width, height, start.length + frame.length, luma), start, frame]);
}

function sequenceHeader(tools: number, width: number, height: number, luma: boolean): number[] {
  const tool = (bit: number): string => String((tools >> bit) & 1);
  const binary = (value: number, digits: number): string => value.toString(2).padStart(digits, "0");
  const [across, down] = [width, height].map((side) => Math.max(1, (side - 1).toString(2).length)) as [number, number];
  const bits = [
    "000", "1", "1", "11111", // profile, still picture, reduced header, level
    binary(across - 1, 4), binary(down - 1, 4), binary(width - 1, across), binary(height - 1, down),
    tool(0), tool(1), tool(2), tool(3), tool(4), tool(5),
    "0", luma ? "1" : "0", "0", "1", // high bit depth, monochrome, colour description, full range
    luma ? "" : `00${tool(6)}`, // position of chroma samples, separate steps for U and V
    "0", "1", // film grain, the final bit
  ].join("");
  return (bits.match(/.{1,8}/g) ?? []).map((byte) => parseInt(byte.padEnd(8, "0"), 2));
}

function leb128(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...leb128(Math.floor(value / 128))];
}

/** The boxes before a bitstream of `size` bytes. A picture with luma alone has a shorter list of channels. */
function boxes(width: number, height: number, size: number, luma: boolean): number[] {
  const hexadecimal = (value: number): string => value.toString(16).padStart(8, "0");
  const length = (ofColour: number): string => hexadecimal(ofColour - (luma ? 2 : 0));
  const text = [
    "0000001C667479706176696600000000617669666D6966316D696166", // ftyp
    length(0xe6), "6D65746100000000", // meta
    "0000002168646C7200000000000000007069637400000000000000000000000000", // hdlr
    "0000000E7069746D000000000001", // pitm
    "0000001E696C6F630000000044000001000100000001", length(0x10a), hexadecimal(size), // iloc
    "0000002369696E66000000000001", "00000015696E666502000000000100006176303100", // iinf, infe
    length(0x6a), "69707270", length(0x4b), "6970636F", // iprp, ipco
    "000000146973706500000000", hexadecimal(width), hexadecimal(height), // ispe
    luma ? "0000000E70697869000000000108" : "00000010706978690000000003080808", // pixi
    luma ? "0000000C61763143811F1C00" : "0000000C61763143811F0C00", // av1C
    "00000013636F6C726E636C780001000D000680", // colr
    "0000001769706D61000000000000000100010401028304", // ipma
    hexadecimal(size + MDAT_HEADER_BYTES), "6D646174", // mdat
  ].join("");
  return (text.match(/../g) ?? []).map((byte) => parseInt(byte, 16));
}

function joined(parts: readonly ArrayLike<number>[]): Uint8Array {
  const file = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let place = 0;
  for (const part of parts) {
    file.set(part, place);
    place += part.length;
  }
  return file;
}
