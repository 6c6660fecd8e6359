/** Plays one dialogue of `tests/vectors/dialogues`: feeds the core, and compares what comes out with what is expected. */

import { deepStrictEqual } from "node:assert/strict";
import type { Engine, Failure, Told } from "../js/engine.js";
import { thrown, ArqonError, type EndReason, type Fault } from "../js/errors.js";
import type { Message, Refusal } from "../js/types.js";
import { addressing, feed, newEngine } from "./engine.js";

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
type Members = Record<string, Json>;
type Step = Members;
type Addressing = Awaited<ReturnType<typeof addressing>>;
export interface Dialogue {
  says: string;
  config?: Members;
  steps: Step[];
}

/** Plays all steps; throws where one goes otherwise. */
export async function play(dialogue: Dialogue, preludes: Record<string, Step[]>): Promise<void> {
  const { seed, ...config } = dialogue.config ?? {};
  const player = new Player(await newEngine("ws://bus.test", config, (seed as number | undefined) ?? 1), await addressing());
  const steps = dialogue.steps.flatMap((step) => (typeof step["use"] === "string" ? (preludes[step["use"]] ?? []) : [step]));
  steps.forEach((step, number) => {
    try {
      player.step(step);
    } catch (error) {
      throw new Error(`step ${number} ${JSON.stringify(step)}: ${(error as Error).message}`, { cause: error });
    }
  });
  player.nothingLeft();
}

class Player {
  readonly #engine: Engine;
  readonly #addressed: Addressing;
  #now = 0;
  readonly #wire: Members[] = [];
  readonly #events: Members[] = [];
  readonly #captures = new Map<string, Json>();
  readonly #names = new Map<string, number>();

  constructor(engine: Engine, addressed: Addressing) {
    this.#engine = engine;
    this.#addressed = addressed;
    this.#drain();
  }

