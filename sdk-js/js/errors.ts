/** What can go wrong, as classes that say what is certain, whether to try again, and where the mistake is. */

import type { ErrorCode, Refusal, Retry } from "./wire.js";

/** Why a client is closed for good. */
export type Fault =
  | { reason: "closed" }
  | { reason: "unreachable"; why: string }
  | { reason: "refused"; error: Refusal }
  | { reason: "closed_by_server"; code: number };

/** Why a subscription ended. */
export type EndReason =
  | { reason: "left" }
  | { reason: "deleted"; by: string }
  | { reason: "refused"; error: Refusal }
  | { reason: "timed_out" }
  | { reason: "too_many_topics" }
  | { reason: "closed"; fault: Fault };

/** Everything that this package throws on its own account. */
export abstract class ArqonError extends Error {
  /** What went wrong, from a closed list. */
  readonly code: string;
  /** Whether the same call can succeed later. */
  readonly retry: Retry;
  /** How long to wait before that, in milliseconds; with `retry: "after"`. */
  readonly retryAfterMs: number | undefined;
  /** The place of the mistake in the envelope, as a JSON pointer. */
  readonly at: string | undefined;

  constructor(message: string, facts: { code: string; retry: Retry; retryAfterMs?: number | null | undefined; at?: string | null | undefined }) {
    super(message);
    this.code = facts.code;
    this.retry = facts.retry;
    this.retryAfterMs = facts.retryAfterMs ?? undefined;
    this.at = facts.at ?? undefined;
  }
}

/** Certainly not done: the server refused it. */
export class Rejected extends ArqonError {
  override readonly name = "Rejected";
  declare readonly code: ErrorCode;

  constructor(error: Refusal) {
    super(error.message, { code: error.code, retry: error.retry, retryAfterMs: error.retry_after_ms, at: error.at });
  }
}

/**
 * It was sent and no answer came: it may have been done or not. Publishing again under the same `id` is safe within the server's
 * deduplication window.
 */
export class Unknown extends ArqonError {
  override readonly name = "Unknown";

  constructor() {
    super("the outcome is unknown: it was sent, and no answer came", { code: "unknown", retry: "later" });
  }
}

/** Certainly not done: it was never sent before its time ran out or the client closed. */
export class NotSent extends ArqonError {
  override readonly name = "NotSent";

  constructor(message = "not sent in time") {
    super(message, { code: "not_sent", retry: "later" });
  }
}

/** The client is closed, or never came to be connected. */
export class Closed extends ArqonError {
  override readonly name = "Closed";
  /** Why. */
  readonly fault: Fault;

  constructor(fault: Fault) {
    const refusal = fault.reason === "refused" ? fault.error : undefined;
    super(faultWords(fault), { code: refusal?.code ?? fault.reason, retry: refusal?.retry ?? (fault.reason === "unreachable" ? "later" : "never"), at: refusal?.at });
    this.fault = fault;
  }
}

/** The subscription is over, and not because the application left. */
export class Ended extends ArqonError {
  override readonly name = "Ended";
  /** Why. */
  readonly reason: EndReason;

  constructor(reason: EndReason) {
    super(`the subscription ended: ${endWords(reason)}`, { code: reason.reason, retry: reason.reason === "timed_out" ? "later" : "never" });
    this.reason = reason;
  }
}

/** The client itself did not take it: a bound is reached, or it makes no sense now. Nothing was sent. */
export class Declined extends ArqonError {
  override readonly name = "Declined";

  constructor(code: string, message: string) {
    super(message, { code, retry: code === "full" ? "later" : "never" });
  }
}

/** An argument is wrong. Nothing was sent. */
export class Invalid extends ArqonError {
  override readonly name = "Invalid";

  constructor(message: string) {
    super(message, { code: "invalid", retry: "never" });
  }
}

function faultWords(fault: Fault): string {
  switch (fault.reason) {
    case "closed":
      return "closed by the application";
    case "unreachable":
      return `cannot connect: ${fault.why}`;
    case "refused":
      return `refused: ${fault.error.message}`;
    case "closed_by_server":
      return `closed by the server with code ${fault.code}`;
  }
}

function endWords(reason: EndReason): string {
  switch (reason.reason) {
    case "left":
      return "left";
    case "deleted":
      return `the channel was deleted by ${reason.by}`;
    case "refused":
      return reason.error.message;
    case "timed_out":
      return "the join was not answered in time";
    case "too_many_topics":
      return "the pattern matches too many topics";
    case "closed":
      return faultWords(reason.fault);
  }
}

/** The error of a subscription that ended; none where the application wanted it. @internal */
export function endError(reason: EndReason): ArqonError | undefined {
  switch (reason.reason) {
    case "left":
      return undefined;
    case "refused":
      return new Rejected(reason.error);
    case "closed":
      return reason.fault.reason === "closed" ? undefined : new Closed(reason.fault);
    case "deleted":
    case "timed_out":
    case "too_many_topics":
      return new Ended(reason);
  }
}

const DECLINED_WORDS: Record<string, string> = {
  full: "too much is in flight; wait for an answer first",
  closing: "the client is closing",
  already_joined: "this topic or pattern is joined already; share its messages",
  not_a_topic: "a work group belongs to one topic",
  id_in_flight: "a message with this id is in flight",
  not_connected: "not connected",
};

/** Turns what the engine throws into an error; it throws JSON text. @internal */
export function thrown(error: unknown): unknown {
  if (typeof error !== "string") return error;
  const { declined, why, limit } = JSON.parse(error) as { declined: string; why?: string; limit?: number };
  if (declined === "invalid") return new Invalid(why ?? "invalid");
  if (declined === "too_large") return new Declined(declined, `larger than the ${limit} bytes that the server takes`);
  return new Declined(declined, DECLINED_WORDS[declined] ?? declined);
}
