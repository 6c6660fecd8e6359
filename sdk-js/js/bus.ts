/** The client: a connection to the bus that repairs itself. */

import { Driver } from "./driver.js";
import { loadEngine, newEngine, type Told } from "./engine.js";
import { Closed, type Fault, Invalid, thrown } from "./errors.js";
import { Emitter, type ListenOptions } from "./emitter.js";
import { History, type HistoryOptions } from "./history.js";
import { Inboxes } from "./inbox.js";
import { type GroupOptions, Jobs } from "./jobs.js";
import { type ConnectOptions, coreOptions } from "./options.js";
import { watchPage } from "./page.js";
import { respond, type RespondOptions, type Responder } from "./respond.js";
import { findWebSocket } from "./socket.js";
import { Subscriptions } from "./subscriptions.js";
import { type JoinOptions, Topic } from "./topic.js";
import type { Ack, CallOptions, ConnectionState, Identity, Message, PublishOptions, Refusal } from "./types.js";
import type { Commands } from "./wire.js";

/** What a {@link Bus} can be listened to for. */
export interface BusEvents {
  /** The connection changed. */
  state: ConnectionState;
  /** The two sides have introduced themselves. */
  connected: Identity;
  /** A connection was lost, or an attempt failed; there will be another. */
  lost: { why: string };
  /** A private message or a broadcast. What came while nobody listened is told to the first who does. */
  inbox: Message;
  /** Private messages or broadcasts gave way before anybody read them. */
  missed: { count: number };
  /** The server refused something that nobody waits for, such as a publish without ack. */
  refused: Refusal;
  /** Over for good. */
  closed: Fault;
}

/** Which pages of a listing. */
export interface ListOptions extends CallOptions {
  /** The `next` of the page before. */
  after?: string | undefined;
  /** Items of one page. */
  limit?: number | undefined;
}

type Send = "publish" | "request";

/** A connection to the bus. Made by {@link connect}. */
export class Bus extends Emitter<BusEvents> implements AsyncDisposable {
  readonly #driver: Driver;
  readonly #subscriptions = new Subscriptions();
  readonly #inboxes: Inboxes;
  readonly #unwatch: () => void;
  readonly #over: Promise<void>;
  #settleOver!: () => void;
  #state: ConnectionState = "idle";
  #identity: Identity | undefined;
  #lastLoss: string | undefined;

