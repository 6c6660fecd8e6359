/** What came in one frame, cut into what the core has to read and what it only has to count. */

import type { Engine } from "./engine.js";
import type { Message } from "./types.js";

/** What becomes of a frame. @internal */
export interface FrameListener {
  /** A run of messages of one subscription. */
  messages(sub: number, messages: Message[], chars: number): void;
  /** The core was given something: carries out what it has to tell. False where the rest of the frame is of no interest any more. */
  advance(): boolean;
}

/**
 * Takes one frame. Its messages are parsed here, all at once, and of each run that comes next in order the core hears where it is in
 * its topic, and no more. Everything else goes to the core as text. @internal
 */
export function takeFrame(engine: Engine, text: string, now: number, listener: FrameListener): void {
  const batching = engine.batching();
  // Line breaks stand between envelopes only: within strings they are escaped, and nowhere else does a server write any.
  const whole = parse<Envelope[]>(`[${batching ? text.replaceAll("\n", ",") : text}]`);
  const lines = batching ? () => text.split("\n").filter((line) => line.trim() !== "") : () => [text];
  const all = whole ?? lines().map(parse<Envelope>);
  const chars = text.length / all.length;
  for (let from = 0; from < all.length; ) {
    const first = all[from];
    if (first === undefined) {
      engine.nonsense(now);
      listener.advance();
      return;
    }
    let [to, sub] = [from + 1, 0];
    if (isCountable(first)) {
      to = runEnd(all, from, first);
      sub = engine.run(first.room, first.channel, first.epoch, first.seq, to - from, now);
    }
    if (sub !== 0) listener.messages(sub, (to - from === all.length ? all : all.slice(from, to)) as Message[], chars * (to - from));
    else {
      engine.frame(lines().slice(from, to).join("\n"), now);
      if (!listener.advance()) return;
    }
    from = to;
  }
}

type Envelope = Partial<Message>;
type Countable = Envelope & { room: string; channel: string; epoch: string; seq: number };

// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- the caller says what the text holds
function parse<T>(text: string): T | undefined {
  try {
    return JSON.parse(text) as T;
  } catch {
    return undefined;
  }
}

/** Where the run ends that `first` begins at `from`. */
function runEnd(all: readonly (Envelope | undefined)[], from: number, first: Countable): number {
  let to = from + 1;
  for (let { seq } = first; ; to += 1) {
    const next = all[to];
    if (next?.seq !== ++seq || !isCountable(next)) return to;
    if (next.room !== first.room || next.channel !== first.channel || next.epoch !== first.epoch) return to;
  }
}

/** Whether it is a message of a topic that is no reply, no job, and not kept from its sender. */
function isCountable(envelope: Envelope): envelope is Countable {
  return (
    envelope.type === "message" &&
    envelope.correlation_id == null &&
    envelope.group == null &&
    envelope.exclude_sender !== true &&
    typeof envelope.room === "string" &&
    typeof envelope.channel === "string" &&
    typeof envelope.epoch === "string" &&
    Number.isSafeInteger(envelope.seq)
  );
}
