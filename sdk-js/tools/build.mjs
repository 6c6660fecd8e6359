// Builds dist/ from js/ and the WebAssembly module that sdk-js/run-tests has put into js/wasm.
import { build } from "esbuild";
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { deflateRawSync } from "node:zlib";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const dist = join(root, "dist");
const wasm = readFileSync(join(root, "js/wasm/arqonbus_bg.wasm"));
writeFileSync(join(root, "js/wasm/inline.js"), `export default "${deflateRawSync(wasm, { level: 9 }).toString("base64")}";\n`);

rmSync(dist, { recursive: true, force: true });
mkdirSync(join(dist, "wasm"), { recursive: true });
await build({
  absWorkingDir: root,
  entryPoints: ["js/index.ts", "js/node.ts", "js/slim.ts"],
  outdir: "dist",
  bundle: true,
  splitting: true,
  format: "esm",
  target: "es2022",
  platform: "neutral",
  external: ["ws"],
  minify: true,
  chunkNames: "chunk-[hash]",
  logLevel: "warning",
});
copyFileSync(join(root, "js/wasm/arqonbus_bg.wasm"), join(dist, "arqonbus.wasm"));
execFileSync(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", "tsconfig.build.json"], { cwd: root, stdio: "inherit" });
