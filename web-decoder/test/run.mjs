// Bundles the tests and runs them with node's test runner: node test/run.mjs [OPTIONS OF NODE]. The build must be there.
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(dirname(fileURLToPath(import.meta.url)));
const names = readdirSync(join(here, "test")).filter((name) => name.endsWith(".test.ts"));
await build({
  entryPoints: names.map((name) => join(here, "test", name)),
  bundle: true,
  platform: "node",
  format: "esm",
  outdir: join(here, "build"),
  outExtension: { ".js": ".mjs" },
  logLevel: "warning",
});
const bundles = names.map((name) => join(here, "build", name.replace(/ts$/, "mjs")));
const environment = { ...process.env, CALOTYPE_ROOT: dirname(here), CALOTYPE_DIST: join(here, "dist") };
process.exit(spawnSync(process.execPath, ["--test", ...process.argv.slice(2), ...bundles], { env: environment, stdio: "inherit" }).status ?? 1);
