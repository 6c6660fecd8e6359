/** The packed tarball, installed into empty projects, and the README as it is printed. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { CHROMIUM, launch, Pages, run } from "./browser.js";
import { Server } from "./server.js";

const skip = existsSync(CHROMIUM) ? false : `NO CHROMIUM at ${CHROMIUM}`;
const root = fileURLToPath(new URL("..", import.meta.url));
const apps = join(root, "tests/fixtures/apps");
const tools = join(root, "node_modules");
const readme = readFileSync(join(root, "README.md"), "utf8");

let work: string;
let tarball: string;
let server: Server;

before(async () => {
  work = mkdtempSync(join(tmpdir(), "arqonbus-pack-"));
  tarball = join(work, (await run("npm", ["pack", "--silent", "--ignore-scripts", "--pack-destination", work], root)).trim());
  server = await Server.start("--set", 'origins=["*"]');
});
after(async () => {
  await server[Symbol.asyncDispose]();
  rmSync(work, { recursive: true, force: true });
});

/** An empty project with the package, and `ws` as npm would have put it there. */
async function project(name: string, type: "module" | "commonjs" = "module", place = name): Promise<string> {
  const directory = join(work, place);
  mkdirSync(join(directory, "node_modules/@arqon/bus"), { recursive: true });
  if (existsSync(join(apps, name))) cpSync(join(apps, name), directory, { recursive: true });
  writeFileSync(join(directory, "package.json"), JSON.stringify({ name: `app-${name}`, private: true, type, dependencies: { "@arqon/bus": `file:${tarball}` } }));
  if (name === "esm") await run("npm", ["install", "--silent", "--no-audit", "--no-fund", "--prefer-offline"], directory);
  else {
    await run("tar", ["-xzf", tarball, "--strip-components=1", "-C", join(directory, "node_modules/@arqon/bus")], directory);
    symlinkSync(join(tools, "ws"), join(directory, "node_modules/ws"));
  }
  return directory;
}

/** Runs a script with the bus in `BUS`. */
async function script(directory: string, file: string): Promise<string> {
  const child = spawn(process.execPath, [file], { cwd: directory, env: { ...process.env, BUS: server.url, NODE_OPTIONS: "" }, stdio: ["ignore", "pipe", "pipe"] });
  let [out, errors] = ["", ""];
  child.stdout.on("data", (data: Buffer) => (out += data.toString()));
  child.stderr.on("data", (data: Buffer) => (errors += data.toString()));
  const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
  assert.equal(code, 0, `${out}\n${errors}`);
  return out.trim();
}

/** The code blocks of the README of one language, with the address of the test's bus. */
function printed(language: string, marker = ""): string[] {
  return [...readme.matchAll(/^```(\w+)\n([^]*?)^```$/gm)]
    .filter(([, of, code]) => of === language && (code ?? "").startsWith(marker))
    .map(([, , code]) => (code ?? "").replaceAll("ws://127.0.0.1:9100", server.url));
}

void test("npm install of the tarball, and every script of the README", async () => {
  const directory = await project("esm");
  const scripts = printed("js", "// node");
  assert.equal(scripts.length, 4);
  const outputs: string[] = [];
  for (const [number, code] of scripts.entries()) {
    writeFileSync(join(directory, `readme-${number}.mjs`), code);
    outputs.push(await script(directory, `readme-${number}.mjs`));
  }
  assert.match(outputs[0] ?? "", /^stored at 1, survives: memory\nc_[a-z0-9]+ \{ text: 'hi' \}$/);
  assert.match(outputs[1] ?? "", /^eu.paris 12\n1$/);
  assert.equal(outputs[2], "6\nno_responder later");
  assert.equal(outputs[3], "1 lamp");
});

void test("CommonJS requires it", async () => {
  const directory = await project("commonjs", "commonjs");
  assert.equal(await script(directory, "main.cjs"), "from CommonJS function");
});

