/** The glue that wasm-bindgen writes, as much of it as is used; `engine.ts` says what the rest is. */
export function initSync(options: { module: WebAssembly.Module }): unknown;
