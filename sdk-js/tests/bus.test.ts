/** The package in Node, against the real server. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { WebSocket } from "ws";
import { Closed, connect, Declined, type Gap, Invalid, type Message, NotSent, Rejected, type Topic, Unknown } from "@arqon/bus";
import { Server, until, Wire } from "./server.js";

let server: Server;
let rooms = 0;

before(async () => {
  server = await Server.start();
});
after(() => server[Symbol.asyncDispose]());

/** A topic that no other test uses. */
function fresh(channel = "c"): string {
  return `room${++rooms}:${channel}`;
}

async function take<T>(topic: Topic<T>, count: number): Promise<Message<T>[]> {
  const taken: Message<T>[] = [];
  for await (const message of topic) if (taken.push(message) === count) break;
  return taken;
}

void test("what is published arrives, and the ack says where it stands", async () => {
  await using bus = await connect(server.url, { name: "one", kind: "test" });
  assert.equal(bus.state, "connected");
  assert.match(bus.client, /^c_[a-z0-9]{8,32}$/);
  const name = fresh();
  const topic = await bus.join<{ n: number }>(name);
  assert.deepEqual([topic.name, topic.complete, topic.topics.length], [name, true, 1]);
  const ack = await topic.publish({ n: 1 }, { headers: { trace: "t1" } });
  assert.deepEqual([ack.seq, ack.durability, ack.duplicate], [1, "memory", false]);
  const [message] = await take(topic, 1);
  assert.deepEqual(
    [message?.payload, message?.headers, message?.seq, message?.epoch, message?.sender],
    [{ n: 1 }, { trace: "t1" }, 1, ack.epoch, bus.client],
  );
});

void test("payloads of every JSON type arrive as they were", async () => {
  await using bus = await connect(server.url);
  const topic = await bus.join(fresh());
  const payloads = [null, true, 0, -1.5, 1e300, "", "grüße 🚌 \u2028 \"\\\n", [], [1, [2]], {}, { "ключ": { a: null } }];
  await Promise.all(payloads.map((payload) => topic.publish(payload)));
  assert.deepEqual((await take(topic, payloads.length)).map((message) => message.payload), payloads);
});

void test("publishing the same id twice stores once", async () => {
  await using bus = await connect(server.url);
  const name = fresh();
  const first = await bus.publish(name, 1, { id: "order-7" });
  const second = await bus.publish(name, 1, { id: "order-7" });
  assert.deepEqual([first.duplicate, second.duplicate, second.seq], [false, true, first.seq]);
  await assert.rejects(bus.publish(name, 2, { id: "order-7" }), (error) => error instanceof Rejected && error.code === "id_conflict" && error.retry === "never");
});

void test("a join begins where it is told: replay, since a message, now", async () => {
  await using bus = await connect(server.url);
  const name = fresh();
  for (let n = 1; n <= 5; n += 1) await bus.publish(name, n);
  const replayed = await bus.join<number>(name, { replay: 2 });
  const messages = await take(replayed, 2);
  assert.deepEqual(messages.map((message) => message.payload), [4, 5]);
  await replayed.leave();
  const [fourth] = messages;
  assert.ok(fourth);
  await using since = await bus.join<number>(name, { since: fourth });
  assert.deepEqual((await take(since, 1)).map((message) => message.payload), [5]);
});

void test("history is read page by page, in both directions", async () => {
  await using bus = await connect(server.url);
  const name = fresh();
  await Promise.all(Array.from({ length: 25 }, (_, n) => bus.publish(name, n)));
  const forward = await bus.history<number>(name, { pageSize: 10 }).toArray();
  assert.deepEqual(forward.map((message) => message.payload), Array.from({ length: 25 }, (_, n) => n));
  const backward: number[] = [];
  for await (const message of bus.history<number>(name, { direction: "backward", pageSize: 4, limit: 6 })) backward.push(message.payload);
  assert.deepEqual(backward, [24, 23, 22, 21, 20, 19]);
  const [, , third] = forward;
  assert.equal((await bus.history(name, { since: third, limit: 1 }).toArray())[0]?.seq, 4);
  assert.equal((await bus.history(name, { since: new Date(0), until: new Date(1) }).toArray()).length, 0);
});

