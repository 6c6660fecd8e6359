/** The types that applications meet: those of the wire, and options. */

import type { Position, PublishResult, ServerMessage } from "./wire.js";

export type {
  ChannelInfoResult,
  ChannelSummary,
  Commands,
  CreateChannelResult,
  DeleteChannelResult,
  DisconnectArgs,
  DisconnectResult,
  Durability,
  ErrorCode,
  Gap,
  GapReason,
  GroupStart,
  HistoryBound,
  JoinResult,
  ListChannelsResult,
  ListRoomsResult,
  Member,
  MembersResult,
  Position,
  Presence,
  PublishResult,
  Refusal,
  Retry,
  RoomSummary,
  StatusResult,
  TopicPosition,
  TopicStart,
} from "./wire.js";

/**
 * A received message, with the members that it has on the wire. `epoch` and `seq` are its place where the target keeps an order: give
 * the message to `since` to go on after it.
 */
export type Message<T = unknown> = Omit<ServerMessage, "payload"> & {
  /** The payload. */
  payload: T;
};

/** The ack of a publish: its place, what it survives, and whether it was stored before. */
export type Ack = PublishResult;

/** How the connection is. */
export type ConnectionState = "idle" | "connecting" | "connected" | "waiting" | "draining" | "closed";

/** Who the server says this client is. */
export interface Identity {
  /** The connection. */
  client: string;
  /** Whom it acts for. */
  user: string | null;
  /** Whether the identity is the one of an earlier connection. */
  resumed: boolean;
}

/** How to publish. */
export interface PublishOptions {
  /** The idempotency key: the same id within the server's window is stored once. */
  id?: string | undefined;
  /** Texts beside the payload, by name. */
  headers?: Record<string, string> | undefined;
  /** The message that this one answers. */
  correlationId?: string | undefined;
  /** Leaves this connection out of the delivery. */
  excludeSender?: boolean | undefined;
  /** Milliseconds after which the outcome is given up. */
  timeoutMs?: number | undefined;
  /** Gives up the wait. What was sent stays sent. */
  signal?: AbortSignal | undefined;
}

/** What a call can be given. */
export interface CallOptions {
  /** Milliseconds after which the outcome is given up. */
  timeoutMs?: number | undefined;
  /** Gives up the wait. */
  signal?: AbortSignal | undefined;
}

/** A position without anything else, of anything that has one. @internal */
export function positionOf(at: { epoch?: string | null | undefined; seq?: number | null | undefined } | undefined): Position | undefined {
  return at?.epoch != null && at.seq != null ? { epoch: at.epoch, seq: at.seq } : undefined;
}
