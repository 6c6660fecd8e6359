/** A joined topic or pattern: its messages as an async iterable, and as events. */

import type { Driver } from "./driver.js";
import type { Told } from "./engine.js";
import { Emitter } from "./emitter.js";
import { type EndReason, endError, Invalid } from "./errors.js";
import { Queue } from "./queue.js";
import type { Ack, Gap, JoinResult, Message, Position, Presence, PublishOptions, TopicPosition, TopicStart } from "./types.js";

/** Messages that a subscription holds for its reader, by default. */
export const QUEUE_MESSAGES = 1_024;
/** Characters of them. */
const QUEUE_CHARS = 8 * 1024 * 1024;
/** A queue may grow to this many times its bound before the subscription pauses: one frame holds many messages. */
const HARD = 4;

/** How to join. */
export interface JoinOptions {
  /** Begin after this position; for one topic. A received message is a position. What is no longer held is told as a gap. */
  since?: Position | Pick<Message, "epoch" | "seq"> | undefined;
  /** Begin with the last so many messages of each topic. */
  replay?: number | undefined;
  /** Resume a pattern: what is known of its topics. Those not listed begin with their first held message. */
  positions?: TopicPosition[] | undefined;
  /** Whether to be told who joins and leaves. */
  presence?: boolean | undefined;
  /** How many messages may wait for the reader; 1,024 by default. */
  queue?: number | undefined;
  /**
   * What happens when the reader is slower than the messages. `"wait"`: nothing is lost, the subscription pauses and goes on from its
   * position. `"conflate"`: the oldest give way, and a gap with reason `conflated` stands in their place.
   */
  overflow?: "wait" | "conflate" | undefined;
  /** Gives up joining, or leaves. */
  signal?: AbortSignal | undefined;
}

/** One thing that a subscription tells, in order; see {@link Topic.items}. */
export type Item<T = unknown> =
  | { type: "message"; message: Message<T> }
  | { type: "gap"; topic: string; gap: Gap }
  | { type: "presence"; topic: string; joined: boolean; member: Presence }
  | { type: "deleted"; topic: string; by: string };

/** What a {@link Topic} can be listened to for. */
export interface TopicEvents<T = unknown> {
  /** A message. With a listener, and no reader, messages are not queued. Once it was read, what is not read on pauses it for listeners too. */
  message: Message<T>;
  /** Messages are missing; told before the first one after the hole. */
  gap: { topic: string; gap: Gap };
  /** Somebody joined or left; only with `presence: true`. */
  presence: { topic: string; joined: boolean; member: Presence };
  /** One topic of a pattern was deleted. */
  deleted: { topic: string; by: string };
  /** It receives again after an interruption, from where it stood. */
  resumed: JoinResult;
  /** Nothing more comes. */
  ended: EndReason;
}

/** What a topic needs of its bus. @internal */
export interface TopicHost<T> {
  driver: Driver;
  publish(payload: T, options: PublishOptions): Promise<Ack>;
}

/** What waits for the reader: messages as they are, and what else is told. */
type Queued<T> = Message<T> | Exclude<Item<T>, { type: "message" }>;

/**
 * What comes of one topic or pattern, in order. Iterating it gives messages; `break` does not leave: say `leave()`, or declare it
 * with `await using`.
 */
export class Topic<T = unknown> extends Emitter<TopicEvents<T>> implements AsyncIterable<Message<T>>, AsyncDisposable {
  /** What was joined: `room:channel`, or a pattern. */
  readonly name: string;
  readonly #host: TopicHost<T>;
  readonly #queue: Queue<Queued<T>>;
  readonly #capacity: number;
  readonly #conflate: boolean;
  readonly #gone: Promise<void>;
  #settleGone!: () => void;
  #id = -1;
  #start: JoinResult = { topics: [], complete: true };
  #chars = 0;
  #paused = false;
  #reading = false;
  #ended: EndReason | undefined;
  /** Gaps in place of messages that gave way, by topic. */
  readonly #conflated = new Map<string, Gap>();
  /** What nobody listened for when it came: nobody can before `join` gave this topic. It is told when it is taken from the queue. */
  readonly #untold = new WeakSet();

