// Builds dist/: scripts, kernels, weights and types; and gives the Python package the scripts and kernels. node build.mjs
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { constants, gzipSync } from "node:zlib";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, "dist");
const weights = join(here, "..", "src", "calotype", "models", "weights");
const packaged = join(here, "..", "src", "calotype", "browser", "decoder");

function run(tool, ...options) {
  const done = spawnSync(process.execPath, [join(here, "node_modules", tool), ...options], { cwd: here, stdio: "inherit" });
  if (done.status !== 0) process.exit(done.status ?? 1);
}

rmSync(dist, { recursive: true, force: true });
mkdirSync(dist, { recursive: true });

const compile = ["kernels/index.ts", "-O3", "--noAssert", "--runtime", "stub", "--importMemory", "--enable", "simd", "--disableWarning", "201"];
run("assemblyscript/bin/asc.js", ...compile, "-o", "dist/kernels.wasm");
run("assemblyscript/bin/asc.js", ...compile, "--enable", "relaxed-simd", "-o", "dist/kernels-relaxed.wasm");

const options = { bundle: true, minify: true, target: "es2022", legalComments: "none", logLevel: "warning" };
const module = { ...options, format: "esm" };
const entry = (name) => join(here, "src", name);
await build({ ...module, entryPoints: [entry("calotype.ts")], outfile: join(dist, "calotype.js") });
await build({ ...module, entryPoints: [entry("worker.ts")], outfile: join(dist, "calotype-worker.js") });
await build({ ...module, entryPoints: [entry("auto.ts")], outfile: join(dist, "calotype-auto.js"), external: ["./calotype.js"] });
await build({ ...options, format: "iife", entryPoints: [entry("service.ts")], outfile: join(dist, "calotype-sw.js") });
const embedded = { ...options, format: "iife", define: { "import.meta.url": "document.baseURI" } };
await build({ ...embedded, entryPoints: [entry("embedded.ts")], outfile: join(dist, "calotype-embedded.js") });
run("typescript/bin/tsc", "-p", "tsconfig.types.json");

rmSync(packaged, { recursive: true, force: true });
mkdirSync(packaged, { recursive: true });
for (const name of readdirSync(dist).filter((each) => each.endsWith(".js") || each.endsWith(".wasm"))) {
  copyFileSync(join(dist, name), join(packaged, name));
}
const files = readdirSync(weights);
for (const name of ["pocket", "tiny"]) {
  const file = files.find((each) => each.startsWith(`${name}-`) && each.endsWith("-decoder.onnx"));
  // Weights repeat nothing: the strategy that prefers single bytes to short matches makes them smaller.
  const packed = gzipSync(readFileSync(join(weights, file)), { level: 9, memLevel: 9, strategy: constants.Z_FILTERED });
  writeFileSync(join(dist, `${name}-decoder.onnx.gz`), packed);
}
for (const file of files.filter((each) => each.endsWith(".npz") && each.startsWith("context-"))) copyFileSync(join(weights, file), join(dist, file));
copyFileSync(join(weights, files.find((each) => each.startsWith("thumbnail-"))), join(dist, "thumbnail.npz"));

// Of which sources this is the build.
const sources = ["kernels", "src"].flatMap((folder) => readdirSync(join(here, folder)).map((name) => join(here, folder, name)));
const digest = createHash("sha256");
for (const path of [join(here, "build.mjs"), ...sources.sort()]) digest.update(readFileSync(path));
writeFileSync(join(dist, "sources.sha256"), digest.digest("hex"));
