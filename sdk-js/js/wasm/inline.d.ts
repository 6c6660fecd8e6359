/** The WebAssembly module: deflated, as base64. */
declare const text: string;
export default text;
