/**
 * calotype-embedded.js: for pages that are opened from disk, where browsers let scripts fetch nothing. A script before it sets
 * `calotypeFiles`, the decoder's files by name in base64; this one sets `calotype`, what calotype.js exports.
 */
import * as calotype from "./calotype.js";
import { pool, trusted } from "./pool.js";
import type { GivenFiles } from "./worker.js";

const page = globalThis as unknown as { calotypeFiles: GivenFiles["files"]; calotype: typeof calotype };

pool.create = () => {
  const { "calotype-worker.js": script = "", ...files } = page.calotypeFiles;
  const address = URL.createObjectURL(new Blob([atob(script)], { type: "text/javascript" }));
  const worker = new Worker(trusted(address), { name: "calotype" });
  URL.revokeObjectURL(address);
  worker.postMessage({ files } satisfies GivenFiles);
  return worker;
};
page.calotype = calotype;
