/** calotype.js: shows `.calo` pictures in web pages. */
export { decode, decodeStream, MAX_FILE_BYTES, type PageDecodeOptions, type StreamOptions } from "./decode.js";
export { CaloImage, defineElement, type ErrorDetail } from "./element.js";
export { CalotypeError, type ErrorCode } from "./errors.js";
export { type Limits, PAGE_LIMITS } from "./limits.js";
export { MEDIA_TYPE, replaceImages } from "./replace.js";
