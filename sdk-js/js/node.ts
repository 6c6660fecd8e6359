/** `@arqon/bus` for Node: as for browsers, and `ws` where the platform has no WebSocket. */

import "./inline.js";
import { setFallbackWebSocket, type WebSocketConstructor } from "./socket.js";

setFallbackWebSocket(async () => {
  try {
    return (await import("ws")).WebSocket as unknown as WebSocketConstructor;
  } catch {
    return undefined;
  }
});

export * from "./api.js";
