// Tests the package as somebody gets it: builds and packs it, installs the pack into an empty folder, and runs the
// tests there, against the server that FEATUREHUB_URL and FEATUREHUB_API_KEY (scopes read, write and ingest) name.
import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const PACKAGE = dirname(dirname(fileURLToPath(import.meta.url)));
const run = (program, options, cwd) =>
  execFileSync(program, options, { cwd, stdio: ["ignore", "pipe", "inherit"], encoding: "utf8" });

for (const name of ["FEATUREHUB_URL", "FEATUREHUB_API_KEY"]) {
  if (!process.env[name]) {
    console.error(`${name} is not set: the tests need a running FeatureHub, and a key for read, write and ingest.`);
    process.exit(2);
  }
}

const folder = mkdtempSync(join(tmpdir(), "featurehub-client-"));
let status = 1;
try {
  // The types that are committed are those of the schema.
  run("npm", ["run", "--silent", "schema:check"], PACKAGE);
  rmSync(join(PACKAGE, "dist"), { recursive: true, force: true });
  const packed = JSON.parse(run("npm", ["pack", "--json", "--pack-destination", folder], PACKAGE));
  writeFileSync(join(folder, "package.json"), JSON.stringify({ private: true, type: "module" }));
  const archive = `./${packed[0].filename}`;
  run("npm", ["install", "--offline", "--ignore-scripts", "--no-audit", "--no-fund", archive], folder);
  for (const name of ["test", "examples"]) cpSync(join(PACKAGE, name), join(folder, name), { recursive: true });

  // A program that uses the package compiles against the types in the pack.
  run(join(PACKAGE, "node_modules/.bin/tsc"), ["--project", join(folder, "test/tsconfig.json")], folder);
  const tests = readdirSync(join(folder, "test")).filter((name) => name.endsWith(".test.mjs"));
  const files = tests.map((name) => join("test", name));
  execFileSync(process.execPath, ["--test", ...files], { cwd: folder, stdio: "inherit" });
  status = 0;
} catch (error) {
  // What failed has said why, on its standard error or in the lines that follow.
  console.error(error.stdout || error.message);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exit(status);