  private constructor(make: (bus: { told(event: Told, chars: number): void }) => Driver) {
    super();
    this.#over = new Promise((resolve) => {
      this.#settleOver = resolve;
    });
    this.#driver = make({
      told: (event, chars) => {
        this.#told(event, chars);
      },
    });
    this.#inboxes = new Inboxes({
      hears: () => this.hears("inbox"),
      open: (open) => {
        this.#driver.later((engine) => {
          engine.setInbox(open);
        });
      },
      tell: (message) => {
        this.emit("inbox", message);
      },
      missed: (count) => {
        this.emit("missed", { count });
      },
    });
    this.#unwatch = watchPage(() => {
      this.#driver.wake();
    });
  }

  /** @internal */
  static async connect(url: string | URL, options: ConnectOptions): Promise<Bus> {
    const { signal } = options;
    signal?.throwIfAborted();
    const [module, constructor] = await Promise.all([loadEngine(), findWebSocket(options.WebSocket)]);
    signal?.throwIfAborted();
    const origin = performance.now();
    const [low, high] = crypto.getRandomValues(new Uint32Array(2));
    let engine;
    try {
      engine = newEngine(module, String(url).replace(/^http/, "ws"), coreOptions(options), [low ?? 0, high ?? 0]);
    } catch (error) {
      throw thrown(error);
    }
    const provider = typeof options.token === "function" ? options.token : undefined;
    const bus = new Bus((listener) => new Driver(module, engine, constructor, provider, origin, listener));
    await bus.#firstConnection(signal);
    return bus;
  }

  async #firstConnection(signal: AbortSignal | undefined): Promise<void> {
    const first = new Promise<void>((resolve, reject) => {
      const stops = [
        this.on("connected", () => {
          settle(resolve);
        }),
        this.on("closed", (fault) => {
          settle(() => {
            reject(new Closed(fault));
          });
        }),
      ];
      const giveUp = (): void => {
        settle(() => {
          reject(signal?.reason as Error);
        });
        void this.close();
      };
      const settle = (how: () => void): void => {
        for (const stop of stops) stop();
        signal?.removeEventListener("abort", giveUp);
        how();
      };
      signal?.addEventListener("abort", giveUp);
    });
    this.#driver.input((engine, now) => {
      engine.connect(now);
    });
    await first;
  }

  /** How the connection is. */
  get state(): ConnectionState {
    return this.#state;
  }

  /** Who the server says this client is. */
  get identity(): Identity | undefined {
    return this.#identity;
  }

  /** This connection's id, such as `c_7f3k9q2m`. */
  get client(): string {
    return this.#identity?.client ?? "";
  }

  /** Why the connection was lost the last time, for people. */
  get lastLoss(): string | undefined {
    return this.#lastLoss;
  }

  /** Why the client is closed for good, where it is. */
  get fault(): Fault | undefined {
    return this.#driver.fault;
  }

  /** Joins a topic with the members of a work group, which share its messages. */
  join<T = unknown>(name: string, options: GroupOptions): Promise<Jobs<T>>;
  /** Joins a topic (`science:explore`) or a pattern (`orders:eu.*`). */
  join<T = unknown>(name: string, options?: JoinOptions): Promise<Topic<T>>;
  async join<T = unknown>(name: string, options: JoinOptions | GroupOptions = {}): Promise<Topic<T> | Jobs<T>> {
    const { signal } = options;
    signal?.throwIfAborted();
    this.#checkOpen();
    const host = {
      driver: this.#driver,
      publish: (payload: T, how: PublishOptions) => this.publish(name, payload, how),
    };
    const joined = "group" in options ? new Jobs<T>(this.#driver, name, options.group) : new Topic<T>(host, name, options);
    await this.#subscriptions.join(this.#driver, joined, options);
    return joined;
  }

  /** Publishes to a topic, and waits for the ack. */
  publish(topic: string, payload: unknown, options: PublishOptions = {}): Promise<Ack> {
    return this.#send("publish", 0, topic, payload, options);
  }

  /**
   * Publishes to a topic without asking for an ack; a refusal comes as `"refused"`. While there is no connection it waits in the
   * bounded queue of publishes, or fails where `wait` is false. `Declined` with `full` where the network is slower than you.
   */
  publishNowait(topic: string, payload: unknown, options: Omit<PublishOptions, "signal"> & { wait?: boolean | undefined } = {}): void {
    this.#checkOpen();
    const text = json(payload);
    if (this.#driver.isBehind) throw thrown('{"declined":"full"}');
    try {
      this.#driver.later((engine, now) => {
        engine.publishNowait(0, topic, text, this.#driver.extras(options), options.wait ?? true, now);
      });
    } catch (error) {
      throw thrown(error);
    }
  }

  /** Sends to one client (`c_…`) or to every connection of a user (`user:<id>`). Rejected where nobody is there. */
  private(to: string, payload: unknown, options: PublishOptions = {}): Promise<Ack> {
    return this.#send("publish", 2, to, payload, options);
  }

  /** Sends to the members of any channel of a room, once each; without a room to everybody. */
  broadcast(payload: unknown, options: PublishOptions & { room?: string | undefined } = {}): Promise<Ack> {
    return options.room === undefined ? this.#send("publish", 2, "*", payload, options) : this.#send("publish", 1, options.room, payload, options);
  }

  /** Sends a request to a topic, and waits for the reply. Rejected at once where nobody could answer. */
  request<T = unknown>(topic: string, payload: unknown, options: PublishOptions = {}): Promise<Message<T>> {
    return this.#send("request", 0, topic, payload, options);
  }

  /** Sends a request to one client (`c_…`) or to every connection of a user (`user:<id>`), whose inbox gets it; the first reply counts. */
  requestPrivate<T = unknown>(to: string, payload: unknown, options: PublishOptions = {}): Promise<Message<T>> {
    return this.#send("request", 2, to, payload, options);
  }

  /** Answers a request that was received. */
  reply(request: Message, payload: unknown, options: PublishOptions = {}): Promise<Ack> {
    if (request.reply_to == null) return Promise.reject(new Invalid("the message asks for no answer"));
    return this.#send("publish", 2, request.reply_to, payload, { ...options, correlationId: request.id });
  }

  /**
   * Joins a topic and answers every request there with what `answer` gives. Messages that ask for no answer are passed over. What
   * `answer` throws is logged (in browsers as uncaught) and not sent: answer with a value that says what is wrong.
   */
  async respond<T = unknown>(topic: string, answer: (request: Message<T>) => unknown, options: RespondOptions = {}): Promise<Responder> {
    return respond(await this.join<T>(topic, options), answer, (request, payload) => this.reply(request, payload), options);
  }

  /**
   * Receives what is addressed to this client and not to a topic that it joined: private messages and broadcasts. What came while nobody
   * listened comes first. Past a bound the oldest give way, then and for a slow reader; the event `missed` tells how many. `break` ends it.
   */
  inbox<T = unknown>(options: { signal?: AbortSignal | undefined } = {}): AsyncIterableIterator<Message<T>, undefined> {
    return this.#inboxes.read<T>(options.signal, this.fault !== undefined);
  }

  /** Reads a topic's history, page by page as it is wanted. */
  history<T = unknown>(topic: string, options: HistoryOptions = {}): History<T> {
    const { room, channel } = split(topic);
    return new History<T>((args, signal) => this.command("history", args, { signal }), room, channel, options);
  }

  /** Lists who is joined to a topic. */
  async members(topic: string, options: ListOptions = {}): Promise<Commands["members"]["result"]> {
    return this.command("members", { ...split(topic), ...page(options) }, options);
  }

  /** Shows the state of the bus. */
  status(options: CallOptions = {}): Promise<Commands["status"]["result"]> {
    return this.command("status", {}, options);
  }

  /** Lists rooms. */
  rooms(options: ListOptions = {}): Promise<Commands["list_rooms"]["result"]> {
    return this.command("list_rooms", page(options), options);
  }

  /** Lists the channels of a room. */
  channels(room: string, options: ListOptions = {}): Promise<Commands["list_channels"]["result"]> {
    return this.command("list_channels", { room, ...page(options) }, options);
  }

  /** Shows one channel. */
  async channelInfo(topic: string, options: CallOptions = {}): Promise<Commands["channel_info"]["result"]> {
    return this.command("channel_info", split(topic), options);
  }

  /** Creates a channel; one that exists stays as it is. */
  async createChannel(topic: string, options: CallOptions & { description?: string | undefined } = {}): Promise<Commands["create_channel"]["result"]> {
    const { description } = options;
    return this.command("create_channel", { ...split(topic), ...(description !== undefined && { description }) }, options);
  }

  /** Deletes a channel with its history. */
  async deleteChannel(topic: string, options: CallOptions = {}): Promise<Commands["delete_channel"]["result"]> {
    return this.command("delete_channel", split(topic), options);
  }

  /** Closes the connections of a client or user. */
  disconnect(whom: { client: string } | { user: string }, options: CallOptions = {}): Promise<Commands["disconnect"]["result"]> {
    return this.command("disconnect", whom, options);
  }

  /** Asks for a sign of life, and gives the milliseconds that it took. */
  async ping(options: CallOptions = {}): Promise<number> {
    const start = performance.now();
    await this.command("ping", {}, options);
    return performance.now() - start;
  }

  /** Sends any command of the protocol. */
  command<Name extends keyof Commands>(name: Name, args: Commands[Name]["args"], options: CallOptions = {}): Promise<Commands[Name]["result"]> {
    const text = JSON.stringify(args);
    return this.#driver.call(options.signal, (engine, now) => engine.command(name, text, options.timeoutMs, now));
  }

  /** Replaces the credentials, also of the live connection. */
  setToken(token: string): void {
    this.#driver.input((engine, now) => {
      engine.setToken(token, now);
    });
  }

  /** Asks the token provider again, and gives the live connection what it finds. */
  refresh(): Promise<void> {
    return this.#driver.refresh();
  }

  /** Says that the machine has slept or the network changed: looks at once whether the connection lives. Browsers need not call it. */
  wake(): void {
    this.#driver.wake();
  }

  /** Takes no new work, waits for what is in flight, leaves, and closes. */
  drain(): Promise<void> {
    this.#driver.input((engine, now) => {
      engine.drain(now);
    });
    return this.#over;
  }

  /** Closes at once: publishes in flight end as `Unknown`. */
  close(): Promise<void> {
    this.#driver.input((engine, now) => {
      engine.close(now);
    });
    return this.#over;
  }

  /** Drains. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.drain();
  }

  #send<R>(how: Send, kind: number, to: string, payload: unknown, options: PublishOptions): Promise<R> {
    let text: string;
    try {
      text = json(payload);
    } catch (error) {
      return Promise.reject(error);
    }
    return this.#driver.call<R>(options.signal, (engine, now) => engine[how](kind, to, text, this.#driver.extras(options), now));
  }

  override on<Name extends keyof BusEvents>(name: Name, listener: (value: BusEvents[Name]) => void, options: ListenOptions = {}): () => void {
    const stop = super.on(name, listener, options);
    if (name !== "inbox") return stop;
    this.#inboxes.changed();
    // The signal may have taken the listener away already.
    const closed = (): void => {
      stop();
      this.#inboxes.changed();
    };
    options.signal?.addEventListener("abort", closed, { once: true });
    return closed;
  }

  #checkOpen(): void {
    if (this.fault) throw new Closed(this.fault);
  }

  #told(event: Told, chars: number): void {
    switch (event.event) {
      case "messages":
      case "job":
      case "jobs_lost":
      case "gap":
      case "presence":
      case "deleted":
      case "joined":
      case "ended":
        this.#subscriptions.tell(event, chars);
        break;
      case "inbox":
        this.#inboxes.tellLeft();
        this.#inboxes.message(event.message);
        break;
      case "missed":
        this.#inboxes.tellLeft();
        this.emit("missed", { count: event.count });
        break;
      case "refused":
        this.emit("refused", event.error);
        break;
      default:
        this.#connection(event);
    }
  }

  #connection(event: Told): void {
    switch (event.event) {
      case "state":
        this.#state = event.state;
        this.emit("state", event.state);
        break;
      case "connected":
        this.#identity = { client: event.client, user: event.user, resumed: event.resumed };
        this.emit("connected", this.#identity);
        break;
      case "lost":
        this.#lastLoss = event.why;
        this.emit("lost", { why: event.why });
        break;
      case "closed":
        this.#unwatch();
        this.#inboxes.end();
        this.#settleOver();
        this.emit("closed", event.fault);
        break;
      default:
        break;
    }
  }
}

/** Connects, and waits until the two sides have introduced themselves. */
export function connect(url: string | URL, options: ConnectOptions = {}): Promise<Bus> {
  return Bus.connect(url, options);
}

function json(payload: unknown): string {
  let text: unknown;
  try {
    text = JSON.stringify(payload);
  } catch (error) {
    throw new Invalid(`the payload cannot be written as JSON: ${String(error)}`);
  }
  // Functions and `undefined` give nothing, which the type of `stringify` does not say.
  if (typeof text !== "string") throw new Invalid("the payload cannot be written as JSON");
  return text;
}

function split(topic: string): { room: string; channel: string } {
  const at = topic.indexOf(":");
  if (at < 0) throw new Invalid(`not a topic: ${topic}; a topic is room:channel`);
  return { room: topic.slice(0, at), channel: topic.slice(at + 1) };
}

function page({ after, limit }: ListOptions): { after?: string; limit?: number } {
  return { ...(after !== undefined && { after }), ...(limit !== undefined && { limit }) };
}

