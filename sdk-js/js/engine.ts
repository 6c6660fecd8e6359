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
  | { event: "gap"; sub: number; topic: string; gap: Gap }
  | { event: "presence"; sub: number; topic: string; joined: boolean; member: Presence }
  | { event: "deleted"; sub: number; topic: string; by: string }
  | { event: "ended"; sub: number; reason: EndReason }
  | { event: "inbox"; message: Message }
  | { event: "acked"; call: number; result: PublishResult }
  | { event: "replied"; call: number; message: Message }
  | { event: "answered"; call: number; result: unknown }
  | { event: "failed"; call: number; failure: Failure }
  | { event: "refused"; error: Refusal };

/** Why a call failed. @internal */
export type Failure = { failure: "rejected"; error: Refusal } | { failure: "unknown" } | { failure: "not_sent" };

/** The exported class of the WebAssembly module. @internal */
export interface Engine {
  connect(now: number): void;
  opened(now: number): void;
  failed(why: string, permanent: boolean, retryAfterMs: number | undefined, now: number): void;
  frame(text: string, now: number): void;
  alive(now: number): void;
  closed(code: number | undefined, now: number): void;
  timeout(now: number): void;
  wake(now: number): void;
  overslept(now: number): void;
  setToken(token: string, now: number): void;
  tokenFailed(why: string, now: number): void;
  drain(now: number): void;
  close(now: number): void;
  publish(kind: number, to: string, payload: string, extras: string | undefined, now: number): number;
  publishNowait(kind: number, to: string, payload: string, extras: string | undefined, wait: boolean, now: number): void;
  request(kind: number, to: string, payload: string, extras: string | undefined, now: number): number;
  command(name: string, args: string, timeoutMs: number | undefined, now: number): number;
  join(options: string, now: number): number;
  leave(subscription: number, now: number): void;
  pause(subscription: number, now: number): void;
  resume(subscription: number, now: number): void;
  poll(): string | undefined;
  takeFrame(): string | undefined;
  until(): number | undefined;
  state(): string;
  hasRoom(bytes: number): boolean;
  free(): void;
}

type EngineClass = new (options: string, seedLow: number, seedHigh: number) => Engine;

/** What a WebAssembly module can be made of. */
export type WasmSource = BufferSource | WebAssembly.Module | Response | URL | string;

let source: (() => WasmSource | Promise<WasmSource>) | undefined;
let loading: Promise<EngineClass> | undefined;

/** Says where the module comes from; the entry points of the package call it. @internal */
export function setWasmSource(find: () => WasmSource | Promise<WasmSource>): void {
  source ??= find;
}

/** Loads the module once. @internal */
export function loadEngine(): Promise<EngineClass> {
  loading ??= load().catch((error: unknown) => {
    loading = undefined;
    throw error;
  });
  return loading;
}

async function load(): Promise<EngineClass> {
  if (!source) throw new Error("no WebAssembly module: call init() first, or import @arqon/bus");
  const glue = await import("./wasm/arqonbus.js");
  glue.initSync({ module: await compile(await source()) });
  return glue.Engine as unknown as EngineClass;
}

async function compile(from: WasmSource): Promise<WebAssembly.Module> {
  if (from instanceof WebAssembly.Module) return from;
  const found = typeof from === "string" || from instanceof URL ? await fetch(from) : from;
  if (!(found instanceof Response)) return WebAssembly.compile(found);
  if (!found.ok) throw new Error(`cannot load the WebAssembly module: HTTP ${found.status}`);
  return WebAssembly.compile(await found.arrayBuffer());
}
