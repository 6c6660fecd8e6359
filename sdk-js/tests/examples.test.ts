/** The examples run: the pages in Chromium, with a screenshot of each left in tests/work. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { connect } from "@arqon/bus";
import { CHROMIUM, launch, Pages, run } from "./browser.js";
import { ARQONBUS, Server, until } from "./server.js";

const skip = existsSync(CHROMIUM) ? false : `NO CHROMIUM at ${CHROMIUM}`;
const root = fileURLToPath(new URL("..", import.meta.url));
const shots = `${root}tests/work`;
mkdirSync(shots, { recursive: true });

void test("two people chat, and the second sees what was said before", { skip }, async () => {
  await using pages = await Pages.serve({ "": root });
  await using server = await Server.start("--set", `origins=["${pages.url}"]`);
  await using browser = await launch();
  const open = async (name: string): Promise<Awaited<ReturnType<typeof browser.newPage>>> => {
    const page = await browser.newPage();
    await page.goto(`${pages.url}/examples/chat.html?name=${name}&bus=${server.url}`);
    await page.waitForFunction("document.querySelector('#state').textContent.includes('connected')");
    return page;
  };
  const say = async (page: Awaited<ReturnType<typeof open>>, text: string): Promise<void> => {
    await page.fill("input", text);
    await page.press("input", "Enter");
    await page.waitForFunction(`document.querySelector('#messages').textContent.includes(${JSON.stringify(text)})`);
  };
  const ada = await open("ada");
  await say(ada, "Is anybody here?");
  const bob = await open("bob");
  await bob.waitForFunction("document.querySelector('#messages').textContent.includes('Is anybody here?')");
  await say(bob, "Yes: I saw what you said before I came.");
  await ada.waitForFunction("document.querySelectorAll('#messages li').length === 2");
  await ada.screenshot({ path: `${shots}/chat.png` });
});

void test("a chart draws what is published", { skip }, async () => {
  await using pages = await Pages.serve({ "": root });
  await using server = await Server.start("--set", `origins=["${pages.url}"]`);
  await using browser = await launch();
  await using bus = await connect(server.url);
  for (let n = 0; n < 60; n += 1) await bus.publish("sensors:temperature", Math.round((20 + 3 * Math.sin(n / 6) + n / 30) * 10) / 10);
  const page = await browser.newPage();
  await page.goto(`${pages.url}/examples/chart.html?bus=${server.url}`);
  await page.waitForFunction("document.querySelector('#last').textContent.startsWith('60 values')");
  // As the page says.
  await run(ARQONBUS, ["pub", "--url", server.url, "sensors:temperature", "25.5"], root);
  await page.waitForFunction("document.querySelector('#last').textContent === '61 values, now 25.5 °C'");
  const points = (await page.getAttribute("polyline", "points")) ?? "";
  assert.equal(points.split(" ").length, 61);
  await page.screenshot({ path: `${shots}/chart.png` });
});

void test("a worker answers, and drains when it is told to stop", async () => {
  await using server = await Server.start();
  const child = spawn(process.execPath, ["examples/worker.mjs", server.url], { cwd: root, stdio: ["ignore", "pipe", "inherit"] });
  await once(createInterface(child.stdout), "line");
  await using bus = await connect(server.url);
  assert.deepEqual((await bus.request("jobs:square", 12)).payload, { square: 144 });
  const gone = once(child, "exit");
  child.kill("SIGTERM");
  assert.deepEqual(await gone, [0, null]);
});

void test("workers of a group share the orders, and leave them to others when they stop", async () => {
  await using server = await Server.start();
  const packed: string[] = [];
  const workers = ["one", "two"].map((name) => {
    const child = spawn(process.execPath, ["examples/group-worker.mjs", server.url, name], { cwd: root, stdio: ["ignore", "pipe", "inherit"] });
    const lines = createInterface(child.stdout);
    lines.on("line", (line) => packed.push(line));
    return { child, ready: once(lines, "line") };
  });
  await Promise.all(workers.map(({ ready }) => ready));
  await using bus = await connect(server.url);
  for (let n = 1; n <= 6; n += 1) await bus.publish("orders:new", { item: `lamp ${n}`, count: 2 });
  await bus.publish("orders:new", { count: 2 });
  await until("all is packed", () => packed.length === 8);
  assert.deepEqual(packed.slice(2).sort(), Array.from({ length: 6 }, (_, n) => `packed 2 × lamp ${n + 1}`));
  await until("nothing is pending", async () => (await bus.channelInfo("orders:new")).groups?.every(({ pending, lag }) => pending + lag === 0) === true);
  for (const { child } of workers) {
    const gone = once(child, "exit");
    child.kill("SIGTERM");
    assert.deepEqual(await gone, [0, null]);
  }
});
