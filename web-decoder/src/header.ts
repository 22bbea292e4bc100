/** The header (docs/format.md, section 2). */
import { ByteReader } from "./bytes.js";
import { formatError, limitError, unsupportedError } from "./errors.js";
import type { Limits } from "./limits.js";

export const MAGIC = Uint8Array.of(0xc1, 0x43, 0x41, 0x4c, 0x0d, 0x0a);
export const HIERARCHICAL = 0;
export const PALETTE = 1;
export const FORMAT_VERSION = 1;
export const MAX_SIDE = 16_384;
/** Side of the square of pixels that one latent position stands for, in space `sd1`. */
export const PIXELS_PER_LATENT = 8;
/** Channels of space `sd1`. */
export const CHANNELS = 4;

const SPACE_SD1 = 1;
const MAX_LEVEL = 127;
const SCALE_UNIT = 64;
const FLAG = { grey: 1, alpha: 2, scaled: 4, regions: 8, extended: 16, regionsFirst: 32 };
const RESERVED_FLAGS = 0xc0;

export interface Header {
  readonly coding: number;
  readonly space: number;
  readonly contextModel: number;
  readonly encoder: number;
  /** Size of the picture to show, in pixels. */
  readonly width: number;
  readonly height: number;
  /** Size at which the picture was encoded, in pixels. */
  readonly codedWidth: number;
  readonly codedHeight: number;
  readonly level: number;
  /** One code of 0 to 15 for each latent channel. */
  readonly noise: readonly number[];
  readonly grey: boolean;
  readonly alpha: boolean;
  readonly regions: boolean;
  readonly extended: boolean;
  readonly regionsFirst: boolean;
}

/** Ids of encoders and context models that a decoder knows. */
export interface KnownIds {
  readonly contextModels: readonly number[];
  readonly encoders: readonly number[];
}

/** Size of the grid of latent positions: `[rows, columns]`. */
export function gridOf(header: Header): [number, number] {
  return [Math.ceil(header.codedHeight / PIXELS_PER_LATENT), Math.ceil(header.codedWidth / PIXELS_PER_LATENT)];
}

/** Reads the fixed header, and leaves `reader` behind it. */
export function readHeader(reader: ByteReader, known: KnownIds, limits: Limits): Header {
  for (let index = 0; index < MAGIC.length; index++) {
    if (reader.u8("signature") !== MAGIC[index]) {
      throw formatError("This is not a .calo file: its first bytes are not the signature.");
    }
  }
  const version = reader.u8("version");
  if (version !== FORMAT_VERSION) throw unsupportedError(`Format version ${version} is not known; this decoder reads version 1.`);
  const flags = reader.u8("flags");
  if (flags & RESERVED_FLAGS) throw unsupportedError(`Reserved flags are set (0x${flags.toString(16)}): the file needs a later decoder.`);
  const has = (flag: number) => (flags & flag) !== 0;
  if (has(FLAG.regionsFirst) && !has(FLAG.regions)) throw unsupportedError("The regions-first flag is set without the regions flag.");
  const coding = reader.u8("coding");
  if (coding !== HIERARCHICAL && coding !== PALETTE) throw unsupportedError(`Coding ${coding} is not known.`);
  const space = reader.u8("space");
  if (space !== SPACE_SD1) throw unsupportedError(`Latent space ${space} is not known.`);
  const contextModel = reader.u8("context model");
  const contextModels = coding === PALETTE ? [0] : known.contextModels;
  if (!contextModels.includes(contextModel)) throw unsupportedError(`Context model ${contextModel} is not known.`);
  const encoder = reader.u8("encoder");
  if (!known.encoders.includes(encoder)) throw unsupportedError(`Encoder ${encoder} is not known: the file is from a later release.`);
  const width = sideOf(reader, "width", limits);
  const height = sideOf(reader, "height", limits);
  const scale = has(FLAG.scaled) ? reader.u8("scale") : SCALE_UNIT;
  if (scale === 0) throw unsupportedError("A scale of 0 has no meaning in this version.");
  if (has(FLAG.scaled) && scale === SCALE_UNIT) throw formatError(`A scale of ${scale} is not allowed.`);
  const codedWidth = Math.ceil((width * scale) / SCALE_UNIT);
  const codedHeight = Math.ceil((height * scale) / SCALE_UNIT);
  if (codedWidth > MAX_SIDE || codedHeight > MAX_SIDE) {
    throw formatError(`A coded size of ${codedWidth}x${codedHeight} is beyond ${MAX_SIDE} pixels.`);
  }
  const level = reader.u8("level");
  if (level > MAX_LEVEL) throw unsupportedError(`A level of ${level} is above ${MAX_LEVEL}: the file needs a later decoder.`);
  const noise = reader.u16("noise codes");
  const largest = Math.max(width * height, codedWidth * codedHeight);
  if (Math.max(codedWidth, codedHeight) > limits.maxSide || largest > limits.maxPixels) {
    throw limitError(`A picture of ${width}x${height} pixels is larger than this decoder allows.`);
  }
  return {
    coding, space, contextModel, encoder, width, height, codedWidth, codedHeight, level,
    noise: [noise & 15, (noise >> 4) & 15, (noise >> 8) & 15, noise >> 12],
    grey: has(FLAG.grey),
    alpha: has(FLAG.alpha),
    regions: has(FLAG.regions),
    extended: has(FLAG.extended),
    regionsFirst: has(FLAG.regionsFirst),
  };
}

function sideOf(reader: ByteReader, what: string, limits: Limits): number {
  const side = reader.varint(what) + 1;
  if (side > MAX_SIDE) throw limitError(`A ${what} of ${side} pixels is beyond ${MAX_SIDE}.`);
  if (side > limits.maxSide) throw limitError(`A ${what} of ${side} pixels is beyond the limit of ${limits.maxSide}.`);
  return side;
}
