/**
 * The errors of docs/format.md, section 4. `code` is the name that the specification uses; it survives the way between worker
 * and page, which class identity does not.
 */
export type ErrorCode =
  | "FormatError"
  | "TruncatedError"
  | "ChecksumError"
  | "UnsupportedError"
  | "LimitError"
  | "ModelError";

/** Anything that keeps a file from being decoded. `message` is one sentence for people, `code` is for programs. */
export class CalotypeError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string) {
    super(message);
    this.name = code;
    this.code = code;
  }
}

export const formatError = (message: string) => new CalotypeError("FormatError", message);
export const truncatedError = (message: string) => new CalotypeError("TruncatedError", message);
export const checksumError = (message: string) => new CalotypeError("ChecksumError", message);
export const unsupportedError = (message: string) => new CalotypeError("UnsupportedError", message);
export const limitError = (message: string) => new CalotypeError("LimitError", message);
/** Weights that cannot be loaded or are not what the decoder expects. */
export const modelError = (message: string) => new CalotypeError("ModelError", message);
