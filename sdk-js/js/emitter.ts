/** Listeners, typed by the names of events. */

/** Options of a listener. */
export interface ListenOptions {
  /** Takes the listener away. */
  signal?: AbortSignal | undefined;
}

/** A listener that throws must not keep others, or the connection, from going on: its error is reported as uncaught. @internal */
export function report(error: unknown): void {
  if (typeof reportError === "function") reportError(error);
  else
    queueMicrotask(() => {
      throw error;
    });
}

/** Something that can be listened to. */
export class Emitter<Events extends object> {
  readonly #listeners = new Map<keyof Events, Set<(value: never) => void>>();

  /** Listens; the function that it returns stops that. */
  on<Name extends keyof Events>(name: Name, listener: (value: Events[Name]) => void, options: ListenOptions = {}): () => void {
    const { signal } = options;
    if (signal?.aborted) return () => undefined;
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners);
    // A function of its own, so that the same listener can be there twice.
    const own = (value: Events[Name]): void => {
      listener(value);
    };
    listeners.add(own);
    const stop = (): void => {
      listeners.delete(own);
      signal?.removeEventListener("abort", stop);
    };
    signal?.addEventListener("abort", stop);
    return stop;
  }

  /** Waits for the next one. */
  once<Name extends keyof Events>(name: Name, options: ListenOptions = {}): Promise<Events[Name]> {
    const { signal } = options;
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const giveUp = (): void => {
        stop();
        reject(signal?.reason as Error);
      };
      const stop = this.on(name, (value) => {
        stop();
        signal?.removeEventListener("abort", giveUp);
        resolve(value);
      });
      signal?.addEventListener("abort", giveUp);
    });
  }

  /** @internal */
  protected emit<Name extends keyof Events>(name: Name, value: Events[Name]): void {
    for (const listener of this.#listeners.get(name) ?? []) {
      try {
        listener(value as never);
      } catch (error) {
        report(error);
      }
    }
  }

  /** @internal */
  protected hears(name: keyof Events): boolean {
    return (this.#listeners.get(name)?.size ?? 0) > 0;
  }
}