  /** @internal */
  constructor(host: TopicHost<T>, name: string, options: JoinOptions) {
    super();
    this.#host = host;
    this.name = name;
    this.#capacity = Math.max(options.queue ?? QUEUE_MESSAGES, 1);
    this.#conflate = options.overflow === "conflate";
    this.#queue = new Queue();
    this.#gone = new Promise((resolve) => {
      this.#settleGone = resolve;
    });
  }

  /** Where each topic began when it was joined. */
  get topics(): readonly TopicStart[] {
    return this.#start.topics;
  }

  /** Whether `topics` lists all that matched. */
  get complete(): boolean {
    return this.#start.complete;
  }

  /** Why nothing more comes; none while it does. */
  get ended(): EndReason | undefined {
    return this.#ended;
  }

  /** Publishes to this topic, and waits for the ack. Not for patterns. */
  publish(payload: T, options: PublishOptions = {}): Promise<Ack> {
    if (this.name.includes("*")) return Promise.reject(new Invalid("a pattern cannot be published to"));
    return this.#host.publish(payload, options);
  }

  /** Stops receiving. Resolves when nothing more comes; what waits in the queue can still be read. */
  leave(): Promise<void> {
    if (!this.#ended) {
      this.#host.driver.input((engine, now) => {
        engine.leave(this.#id, now);
      });
    }
    return this.#gone;
  }

  /** Waits for the next message; `undefined` when the subscription has ended. Giving up the wait loses nothing but its message. */
  async next(): Promise<Message<T> | undefined> {
    const { value } = await this.#messages().next();
    return value;
  }

  /** The messages. Gaps are passed over: listen for `"gap"`, or iterate {@link items}. */
  [Symbol.asyncIterator](): AsyncIterator<Message<T>, undefined> {
    return this.#messages();
  }

  /** Messages, gaps and presence, in order. */
  items(): AsyncIterableIterator<Item<T>, undefined> {
    this.#reading = true;
    const items: AsyncIterableIterator<Item<T>, undefined> = {
      next: () => this.#next((queued) => (queued.type === "message" ? { type: "message", message: queued } : queued)),
      return: () => Promise.resolve({ done: true, value: undefined }),
      [Symbol.asyncIterator]: () => items,
    };
    return items;
  }

  /** Leaves. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.leave();
  }

  override on<Name extends keyof TopicEvents<T>>(name: Name, listener: (value: TopicEvents<T>[Name]) => void, options = {}): () => void {
    const stop = super.on(name, listener, options);
    // What came before anybody read or listened; after this turn, in which other listeners may be added.
    if (name === "message") {
      queueMicrotask(() => {
        this.#flush();
      });
    }
    return stop;
  }

  /** @internal */
  get id(): number {
    return this.#id;
  }

  /** @internal */
  begin(id: number): void {
    this.#id = id;
  }

  /** @internal */
  joined(result: JoinResult, again: boolean): void {
    if (again) this.emit("resumed", result);
    else this.#start = result;
  }

  /** Takes a run of messages. @internal */
  messages(messages: Message[], chars: number): void {
    this.#flush();
    if (!this.hears("message")) {
      this.#chars += chars;
      this.#queue.pushAll(messages as Message<T>[]);
    } else {
      for (const message of messages as Message<T>[]) {
        // A listener may take itself away.
        const heard = this.hears("message");
        if (heard) this.emit("message", message);
        if (this.#reading || !heard) this.#push(message, chars / messages.length);
      }
    }
    this.#bound();
  }

  /** @internal */
  tell(event: Extract<Told, { event: "gap" | "presence" | "deleted" | "job" | "jobs_lost" }>): void {
    switch (event.event) {
      case "gap":
        { this.#item({ type: "gap", topic: event.topic, gap: event.gap }); return; }
      case "presence":
        { this.#item({ type: "presence", topic: event.topic, joined: event.joined, member: event.member }); return; }
      case "deleted":
        { this.#item({ type: "deleted", topic: event.topic, by: event.by }); return; }
      // What members of work groups are told.
      case "job":
      case "jobs_lost":
        break;
    }
  }

  /** @internal */
  end(reason: EndReason): void {
    this.#ended = reason;
    this.#queue.end(endError(reason));
    this.#settleGone();
    this.emit("ended", reason);
  }

  #messages(): AsyncIterator<Message<T>, undefined> {
    this.#reading = true;
    return {
      next: () => this.#next((queued) => (queued.type === "message" ? queued : undefined)),
      return: () => Promise.resolve({ done: true, value: undefined }),
    };
  }

  /** Gives the next item that `choose` makes something of; at once where it is there. */
  #next<R>(choose: (queued: Queued<T>) => R | undefined): Promise<IteratorResult<R, undefined>> {
    for (;;) {
      const queued = this.#conflated.size > 0 ? this.#conflatedItem() : this.#shift();
      if (!queued) break;
      this.#taken(queued);
      const value = choose(queued);
      if (value !== undefined) return Promise.resolve({ done: false, value });
    }
    return this.#queue.next().then((result) => {
      if (result.done) return { done: true, value: undefined };
      this.#chars -= this.#chars / (this.#queue.length + 1);
      this.#taken(result.value);
      const value = choose(result.value);
      return value === undefined ? this.#next(choose) : { done: false, value };
    });
  }

  /** Takes the oldest, where there is one. */
  #shift(): Queued<T> | undefined {
    const { length } = this.#queue;
    if (length === 0) return undefined;
    // Their mean size is exact enough for a bound.
    this.#chars -= this.#chars / length;
    const queued = this.#queue.shift();
    if (this.#paused) this.#drained();
    return queued;
  }

  #conflatedItem(): Queued<T> | undefined {
    for (const [topic, gap] of this.#conflated) {
      this.#conflated.delete(topic);
      this.emit("gap", { topic, gap });
      return { type: "gap", topic, gap };
    }
    return undefined;
  }

  #item(item: Exclude<Item<T>, { type: "message" }>): void {
    this.#flush();
    const heard = this.hears(item.type);
    if (heard) this.#announce(item);
    else this.#untold.add(item);
    // Who comes and goes is for whoever hears of it: without a reader it would only pile up.
    if (this.#reading || !(this.hears("message") || (heard && item.type === "presence"))) this.#push(item, 0);
    this.#bound();
  }

  #announce({ type, ...facts }: Exclude<Item<T>, { type: "message" }>): void {
    this.emit(type, facts);
  }

  /** Tells what nobody had listened for, now that its turn has come. */
  #taken(queued: Queued<T>): void {
    if (queued.type !== "message" && this.#untold.delete(queued)) this.#announce(queued);
  }

  #push(queued: Queued<T>, chars: number): void {
    this.#chars += chars;
    this.#queue.push(queued);
  }

  /** Gives listeners what waits for them. */
  #flush(): void {
    // A listener may take itself away, or begin to read.
    while (!this.#reading && this.hears("message")) {
      const queued = this.#conflatedItem() ?? this.#shift();
      if (!queued) return;
      if (queued.type === "message") this.emit("message", queued);
      else this.#taken(queued);
    }
  }

  /** Keeps the queue within its bound: pauses, or lets the oldest give way. */
  #bound(): void {
    if (this.#conflate) {
      while (this.#queue.length > this.#capacity || (this.#chars > QUEUE_CHARS && this.#queue.length > 1)) this.#giveWay();
      return;
    }
    const full = this.#queue.length > this.#capacity * HARD || this.#chars > QUEUE_CHARS * HARD;
    if (!full || this.#paused) return;
    this.#paused = true;
    this.#host.driver.input((engine, now) => {
      engine.pause(this.#id, now);
    });
  }

  #drained(): void {
    if (!this.#paused || this.#queue.length > this.#capacity / 2) return;
    this.#paused = false;
    this.#host.driver.input((engine, now) => {
      engine.resume(this.#id, now);
    });
  }

  /** Drops the oldest item, and remembers what is missing. */
  #giveWay(): void {
    const queued = this.#shift();
    if (!queued) return;
    if (queued.type === "gap") this.#remember(queued.topic, queued.gap.from ?? undefined, queued.gap.to);
    if (queued.type !== "message") return;
    const { room, channel, epoch, seq } = queued;
    if (epoch != null && seq != null) this.#remember(`${room}:${channel}`, { epoch, seq: seq - 1 }, { epoch, seq });
  }

  #remember(topic: string, from: Position | undefined, to: Position): void {
    const known = this.#conflated.get(topic);
    if (known) known.to = to;
    else this.#conflated.set(topic, { reason: "conflated", ...(from && { from }), to, refetch_after_ms: 0 });
  }
}
