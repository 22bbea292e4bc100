/** Upper bounds that are compared with a file's claims before memory is allocated (docs/format.md, section 5). */
export interface Limits {
  /** Width and height, in pixels, shown and coded. */
  readonly maxSide: number;
  /** Width × height, shown and coded. */
  readonly maxPixels: number;
  /** Chunks in a file, unusable ones included. */
  readonly maxChunks: number;
  /** Data of one chunk, in bytes. */
  readonly maxChunkBytes: number;
  /** Data of the ICC, EXIF and XMP chunks together, in bytes. */
  readonly maxMetadataBytes: number;
}

/** The defaults of the Python package. */
export const FORMAT_LIMITS: Limits = {
  maxSide: 16_384,
  maxPixels: 178_956_970,
  maxChunks: 64,
  maxChunkBytes: 67_108_864,
  maxMetadataBytes: 16_777_216,
};

/** The defaults of a page: 4,096 × 4,096 pixels, which take about 64 MiB as RGBA and several times that on the way there. */
export const PAGE_LIMITS: Limits = { ...FORMAT_LIMITS, maxPixels: 4096 * 4096, maxChunkBytes: 33_554_432 };
