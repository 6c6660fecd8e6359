/** `@arqon/bus/slim`: without the WebAssembly module, which `init` is given. */

import { loadEngine, setWasmSource, type WasmSource } from "./engine.js";

/** Loads the module, once: from an address, a response, bytes, or a compiled module. It is `@arqon/bus/arqonbus.wasm`. */
export async function init(source: WasmSource | Promise<WasmSource>): Promise<void> {
  setWasmSource(() => source);
  await loadEngine();
}

export { connect } from "./bus.js";
export * from "./api.js";
export type { WasmSource } from "./engine.js";