void test("a request is answered; one that nobody could answer is rejected at once", async () => {
  await using worker = await connect(server.url);
  await using bus = await connect(server.url);
  const name = fresh("sum");
  const responder = await worker.respond<number[]>(name, ({ payload }) => payload.reduce((sum, n) => sum + n, 0));
  const replies = await Promise.all([1, 2, 3].map((n) => bus.request<number>(name, [n, n])));
  assert.deepEqual(replies.map((reply) => reply.payload), [2, 4, 6]);
  await responder.stop();
  await until("the responder has left", async () => (await bus.members(name)).members.length === 0);
  await assert.rejects(bus.request(name, []), (error) => error instanceof Rejected && error.code === "no_responder");
});

void test("private messages and broadcasts come to the inbox", async () => {
  await using ada = await connect(server.url, { user: "ada" });
  await using bob = await connect(server.url);
  const heard: unknown[] = [];
  ada.on("inbox", (message) => heard.push(message.payload));
  const inbox = ada.inbox<string>();
  const name = fresh();
  await ada.join(name);
  await bob.private(ada.client, "to the client");
  await bob.private("user:ada", "to the user");
  await bob.broadcast("to the room", { room: name.split(":")[0] });
  await bob.broadcast("to everybody");
  const got: string[] = [];
  for await (const message of inbox) if (got.push(message.payload) === 4) break;
  // No order is promised between targets.
  assert.deepEqual([...got].sort(), ["to everybody", "to the client", "to the room", "to the user"]);
  assert.deepEqual(heard, got);
  await assert.rejects(bob.private("c_zzzzzzzzzz", 1), (error) => error instanceof Rejected && error.code === "no_recipient");
});

void test("a client or a user can be asked", async () => {
  await using ada = await connect(server.url, { user: "ada-who-answers" });
  await using bob = await connect(server.url);
  ada.on("inbox", (request) => void ada.reply(request, [request.payload]));
  assert.deepEqual((await bob.requestPrivate(ada.client, 1)).payload, [1]);
  assert.deepEqual((await bob.requestPrivate("user:ada-who-answers", 2)).payload, [2]);
  await assert.rejects(bob.requestPrivate("user:nobody", 3), (error) => error instanceof Rejected && error.code === "no_responder");
});

void test("what comes while nobody listens to the inbox is kept, and what gives way is told", async () => {
  await using ada = await connect(server.url);
  await using bob = await connect(server.url);
  const missed: number[] = [];
  ada.on("missed", ({ count }) => missed.push(count));
  const send = async (from: number, to: number): Promise<void> => {
    for (let number = from; number < to; number++) await bob.private(ada.client, number);
    // What was sent before has come.
    await ada.ping();
  };
  await send(0, 1_030);
  const first = ada.inbox<number>();
  assert.equal((await first.next()).value?.payload, 6);
  assert.deepEqual(missed, [6]);
  await send(1_030, 1_040);
  for (let number = 16; number < 1_040; number++) assert.equal((await first.next()).value?.payload, number);
  assert.deepEqual(missed, [6, 9]);
  await first.return?.();
  await send(1, 3);
  const next = await ada.once("inbox");
  const rest = ada.inbox<number>();
  assert.equal(next.payload, 1);
  assert.equal((await rest.next()).value?.payload, 2);
});

void test("patterns, presence and listings", async () => {
  await using bus = await connect(server.url);
  await using other = await connect(server.url, { name: "other" });
  const room = fresh().split(":")[0] ?? "";
  const pattern = await bus.join<number>(`${room}:eu.*`, { presence: true });
  const presence: string[] = [];
  pattern.on("presence", ({ joined, topic, member }) => presence.push(`${joined ? "+" : "-"}${topic} ${member.name}`));
  const one = await other.join(`${room}:eu.one`);
  await other.publish(`${room}:eu.one`, 1);
  await other.publish(`${room}:us.one`, 2);
  await other.publish(`${room}:eu.two`, 3);
  // No order is promised between topics.
  assert.deepEqual((await take(pattern, 2)).map((message) => `${message.channel} ${message.payload}`).sort(), ["eu.one 1", "eu.two 3"]);
  assert.equal((await bus.members(`${room}:eu.one`)).members.some((member) => member.name === "other"), true);
  await one.leave();
  await until("both presence events", () => presence.length >= 2);
  assert.deepEqual(presence, [`+${room}:eu.one other`, `-${room}:eu.one other`]);
  assert.equal((await bus.status()).state, "ready");
  assert.equal((await bus.channelInfo(`${room}:eu.two`)).messages, 1);
  assert.deepEqual((await bus.channels(room)).channels.map((channel) => channel.channel), ["eu.one", "eu.two", "us.one"]);
  assert.ok((await bus.rooms()).rooms.some((one) => one.room === room));
  assert.equal((await bus.createChannel(`${room}:made`, { description: "by a test" })).created, true);
  assert.ok((await bus.ping()) < 5_000);
  await assert.rejects(pattern.publish(1), Invalid);
});

