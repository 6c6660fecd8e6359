/** How to connect. */

import type { TokenProvider } from "./driver.js";
import type { WebSocketConstructor } from "./socket.js";

/** How to connect. Times are in milliseconds. */
export interface ConnectOptions {
  /** Credentials: a text, or a function that finds one before every attempt to connect. */
  token?: string | TokenProvider | undefined;
  /** A name that people see in member lists. */
  name?: string | undefined;
  /** What kind of client it is, such as `worker`. */
  kind?: string | undefined;
  /** Whom it acts for; believed only by servers that ask for no credentials. */
  user?: string | undefined;
  /** What other members see of this client; at most 1 KiB as JSON. */
  metadata?: Record<string, unknown> | undefined;
  /** Whether frames may hold several envelopes; by default they may, because it is worth 5 to 8 times in a browser. */
  batch?: boolean | undefined;
  /** How long to wait between attempts: a random time up to `baseMs` doubled each time, at most `capMs`. */
  backoff?: { baseMs?: number | undefined; capMs?: number | undefined } | undefined;
  /** Attempts of the first connection; 0 goes on for ever. One by default: a wrong address shows at once. */
  firstAttempts?: number | undefined;
  /** For one socket to open, and for a token to be found. */
  connectTimeoutMs?: number | undefined;
  /** For commands, joins and replies. */
  requestTimeoutMs?: number | undefined;
  /** After which the outcome of a publish is unknown, reconnects included. */
  publishTimeoutMs?: number | undefined;
  /** That a drain waits for acks. */
  drainTimeoutMs?: number | undefined;
  /** Publishes that are queued or unacknowledged; past it `publish` waits. */
  inFlight?: { messages?: number | undefined; bytes?: number | undefined } | undefined;
  /** A constructor of sockets, where the platform has none or another is wanted. */
  WebSocket?: WebSocketConstructor | undefined;
  /** Gives up connecting. */
  signal?: AbortSignal | undefined;
}

/** The options as the core names them; see `sdk-js/src/options.rs`. @internal */
export function coreOptions(options: ConnectOptions): Record<string, unknown> {
  const { token, name, kind, user, metadata, batch, backoff, inFlight } = options;
  return {
    ...(typeof token === "string" ? { token } : { token_provider: token !== undefined }),
    name,
    kind,
    user,
    metadata,
    batch,
    backoff_base_ms: backoff?.baseMs,
    backoff_cap_ms: backoff?.capMs,
    first_attempts_max: options.firstAttempts,
    open_timeout_ms: options.connectTimeoutMs,
    request_timeout_ms: options.requestTimeoutMs,
    publish_timeout_ms: options.publishTimeoutMs,
    drain_timeout_ms: options.drainTimeoutMs,
    in_flight_max: inFlight?.messages,
    in_flight_bytes_max: inFlight?.bytes,
    unix_ms_at_zero: Date.now(),
  };
}
