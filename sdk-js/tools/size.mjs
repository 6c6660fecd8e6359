// Reports what a browser downloads, per file and in all, and fails over the bar of spec 005.
import { readFileSync, readdirSync } from "node:fs";
import { gzipSync } from "node:zlib";

const BAR = 80_000;
const dist = new URL("../dist/", import.meta.url);
const size = (name) => gzipSync(readFileSync(new URL(name, dist)), { level: 9 }).length;
const follow = (name, seen = new Set()) => {
  if (seen.has(name)) return seen;
  seen.add(name);
  const text = readFileSync(new URL(name, dist), "utf8");
  for (const [, next] of text.matchAll(/["']\.\/([\w.-]+\.js)["']/g)) follow(next, seen);
  return seen;
};
const row = (name, bytes) => console.log(`${String(bytes).padStart(8)} B  ${name}`);
console.log("gzipped:");
let total = 0;
for (const name of follow("index.js")) {
  total += size(name);
  row(name, size(name));
}
row("in all, import from @arqon/bus", total);
row("arqonbus.wasm alone (for @arqon/bus/slim)", size("arqonbus.wasm"));
row(`in all, import from @arqon/bus/slim`, [...follow("slim.js")].reduce((sum, name) => sum + size(name), size("arqonbus.wasm")));
if (!readdirSync(dist).includes("index.d.ts")) throw new Error("no types");
if (total > BAR) throw new Error(`${total} bytes are over the bar of ${BAR} (FR-508 of specs/005-sdk-js)`);
