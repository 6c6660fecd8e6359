/** `@arqon/bus` for browsers, workers and bundlers. */

import "./inline.js";

export * from "./api.js";
