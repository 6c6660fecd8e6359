/** The compiled core, as the driver sees it, and how it is loaded. */

import type { EndReason, Fault } from "./errors.js";
import type { ConnectionState, Gap, JoinResult, Message, Presence, PublishResult, Refusal } from "./types.js";

/** One order or event of the core; see `sdk-js/src/told.rs`. @internal */
export type Told =
  | { event: "open"; url: string }
  | { event: "transmit" }
  | { event: "close"; code: number }
  | { event: "state"; state: ConnectionState }
  | { event: "connected"; client: string; user: string | null; resumed: boolean }
  | { event: "lost"; why: string }
  | { event: "closed"; fault: Fault }
  | { event: "token_needed" }
  | { event: "joined"; sub: number; again: boolean; result: JoinResult }
  | { event: "messages"; sub: number; messages: Message[] }
  | { event: "job"; sub: number; delivery: number; message: Message }
  | { event: "jobs_lost"; sub: number; jobs: number }
  | { event: "settled"; call: number }
  | { event: "gap"; sub: number; topic: string; gap: Gap }
  | { event: "presence"; sub: number; topic: string; joined: boolean; member: Presence }
  | { event: "deleted"; sub: number; topic: string; by: string }
  | { event: "ended"; sub: number; reason: EndReason }
  | { event: "inbox"; message: Message }
  | { event: "acked"; call: number; result: PublishResult }
  | { event: "replied"; call: number; message: Message }
  | { event: "answered"; call: number; result: unknown }
  | { event: "failed"; call: number; failure: Failure }
  | { event: "missed"; count: number }
  | { event: "refused"; error: Refusal };

/** Why a call failed. @internal */
export type Failure = { failure: "rejected"; error: Refusal } | { failure: "unknown" } | { failure: "not_sent" };

/** The exported class of the WebAssembly module. @internal */
export interface Engine {
  connect(now: number): void;
  opened(now: number): void;
  failed(why: string, permanent: boolean, retryAfterMs: number | undefined, now: number): void;
  frame(text: string, now: number): void;
  run(room: string, channel: string, epoch: string, seq: number, count: number, now: number): number;
  nonsense(now: number): void;
  batching(): boolean;
  alive(now: number): void;
  closed(code: number | undefined, now: number): void;
  timeout(now: number): void;
  wake(now: number): void;
  overslept(now: number): void;
  setToken(token: string, now: number): void;
  tokenFailed(why: string, now: number): void;
  drain(now: number): void;
  close(now: number): void;
  publish(kind: number, to: string, payload: string, extras: Extras | undefined, now: number): number;
  publishNowait(kind: number, to: string, payload: string, extras: Extras | undefined, wait: boolean, now: number): void;
  request(kind: number, to: string, payload: string, extras: Extras | undefined, now: number): number;
  command(name: string, args: string, timeoutMs: number | undefined, now: number): number;
  join(pattern: string, since: string | undefined, replay: number | undefined, positions: string | undefined, presence: boolean, group: string | undefined, maxInFlight: number | undefined, now: number): number;
  settle(subscription: number, epoch: string, seq: number, delivery: number, how: number, delayMs: number | undefined, reason: string | undefined, now: number): number;
  leave(subscription: number, now: number): void;
  pause(subscription: number, now: number): void;
  resume(subscription: number, now: number): void;
  setInbox(open: boolean): void;
  poll(): string | undefined;
  takeFrame(): string | undefined;
  until(): number | undefined;
  state(): string;
  hasRoom(bytes: number): boolean;
  free(): void;
}

/** The options of a core, under its own names; see `sdk-js/src/options.rs`. @internal */
export interface Options {
  text(option: string, text: string): void;
  number(option: string, number: number): void;
}

/** What a message has beside target and payload. Whoever takes it owns it. @internal */
export interface Extras {
  free(): void;
}

/** What the module exports. @internal */
export interface Module {
  Engine: new (options: Options, seedLow: number, seedHigh: number) => Engine;
  Options: new (url: string) => Options;
  Extras: new (id: string | undefined, headers: string | undefined, correlationId: string | undefined, excludeSender: boolean, timeoutMs: number | undefined) => Extras;
}

/** Sets what is given; the rest has the core's defaults. Throws JSON text. @internal */
export function newEngine(module: Module, url: string, given: Record<string, unknown>, seed: readonly [number, number]): Engine {
  const options = new module.Options(url);
  for (const [name, value] of Object.entries(given)) {
    if (typeof value === "number" || typeof value === "boolean") options.number(name, Number(value));
    else if (typeof value === "string") options.text(name, value);
    else if (value !== undefined) options.text(name, JSON.stringify(value));
  }
  return new module.Engine(options, ...seed);
}

/** What a WebAssembly module can be made of. */
export type WasmSource = BufferSource | WebAssembly.Module | Response | URL | string;

let source: (() => WasmSource | Promise<WasmSource>) | undefined;
let loading: Promise<Module> | undefined;

/** Says where the module comes from; the entry points of the package call it. @internal */
export function setWasmSource(find: () => WasmSource | Promise<WasmSource>): void {
  source ??= find;
}

/** Loads the module once. @internal */
export function loadEngine(): Promise<Module> {
  loading ??= load().catch((error: unknown) => {
    loading = undefined;
    throw error;
  });
  return loading;
}

async function load(): Promise<Module> {
  if (!source) throw new Error("no WebAssembly module: call init() first, or import @arqon/bus");
  const glue = await import("./wasm/arqonbus.js");
  glue.initSync({ module: await compile(await source()) });
  return glue as unknown as Module;
}

async function compile(from: WasmSource): Promise<WebAssembly.Module> {
  if (from instanceof WebAssembly.Module) return from;
  const found = typeof from === "string" || from instanceof URL ? await fetch(from) : from;
  if (!(found instanceof Response)) return WebAssembly.compile(found);
  if (!found.ok) throw new Error(`cannot load the WebAssembly module: HTTP ${found.status}`);
  return WebAssembly.compile(await found.arrayBuffer());
}
