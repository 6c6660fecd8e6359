/** The shared vectors: all of them through the codec compiled for WebAssembly, and what a client meets through the shipped module. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import type { Engine } from "../js/engine.js";
import { addressing, feed, newEngine, pollAll, readJson } from "./engine.js";

interface Frame {
  name: string;
  direction: "client" | "server";
  text: string;
  result_of?: string;
  decoded: unknown;
  encoded?: string;
}

interface Refusal {
  name: string;
  text?: string;
  parts?: (string | { repeat: string; times: number })[];
  code: string;
  at: string;
  id?: string;
}

interface Codec {
  initSync(options: { module: BufferSource }): void;
  description(direction: string, name: string, resultOf: string | undefined, text: string): string;
  encoded(direction: string, name: string, resultOf: string | undefined, text: string): string;
  refusal(text: string): string | undefined;
}

type Index = Record<"frames" | "refusals", { count: number; files: Record<string, number> }>;

const index = readJson<Index>("index.json");

function all<T>(kind: "frames" | "refusals"): T[] {
  const cases = Object.entries(index[kind].files).flatMap(([file, count]) => {
    const those = readJson<T[]>(file);
    assert.equal(those.length, count, file);
    return those;
  });
  assert.equal(cases.length, index[kind].count);
  return cases;
}

async function loadCodec(): Promise<Codec> {
  const glue = new URL("work/vectors/arqonbus.js", import.meta.url);
  const codec = (await import(glue.href)) as Codec;
  codec.initSync({ module: readFileSync(new URL("arqonbus_bg.wasm", glue)) });
  return codec;
}

/** The envelopes of a frame: of a batch, which is described by a list, those of its lines. */
function textsOf(frame: Frame): string[] {
  return Array.isArray(frame.decoded) ? frame.text.split("\n").filter((line) => line.trim() !== "") : [frame.text];
}

void test("every frame decodes to its description and encodes to its canonical text", async () => {
  const codec = await loadCodec();
  let [described, encoded] = [0, 0];
  for (const frame of all<Frame>("frames")) {
    const found: unknown[] = textsOf(frame).map((text) => JSON.parse(codec.description(frame.direction, frame.name, frame.result_of, text)) as unknown);
    assert.deepEqual(Array.isArray(frame.decoded) ? found : found[0], frame.decoded, frame.name);
    described += 1;
    if (frame.encoded === undefined) continue;
    assert.equal(codec.encoded(frame.direction, frame.name, frame.result_of, frame.text), frame.encoded, frame.name);
    encoded += 1;
  }
  assert.equal(described, index.frames.count);
  assert.ok(encoded >= 60, `${encoded}`);
});

void test("every refusal has its code, place and id", async () => {
  const codec = await loadCodec();
  let ran = 0;
  for (const refusal of all<Refusal>("refusals")) {
    const text = refusal.text ?? (refusal.parts ?? []).map((part) => (typeof part === "string" ? part : part.repeat.repeat(part.times))).join("");
    // A lone surrogate has no UTF-8: such a text cannot reach WebAssembly, as it could not reach a socket.
    const found = codec.refusal(text);
    assert.deepEqual(JSON.parse(found ?? "null"), { code: refusal.code, at: refusal.at, id: refusal.id ?? null }, refusal.name);
    ran += 1;
  }
  assert.equal(ran, index.refusals.count);
});

