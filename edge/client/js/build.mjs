// Builds what is committed: `node build.mjs` writes dist/, the ESM bundle, the
// same minified for the demo page, and the types. `node build.mjs test`
// bundles the tests into build/ for node's own runner instead.
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = fileURLToPath(new URL(".", import.meta.url));

/** One ESM file for browsers of the last three years and Node 20. */
const bundle = { absWorkingDir: here, bundle: true, format: "esm", target: "es2022", logLevel: "warning" };

async function buildDist() {
  rmSync(new URL("dist", import.meta.url), { recursive: true, force: true });
  const entryPoints = ["src/hawser.ts"];
  await build({ ...bundle, entryPoints, outfile: "dist/hawser.js" });
  await build({ ...bundle, entryPoints, outfile: "dist/hawser.min.js", minify: true, legalComments: "none" });
  const tsc = fileURLToPath(new URL("node_modules/typescript/bin/tsc", import.meta.url));
  execFileSync(process.execPath, [tsc, "-p", "tsconfig.build.json"], { cwd: here, stdio: "inherit" });
  pruneTypes();
}

/** Keeps the declarations that the entry reaches: the rest is nobody's business. */
function pruneTypes() {
  const dist = new URL("dist/", import.meta.url);
  const reached = new Set(["hawser.d.ts"]);
  for (const name of reached) {
    const text = readFileSync(new URL(name, dist), "utf8");
    for (const [, module] of text.matchAll(/from "\.\/(\w+)\.js"/g)) reached.add(`${module}.d.ts`);
  }
  for (const name of readdirSync(dist)) {
    if (name.endsWith(".d.ts") && !reached.has(name)) rmSync(new URL(name, dist));
  }
}

async function buildTests() {
  rmSync(new URL("build", import.meta.url), { recursive: true, force: true });
  const entryPoints = readdirSync(new URL("test", import.meta.url))
    .filter((name) => name.endsWith(".test.ts"))
    .map((name) => `test/${name}`);
  await build({ ...bundle, entryPoints, outdir: "build", platform: "node", packages: "external", sourcemap: "inline" });
}

await (process.argv[2] === "test" ? buildTests() : buildDist());
