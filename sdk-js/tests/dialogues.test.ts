/** The client's behaviour as data, played by the core in WebAssembly on a simulated clock. */

import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { readJson, VECTORS } from "./engine.js";
import { type Dialogue, play } from "./player.js";

type Preludes = Record<string, Dialogue["steps"]>;

void test("every dialogue goes as written", async () => {
  const index = readJson<{ count: number; files: string[] }>("dialogues/index.json");
  const there = readdirSync(new URL("dialogues/", VECTORS)).filter((name) => name.endsWith(".json") && name !== "index.json" && name !== "preludes.json");
  assert.deepEqual([...index.files].sort(), there.sort(), "index.json lists every dialogue, and nothing else");
  const preludes = readJson<Preludes>("dialogues/preludes.json");
  const failures: string[] = [];
  let played = 0;
  for (const name of index.files) {
    await play(readJson<Dialogue>(`dialogues/${name}`), preludes).catch((error: unknown) => failures.push(`${name}: ${(error as Error).message}`));
    played += 1;
  }
  assert.deepEqual(failures, []);
  assert.equal(played, index.count);
  assert.ok(played >= 25);
});

void test("a dialogue that is wrong is noticed", async () => {
  const preludes = readJson<Preludes>("dialogues/preludes.json");
  const wrong = [
    [{ app: "connect" }, { expect: { open: "ws://elsewhere.test" } }],
    [{ app: "connect" }],
    [{ use: "connected" }, { expect: { state: "waiting" } }],
    [{ use: "connected" }, { expect: { event: "lost" } }],
    [{ use: "connected" }, { expect: { wait: [0, 10] } }],
  ];
  for (const steps of wrong) await assert.rejects(play({ says: "wrong", steps }, preludes), Error, JSON.stringify(steps));
});