/** A shipped core that is connected and has joined everything. */
async function connected(worker?: { room: string; channel: string; group: string }): Promise<Engine> {
  const engine = await newEngine("ws://bus.test");
  const answer = (result: unknown): void => {
    const frame = sent(engine).at(-1);
    engine.frame(JSON.stringify({ type: "response", request_id: frame?.id, status: "ok", result }), 0);
  };
  engine.connect(0);
  engine.opened(0);
  engine.frame(readWelcome(), 0);
  answer({ client: "c_00000000", resume: "r", resumed: false, batch: true, heartbeat_ms: 15_000 });
  for (const pattern of ["*:*", "_*:*"]) {
    engine.join(pattern, undefined, undefined, undefined, true, undefined, undefined, 0);
    answer({ topics: [], complete: false });
  }
  if (worker) {
    engine.join(`${worker.room}:${worker.channel}`, undefined, undefined, undefined, false, worker.group, undefined, 0);
    answer({ topics: [], complete: true });
  }
  engine.setInbox(true);
  assert.equal(engine.state(), "connected");
  return engine;
}

function sent(engine: Engine): { id: string }[] {
  const frames = pollAll(engine).filter((told) => told.event === "transmit");
  return frames.flatMap(() => (engine.takeFrame() ?? "").split("\n").map((line) => JSON.parse(line) as { id: string }));
}

function readWelcome(): string {
  const welcome = readJson<Frame[]>("frames/events.json").find((frame) => frame.text.includes('"welcome"') && !frame.text.includes('"draining"'));
  assert.ok(welcome);
  return welcome.text;
}

void test("the shipped core takes every frame of a server", async () => {
  let ran = 0;
  for (const frame of all<Frame>("frames").filter((frame) => frame.direction === "server")) {
    const [first = "{}"] = frame.text.trim().split("\n");
    const envelope = JSON.parse(first) as { type: string; room: string; channel: string; group?: string };
    const engine = await connected(envelope.type === "message" && envelope.group !== undefined ? { ...envelope, group: envelope.group } : undefined);
    pollAll(engine);
    const told = feed(engine, frame.text, 1);
    assert.ok(!told.some((event) => event.event === "lost"), `${frame.name}: ${JSON.stringify(told)}`);
    const messages = told.flatMap((event) => (event.event === "messages" ? event.messages : event.event === "inbox" || event.event === "job" ? [event.message] : []));
    const wanted = [frame.decoded].flat().filter((one) => (one as { type: string }).type === "message");
    assert.equal(messages.length, wanted.length, frame.name);
    if (frame.encoded !== undefined && wanted.length === 1) {
      const [job] = told.filter((event) => event.event === "job");
      const found = job ? { ...messages[0], group: envelope.group, delivery: job.delivery } : messages[0];
      assert.deepEqual(found, JSON.parse(frame.encoded), frame.name);
    }
    ran += 1;
  }
  assert.equal(ran, all<Frame>("frames").filter((frame) => frame.direction === "server").length);
  assert.ok(ran >= 60, `${ran}`);
});

void test("the shipped core writes every message and command of a client", async () => {
  const address = await addressing();
  let ran = 0;
  for (const frame of all<Frame>("frames")) {
    if (frame.direction !== "client" || frame.encoded === undefined) continue;
    const wanted = JSON.parse(frame.encoded) as Record<string, unknown>;
    const engine = await connected();
    pollAll(engine);
    write(engine, wanted, address);
    const [found] = sent(engine) as Record<string, unknown>[];
    assert.ok(found, frame.name);
    // The core asks for an ack where it waits for one, and makes an id where there is none.
    delete found["ack"];
    delete wanted["ack"];
    if (wanted["id"] === undefined || wanted["type"] === "command") {
      delete found["id"];
      delete wanted["id"];
    }
    // As text: an engine writes the number -0 as 0.
    assert.deepEqual(JSON.parse(JSON.stringify(found)), JSON.parse(JSON.stringify(wanted)), frame.name);
    ran += 1;
  }
  assert.ok(ran >= 55, `${ran}`);
});

function write(engine: Engine, envelope: Record<string, unknown>, address: Awaited<ReturnType<typeof addressing>>): void {
  if (envelope["type"] === "command") engine.command(envelope["command"] as string, JSON.stringify(envelope["args"]), undefined, 1);
  else engine[envelope["request"] === true ? "request" : "publish"](...address(envelope), 1);
}
