/** The one place that owns socket, timer and core: inputs in, orders out, nothing else. */

import type { Engine, Extras, Failure, Module, Told } from "./engine.js";
import { ArqonError, Closed, type Fault, NotSent, Rejected, thrown, Unknown } from "./errors.js";
import { report } from "./emitter.js";
import { takeFrame } from "./frames.js";
import { Fifo } from "./queue.js";
import { Socket, type WebSocketConstructor } from "./socket.js";
import type { PublishOptions } from "./types.js";

/** Finds a token, each time that one is needed. */
export type TokenProvider = () => string | Promise<string>;

/** Bytes that may wait in the socket while more without an ack is taken. */
const BACKLOG_BYTES = 1024 * 1024;

/** A timer that comes later than this was held up: by a hidden tab, a sleeping machine, or a busy page. */
const LATE_MS = 2_000;
/** `setTimeout` wraps above this. */
const TIMEOUT_MS_MAX = 2 ** 31 - 1;
/** Calls that wait for room in the core; past it they fail. */
const LINE_MAX = 65_536;

/** What a driver tells; never from within the core. @internal */
export interface DriverListener {
  told(event: Told, chars: number): void;
}

interface Call {
  resolve(value: never): void;
  reject(error: unknown): void;
}

/** @internal */
export class Driver {
  readonly #module: Module;
  readonly #engine: Engine;
  readonly #socketClass: WebSocketConstructor;
  readonly #provider: TokenProvider | undefined;
  readonly #listener: DriverListener;
  readonly #origin: number;
  readonly #calls = new Map<number, Call>();
  readonly #line = new Fifo<() => boolean>();
  #socket: Socket | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #armed: number | undefined;
  #pumping = false;
  #soon = false;
  #fault: Fault | undefined;

  constructor(
    module: Module,
    engine: Engine,
    constructor: WebSocketConstructor,
    provider: TokenProvider | undefined,
    origin: number,
    listener: DriverListener,
  ) {
    this.#module = module;
    this.#engine = engine;
    this.#socketClass = constructor;
    this.#provider = provider;
    this.#origin = origin;
    this.#listener = listener;
  }

