/** Work groups in Node, against the real server. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { WebSocket } from "ws";
import { connect, Declined, type Job, type Jobs, Invalid, Rejected } from "@arqon/bus";
import { Server, until } from "./server.js";

let server: Server;
let rooms = 0;

before(async () => {
  server = await Server.start();
});
after(() => server[Symbol.asyncDispose]());

const fresh = (): string => `orders${++rooms}:new`;

async function take<T>(jobs: Jobs<T>, count: number): Promise<Job<T>[]> {
  const taken: Job<T>[] = [];
  for await (const job of jobs) if (taken.push(job) === count) break;
  return taken;
}

void test("a group shares the messages: each is one member's, and every ordinary member has all", async () => {
  await using bus = await connect(server.url);
  await using other = await connect(server.url);
  const name = fresh();
  const [mine, yours, all] = [
    await bus.join<number>(name, { group: "workers", maxInFlight: 1 }),
    await other.join<number>(name, { group: "workers", maxInFlight: 1 }),
    await bus.join<number>(name),
  ];
  assert.deepEqual([mine.name, mine.group, mine.start?.created, yours.start?.created, mine.start?.max_in_flight], [name, "workers", true, false, 1]);
  const done: number[] = [];
  const work = async (jobs: Jobs<number>): Promise<void> => {
    for await (const job of jobs) {
      assert.deepEqual([job.delivery, job.message.payload], [1, job.payload]);
      await job.ack();
      done.push(job.payload);
    }
  };
  const working = Promise.all([work(mine), work(yours)]);
  for (let n = 0; n < 20; n += 1) await bus.publish(name, n);
  await until("all is done", () => done.length === 20);
  assert.deepEqual([...done].sort((a, b) => a - b), Array.from({ length: 20 }, (_, n) => n));
  const seen: number[] = [];
  for await (const message of all) if (seen.push(message.payload) === 20) break;
  assert.equal(seen.length, 20);
  await mine.leave();
  await yours.leave();
  await working;
});

void test("what is given back comes again, and what is dead does not", async () => {
  await using bus = await connect(server.url);
  const name = fresh();
  const jobs = await bus.join<string>(name, { group: "workers", signal: new AbortController().signal });
  await bus.publish(name, "again");
  const [first] = await take(jobs, 1);
  await first?.nack({ reason: "busy" });
  const [second] = await take(jobs, 1);
  assert.deepEqual([second?.payload, second?.delivery], ["again", 2]);
  await assert.rejects(first?.ack() ?? Promise.resolve(), (error) => error instanceof Rejected && error.code === "not_held");
  await assert.rejects(second?.nack({ dead: true, delayMs: 1 }) ?? Promise.resolve(), Invalid);
  await second?.nack({ dead: true, reason: "no such thing" });
  // A dead job is pending until its letter is stored, which happens after the answer.
  await until("the letter is stored", async () => (await bus.channelInfo(name)).groups?.every(({ pending, lag }) => pending + lag === 0) === true);
});

void test("a worker that goes leaves its jobs to others, and is told when its connection was lost", async () => {
  await using bus = await connect(server.url);
  const sockets: WebSocket[] = [];
  const Seen = class extends WebSocket {
    constructor(url: string, protocols?: string | string[]) {
      super(url, protocols);
      sockets.push(this);
    }
  };
  await using goes = await connect(server.url, { WebSocket: Seen as never, backoff: { baseMs: 20, capMs: 100 } });
  const name = fresh();
  const lost = await goes.join<number>(name, { group: "workers" });
  await bus.publish(name, 7);
  const [held] = await take(lost, 1);
  const jobs = await bus.join<number>(name, { group: "workers" });
  const told = lost.once("lost");
  sockets.at(-1)?.terminate();
  assert.deepEqual(await told, { jobs: 1 });
  const [again] = await take(jobs, 1);
  assert.deepEqual([again?.payload, again?.delivery], [7, 2]);
  await assert.rejects(held?.ack() ?? Promise.resolve(), (error) => error instanceof Rejected && error.code === "not_held");
  await again?.ack();
});

void test("acks of one turn share a command", async () => {
  await using bus = await connect(server.url);
  const name = fresh();
  const jobs = await bus.join<number>(name, { group: "workers", maxInFlight: 200 });
  await Promise.all(Array.from({ length: 200 }, (_, n) => bus.publish(name, n)));
  const taken = await take(jobs, 200);
  await Promise.all(taken.map((job) => job.ack()));
  const { groups } = await bus.channelInfo(name);
  assert.deepEqual(groups?.map(({ pending, lag }) => [pending, lag]), [[0, 0]]);
});

void test("a group belongs to one topic, and is joined once", async () => {
  await using bus = await connect(server.url);
  const name = fresh();
  await assert.rejects(bus.join("orders:*", { group: "workers" }), (error) => error instanceof Declined && error.code === "not_a_topic");
  await assert.rejects(bus.join(name, { group: "a b" }), Invalid);
  await bus.join(name, { group: "workers" });
  await assert.rejects(bus.join(name, { group: "workers" }), (error) => error instanceof Declined && error.code === "already_joined");
  await bus.join(name, { group: "auditors" });
});
