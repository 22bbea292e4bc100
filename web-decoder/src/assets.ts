/** The decoder's own files, beside its scripts. */
import { modelError } from "./errors.js";

/** Fetches a file beside `base`. Names that end in `.gz` are unpacked here, so that any file server will do. */
export async function fetchAsset(base: string | URL, name: string): Promise<Uint8Array> {
  const url = new URL(name, base);
  let response: Response;
  try {
    response = await fetch(url);
  } catch {
    throw modelError(`The decoder's file ${url.href} cannot be loaded.`);
  }
  if (!response.ok) throw modelError(`The decoder's file ${url.href} cannot be loaded: the server answers ${response.status}.`);
  return unpacked(name, new Uint8Array(await response.arrayBuffer()));
}

/** The content of a file. A server may have declared it as encoded, so that it has been unpacked on the way. */
export async function unpacked(name: string, data: Uint8Array): Promise<Uint8Array> {
  const packed = name.endsWith(".gz") && data[0] === 0x1f && data[1] === 0x8b;
  if (!packed) return data;
  const stream = new Blob([data as BlobPart]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