void test("a strict TypeScript project compiles without skipping the package's types, and runs", async () => {
  const directory = await project("typescript");
  symlinkSync(join(tools, "@types"), join(directory, "node_modules/@types"));
  await run(process.execPath, [join(tools, "typescript/bin/tsc"), "-p", "."], directory);
  // Node 20 does not know `await using`: the compiler has rewritten it.
  assert.equal(await script(directory, "out/main.js"), "memory 1 function");
});

void test("the page of the README, as it is printed", { skip }, async () => {
  const directory = await project("html");
  const [page] = printed("html");
  assert.ok(page);
  writeFileSync(join(directory, "index.html"), page);
  await using pages = await Pages.serve({ "": directory });
  await using browser = await launch();
  const tab = await browser.newPage();
  await tab.goto(`${pages.url}/`);
  await tab.waitForFunction("document.querySelector('#messages').textContent.includes('hello from a page')");
  await tab.goto(`${pages.url}/slim.html?bus=${server.url}`);
  await tab.waitForFunction("document.querySelector('#out').textContent === 'from a module by URL'");
});

/** Serves what a bundler made of the app and waits until it has published and received. */
async function drive(directory: string): Promise<void> {
  await using pages = await Pages.serve({ "": directory });
  await using browser = await launch();
  const tab = await browser.newPage();
  await tab.goto(`${pages.url}/?bus=${server.url}`);
  await tab.waitForFunction("document.querySelector('#out').textContent === 'from a bundle'");
}

void test("a bundle by Vite runs", { skip }, async () => {
  const directory = await project("bundle", "module", "vite");
  await run(process.execPath, [join(tools, "vite/bin/vite.js"), "build", "--logLevel", "error", "--target", "esnext"], directory);
  await drive(join(directory, "dist"));
});

void test("a bundle by webpack runs", { skip }, async () => {
  const directory = await project("bundle", "module", "webpack");
  const { default: webpack } = await import("webpack");
  const output = { path: directory, filename: "bundled.js" };
  const compiler = webpack({ context: directory, entry: "./main.js", mode: "production", target: "web", output });
  const stats = await new Promise<import("webpack").Stats | undefined>((resolve, reject) => {
    compiler.run((error, made) => {
      if (error) reject(error);
      else resolve(made);
    });
  });
  assert.deepEqual([stats?.hasErrors(), stats?.toString({ all: false, errors: true })], [false, ""]);
  bundled(directory);
  await drive(directory);
});

void test("a bundle by esbuild runs", { skip }, async () => {
  const directory = await project("bundle", "module", "esbuild-page");
  const how = ["main.js", "--bundle", "--minify", "--format=esm", "--outfile=bundled.js", "--log-level=error"];
  await run(join(tools, "esbuild/bin/esbuild"), how, directory);
  bundled(directory);
  await drive(directory);
});

/** Lets the page load the bundle in place of its source. */
function bundled(directory: string): void {
  const page = join(directory, "index.html");
  writeFileSync(page, readFileSync(page, "utf8").replace("/main.js", "/bundled.js"));
}

void test("a bundle by esbuild for browsers holds nothing of Node", async () => {
  const directory = await project("esbuild");
  writeFileSync(join(directory, "main.js"), 'import { connect } from "@arqon/bus"; console.log(connect);');
  await run(join(tools, "esbuild/bin/esbuild"), ["main.js", "--bundle", "--format=esm", "--outfile=out.js", "--log-level=error"], directory);
  const bundle = readFileSync(join(directory, "out.js"), "utf8");
  assert.ok(!bundle.includes('import("ws")') && !bundle.includes("node:"));
  // Errors alone do not bring the core.
  writeFileSync(join(directory, "errors.js"), 'import { Rejected } from "@arqon/bus/slim"; console.log(Rejected);');
  await run(join(tools, "esbuild/bin/esbuild"), ["errors.js", "--bundle", "--minify", "--format=esm", "--outfile=errors-out.js"], directory);
  assert.ok(readFileSync(join(directory, "errors-out.js")).length < 4_000);
});
