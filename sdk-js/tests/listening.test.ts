/** Who listens, and when: nothing is missed by listening after the join, and nothing is held by having listened. */

import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { after, before, test } from "node:test";
import { WebSocket } from "ws";
import { connect, Declined, Invalid, Unknown } from "@arqon/bus";
import { Server, until } from "./server.js";

let server: Server;
let rooms = 0;

before(async () => {
  server = await Server.start();
});
after(() => server[Symbol.asyncDispose]());

const fresh = (): string => `listening${++rooms}:c`;
/** A position that no log has: the answer to a join brings a gap along. */
const elsewhere = { epoch: "retired", seq: 7 };

void test("a gap that comes with the answer to the join is told to whoever listens afterwards, before the next message", async () => {
  await using bus = await connect(server.url);
  const name = fresh();
  await bus.publish(name, 1);
  const told: string[] = [];
  const topic = await bus.join<number>(name, { since: elsewhere });
  topic.on("gap", ({ gap }) => told.push(gap.reason));
  told.push(`${(await topic.next())?.payload}`);
  assert.deepEqual(told.splice(0), ["epoch_changed", "1"]);
  await topic.leave();

  const heard = await bus.join<number>(name, { since: elsewhere });
  heard.on("message", ({ payload }) => told.push(`${payload}`));
  heard.on("gap", ({ gap }) => told.push(gap.reason));
  await bus.publish(name, 2);
  await until("both messages", () => told.length >= 3);
  assert.deepEqual(told.splice(0), ["epoch_changed", "1", "2"]);
  await heard.leave();

  const jobs = await bus.join<number>(name, { group: "workers", since: elsewhere });
  jobs.on("gap", ({ gap }) => told.push(gap.reason));
  told.push(`${(await jobs.next())?.payload}`);
  assert.deepEqual(told, ["epoch_changed", "1"]);
});

void test("what gave way before anybody listened is told as a gap", async () => {
  await using bus = await connect(server.url);
  const name = fresh();
  const topic = await bus.join<number>(name, { queue: 2, overflow: "conflate" });
  for (let n = 1; n <= 10; n += 1) await bus.publish(name, n);
  await until("all came", async () => (await bus.channelInfo(name)).head.seq === 10 && (await bus.ping()) >= 0);
  const told: string[] = [];
  topic.on("message", ({ payload }) => told.push(`${payload}`));
  topic.on("gap", ({ gap }) => told.push(`${gap.reason} to ${gap.to.seq}`));
  await until("the last", () => told.at(-1) === "10");
  assert.match(told[0] ?? "", /^conflated to /);
});

void test("a listener that takes itself away leaves the rest to others", async () => {
  await using bus = await connect(server.url);
  const name = fresh();
  const topic = await bus.join<number>(name);
  for (let n = 1; n <= 3; n += 1) await bus.publish(name, n);
  const heard: number[] = [];
  const stop = topic.on("message", ({ payload }) => {
    heard.push(payload);
    stop();
  });
  await until("one is heard", () => heard.length > 0);
  assert.deepEqual([heard, (await topic.next())?.payload], [[1], 2]);
});

void test("who comes and goes does not pile up: a reader that does not read pauses, a listener goes on hearing", async () => {
  await using bus = await connect(server.url);
  await using listener = await connect(server.url);
  await using other = await connect(server.url);
  const name = fresh();
  const unread = await bus.join(name, { presence: true, queue: 1 });
  const heard = await listener.join(name, { presence: true, queue: 1 });
  let events = 0;
  heard.on("presence", () => (events += 1));
  for (let n = 0; n < 10; n += 1) await (await other.join(name)).leave();
  const isMember = async (client: string): Promise<boolean> => (await other.members(name)).members.some((member) => member.client === client);
  await until("the unread one pauses", async () => !(await isMember(bus.client)));
  await until("all was heard", () => events >= 20);
  assert.ok(await isMember(listener.client));
  const reading = (async () => {
    for await (const item of unread.items()) assert.equal(item.type, "presence");
  })();
  await until("it goes on when it is read", () => isMember(bus.client));
  await unread.leave();
  await reading;
});

void test("a request that the answer fails on is logged, and the next one is answered", async (context) => {
  await using worker = await connect(server.url);
  await using bus = await connect(server.url);
  const logged = context.mock.method(console, "error", () => undefined);
  const name = fresh();
  await worker.respond<number[] | string>(name, ({ payload }) => (payload === "nothing" ? undefined : (payload as number[]).map((n) => n + 1)));
  await assert.rejects(bus.request(name, 5, { timeoutMs: 50 }), Unknown);
  await assert.rejects(bus.request(name, "nothing", { timeoutMs: 50 }), Unknown);
  assert.deepEqual((await bus.request(name, [1])).payload, [2]);
  await until("both are logged", () => logged.mock.callCount() === 2);
});

void test("a signal holds nothing that has ended", async () => {
  await using bus = await connect(server.url);
  const { signal } = new AbortController();
  const topic = await bus.join(fresh(), { signal });
  await assert.rejects(bus.join(topic.name, { signal }), Declined);
  const inbox = bus.inbox({ signal });
  assert.equal(getEventListeners(signal, "abort").length, 2);
  await topic.leave();
  await inbox.return?.();
  assert.equal(getEventListeners(signal, "abort").length, 0);
  assert.deepEqual(await bus.inbox({ signal: AbortSignal.abort() }).next(), { done: true, value: undefined });
});

void test("what gives a promise does not throw", async () => {
  await using bus = await connect(server.url);
  const calls = ["members", "channelInfo", "createChannel", "deleteChannel"] as const;
  for (const call of calls) await assert.rejects(bus[call]("no topic"), Invalid);
});

void test("a network that is slower than publishes without ack declines them", async () => {
  let held = 0;
  class Slow extends WebSocket {
    constructor(url: string, protocols?: string | string[]) {
      super(url, protocols);
      Object.defineProperty(this, "bufferedAmount", { get: () => held });
    }
  }
  await using bus = await connect(server.url, { WebSocket: Slow as never });
  bus.publishNowait(fresh(), 1);
  held = 2 ** 21;
  assert.throws(() => { bus.publishNowait(fresh(), 1); }, (error) => error instanceof Declined && error.code === "full");
});
