/** A frame is cut right: the core hears of runs by their positions, of all else as text, and the application of both in order. */

import assert from "node:assert/strict";
import { before, test } from "node:test";
import type { Engine, Told } from "../js/engine.js";
import { feed, newEngine, pollAll } from "./engine.js";

const TIME = "2026-11-22T16:49:00.000Z";
let engine: Engine;
/** The texts that reached the core. */
let texts: string[];

const sent = (): { id: string }[] =>
  pollAll(engine)
    .filter((told) => told.event === "transmit")
    .flatMap(() => (engine.takeFrame() ?? "").split("\n").map((line) => JSON.parse(line) as { id: string }));

function answer(result: unknown): void {
  engine.frame(JSON.stringify({ type: "response", request_id: sent().at(-1)?.id, status: "ok", result }), 0);
}

function message(seq: number, more: object = {}): string {
  const head = { type: "message", id: `m${seq}`, room: "a", channel: "b", sender: "c_11111111", timestamp: TIME, epoch: "k", seq };
  return JSON.stringify({ ...head, ...more, payload: { seq, text: "\n{}" } });
}

/** What was told, in short: seqs of messages, names of events. */
const short = (told: Told[]): unknown[] =>
  told.filter((event) => event.event !== "transmit").map((event) => (event.event === "messages" ? event.messages.map(({ seq }) => seq) : event.event));

before(async () => {
  engine = await newEngine("ws://bus.test");
  engine.connect(0);
  engine.opened(0);
  const limits = { envelope_bytes: 1_000_000, frame_bytes: 1_000_000, joins: 9, history: 9 };
  const data = { version: "1", protocols: [1], node: "n_00000000", client: "c_00000000", limits, heartbeat_ms: 15_000, auth_required: false };
  engine.frame(JSON.stringify({ type: "event", event: "welcome", timestamp: TIME, data }), 0);
  answer({ client: "c_00000000", resume: "r", resumed: false, batch: true, heartbeat_ms: 15_000 });
  engine.join("a:b", undefined, undefined, undefined, false, undefined, undefined, 0);
  const at = { epoch: "k", seq: 0 };
  answer({ topics: [{ room: "a", channel: "b", head: at, start: at, members: 1 }], complete: true });
  pollAll(engine);
  engine.setInbox(true);
  const frame = engine.frame.bind(engine);
  engine.frame = (text, now) => {
    texts.push(text);
    frame(text, now);
  };
});

const take = (...lines: string[]): unknown[] => {
  texts = [];
  return short(feed(engine, lines.join("\n"), 1));
};

void test("what comes next in order reaches the core as a position only", () => {
  assert.deepEqual(take(message(1)), [[1]]);
  assert.deepEqual(take(message(2), message(3), message(4)), [[2, 3, 4]]);
  assert.deepEqual(texts, []);
});

void test("runs and other envelopes of one frame keep their order", () => {
  const inbox = JSON.stringify({ type: "message", id: "p", to: "c_00000000", sender: "c_11111111", timestamp: TIME, payload: 1 });
  assert.deepEqual(take(message(5), message(6), inbox, message(7)), [[5, 6], "inbox", [7]]);
  assert.deepEqual(texts, [inbox]);
});

void test("a message with a correlation, a second time, or kept from its sender is the core's to judge", () => {
  const mine = message(9, { sender: "c_00000000", exclude_sender: true });
  assert.deepEqual(take(message(7), message(8, { correlation_id: "x" }), mine, message(10)), [[8], [10]]);
  assert.equal(texts.length, 3);
});

void test("blank lines mean nothing", () => {
  assert.deepEqual(take("", message(11), " ", message(12), ""), [[11, 12]]);
});

void test("after a hole nothing is told before the repair", () => {
  const told = feed(engine, [message(14), message(15)].join("\n"), 2);
  assert.deepEqual(short(told), []);
  assert.ok(told.some((event) => event.event === "transmit"), "it leaves and joins again from its position");
});

void test("what is no JSON ends the connection, after what stood before it", () => {
  assert.deepEqual(take('{"type":"error","error":{"code":"internal","message":"x","retry":"later"},"timestamp":"' + TIME + '"}', "{", message(13)), [
    "refused",
    "lost",
    "state",
    "close",
  ]);
});
