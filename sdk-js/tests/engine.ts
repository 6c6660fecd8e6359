/** The compiled core, without the driver. */

import "../js/inline.js";
import { readFileSync } from "node:fs";
import { type Engine, loadEngine, type Told } from "../js/engine.js";

/** The vectors, which all languages share. */
export const VECTORS = new URL("../../tests/vectors/", import.meta.url);

export function readJson<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(name, VECTORS), "utf8")) as T;
}

/** A core with these options. */
export async function newEngine(options: Record<string, unknown>, seed = 1): Promise<Engine> {
  const engineClass = await loadEngine();
  return new engineClass(JSON.stringify(options), seed, 0);
}

/** Takes all that the core has to tell. */
export function pollAll(engine: Engine): Told[] {
  const all: Told[] = [];
  for (let text = engine.poll(); text !== undefined; text = engine.poll()) all.push(...(JSON.parse(text) as Told[]));
  return all;
}
