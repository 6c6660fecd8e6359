/** Messages to no topic: who reads them, and what waits while nobody does. */

import { Queue } from "./queue.js";
import type { Message } from "./types.js";

/** Messages that wait for one reader of the inbox. */
const INBOX_MESSAGES = 1_024;

/** What the inbox needs of its bus. @internal */
export interface InboxHost {
  /** Whether somebody listens for the event. */
  hears(): boolean;
  /** Lets the core tell messages from now on, or keep them. */
  open(open: boolean): void;
  /** Tells the listeners. */
  tell(message: Message): void;
  /** So many gave way before a slow reader. */
  missed(count: number): void;
}

interface Reader {
  messages: Queue<Message>;
  missed: number;
}

/** @internal */
export class Inboxes {
  readonly #host: InboxHost;
  readonly #readers = new Set<Reader>();
  #open = false;
  /** What the core had told already when the last one stopped listening. */
  readonly #left: Message[] = [];

  constructor(host: InboxHost) {
    this.#host = host;
  }

  /** A new reader, at its end already where `over`. */
  read<T>(signal: AbortSignal | undefined, over: boolean): AsyncIterableIterator<Message<T>, undefined> {
    const reader: Reader = { messages: new Queue(), missed: 0 };
    const end = (): void => {
      signal?.removeEventListener("abort", end);
      this.#readers.delete(reader);
      reader.messages.end();
      this.changed();
    };
    if (over || signal?.aborted) reader.messages.end();
    else {
      this.#readers.add(reader);
      signal?.addEventListener("abort", end);
    }
    this.changed();
    const inbox: AsyncIterableIterator<Message<T>, undefined> = {
      next: () => {
        const count = reader.missed;
        reader.missed = 0;
        if (count > 0) this.#host.missed(count);
        return reader.messages.next() as Promise<IteratorResult<Message<T>, undefined>>;
      },
      return: () => {
        end();
        return Promise.resolve({ done: true, value: undefined });
      },
      [Symbol.asyncIterator]: () => inbox,
    };
    return inbox;
  }

  /** Lets the core tell messages while somebody listens, and keep them while nobody does. */
  changed(): void {
    const open = this.#isHeard();
    if (open === this.#open) return;
    this.#open = open;
    this.#host.open(open);
    queueMicrotask(() => {
      this.tellLeft();
    });
  }

  message(message: Message): void {
    if (!this.#isHeard()) {
      this.#left.push(message);
      return;
    }
    this.#host.tell(message);
    for (const reader of this.#readers) {
      reader.messages.push(message);
      if (reader.messages.length > INBOX_MESSAGES) {
        reader.messages.shift();
        reader.missed += 1;
      }
    }
  }

  /** Nothing more comes. */
  end(): void {
    for (const reader of this.#readers) reader.messages.end();
  }

  #isHeard(): boolean {
    return this.#readers.size > 0 || this.#host.hears();
  }

  /** Tells what the core had told when the last one stopped listening. */
  tellLeft(): void {
    for (const message of this.#left.splice(0)) this.message(message);
  }
}
