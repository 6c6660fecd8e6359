/** The glue that wasm-bindgen writes, as much of it as is used; `Engine` of `engine.ts` says what it exports. */
export function initSync(options: { module: WebAssembly.Module }): unknown;
export const Engine: unknown;
