/** calotype.js: shows `.calo` pictures in web pages. */
export {
  decode, decodePicture, decodeStream, MAX_FILE_BYTES, type PageDecodeOptions, type Picture, type StreamOptions, thumbnail,
  type ThumbnailOptions,
} from "./decode.js";
export { CaloImage, defineElement, type ErrorDetail } from "./element.js";
export { CalotypeError, type ErrorCode } from "./errors.js";
export { type Limits, PAGE_LIMITS } from "./limits.js";
export { MEDIA_TYPE, replaceImages } from "./replace.js";
