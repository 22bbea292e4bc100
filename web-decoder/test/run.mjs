// Bundles the tests and runs them with node's test runner: node test/run.mjs [OPTIONS OF NODE]. The build must be there.
import { spawnSync } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(dirname(fileURLToPath(import.meta.url)));
const bundle = join(here, "build", "conformance.test.mjs");
await build({
  entryPoints: [join(here, "test", "conformance.test.ts")],
  bundle: true,
  platform: "node",
  format: "esm",
  outfile: bundle,
  logLevel: "warning",
});
const environment = { ...process.env, CALOTYPE_ROOT: dirname(here), CALOTYPE_DIST: join(here, "dist") };
process.exit(spawnSync(process.execPath, ["--test", ...process.argv.slice(2), bundle], { env: environment, stdio: "inherit" }).status ?? 1);
