/** The compiled core, without the driver. */

import { readFileSync } from "node:fs";
import { type Engine, loadEngine, setWasmSource, type Extras, newEngine as made, type Told } from "../js/engine.js";
import { takeFrame } from "../js/frames.js";
import { inlineWasm } from "../js/inline.js";

setWasmSource(inlineWasm);

/** The vectors, which all languages share. */
export const VECTORS = new URL("../../tests/vectors/", import.meta.url);

// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- the caller says what the file holds
export function readJson<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(name, VECTORS), "utf8")) as T;
}

/** A core with these options. */
export async function newEngine(url: string, options: Record<string, unknown> = {}, seed = 1): Promise<Engine> {
  return made(await loadEngine(), url, options, [seed, 0]);
}

type Addressed = [kind: number, to: string, payload: string, extras: Extras | undefined];

/** The addressing of a message as it stands on the wire, as the core takes it. */
export async function addressing(): Promise<(members: Record<string, unknown>) => Addressed> {
  const module = await loadEngine();
  return ({ payload, id, headers, correlation_id, exclude_sender, timeout_ms, ...target }) => {
    const { room = "", channel, to } = target as Partial<Record<"room" | "channel" | "to", string>>;
    const extras = new module.Extras(
      id as string | undefined,
      headers === undefined ? undefined : JSON.stringify(headers),
      correlation_id as string | undefined,
      exclude_sender === true,
      timeout_ms as number | undefined,
    );
    const [kind, name] = to !== undefined ? [2, to] : channel === undefined ? [1, room] : [0, `${room}:${channel}`];
    return [kind, name, JSON.stringify(payload), extras];
  };
}

/** Feeds a frame as the driver does, and takes all that comes of it. */
export function feed(engine: Engine, text: string, now: number): Told[] {
  const all: Told[] = [];
  takeFrame(engine, text, now, {
    messages: (sub, messages) => all.push({ event: "messages", sub, messages }),
    advance: () => {
      all.push(...pollAll(engine));
      return !all.some((told) => told.event === "close");
    },
  });
  return [...all, ...pollAll(engine)];
}

/** Takes all that the core has to tell. */
export function pollAll(engine: Engine): Told[] {
  const all: Told[] = [];
  for (let text = engine.poll(); text !== undefined; text = engine.poll()) all.push(...(JSON.parse(text) as Told[]));
  return all;
}
