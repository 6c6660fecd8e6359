/** What every entry point of the package gives, beside `connect`. */

/// <reference lib="esnext.disposable" />

export { Bus } from "./bus.js";
export type { BusEvents, ListOptions } from "./bus.js";
export type { TokenProvider } from "./driver.js";
export { Emitter } from "./emitter.js";
export type { ListenOptions } from "./emitter.js";
export { ArqonError, Closed, Declined, Ended, Invalid, NotSent, Rejected, Unknown } from "./errors.js";
export type { EndReason, Fault } from "./errors.js";
export { History } from "./history.js";
export type { HistoryOptions } from "./history.js";
export type { WebSocketConstructor, WebSocketLike } from "./socket.js";
export { Job, Jobs } from "./jobs.js";
export type { GroupOptions, JobsEvents, NackOptions, WorkItem } from "./jobs.js";
export type { ConnectOptions } from "./options.js";
export type { RespondOptions, Responder } from "./respond.js";
export { Topic } from "./topic.js";
export type { Item, JoinOptions, TopicEvents } from "./topic.js";
export type * from "./types.js";
