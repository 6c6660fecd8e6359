/** The platform's WebSocket: which one, and as little of it as is needed. */

/** As much of a WebSocket as this package uses; those of browsers, Node, `ws`, Deno and Bun are such. */
export interface WebSocketLike {
  send(data: string): void;
  close(code?: number): void;
  /** Bytes that were sent and have not left. */
  readonly bufferedAmount?: number;
  addEventListener(type: "open" | "message" | "close" | "error", listener: (event: never) => void): void;
}

/** Makes a socket. */
export type WebSocketConstructor = new (url: string, protocols?: string | string[]) => WebSocketLike;

/** What `ws` has beyond a browser's socket. */
interface NodeSocket extends WebSocketLike {
  on?(event: "ping" | "pong", listener: () => void): void;
  terminate?(): void;
}

/** What a socket tells; none of it after `close`. @internal */
export interface SocketListener {
  opened(): void;
  frame(text: string): void;
  alive(): void;
  closed(code: number | undefined): void;
  failed(why: string, permanent: boolean): void;
}

let fallback: (() => Promise<WebSocketConstructor | undefined>) | undefined;

/** Says where a constructor is found when the platform has none. @internal */
export function setFallbackWebSocket(find: () => Promise<WebSocketConstructor | undefined>): void {
  fallback = find;
}

/** @internal */
export async function findWebSocket(given: WebSocketConstructor | undefined): Promise<WebSocketConstructor> {
  const found = given ?? (globalThis as { WebSocket?: WebSocketConstructor }).WebSocket ?? (await fallback?.());
  if (!found) throw new Error("this platform has no WebSocket: npm install ws, or pass { WebSocket }");
  return found;
}

/** How long a peer has to answer a close frame, where we can tell. */
const GOODBYE_MS = 2_000;

/** One attempt and its connection. @internal */
export class Socket {
  readonly #socket: NodeSocket;
  #listener: SocketListener | undefined;
  #open = false;
  #over = false;
  #why = "the socket did not open";

  constructor(constructor: WebSocketConstructor, url: string, listener: SocketListener) {
    this.#listener = listener;
    this.#socket = new constructor(url, ["arqonbus.v1"]);
    this.#socket.addEventListener("open", () => {
      this.#open = true;
      this.#listener?.opened();
    });
    this.#socket.addEventListener("message", (event: { data: unknown }) => {
      if (typeof event.data === "string") this.#listener?.frame(event.data);
      // A binary frame is none of the protocol; it counts as a lost connection, as any error does.
      else this.#lose(undefined);
    });
    this.#socket.addEventListener("close", (event: { code?: number }) => {
      this.#over = true;
      // 1005 and 1006 are not codes of a peer: they say that there was none.
      this.#lose(event.code === 1005 || event.code === 1006 ? undefined : event.code);
    });
    // `ws` throws where nobody listens for errors. The close event follows.
    this.#socket.addEventListener("error", (event: { message?: string }) => {
      if (event.message) this.#why = event.message;
    });
    for (const sign of ["ping", "pong"] as const) this.#socket.on?.(sign, () => this.#listener?.alive());
  }

  send(text: string): void {
    this.#socket.send(text);
  }

  /** Bytes that the platform holds because the network is slower. */
  get backlog(): number {
    return this.#socket.bufferedAmount ?? 0;
  }

  /** Closes, and tells nothing more. */
  close(code: number): void {
    this.#listener = undefined;
    // Browsers let a page say 1000 and 3000 to 4999 only.
    if (code === 1000 || (code >= 3000 && code < 5000)) this.#socket.close(code);
    else this.#socket.close();
    if (this.#socket.terminate) {
      const timer = setTimeout(() => {
        if (!this.#over) this.#socket.terminate?.();
      }, GOODBYE_MS);
      (timer as { unref?: () => void }).unref?.();
    }
  }

  #lose(code: number | undefined): void {
    const listener = this.#listener;
    this.#listener = undefined;
    if (!listener) return;
    if (!this.#over) this.#socket.close();
    if (this.#open) listener.closed(code);
    else listener.failed(this.#why, isPermanent(this.#why));
  }
}

/** Whether another attempt would meet the same answer; only `ws` tells the HTTP status. */
function isPermanent(why: string): boolean {
  const status = Number(/Unexpected server response: (\d+)/.exec(why)?.[1] ?? 0);
  return status >= 400 && status < 500 && status !== 408 && status !== 429;
}
