/** A topic's past, page by page as it is wanted. */

import type { Gap, HistoryBound, Message } from "./types.js";
import { positionOf } from "./types.js";
import type { HistoryArgs, HistoryResult } from "./wire.js";

/** Which part of the past. */
export interface HistoryOptions {
  /** Only messages after this: a position, a message, or a time of the server's clock. */
  since?: HistoryBound | Pick<Message, "epoch" | "seq"> | Date | undefined;
  /** Only messages up to and including this. */
  until?: HistoryBound | Pick<Message, "epoch" | "seq"> | Date | undefined;
  /** Oldest first, or newest first. */
  direction?: "forward" | "backward" | undefined;
  /** At most so many messages; all by default. */
  limit?: number | undefined;
  /** Messages of one page; 100 by default. */
  pageSize?: number | undefined;
  /** Gives up. */
  signal?: AbortSignal | undefined;
}

/** A topic's messages; see {@link Bus.history}. */
export class History<T = unknown> implements AsyncIterable<Message<T>> {
  readonly #page: (args: HistoryArgs, signal: AbortSignal | undefined) => Promise<HistoryResult>;
  readonly #args: HistoryArgs;
  readonly #options: HistoryOptions;
  #gap: Gap | undefined;

  /** @internal */
  constructor(page: (args: HistoryArgs, signal: AbortSignal | undefined) => Promise<HistoryResult>, room: string, channel: string, options: HistoryOptions) {
    this.#page = page;
    this.#options = options;
    const [since, until] = [bound(options.since), bound(options.until)];
    this.#args = { room, channel, direction: options.direction ?? "forward", ...(since && { since }), ...(until && { until }) };
  }

  /** What lay between `since` and the first message given and is no longer held; known after the first message. */
  get gap(): Gap | undefined {
    return this.#gap;
  }

  /** All of them at once. */
  async toArray(): Promise<Message<T>[]> {
    const all: Message<T>[] = [];
    for await (const message of this) all.push(message);
    return all;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Message<T>, undefined> {
    const args = { ...this.#args };
    let left = this.#options.limit ?? Infinity;
    while (left > 0) {
      const limit = Math.min(this.#options.pageSize ?? 100, left);
      const result = await this.#page({ ...args, limit }, this.#options.signal);
      this.#gap ??= result.gap ?? undefined;
      for (const message of result.messages) {
        left -= 1;
        yield message as Message<T>;
      }
      if (!result.next) return undefined;
      if (args.direction === "backward") args.until = result.next;
      else args.since = result.next;
    }
    return undefined;
  }
}

function bound(at: HistoryOptions["since"]): HistoryBound | undefined {
  if (at instanceof Date) return at.toISOString();
  return typeof at === "string" ? at : positionOf(at);
}
