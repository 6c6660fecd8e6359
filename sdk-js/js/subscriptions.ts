/** What a client has joined, by the core's numbers. */

import type { Driver } from "./driver.js";
import type { Told } from "./engine.js";
import { Closed, endError, thrown } from "./errors.js";
import type { GroupOptions, Jobs } from "./jobs.js";
import { type JoinOptions, Topic } from "./topic.js";
import { positionOf } from "./types.js";

interface Entry {
  joined: Topic | Jobs;
  /** The join that waits for its answer. */
  waiting: { resolve(): void; reject(error: unknown): void } | undefined;
  /** Lets go of the signal, which may outlive many subscriptions. */
  unsign: () => void;
}

/** What the core tells of subscriptions. */
type Event = Extract<Told, { sub: number }>;

/** @internal */
export class Subscriptions {
  readonly #entries = new Map<number, Entry>();

  /** Joins, and waits for the answer. An abort gives up the join, or leaves. */
  async join<T>(driver: Driver, joined: Topic<T> | Jobs<T>, options: Partial<JoinOptions & GroupOptions>): Promise<void> {
    const { signal } = options;
    const leave = (): void => {
      this.#entries.get(joined.id)?.waiting?.reject(signal?.reason);
      void joined.leave();
    };
    const unsign = (): void => signal?.removeEventListener("abort", leave);
    const answered = new Promise<void>((resolve, reject) => {
      try {
        driver.input((engine, now) => {
          joined.begin(begin(engine, joined.name, options, now));
          this.#entries.set(joined.id, { joined: joined as Topic | Jobs, waiting: { resolve, reject }, unsign });
          signal?.addEventListener("abort", leave);
        });
      } catch (error) {
        reject(thrown(error));
      }
    });
    await answered;
  }

  tell(event: Event, chars: number): void {
    const entry = this.#entries.get(event.sub);
    if (!entry) return;
    const { joined, waiting } = entry;
    switch (event.event) {
      case "messages":
        if (joined instanceof Topic) joined.messages(event.messages, chars);
        break;
      case "joined":
        entry.waiting = undefined;
        joined.joined(event.result, event.again);
        waiting?.resolve();
        break;
      case "ended":
        this.#entries.delete(event.sub);
        entry.unsign();
        waiting?.reject(endError(event.reason) ?? new Closed({ reason: "closed" }));
        joined.end(event.reason);
        break;
      default:
        joined.tell(event);
    }
  }
}

function begin(engine: Parameters<Parameters<Driver["input"]>[0]>[0], name: string, options: Partial<JoinOptions & GroupOptions>, now: number): number {
  const { replay, presence = false, group, maxInFlight } = options;
  const since = positionOf(options.since);
  const positions = options.positions?.map(({ room, channel, epoch, seq }) => ({ room, channel, epoch, seq }));
  return engine.join(name, since && JSON.stringify(since), replay, positions && JSON.stringify(positions), presence, group, maxInFlight, now);
}
