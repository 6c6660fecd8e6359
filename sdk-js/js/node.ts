/** `@arqon/bus` for Node: as for browsers, and `ws` where the platform has no WebSocket. */

import type { Bus } from "./bus.js";
import { connect as open } from "./index.js";
import type { ConnectOptions } from "./options.js";
import { setFallbackWebSocket, type WebSocketConstructor } from "./socket.js";

/** Connects, and waits until the two sides have introduced themselves. */
export function connect(url: string | URL, options: ConnectOptions = {}): Promise<Bus> {
  setFallbackWebSocket(findWs);
  return open(url, options);
}

async function findWs(): Promise<WebSocketConstructor | undefined> {
  try {
    return (await import("ws")).WebSocket as unknown as WebSocketConstructor;
  } catch {
    return undefined;
  }
}

export * from "./api.js";
