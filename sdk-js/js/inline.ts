/** The WebAssembly module within the JavaScript: no second request, and nothing that a bundler could lose. */

import text from "./wasm/inline.js";

/** Inflates it. @internal */
export function inlineWasm(): Promise<ArrayBuffer> {
  const deflated = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  const stream = new Blob([deflated]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Response(stream).arrayBuffer();
}