  step(step: Step): void {
    if (typeof step["at"] === "number") this.#passTime(step["at"], step["asleep"] === true);
    if (step["expect"] !== undefined) {
      this.#expect(step["expect"] as Members);
      return;
    }
    if (["app", "socket", "server"].some((kind) => kind in step)) this.nothingLeft();
    if (step["app"] !== undefined) deepStrictEqual(this.#app(step["app"]), step["declined"] ?? undefined, "declined");
    else if (step["socket"] !== undefined) this.#socket(step["socket"]);
    else if (step["server"] !== undefined) for (const told of feed(this.#engine, this.#frame(step["server"]), this.#now)) this.#take(told);
    this.#drain();
  }

  nothingLeft(): void {
    const left = this.#wire[0] ?? this.#events[0];
    if (left) throw new Error(`not expected: ${JSON.stringify(left)}`);
  }

  /** Moves the clock, firing what is due on the way; a machine that sleeps fires nothing. */
  #passTime(at: number, asleep: boolean): void {
    if (at < this.#now) throw new Error("time does not go back");
    for (let due = this.#engine.until(); due !== undefined && due <= at && !asleep; due = this.#engine.until()) {
      this.#now = Math.max(this.#now, due);
      this.#engine.timeout(this.#now);
      const before = [due, this.#wire.length + this.#events.length];
      this.#drain();
      const after = [this.#engine.until(), this.#wire.length + this.#events.length];
      if (before.join() === after.join()) throw new Error(`a time-out at ${due} changed nothing: the driver would spin`);
    }
    this.#now = at;
  }

  #drain(): void {
    for (let text = this.#engine.poll(); text !== undefined; text = this.#engine.poll()) {
      for (const told of JSON.parse(text) as Told[]) this.#take(told);
    }
  }

  #take(told: Told): void {
    switch (told.event) {
      case "open":
        this.#wire.push({ open: told.url });
        break;
      case "transmit":
        for (const line of (this.#engine.takeFrame() ?? "").split("\n")) this.#wire.push({ send: JSON.parse(line) as Json });
        break;
      case "close":
        this.#wire.push({ close: told.code });
        break;
      case "state":
        break;
      case "messages":
        for (const message of told.messages) this.#events.push({ ...rendered("message", message), sub: this.#nameOf(told.sub) });
        break;
      default:
        this.#events.push(this.#render(told));
    }
  }

  #render(told: Exclude<Told, { event: "open" | "transmit" | "close" | "state" | "messages" }>): Members {
    switch (told.event) {
      case "closed":
        return fault(told.fault, "closed");
      case "joined":
        return { event: "joined", sub: this.#nameOf(told.sub), again: told.again, topics: told.result.topics.length, complete: told.result.complete };
      case "job":
        return { ...rendered("job", told.message), sub: this.#nameOf(told.sub), delivery: told.delivery };
      case "jobs_lost":
        return { event: "jobs_lost", sub: this.#nameOf(told.sub), jobs: told.jobs };
      case "settled":
        return { event: "settled", call: this.#nameOf(told.call) };
      case "gap":
        return { event: "gap", sub: this.#nameOf(told.sub), topic: told.topic, ...(told.gap as unknown as Members) };
      case "presence":
        return {
          event: told.joined ? "member_joined" : "member_left",
          sub: this.#nameOf(told.sub),
          topic: told.topic,
          client: told.member.client,
          members: told.member.members,
        };
      case "deleted":
        return { event: "deleted", sub: this.#nameOf(told.sub), topic: told.topic, by: told.by };
      case "ended":
        return { ...ended(told.reason), sub: this.#nameOf(told.sub) };
      case "inbox":
        return rendered("inbox", told.message);
      case "missed":
        return { event: "missed", count: told.count };
      case "acked":
        return { event: "acked", call: this.#nameOf(told.call), ...(told.result as unknown as Members) };
      case "replied":
        return { ...rendered("replied", told.message), call: this.#nameOf(told.call) };
      case "answered":
        return { event: "answered", call: this.#nameOf(told.call), result: told.result as Json };
      case "failed":
        return { ...failed(told.failure), call: this.#nameOf(told.call) };
      case "refused":
        return { event: "refused", code: told.error.code };
      case "connected":
      case "lost":
      case "token_needed":
        return told;
    }
  }

  #nameOf(id: number): string {
    for (const [name, known] of this.#names) if (known === id) return name;
    return "?";
  }

  #expect(expected: Members): void {
    if ("state" in expected) { deepStrictEqual(this.#engine.state(), expected["state"]); return; }
    if ("wait" in expected) { this.#expectWait(expected["wait"] as [number, number] | null); return; }
    const queue = "event" in expected ? this.#events : this.#wire;
    const found = queue.shift();
    if (!found) throw new Error("nothing came");
    try {
      matches(expected, found, this.#captures, !("event" in expected));
    } catch (error) {
      throw new Error(`${(error as Error).message}; came ${JSON.stringify(found)}`, { cause: error });
    }
  }

  #expectWait(range: [number, number] | null): void {
    const until = this.#engine.until();
    const wait = until === undefined ? undefined : Math.max(until - this.#now, 0);
    const fits = wait === undefined ? range === null : range !== null && range[0] <= wait && wait <= range[1];
    if (!fits) throw new Error(`it waits ${wait} ms from now`);
  }

  /** Makes a call; gives why it was declined. */
  #app(call: Json): string | undefined {
    const [verb, args] = typeof call === "string" ? [call, {}] : (Object.entries(call as Members)[0] ?? ["", {}]);
    try {
      this.#call(verb, args);
      return undefined;
    } catch (error) {
      const known = thrown(error);
      if (known instanceof ArqonError && known.code !== "invalid") return known.code;
      throw known;
    }
  }

  #call(verb: string, args: Json): void {
    const [engine, now] = [this.#engine, this.#now];
    const id = typeof args === "string" ? (this.#names.get(args) ?? -1) : -1;
    const members = (typeof args === "object" ? args : {}) as Members;
    const { as: name, ...rest } = members;
    const timeout = members["timeout_ms"] as number | undefined;
    const addressed = (): ReturnType<Addressing> => this.#addressed(rest);
    const named = (made: number): void => {
      this.#names.set(name as string, made);
    };
    switch (verb) {
      case "connect":
      case "drain":
      case "close":
      case "wake":
        engine[verb](now);
        break;
      case "backpressure":
        engine.overslept(now);
        break;
      case "open_inbox":
      case "close_inbox":
        engine.setInbox(verb === "open_inbox");
        break;
      case "set_token":
        engine.setToken(args as string, now);
        break;
      case "token_failed":
        engine.tokenFailed(args as string, now);
        break;
      case "leave":
      case "pause":
      case "resume":
        engine[verb](id, now);
        break;
      case "join":
        named(join(engine, rest, now));
        break;
      case "ack":
      case "nack":
      case "dead":
        named(settle(engine, ["ack", "nack", "dead"].indexOf(verb), this.#names.get(rest["sub"] as string) ?? -1, rest, now));
        break;
      case "publish_nowait":
        engine.publishNowait(...addressed(), members["wait"] !== false, now);
        break;
      case "publish":
      case "request":
        named(engine[verb](...addressed(), now));
        break;
      case "command":
        named(engine.command(members["command"] as string, JSON.stringify(members["args"] ?? {}), timeout, now));
        break;
      default:
        throw new Error(`no such call: ${verb}`);
    }
  }

  #socket(step: Json): void {
    const [engine, now] = [this.#engine, this.#now];
    if (step === "open") engine.opened(now);
    else if (step === "alive") engine.alive(now);
    else {
      const members = step as Members;
      const error = members["error"] as Members | undefined;
      if (error) engine.failed((error["why"] as string | undefined) ?? "refused", error["permanent"] === true, (error["retry_after_ms"] as number | undefined) ?? undefined, now);
      else engine.closed((members["close"] as number | null) ?? undefined, now);
    }
  }

  #frame(envelope: Json): string {
    if (typeof envelope === "string") return envelope;
    if (Array.isArray(envelope)) return envelope.map((one) => JSON.stringify(this.#filled(one))).join("\n");
    return JSON.stringify(this.#filled(envelope));
  }

  /** Puts what was captured in the place of `$name`. */
  #filled(value: Json): Json {
    if (typeof value === "string") return this.#captures.get(value) ?? value;
    if (Array.isArray(value)) return value.map((item) => this.#filled(item));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, this.#filled(member)]));
  }
}

function join(engine: Engine, { pattern, since, replay, positions, presence, group, max_in_flight }: Members, now: number): number {
  const text = (value: Json | undefined): string | undefined => (value === undefined ? undefined : JSON.stringify(value));
  const [count, bound] = [replay, max_in_flight] as (number | undefined)[];
  return engine.join(pattern as string, text(since), count, text(positions), presence === true, group as string | undefined, bound, now);
}

function settle(engine: Engine, how: number, sub: number, { epoch, seq, delivery, delay_ms, reason }: Members, now: number): number {
  const [times, delay] = [delivery ?? 1, delay_ms] as [number, number | undefined];
  return engine.settle(sub, epoch as string, seq as number, times, how, delay, reason as string | undefined, now);
}

function rendered(event: string, message: Message): Members {
  const { room, channel, to } = message;
  return {
    event,
    id: message.id,
    to: to ?? (channel == null ? (room ?? null) : `${String(room)}:${channel}`),
    sender: message.sender,
    epoch: message.epoch ?? null,
    seq: message.seq ?? null,
    payload: message.payload as Json,
    headers: (message.headers ?? {}),
    reply_to: message.reply_to ?? null,
  };
}

function fault(reason: Fault, event: string): Members {
  const { error, ...rest } = reason as Fault & { error?: Refusal };
  return { event, ...(rest as unknown as Members), ...(error && { code: error.code }) };
}

function ended(reason: EndReason): Members {
  return reason.reason === "closed" ? { event: "ended", reason: "closed" } : fault(reason as unknown as Fault, "ended");
}

function failed(failure: Failure): Members {
  if (failure.failure !== "rejected") return { event: failure.failure };
  const { code, retry, retry_after_ms } = failure.error;
  return { event: "rejected", code, retry, retry_after_ms: retry_after_ms ?? null };
}

/** Compares, binding `$name` at first sight and `$$name` anew. With `whole`, nothing but what is expected may be there. */
function matches(expected: Json, found: Json, captures: Map<string, Json>, whole: boolean): void {
  if (typeof expected === "string" && expected.startsWith("$$")) {
    captures.set(expected.slice(1), found);
  } else if (typeof expected === "string" && expected.startsWith("$")) {
    if (!captures.has(expected)) captures.set(expected, found);
    deepStrictEqual(found, captures.get(expected), expected);
  } else if (Array.isArray(expected) && Array.isArray(found) && expected.length === found.length) {
    expected.forEach((item, index) => {
      matches(item, found[index] ?? null, captures, whole);
    });
  } else if (isMembers(expected) && isMembers(found)) {
    for (const [key, value] of Object.entries(expected)) matches(value, found[key] ?? null, captures, whole);
    const extra = Object.keys(found).find((key) => whole && !(key in expected));
    if (extra !== undefined) throw new Error(`${extra} was not expected`);
  } else deepStrictEqual(found, expected);
}

function isMembers(value: Json): value is Members {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}
