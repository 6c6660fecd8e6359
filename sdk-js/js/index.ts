/** `@arqon/bus` for browsers, workers and bundlers. */

import { type Bus, connect as open } from "./bus.js";
import { setWasmSource } from "./engine.js";
import { inlineWasm } from "./inline.js";
import type { ConnectOptions } from "./options.js";

/** Connects, and waits until the two sides have introduced themselves. */
export function connect(url: string | URL, options: ConnectOptions = {}): Promise<Bus> {
  setWasmSource(inlineWasm);
  return open(url, options);
}

export * from "./api.js";
