/** A work group: messages that one member of many has, until it settles them. */

import type { Driver } from "./driver.js";
import type { Told } from "./engine.js";
import { Emitter } from "./emitter.js";
import { type EndReason, endError, Invalid } from "./errors.js";
import { Queue } from "./queue.js";
import type { JoinOptions } from "./topic.js";
import type { CallOptions, Gap, GroupStart, JoinResult, Message, Position } from "./types.js";

/** How to join a work group. `since` and `replay` say where a new one begins. */
export interface GroupOptions extends Omit<JoinOptions, "positions" | "presence" | "queue" | "overflow"> {
  /** Its name. */
  group: string;
  /** Jobs that may be held unsettled; 16 by default. */
  maxInFlight?: number | undefined;
}

/** How to give a job back. */
export interface NackOptions extends CallOptions {
  /** Not before so many milliseconds, a day at most; looked at about once a second. At once by default. */
  delayMs?: number | undefined;
  /** Why, in up to 256 characters; the headers of a dead letter say so. */
  reason?: string | undefined;
  /** Nobody shall have it any more: to the dead-letter topic now, whatever the count. */
  dead?: boolean | undefined;
}

/** A message in the care of this client. What is not settled goes to another member after the server's `ack_timeout_ms`. */
export class Job<T = unknown> {
  /** What it is about. */
  readonly message: Message<T>;
  /** How often it was given out, this time included. */
  readonly delivery: number;
  readonly #settle: (how: number, options: NackOptions) => Promise<void>;

  /** @internal */
  constructor(message: Message<T>, delivery: number, settle: (how: number, options: NackOptions) => Promise<void>) {
    this.message = message;
    this.delivery = delivery;
    this.#settle = settle;
  }

  /** The payload of its message. */
  get payload(): T {
    return this.message.payload;
  }

  /**
   * Says that it is done, and waits until the server knows. `Rejected` with `not_held` where the job is another's by now; `Unknown` where
   * the connection was lost before the answer: then it may be given out again.
   */
  ack(options: CallOptions = {}): Promise<void> {
    return this.#settle(0, options);
  }

  /** Gives it back; fails as {@link ack} does. */
  nack(options: NackOptions = {}): Promise<void> {
    const { delayMs, dead = false } = options;
    if (dead && delayMs !== undefined) return Promise.reject(new Invalid("what is dead does not come back: either delayMs or dead"));
    return this.#settle(dead ? 2 : 1, options);
  }
}

/** One thing that a work group tells, in order; see {@link Jobs.items}. */
export type WorkItem<T = unknown> = { type: "job"; job: Job<T> } | { type: "gap"; topic: string; gap: Gap } | { type: "lost"; jobs: number };

/** What {@link Jobs} can be listened to for. */
export interface JobsEvents {
  /** What lies between two positions is given to nobody; told to one member, before the next job. */
  gap: { topic: string; gap: Gap };
  /** So many jobs that this member held, and had said nothing about, went to others: the connection was lost. */
  lost: { jobs: number };
  /** It receives again after an interruption. */
  resumed: JoinResult;
  /** Nothing more comes. */
  ended: EndReason;
}

/**
 * The jobs of one work group. Iterating it gives them; `break` does not leave: say `leave()`, or declare it with `await using`. Then what
 * is held goes to others.
 */
export class Jobs<T = unknown> extends Emitter<JobsEvents> implements AsyncIterable<Job<T>>, AsyncDisposable {
  /** The topic, `room:channel`. */
  readonly name: string;
  /** The group. */
  readonly group: string;
  readonly #driver: Driver;
  // As many as may be held unsettled: the server gives no more.
  #queue = new Queue<WorkItem<T>>();
  readonly #gone: Promise<void>;
  #settleGone!: () => void;
  #id = -1;
  #start: JoinResult = { topics: [], complete: true };
  #ended: EndReason | undefined;
  /** What nobody listened for when it came: nobody can before `join` gave this group. It is told when it is taken from the queue. */
  readonly #untold = new WeakSet();

  /** @internal */
  constructor(driver: Driver, name: string, group: string) {
    super();
    this.#driver = driver;
    this.name = name;
    this.group = group;
    this.#gone = new Promise((resolve) => {
      this.#settleGone = resolve;
    });
  }

  /** Where the group stood when it was joined, and what it keeps to. */
  get start(): GroupStart | undefined {
    return this.#start.group ?? undefined;
  }

  /** The last position that had been given out when it was joined. */
  get position(): Position | undefined {
    return this.#start.topics[0]?.start;
  }

  /** Why nothing more comes; none while it does. */
  get ended(): EndReason | undefined {
    return this.#ended;
  }

  /** Waits for the next job; `undefined` when the subscription has ended. */
  async next(): Promise<Job<T> | undefined> {
    for (;;) {
      const { done, value } = await this.#take();
      if (done) return undefined;
      if (value.type === "job") return value.job;
    }
  }

  /** The jobs. Gaps and lost jobs are passed over: listen for them, or iterate {@link items}. */
  [Symbol.asyncIterator](): AsyncIterator<Job<T>, undefined> {
    return {
      next: async () => {
        const job = await this.next();
        return job ? { done: false, value: job } : { done: true, value: undefined };
      },
      return: () => Promise.resolve({ done: true, value: undefined }),
    };
  }

  /** Jobs, gaps, and how many jobs were lost, in order. */
  items(): AsyncIterableIterator<WorkItem<T>, undefined> {
    const items: AsyncIterableIterator<WorkItem<T>, undefined> = {
      next: () => this.#take(),
      return: () => Promise.resolve({ done: true, value: undefined }),
      [Symbol.asyncIterator]: () => items,
    };
    return items;
  }

  /** Leaves the group: what is held goes to others. Resolves when nothing more comes. */
  leave(): Promise<void> {
    if (!this.#ended) {
      this.#driver.input((engine, now) => {
        engine.leave(this.#id, now);
      });
    }
    return this.#gone;
  }

  /** Leaves. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.leave();
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

  /** @internal */
  tell(event: Extract<Told, { event: "gap" | "presence" | "deleted" | "job" | "jobs_lost" }>): void {
    switch (event.event) {
      case "job":
        this.#queue.push({ type: "job", job: this.#job(event.message as Message<T>, event.delivery) });
        break;
      case "jobs_lost":
        // Those that nobody has read yet are somebody else's too.
        this.#queue.remove((item) => item.type === "job");
        this.#item({ type: "lost", jobs: event.jobs });
        break;
      case "gap":
        this.#item({ type: "gap", topic: event.topic, gap: event.gap });
        break;
      // What ordinary members are told.
      case "presence":
      case "deleted":
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

  async #take(): Promise<IteratorResult<WorkItem<T>, undefined>> {
    const taken = await this.#queue.next();
    if (!taken.done && taken.value.type !== "job" && this.#untold.delete(taken.value)) this.#announce(taken.value);
    return taken;
  }

  #item(item: Exclude<WorkItem<T>, { type: "job" }>): void {
    if (this.hears(item.type)) this.#announce(item);
    else this.#untold.add(item);
    this.#queue.push(item);
  }

  #announce({ type, ...facts }: Exclude<WorkItem<T>, { type: "job" }>): void {
    this.emit(type, facts);
  }

  #job(message: Message<T>, delivery: number): Job<T> {
    const { epoch, seq } = message;
    return new Job(message, delivery, (how, { delayMs, reason, signal }) =>
      this.#driver.call(signal, (engine, now) => engine.settle(this.#id, epoch ?? "", seq ?? 0, delivery, how, delayMs, reason, now)),
    );
  }
}
