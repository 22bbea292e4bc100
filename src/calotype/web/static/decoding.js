// Decoding of .calo files: in the browser where it can, otherwise by the server.

import { Refused, send } from "./api.js";

// Errors of this browser, not of the file: too large a picture, or no WebAssembly.
const ONLY_HERE = new Set(["LimitError", "ModelError"]);

/**
 * Decodes a file to {blob, remark}, a PNG file and a sentence, with stripes where its record calls the picture uncertain if
 * `marks`. `serverInfo` is what GET info says.
 */
export async function decodeFile(file, signal, serverInfo, marks) {
  if (serverInfo.browser_decoder) {
    try {
      return await decodeHere(file, signal, serverInfo.browser_decoder, marks);
    } catch (error) {
      signal.throwIfAborted();
      if (error.code && !ONLY_HERE.has(error.code)) throw new Refused(error.message, 422);
    }
  }
  return send(`decode?overlay=${marks}`, file, signal);
}

async function decodeHere(file, signal, network, overlay) {
  const { decodePicture } = await import("../decoder/calotype.js");
  const data = await file.arrayBuffer();
  const { image, dropped, recorded } = await decodePicture(data, { signal, network, overlay });
  const canvas = new OffscreenCanvas(image.width, image.height);
  canvas.getContext("2d").putImageData(image, 0, 0);
  const remarks = dropped.map((part) => `a damaged part of the file was left out: ${part}`);
  if (recorded === false) remarks.push("the file has no record of its fidelity, so that nothing is marked as uncertain");
  return { blob: await canvas.convertToBlob({ type: "image/png" }), remark: remarks.join("; ") };
}