void test("a deleted channel ends its subscription with an error that says so", async () => {
  await using bus = await connect(server.url);
  const name = fresh();
  const topic = await bus.join(name);
  await bus.deleteChannel(name);
  await assert.rejects(take(topic, 1), /deleted/);
  assert.equal(topic.ended?.reason, "deleted");
});

void test("exclude_sender keeps an own message away, and the order whole", async () => {
  await using bus = await connect(server.url);
  const topic = await bus.join<number>(fresh());
  await Promise.all([topic.publish(1), topic.publish(2, { excludeSender: true }), topic.publish(3)]);
  assert.deepEqual((await take(topic, 2)).map((message) => message.payload), [1, 3]);
});

void test("what cannot be sent is refused before anything is", async () => {
  await using bus = await connect(server.url);
  const circle: { self?: unknown } = {};
  circle.self = circle;
  await assert.rejects(bus.publish("no topic", 1), Invalid);
  await assert.rejects(bus.publish("a:b", undefined), Invalid);
  await assert.rejects(bus.publish("a:b", circle), Invalid);
  await assert.rejects(bus.publish("a:b", 1, { id: "no id!" }), Invalid);
  await assert.rejects(bus.join("a"), Invalid);
  await assert.rejects(bus.publish("a:b", "x".repeat(2_000_000)), (error) => error instanceof Declined && error.code === "too_large");
  const name = fresh();
  await bus.join(name);
  await assert.rejects(bus.join(name), (error) => error instanceof Declined && error.code === "already_joined");
  await assert.rejects(bus.publish("_bus:x", 1), (error) => error instanceof Rejected && error.code === "invalid_name" && error.at === "/room");
  assert.throws(() => bus.history("nothing"), Invalid);
});

void test("a drain tells what was refused before it ends", async () => {
  const bus = await connect(server.url);
  const refused: string[] = [];
  bus.on("refused", (refusal) => refused.push(refusal.code));
  for (let n = 0; n < 3; n++) bus.publishNowait("_bus:x", n);
  await bus.drain();
  assert.deepEqual(refused, ["invalid_name", "invalid_name", "invalid_name"]);
});

void test("a refusal that nobody waits for is told", async () => {
  await using bus = await connect(server.url);
  const refused = bus.once("refused");
  bus.publishNowait("_bus:x", 1);
  assert.equal((await refused).code, "invalid_name");
  const topic = await bus.join(fresh());
  bus.publishNowait(topic.name, 7);
  assert.equal((await take(topic, 1))[0]?.payload, 7);
});

void test("nobody there: the first connection fails, and says why", async () => {
  await assert.rejects(connect("ws://127.0.0.1:1"), (error) => error instanceof Closed && error.code === "unreachable" && error.message.includes('ECONNREFUSED'));
  await assert.rejects(connect("nonsense"), Closed);
  await assert.rejects(connect(server.url, { user: "no user!" }), Invalid);
});

void test("an aborted connect, join, publish and listener", async () => {
  await assert.rejects(connect(server.url, { signal: AbortSignal.abort(new Error("enough")) }), /enough/);
  const trying = new AbortController();
  const connecting = connect("ws://127.0.0.1:1", { firstAttempts: 0, signal: trying.signal });
  trying.abort(new Error("given up"));
  await assert.rejects(connecting, /given up/);
  await using bus = await connect(server.url);
  const stop = new AbortController();
  const topic = await bus.join(fresh(), { signal: stop.signal });
  const reading = take(topic, 1);
  let heard = 0;
  bus.on("state", () => (heard += 1), { signal: stop.signal });
  stop.abort();
  assert.deepEqual(await reading, []);
  assert.equal(topic.ended?.reason, "left");
  await assert.rejects(bus.publish("a:b", 1, { signal: stop.signal }), { name: "AbortError" });
  await bus.drain();
  assert.equal(heard, 0);
});

