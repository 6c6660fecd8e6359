/** What waits for a reader: a ring that grows to its bound, and the promises of those who wait for it. */

/** A first-in first-out line with constant-time ends. @internal */
export class Fifo<T> {
  #items: (T | undefined)[] = [];
  #head = 0;

  get length(): number {
    return this.#items.length - this.#head;
  }

  push(item: T): void {
    this.#items.push(item);
  }

  shift(): T | undefined {
    if (this.#head === this.#items.length) return undefined;
    const item = this.#items[this.#head];
    this.#items[this.#head++] = undefined;
    if (this.#head === this.#items.length) this.clear();
    else if (this.#head > 1024 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }

  remove(gone: (item: T) => boolean): void {
    this.#items = this.#items.slice(this.#head).filter((item) => !gone(item as T));
    this.#head = 0;
  }

  clear(): void {
    this.#items = [];
    this.#head = 0;
  }
}

interface Waiter<T> {
  resolve: (result: IteratorResult<T, undefined>) => void;
  reject: (error: unknown) => void;
}

/** A line that can be waited for, and that ends. @internal */
export class Queue<T> {
  readonly #items = new Fifo<T>();
  readonly #waiting = new Fifo<Waiter<T>>();
  #ended = false;
  #error: Error | undefined;

  get length(): number {
    return this.#items.length;
  }

  push(item: T): void {
    const waiter = this.#waiting.shift();
    if (waiter) waiter.resolve({ done: false, value: item });
    else if (!this.#ended) this.#items.push(item);
  }

  /** Adds several at once. */
  pushAll(items: readonly T[]): void {
    if (this.#waiting.length === 0 && !this.#ended) for (const item of items) this.#items.push(item);
    else for (const item of items) this.push(item);
  }

  /** Takes the oldest item, without waiting. */
  shift(): T | undefined {
    return this.#items.shift();
  }

  /** Takes out what is of no use any more. */
  remove(gone: (item: T) => boolean): void {
    this.#items.remove(gone);
  }

  next(): Promise<IteratorResult<T, undefined>> {
    const item = this.#items.shift();
    if (item !== undefined) return Promise.resolve({ done: false, value: item });
    if (this.#ended) return this.#finish();
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
    });
  }

  /** Ends it: what waits in it is still given, then the end, or this error once. */
  end(error?: Error): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#error = error;
    for (let waiter = this.#waiting.shift(); waiter; waiter = this.#waiting.shift()) {
      this.#finish().then(waiter.resolve, waiter.reject);
    }
  }

  #finish(): Promise<IteratorResult<T, undefined>> {
    const error = this.#error;
    this.#error = undefined;
    if (error !== undefined) return Promise.reject(error);
    return Promise.resolve({ done: true, value: undefined });
  }
}
