/** The package in a real Chromium: pages, tabs, workers, a policy, and the life of a page. */

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { BrowserContext, Page } from "playwright-core";
import { connect } from "@arqon/bus";
import { CHROMIUM, launch, Pages } from "./browser.js";
import { Server, until } from "./server.js";

const skip = existsSync(CHROMIUM) ? false : `NO CHROMIUM at ${CHROMIUM}`;
const roots = { "": fileURLToPath(new URL("fixtures/page", import.meta.url)), dist: fileURLToPath(new URL("../dist", import.meta.url)) };

/* eslint-disable @typescript-eslint/no-explicit-any, @typescript-eslint/no-unsafe-return, @typescript-eslint/no-unsafe-member-access, @typescript-eslint/no-unsafe-call, @typescript-eslint/no-unsafe-assignment, @typescript-eslint/no-unsafe-argument */
declare const window: any;

let browser: (BrowserContext & AsyncDisposable) | undefined;
let server: Server;
let pages: Pages;

before(async () => {
  if (skip) return;
  pages = await Pages.serve(roots);
  server = await Server.start("--set", `origins=["${pages.url}"]`);
  browser = await launch();
});
after(async () => {
  await browser?.[Symbol.asyncDispose]();
  if (skip) return;
  await pages[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

async function open(path: string, own: Pages = pages, bus: string = server.url): Promise<Page> {
  const page = await (browser as BrowserContext).newPage();
  page.on("pageerror", (error) => {
    process.stderr.write(`page: ${String(error)}\n`);
  });
  const [file, hash = ""] = path.split("#");
  await page.goto(`${own.url}/${file}?bus=${encodeURIComponent(bus)}#${hash}`);
  return page;
}

const received = (page: Page): Promise<any[]> => page.evaluate(() => window.received);

void test("a page joins, publishes, survives a restart of the server, and resumes", { skip }, async () => {
  const page = await open("#one");
  const client = await page.evaluate(() => window.ready);
  assert.match(client, /^c_/);
  await page.waitForFunction(() => window.received.length === 1);
  assert.deepEqual(await received(page), [{ hello: "#one" }]);
  const firstMs = await page.evaluate(() => window.firstMessageMs);
  process.stdout.write(`# first message ${Math.round(firstMs)} ms after the script ran\n`);
  await server.restart();
  await page.evaluate(() => window.bus.state === "connected" || window.bus.once("connected"));
  await using other = await connect(server.url);
  await until("the page is a member again", async () => (await other.members("page:talk").catch(() => ({ members: [] }))).members.length === 1);
  await other.publish("page:talk", "after the restart");
  await page.waitForFunction(() => window.received.length === 2);
  assert.deepEqual((await received(page))[1], "after the restart");
  assert.deepEqual(await page.evaluate(() => window.gaps), ["epoch_changed"]);
  await page.close();
});

void test("two tabs talk, and a page that goes is noticed", { skip }, async () => {
  const [one, two] = [await open("#first"), await open("#second")];
  await one.evaluate(() => window.ready);
  await two.evaluate(() => window.ready);
  await one.evaluate(() => window.topic.publish("from one"));
  await two.evaluate(() => window.topic.publish("from two"));
  for (const page of [one, two]) {
    await page.waitForFunction(() => window.received.includes("from one") && window.received.includes("from two"));
  }
  await using other = await connect(server.url);
  await until("two members", async () => (await other.members("page:talk")).members.length === 2);
  await one.close();
  await until("one member is left", async () => (await other.members("page:talk")).members.length === 1);
  await two.close();
});

void test("a page is a worker of a group, and what it held when it closed is another's", { skip }, async () => {
  const page = await open("#worker");
  await page.evaluate(() => window.ready);
  await using other = await connect(server.url);
  await page.evaluate(async () => {
    window.jobs = await window.bus.join("page:orders", { group: "workers" });
  });
  await other.publish("page:orders", "done by the page");
  await other.publish("page:orders", "left by the page");
  const taken = await page.evaluate(async () => {
    const [done, left] = [await window.jobs.next(), await window.jobs.next()];
    await done.ack();
    return [done.payload, left.payload];
  });
  assert.deepEqual(taken, ["done by the page", "left by the page"]);
  const jobs = await other.join("page:orders", { group: "workers" });
  await page.close();
  const job = await jobs.next();
  assert.deepEqual([job?.payload, job?.delivery], ["left by the page", 2]);
  await job?.ack();
  await jobs.leave();
});

void test("a network that goes offline and comes back: the page goes on where it was", { skip }, async () => {
  const page = await open("#offline");
  await page.evaluate(() => window.ready);
  const before = (await received(page)).length;
  await (browser as BrowserContext).setOffline(true);
  await using other = await connect(server.url);
  await other.publish("page:talk", "while away");
  await (browser as BrowserContext).setOffline(false);
  await page.evaluate(() => {
    dispatchEvent(new Event("online"));
    document.dispatchEvent(new Event("visibilitychange"));
  });
  await page.waitForFunction((count) => window.received.length > count, before);
  assert.equal((await received(page)).at(-1), "while away");
  assert.deepEqual(await page.evaluate(() => window.gaps), []);
  await page.close();
});

void test("a page that is frozen for longer than the server waits resumes when it is thawed", { skip, timeout: 90_000 }, async () => {
  const page = await open("#frozen");
  await page.evaluate(() => window.ready);
  const session = await (browser as BrowserContext).newCDPSession(page);
  await session.send("Page.setWebLifecycleState", { state: "frozen" });
  await using other = await connect(server.url);
  await other.publish("page:talk", "while frozen");
  await session.send("Page.setWebLifecycleState", { state: "active" });
  await page.waitForFunction(() => window.received.includes("while frozen"));
  assert.deepEqual(await page.evaluate(() => window.gaps), []);
  await page.close();
});

void test("a worker has a bus of its own", { skip }, async () => {
  const page = await open("worker.html");
  assert.deepEqual(await page.evaluate(() => window.told), { from: "a worker" });
  await page.close();
});

void test("a strict content policy needs wasm-unsafe-eval, and nothing else", { skip }, async () => {
  const policy = (script: string): Record<string, string> => ({ "content-security-policy": `default-src 'none'; script-src 'self' 'unsafe-inline' ${script}; connect-src *` });
  await using strict = await Pages.serve(roots, policy("'wasm-unsafe-eval'"));
  await using own = await Server.start("--set", 'origins=["*"]');
  const page = await open("#policy", strict, own.url);
  assert.match(await page.evaluate(() => window.ready), /^c_/);
  await page.close();
  await using forbidden = await Pages.serve(roots, policy(""));
  const refused = await open("#refused", forbidden, own.url);
  await assert.rejects(refused.evaluate(() => window.ready), /WebAssembly|Content Security Policy/);
  await refused.close();
});

void test("a page of a foreign origin is refused", { skip }, async () => {
  await using foreign = await Pages.serve(roots);
  const page = await open("#foreign", foreign);
  await assert.rejects(page.evaluate(() => window.ready), /cannot connect/);
  await page.close();
});

void test("100,000 messages into a page leave nothing behind", { skip }, async () => {
  const page = await open("#memory");
  await page.evaluate(() => window.ready);
  // In the page, because a test tool that watches the socket would hold every frame.
  const [start, end, count] = await page.evaluate(async () => {
    // The compiler of the tests names functions by this.
    (globalThis as any).__name ??= (named: unknown) => named;
    const topic = await window.bus.join("page:memory");
    let count = 0;
    topic.on("message", () => (count += 1));
    async function round(messages: number): Promise<number> {
      const wanted = count + messages;
      for (let left = messages; left > 0; left -= 500) await Promise.all(Array.from({ length: 500 }, () => topic.publish({ text: "x".repeat(200) })));
      while (count < wanted) await new Promise((resolve) => setTimeout(resolve, 5));
      (globalThis as any).gc();
      return (performance as any).memory.usedJSHeapSize;
    };
    return [await round(10_000), await round(100_000), count];
  });
  assert.equal(count, 110_000);
  assert.ok(end - start < 8_000_000, `${start} → ${end}`);
  await page.close();
});