void test("a drain finishes what is in flight; a close leaves it unknown", async () => {
  const bus = await connect(server.url);
  const name = fresh();
  const topic = await bus.join(name);
  const reading = take(topic, 1_000);
  const acks = Array.from({ length: 100 }, (_, n) => bus.publish(name, n));
  await bus.drain();
  assert.equal((await Promise.all(acks)).length, 100);
  assert.equal(bus.state, "closed");
  assert.ok((await reading).length <= 100);
  await assert.rejects(bus.publish(name, 1), Closed);
  await assert.rejects(bus.join(name), Closed);
  const other = await connect(server.url);
  const publishing = other.publish(name, 1);
  await other.close();
  await assert.rejects(publishing, Unknown);
});

void test("a cut connection resumes: every message once, in order, without a gap", async () => {
  await using wire = await Wire.to(server);
  await using publisher = await connect(server.url);
  await using bus = await connect(wire.url, { backoff: { baseMs: 5, capMs: 50 } });
  const name = fresh();
  const topic = await bus.join<number>(name);
  const gaps: Gap[] = [];
  topic.on("gap", ({ gap }) => gaps.push(gap));
  const identity = bus.client;
  const reading = take(topic, 300);
  let cuts = 0;
  for (let n = 0; n < 300; n += 1) {
    await publisher.publish(name, n);
    if (n % 60 !== 30) continue;
    await until("there is something to cut", () => wire.accepted > cuts && bus.state === "connected");
    wire.cut();
    cuts += 1;
  }
  assert.deepEqual((await reading).map((message) => message.payload), Array.from({ length: 300 }, (_, n) => n));
  assert.deepEqual(gaps, []);
  assert.equal(bus.client, identity, "the identity is resumed");
  assert.ok(wire.accepted > cuts && cuts === 5, `${wire.accepted} connections, ${cuts} cuts`);
});

void test("publishes while the wire is down are sent once it is back, in order and once", async () => {
  await using wire = await Wire.to(server);
  await using bus = await connect(wire.url, { backoff: { baseMs: 5, capMs: 50 } });
  const name = fresh();
  const topic = await bus.join<number>(name);
  wire.down = true;
  wire.cut();
  await until("the loss is noticed", () => bus.state === "waiting" || bus.state === "connecting");
  const acks = Array.from({ length: 50 }, (_, n) => topic.publish(n));
  await assert.rejects(bus.publish(name, "late", { timeoutMs: 50 }), NotSent);
  wire.down = false;
  const seqs = (await Promise.all(acks)).map((ack) => ack.seq);
  assert.deepEqual(seqs, Array.from({ length: 50 }, (_, n) => n + 1));
  assert.deepEqual((await take(topic, 50)).map((message) => message.payload), Array.from({ length: 50 }, (_, n) => n));
});

void test("a server that lost its memory is told as a gap, and delivery goes on", async () => {
  await using own = await Server.start();
  await using bus = await connect(own.url, { backoff: { baseMs: 5, capMs: 50 } });
  const topic = await bus.join<string>("a:b");
  await topic.publish("before");
  // The ack may be here before the message, which would die with the server.
  assert.equal((await topic.next())?.payload, "before");
  const states: string[] = [];
  bus.on("state", (state) => states.push(state));
  const resumed = topic.once("resumed");
  await own.restart();
  await resumed;
  await topic.publish("after");
  const items: string[] = [];
  for await (const item of topic.items()) {
    items.push(item.type === "gap" ? `gap ${item.gap.reason}` : item.type === "message" ? item.message.payload : item.type);
    if (items.length === 2) break;
  }
  assert.deepEqual(items, ["gap epoch_changed", "after"]);
  assert.ok(states.includes("waiting") && states.at(-1) === "connected", states.join());
  assert.ok(bus.lastLoss);
});

