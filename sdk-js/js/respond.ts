/** Answering requests. */

import { Invalid } from "./errors.js";
import type { JoinOptions, Topic } from "./topic.js";
import type { Message } from "./types.js";

/** Requests that one responder answers at the same time, by default. */
const ANSWERS_MAX = 64;

/** How to answer requests. */
export interface RespondOptions extends JoinOptions {
  /** Requests that are answered at the same time; 64 by default. */
  concurrency?: number | undefined;
}

/** Anybody can send a request that an answer fails on: it must not end the process, as an uncaught error does in Node. */
function log(error: unknown): void {
  if (typeof reportError === "function") reportError(error);
  else console.error(error);
}

/** Answers requests until it is stopped; see {@link Bus.respond}. */
export interface Responder extends AsyncDisposable {
  /** What it listens to. */
  readonly topic: Topic;
  /** Stops. */
  stop(): Promise<void>;
}

/** Answers what comes. Messages that ask for no answer are passed over. @internal */
export function respond<T>(
  topic: Topic<T>,
  answer: (request: Message<T>) => unknown,
  reply: (request: Message<T>, payload: unknown) => Promise<unknown>,
  { concurrency = ANSWERS_MAX }: RespondOptions,
): Responder {
  const under = new Set<Promise<void>>();
  const one = async (request: Message<T>): Promise<void> => {
    try {
      const payload = await answer(request);
      // A requester that is gone does not need it.
      await reply(request, payload).catch((error: unknown) => {
        if (error instanceof Invalid) throw error;
      });
    } catch (error) {
      log(error);
    }
  };
  const all = async (): Promise<void> => {
    for await (const request of topic) {
      if (request.reply_to == null) continue;
      while (under.size >= concurrency) await Promise.race(under);
      const answering = one(request).finally(() => under.delete(answering));
      under.add(answering);
    }
    await Promise.all(under);
  };
  const running = all().catch((error: unknown) => {
    log(error);
  });
  const stop = async (): Promise<void> => {
    await topic.leave();
    await running;
  };
  return { topic: topic as Topic, stop, [Symbol.asyncDispose]: stop };
}