  /** Milliseconds since this client was made; a clock that does not go back. */
  now(): number {
    return Math.floor(performance.now() - this.#origin);
  }

  /** Why the client is closed for good, where it is. */
  get fault(): Fault | undefined {
    return this.#fault;
  }

  /** Whether so much of what was sent has not left that what needs no ack is declined: nothing else bounds that. */
  get isBehind(): boolean {
    return (this.#socket?.backlog ?? 0) > BACKLOG_BYTES;
  }

  /** Gives the core one input, and carries out what comes of it. After the end it does nothing. */
  input(give: (engine: Engine, now: number) => void): void {
    if (this.#fault) return;
    give(this.#engine, this.now());
    this.#pump();
  }

  /** As `input`, for calls of the application: those of one turn of the event loop share frames. */
  later(give: (engine: Engine, now: number) => void): void {
    if (this.#fault) return;
    give(this.#engine, this.now());
    this.#pumpSoon();
  }

  /** Says that page or network woke up. */
  wake(): void {
    this.input((engine, now) => {
      engine.wake(now);
    });
  }

  /** What a message has beside target and payload, as the core takes it; nothing for most. */
  extras({ id, headers, correlationId, excludeSender = false, timeoutMs }: PublishOptions): Extras | undefined {
    if (id === undefined && headers === undefined && correlationId === undefined && !excludeSender && timeoutMs === undefined) return undefined;
    return new this.#module.Extras(id, headers && JSON.stringify(headers), correlationId, excludeSender, timeoutMs);
  }

  /** Begins a call and waits for its outcome. An abort gives up the wait; what was sent stays sent. */
  call<T>(signal: AbortSignal | undefined, begin: (engine: Engine, now: number) => number): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      signal?.throwIfAborted();
      let id: number | undefined;
      const giveUp = (): void => {
        if (id !== undefined) this.#calls.delete(id);
        reject(signal?.reason as Error);
      };
      signal?.addEventListener("abort", giveUp, { once: true });
      const done = (): void => signal?.removeEventListener("abort", giveUp);
      const settle: Call = {
        resolve: (value) => {
          done();
          resolve(value);
        },
        reject: (error: unknown) => {
          done();
          reject(error);
        },
      };
      const start = (): boolean => {
        if (signal?.aborted) return true;
        id = this.#begin(settle, begin);
        return id !== undefined;
      };
      // In the order of the calls: nobody passes those who wait.
      if (this.#line.length > 0 || !start()) this.#wait(start, settle);
      this.#pumpSoon();
    });
  }

  /** Begins a call; none where there is no room for it now. */
  #begin(settle: Call, begin: (engine: Engine, now: number) => number): number | undefined {
    if (this.#fault) {
      settle.reject(new Closed(this.#fault));
      return -1;
    }
    try {
      const id = begin(this.#engine, this.now());
      this.#calls.set(id, settle);
      return id;
    } catch (caught) {
      const error = thrown(caught);
      if (error instanceof ArqonError && error.code === "full") return undefined;
      settle.reject(error);
      return -1;
    }
  }

  #wait(start: () => boolean, settle: Call): void {
    if (this.#line.length >= LINE_MAX) settle.reject(thrown('{"declined":"full"}'));
    else
      this.#line.push(() => {
        if (!this.#fault) return start();
        settle.reject(new NotSent("the client closed before there was room to send"));
        return true;
      });
  }

  #pumpSoon(): void {
    if (this.#soon || this.#pumping) return;
    this.#soon = true;
    queueMicrotask(() => {
      this.#soon = false;
      if (!this.#fault) this.#pump();
    });
  }

  /** Carries out all orders of the core, and tells all events. */
  #pump(): void {
    // A listener called us: the loop below goes on after it.
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      this.#drain();
    } finally {
      this.#pumping = false;
    }
    this.#arm();
  }

  #drain(): void {
    do {
      for (let text = this.#engine.poll(); text !== undefined; text = this.#engine.poll()) {
        const told = JSON.parse(text) as Told[];
        for (const event of told) this.#take(event, text.length / told.length);
      }
    } while (this.#advanceLine());
  }

  /** Takes a text frame of the socket. */
  #frame(text: string): void {
    if (this.#fault) return;
    if (this.#pumping) {
      // A socket that tells from within our own call has to wait for its turn.
      queueMicrotask(() => {
        this.#frame(text);
      });
      return;
    }
    const socket = this.#socket;
    this.#pumping = true;
    try {
      takeFrame(this.#engine, text, this.now(), {
        messages: (sub, messages, chars) => {
          this.#tell({ event: "messages", sub, messages }, chars);
        },
        advance: () => {
          this.#drain();
          return this.#socket === socket;
        },
      });
      this.#drain();
    } finally {
      this.#pumping = false;
    }
    this.#arm();
  }

  /** Lets those who wait for room go on; true where one did. */
  #advanceLine(): boolean {
    let advanced = false;
    while (this.#line.length > 0 && (this.#fault !== undefined || this.#engine.hasRoom(0))) {
      const start = this.#line.shift();
      if (!start?.()) break;
      advanced = true;
    }
    return advanced;
  }

  #take(event: Told, chars: number): void {
    switch (event.event) {
      case "open":
        this.#open(event.url);
        break;
      case "transmit":
        this.#socket?.send(this.#engine.takeFrame() ?? "");
        break;
      case "close":
        this.#socket?.close(event.code);
        this.#socket = undefined;
        break;
      case "token_needed":
        void this.refresh();
        break;
      case "acked":
        this.#settle(event.call, (call) => {
          call.resolve(event.result as never);
        });
        break;
      case "answered":
        this.#settle(event.call, (call) => {
          call.resolve(event.result as never);
        });
        break;
      case "settled":
        this.#settle(event.call, (call) => {
          call.resolve(undefined as never);
        });
        break;
      case "replied":
        this.#settle(event.call, (call) => {
          call.resolve(event.message as never);
        });
        break;
      case "failed":
        this.#settle(event.call, (call) => {
          call.reject(failureError(event.failure));
        });
        break;
      case "closed":
        this.#fault = event.fault;
        clearTimeout(this.#timer);
        this.#tell(event, chars);
        break;
      default:
        this.#tell(event, chars);
    }
  }

  #tell(event: Told, chars: number): void {
    try {
      this.#listener.told(event, chars);
    } catch (error) {
      report(error);
    }
  }

  #settle(id: number, with_: (call: Call) => void): void {
    const call = this.#calls.get(id);
    if (!call) return;
    this.#calls.delete(id);
    with_(call);
  }

  /** Asks the provider for a token and gives it to the core. */
  async refresh(): Promise<void> {
    if (!this.#provider) return;
    try {
      const token = await this.#provider();
      this.input((engine, now) => {
        engine.setToken(token, now);
      });
    } catch (error) {
      this.input((engine, now) => {
        engine.tokenFailed(String(error), now);
      });
    }
  }

  #open(url: string): void {
    let socket: Socket | undefined;
    // What an older socket still says is of no interest.
    const mine = (give: (engine: Engine, now: number) => void): void => {
      if (socket === undefined || this.#socket === socket) this.input(give);
    };
    try {
      socket = new Socket(this.#socketClass, url, {
        opened: () => {
          mine((engine, now) => {
            engine.opened(now);
          });
        },
        frame: (text) => {
          if (socket === undefined || this.#socket === socket) this.#frame(text);
        },
        alive: () => {
          mine((engine, now) => {
            engine.alive(now);
          });
        },
        closed: (code) => {
          mine((engine, now) => {
            this.#socket = undefined;
            engine.closed(code, now);
          });
        },
        failed: (why, permanent) => {
          mine((engine, now) => {
            this.#socket = undefined;
            engine.failed(why, permanent, undefined, now);
          });
        },
      });
      this.#socket = socket;
    } catch (error) {
      // A constructor that throws does not like the address.
      this.#engine.failed(String(error), true, undefined, this.now());
    }
  }

  /** Sets the timer. One that is set for earlier is left alone: it looks again when it fires. */
  #arm(): void {
    const until = this.#fault ? undefined : this.#engine.until();
    if (until === undefined || (this.#armed !== undefined && this.#armed <= until)) return;
    clearTimeout(this.#timer);
    this.#armed = until;
    this.#timer = setTimeout(
      () => {
        this.#fire();
      },
      Math.min(Math.max(until - this.now(), 0), TIMEOUT_MS_MAX),
    );
  }

  #fire(): void {
    const armed = this.#armed ?? 0;
    this.#armed = undefined;
    if (this.#fault) return;
    const [until, now] = [this.#engine.until(), this.now()];
    if (until !== undefined && until <= now) {
      if (now - armed > LATE_MS) {
        // While we did not run nothing could be heard: ask before the connection is given up.
        this.#engine.overslept(now);
        this.#engine.wake(now);
      } else this.#engine.timeout(now);
    }
    this.#pump();
  }
}

/** @internal */
export function failureError(failure: Failure): ArqonError {
  switch (failure.failure) {
    case "rejected":
      return new Rejected(failure.error);
    case "unknown":
      return new Unknown();
    case "not_sent":
      return new NotSent();
  }
}