void test("there is never more than one connection attempt, however often the page wakes", async () => {
  let [open, most] = [0, 0];
  class Counted extends WebSocket {
    constructor(url: string, protocols?: string | string[]) {
      super(url, protocols);
      most = Math.max(most, ++open);
      this.on("close", () => (open -= 1));
    }
  }
  await using wire = await Wire.to(server);
  await using bus = await connect(wire.url, { WebSocket: Counted as never, backoff: { baseMs: 5, capMs: 20 } });
  wire.down = true;
  wire.cut();
  for (let n = 0; n < 50; n += 1) {
    bus.wake();
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  wire.down = false;
  bus.wake();
  await until("it is back", () => bus.state === "connected");
  bus.wake();
  await bus.ping();
  assert.equal(most, 1);
});

void test("a token provider is asked before every attempt, and its failure is only a loss", async () => {
  await using wire = await Wire.to(server);
  let asked = 0;
  await using bus = await connect(wire.url, {
    backoff: { baseMs: 1, capMs: 5 },
    token: () => {
      asked += 1;
      if (asked === 2) throw new Error("no token today");
      return Promise.resolve(`t${asked}`);
    },
  });
  assert.equal(asked, 1);
  const lost: string[] = [];
  bus.on("lost", ({ why }) => lost.push(why));
  wire.cut();
  await until("it asked again", () => asked === 3 && bus.state === "connected");
  assert.ok(lost.some((why) => why.includes("no token today")), lost.join());
});

void test("a slow reader loses nothing: the subscription pauses and goes on", async () => {
  await using bus = await connect(server.url);
  await using publisher = await connect(server.url);
  const name = fresh();
  const topic = await bus.join<number>(name, { queue: 4 });
  await Promise.all(Array.from({ length: 500 }, (_, n) => publisher.publish(name, n)));
  const got: number[] = [];
  for await (const message of topic) {
    got.push(message.payload);
    if (message.payload === 499) break;
    if (message.payload % 50 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  }
  assert.deepEqual(got, Array.from({ length: 500 }, (_, n) => n));
});

void test("a conflating reader sees the newest, with a gap in place of the others", async () => {
  await using bus = await connect(server.url);
  const name = fresh();
  const topic = await bus.join<number>(name, { queue: 2, overflow: "conflate" });
  await Promise.all(Array.from({ length: 20 }, (_, n) => bus.publish(name, n)));
  const items: string[] = [];
  for await (const item of topic.items()) {
    items.push(item.type === "gap" ? `${item.gap.reason} ${item.gap.from?.seq}-${item.gap.to.seq}` : item.type === "message" ? `${item.message.payload}` : item.type);
    if (items.at(-1) === "19") break;
  }
  assert.deepEqual(items.slice(-3), ["conflated 0-18", "18", "19"]);
});

void test("past the bound of what is in flight publishes wait their turn", async () => {
  await using bus = await connect(server.url, { inFlight: { messages: 8 } });
  const name = fresh();
  const acks = await Promise.all(Array.from({ length: 500 }, (_, n) => bus.publish(name, n)));
  assert.deepEqual(acks.map((ack) => ack.seq), Array.from({ length: 500 }, (_, n) => n + 1));
});

void test("listeners get messages as they come, also those from before they listened", async () => {
  await using bus = await connect(server.url);
  const topic = await bus.join<number>(fresh());
  await topic.publish(1);
  await bus.ping();
  const heard: number[] = [];
  topic.on("message", (message) => heard.push(message.payload));
  await topic.publish(2);
  // An ack may be here before its message.
  await until("both", () => heard.length === 2);
  assert.deepEqual(heard, [1, 2]);
});

void test("100,000 messages leave nothing behind", async () => {
  await using bus = await connect(server.url);
  const topic = await bus.join<{ text: string }>(fresh());
  let received = 0;
  topic.on("message", () => (received += 1));
  const round = async (count: number): Promise<number> => {
    const wanted = received + count;
    for (let left = count; left > 0; left -= 500) await Promise.all(Array.from({ length: 500 }, () => topic.publish({ text: "x".repeat(200) })));
    await until("all came", () => received === wanted);
    global.gc?.();
    return process.memoryUsage().heapUsed + process.memoryUsage().external;
  };
  const start = await round(10_000);
  const end = await round(100_000);
  assert.ok(end - start < 8_000_000, `${start} → ${end}`);
});

