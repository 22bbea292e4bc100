/** Reading of `.npz` files: ZIP archives of NumPy arrays. */
import { inflate } from "./inflate.js";
import { modelError } from "./errors.js";

const END_OF_DIRECTORY = 0x06054b50;
const STORED = 0;
const DEFLATED = 8;

/** An array: its NumPy dtype, such as "<i4", its shape, and its bytes in C order. */
export interface NumpyArray {
  readonly dtype: string;
  readonly shape: readonly number[];
  /** A copy that starts at address 0 of its buffer, so that any typed array can view it. */
  readonly buffer: ArrayBuffer;
}

/** The arrays of an archive by name. The archive is trusted: it is one of the decoder's own files. */
export async function readNpz(data: Uint8Array): Promise<Map<string, NumpyArray>> {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  let end = data.length - 22;
  while (end >= 0 && view.getUint32(end, true) !== END_OF_DIRECTORY) end--;
  if (end < 0) throw modelError("The context model is not an .npz file.");
  const arrays = new Map<string, NumpyArray>();
  let entry = view.getUint32(end + 16, true);
  for (let count = view.getUint16(end + 10, true); count > 0; count--) {
    const [method, packedSize, size] = [view.getUint16(entry + 10, true), view.getUint32(entry + 20, true), view.getUint32(entry + 24, true)];
    const [nameSize, extraSize, commentSize] = [28, 30, 32].map((offset) => view.getUint16(entry + offset, true)) as [number, number, number];
    const local = view.getUint32(entry + 42, true);
    const name = new TextDecoder().decode(data.subarray(entry + 46, entry + 46 + nameSize));
    const start = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
    const packed = data.subarray(start, start + packedSize);
    if (method !== STORED && method !== DEFLATED) throw modelError(`The context model is packed by a method that is not known: ${method}.`);
    const content = method === STORED ? packed : await inflate(packed, "deflate-raw", size);
    arrays.set(name.replace(/\.npy$/, ""), readNpy(content));
    entry += 46 + nameSize + extraSize + commentSize;
  }
  return arrays;
}

function readNpy(data: Uint8Array): NumpyArray {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const wide = data[6]! > 1;
  const start = wide ? 12 : 10;
  const length = wide ? view.getUint32(8, true) : view.getUint16(8, true);
  const header = new TextDecoder().decode(data.subarray(start, start + length));
  const dtype = /'descr':\s*'([^']+)'/.exec(header)?.[1];
  const shape = /'shape':\s*\(([^)]*)\)/.exec(header)?.[1];
  if (dtype === undefined || shape === undefined || /'fortran_order':\s*True/.test(header)) {
    throw modelError("The context model holds an array that this decoder cannot read.");
  }
  return {
    dtype,
    shape: shape.split(",").filter((part) => part.trim()).map(Number),
    buffer: data.slice(start + length).buffer as ArrayBuffer,
  };
}
