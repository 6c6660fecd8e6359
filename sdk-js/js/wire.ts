/**
 * The types of the wire. Generated from `schema/arqonbus.schema.json` by `sdk-js/run-tests types`; do not edit: a test fails when the two
 * disagree.
 */

/** A delivered message: the same bytes for every subscriber. */
export interface ServerMessage {
  type: "message";
  /** The idempotency key. */
  id: MessageId;
  /** Whose connection it came from. */
  sender: ClientId;
  /** When the server took it. */
  timestamp: Timestamp;
  /** Any JSON value, relayed byte for byte. */
  payload: unknown;
  /** The room it went to. */
  room?: Room | null | undefined;
  /** The channel it went to. */
  channel?: Channel | null | undefined;
  to?: PrivateTarget | null | undefined;
  /** Whom the sender acts for. */
  user?: UserId | null | undefined;
  /** With `seq`: its place, where the target keeps an order. */
  epoch?: Epoch | null | undefined;
  /** Counts 1, 2, 3 … within an epoch. */
  seq?: number | null | undefined;
  /** Where an answer goes, where one is expected. */
  reply_to?: ClientId | null | undefined;
  /** The message that this one answers. */
  correlation_id?: MessageId | null | undefined;
  /** Whether the sender's own connection was left out. */
  exclude_sender?: boolean | null | undefined;
  headers?: Headers | null | undefined;
  /** With `delivery`: the work group whose member has this as its job. */
  group?: Group | null | undefined;
  /** How often the job was given out, this time included. */
  delivery?: number | null | undefined;
}

/** Strings by name, relayed byte for byte; at most 4 KiB as JSON. */
export type Headers = Record<string, string>;

/** A client id, `user:` and a user id, or `*` for everybody. */
export type PrivateTarget = string;

/** A room that is not one of the server's own. */
export type PublicRoom = string;

/** A channel that is not one of the server's own. */
export type PublicChannel = string;

/** `connect`: who this is. May be left out while the server asks for no credentials. */
export interface ConnectArgs {
  /** The protocol version; 1. */
  protocol?: number | null | undefined;
  /** Credentials, where the server asks for them. */
  token?: string | null | undefined;
  /** A name that people see in member lists. */
  name?: string | null | undefined;
  /** What kind of client it is, such as `worker`. */
  kind?: string | null | undefined;
  /** Whom it acts for; believed only where the server asks for no credentials. */
  user?: UserId | null | undefined;
  /** Whether frames may hold several envelopes. */
  batch?: boolean | undefined;
  /** The resume key of an earlier connection: restores its client id. */
  resume?: string | null | undefined;
  /** Anything that members should see of this client; at most 1 KiB as JSON. */
  metadata?: Record<string, unknown> | null | undefined;
  /** The client software and its version. */
  agent?: string | null | undefined;
}

/** a user id is 1 to 64 of A-Z a-z 0-9 _ . @ + - and does not begin with _ */
export type UserId = string;

/** The answer to `connect`. */
export interface ConnectResult {
  /** This connection's identity from now on. */
  client: ClientId;
  /** Whom it acts for. */
  user?: UserId | null | undefined;
  /** Secret: restores the identity after a lost connection. */
  resume: string;
  /** Whether an earlier identity was restored. */
  resumed: boolean;
  /** Whether frames may hold several envelopes from now on. */
  batch: boolean;
  /** Milliseconds of silence after which a peer is pinged. */
  heartbeat_ms: number;
}

/** a client id is c_ or n_ and 8 to 32 of a-z 0-9 */
export type ClientId = string;

/** `ping`. */
export interface PingArgs {
  /** Whether the answer waits until what this connection published before is done or refused; false where it is missing. */
  settled?: boolean | undefined;
}

/** The answer to `ping`. */
export interface PingResult {
  /** The server's wall clock. */
  timestamp: Timestamp;
}

/** a timestamp is RFC 3339 in UTC, such as 2026-11-22T16:49:00.000Z */
export type Timestamp = string;

/** `status` has no arguments. */
export type StatusArgs = Record<string, never>;

/** The answer to `status`. */
export interface StatusResult {
  /** The server's version. */
  version: string;
  /** The node that answers. */
  node: ClientId;
  /** Whether it takes new work. */
  state: ServerState;
  /** Milliseconds since it started. */
  uptime_ms: number;
  /** Open connections. */
  connections: number;
  /** Rooms with at least one channel. */
  rooms: number;
  /** Channels. */
  channels: number;
  /** Joined topics of all connections. */
  joins: number;
  /** Messages taken since it started. */
  messages_in: number;
  /** Messages delivered since it started. */
  messages_out: number;
  /** Bytes that wait in the outboxes of all connections. */
  queued_bytes: number;
  /** Where history is kept. */
  storage: StorageStatus;
  /** Every living node of a bus of several, this one included; the numbers above are those of the node that answers. */
  nodes?: NodeStatus[] | undefined;
  /** Whether a node of the bus did not answer in time, so that its part is missing; false where it is not said. */
  incomplete?: boolean | undefined;
}

/** Whether a server takes new work. */
export type ServerState = "ready" | "draining";

/** The state of the store. */
export interface StorageStatus {
  /** Its kind, such as `memory`. */
  kind: string;
  /** `healthy`, `degraded` or `healing`. */
  state: StorageState;
  /** Messages held. */
  messages: number;
  /** Bytes held. */
  bytes: number;
}

/** How well the store is. */
export type StorageState = "healthy" | "degraded" | "healing";

/** One node of the bus. */
export interface NodeStatus {
  /** The node. */
  node: ClientId;
  /** Its version. */
  version: string;
  /** Whether it takes new work. */
  state: ServerState;
  /** Milliseconds since it started. */
  uptime_ms: number;
  /** Its open connections. */
  connections: number;
  /** Joined topics of its connections. */
  joins: number;
  /** How well its store is. */
  storage: StorageState;
}

/** `create_channel`. */
export interface CreateChannelArgs {
  /** The room. */
  room: Room;
  /** The channel. */
  channel: Channel;
  /** What it is for; for people. */
  description?: string | null | undefined;
}

/** a name is 1 to 64 of A-Z a-z 0-9 _ . - and not only dots */
export type Room = string;

/** a name is 1 to 64 of A-Z a-z 0-9 _ . - and not only dots */
export type Channel = string;

/** The answer to `create_channel`. */
export interface CreateChannelResult {
  /** False where it existed. */
  created: boolean;
  /** Its last position. */
  head: Position;
}

/** A place in a topic's log. `seq` counts 1, 2, 3 … within an epoch; 0 is before the first. */
export interface Position {
  /** The life of the log that `seq` counts in. */
  epoch: Epoch;
  /** 0 … 2^53 − 1. */
  seq: number;
}

/** an epoch is 1 to 16 of a-z 0-9 */
export type Epoch = string;

/** `delete_channel`. */
export interface DeleteChannelArgs {
  /** The room. */
  room: Room;
  /** The channel. */
  channel: Channel;
}

/** The answer to `delete_channel`. */
export interface DeleteChannelResult {
  /** Members that were told. */
  members: number;
}

/** `join_channel`: a topic, or a pattern. */
export interface JoinArgs {
  /** The room; may end in `*`. */
  room: PatternPart;
  /** The channel; may end in `*`. */
  channel: PatternPart;
  /** Begin after this position; for one topic. */
  since?: Position | null | undefined;
  /** Begin with the last so many messages of each topic. */
  replay?: number | null | undefined;
  /** Resume a pattern: what is known of its topics. Those not listed begin with their first held message. */
  positions?: TopicPosition[] | null | undefined;
  /** Whether to be told who joins and leaves. */
  presence?: boolean | undefined;
  /** Share the messages with the members of this work group; for one topic. `since` and `replay` say where a new group begins. */
  group?: Group | null | undefined;
  /** Jobs of the group that may be held unsettled; 16 where it is missing. */
  max_in_flight?: number | null | undefined;
}

/** a name is 1 to 64 of A-Z a-z 0-9 _ . - and not only dots; a pattern may end in one * */
export type PatternPart = string;

/** A position with its topic. */
export interface TopicPosition {
  /** The room. */
  room: Room;
  /** The channel. */
  channel: Channel;
  /** The life of the log. */
  epoch: Epoch;
  /** The last message that the client holds. */
  seq: number;
}

/** a group's name is 1 to 64 of A-Z a-z 0-9 _ . - and not only dots, without a leading _ */
export type Group = string;

/** The answer to `join_channel`. */
export interface JoinResult {
  /** Where delivery begins, for each topic. */
  topics: TopicStart[];
  /** False where a pattern matches more topics than are listed. */
  complete: boolean;
  /** What was joined, where that is a work group. */
  group?: GroupStart | null | undefined;
}

/** Where delivery of one topic begins. */
export interface TopicStart {
  /** The room. */
  room: Room;
  /** The channel. */
  channel: Channel;
  /** The last position of the log at the moment of the join. */
  head: Position;
  /** The first message delivered is the one after this. */
  start: Position;
  /** Members now, this one included. */
  members: number;
}

/** What a join found of a work group, or began. */
export interface GroupStart {
  /** Its name. */
  group: Group;
  /** Whether this join began it. */
  created: boolean;
  /** Jobs that were given out and are not settled. */
  pending: number;
  /** Jobs that this member may hold unsettled. */
  max_in_flight: number;
  /** Milliseconds after which a job that is not settled goes to another member. */
  ack_timeout_ms: number;
  /** Times that a job is given out before it is dead; 0 for no end. */
  deliveries_max: number;
}

/** `leave_channel`: what was joined, topic or pattern. */
export interface LeaveArgs {
  /** The room, as it was joined. */
  room: PatternPart;
  /** The channel, as it was joined. */
  channel: PatternPart;
  /** The work group, as it was joined. */
  group?: Group | null | undefined;
}

/** The answer to `leave_channel`: nothing of it is delivered after this. */
export type LeaveResult = Record<string, never>;

/** `ack`: these jobs are done. */
export interface AckArgs {
  /** The room. */
  room: Room;
  /** The channel. */
  channel: Channel;
  /** The group. */
  group: Group;
  /** The epoch of the jobs. */
  epoch: Epoch;
  /** Their seqs. */
  seqs: number[];
}

/** The answer to `ack`. Where none of the jobs is held the answer is `not_held` instead. */
export interface AckResult {
  /** Jobs that are settled by this. */
  settled: number;
  /** The seqs of those that this connection does not hold: nothing was done about them. */
  not_held?: number[] | undefined;
}

/** `nack`: these jobs are not done. Without `delay_ms` and `dead` others get them at once. */
export interface NackArgs {
  /** The room. */
  room: Room;
  /** The channel. */
  channel: Channel;
  /** The group. */
  group: Group;
  /** The epoch of the jobs. */
  epoch: Epoch;
  /** Their seqs. */
  seqs: number[];
  /** Milliseconds before they are given out again; looked at about once a second. */
  delay_ms?: number | null | undefined;
  /** Whether they go to the dead-letter topic now, whatever the count. */
  dead?: boolean | undefined;
  /** Why, for the header of a dead letter. */
  reason?: string | null | undefined;
}

/** The answer to `nack`. Where none of the jobs is held the answer is `not_held` instead. */
export interface NackResult {
  /** Jobs that were given back by this. */
  settled: number;
  /** The seqs of those that this connection does not hold: nothing was done about them. */
  not_held?: number[] | undefined;
}

/** `list_rooms`. */
export interface ListRoomsArgs {
  /** Only rooms after this one, by name: the `next` of the page before. */
  after?: Room | null | undefined;
  /** Items of one page; 100 where it is missing. */
  limit?: number | null | undefined;
}

/** The answer to `list_rooms`. */
export interface ListRoomsResult {
  /** By name. */
  rooms: RoomSummary[];
  /** The `after` of the next page; none on the last. */
  next?: Room | null | undefined;
  /** Whether a node of the bus, or its store, did not answer in time, so that its part is missing; false where it is not said. */
  incomplete?: boolean | undefined;
}

/** One room. */
export interface RoomSummary {
  /** Its name. */
  room: Room;
  /** Its channels. */
  channels: number;
  /** Joins of all its channels. */
  members: number;
}

/** `list_channels`. */
export interface ListChannelsArgs {
  /** The room. */
  room: Room;
  /** Only channels after this one, by name: the `next` of the page before. */
  after?: Channel | null | undefined;
  /** Items of one page; 100 where it is missing. */
  limit?: number | null | undefined;
}

/** The answer to `list_channels`. */
export interface ListChannelsResult {
  /** By name. */
  channels: ChannelSummary[];
  /** The `after` of the next page; none on the last. */
  next?: Channel | null | undefined;
  /** Whether a node of the bus, or its store, did not answer in time, so that its part is missing; false where it is not said. */
  incomplete?: boolean | undefined;
}

/** One channel of a listing. */
export interface ChannelSummary {
  /** Its name. */
  channel: Channel;
  /** What it is for. */
  description?: string | null | undefined;
  /** Clients joined to it. */
  members: number;
  /** Its last position. */
  head: Position;
}

/** `channel_info`. */
export interface ChannelInfoArgs {
  /** The room. */
  room: Room;
  /** The channel. */
  channel: Channel;
}

/** The answer to `channel_info`. */
export interface ChannelInfoResult {
  /** The room. */
  room: Room;
  /** The channel. */
  channel: Channel;
  /** What it is for. */
  description?: string | null | undefined;
  /** Clients joined to it. */
  members: number;
  /** Its last position. */
  head: Position;
  /** The first message still held. */
  first_seq?: number | null | undefined;
  /** Messages held. */
  messages: number;
  /** Bytes held. */
  bytes: number;
  /** What an ack of it survives. */
  durability: Durability;
  /** How long and how much it holds. */
  retention: Retention;
  /** Its work groups, by name. */
  groups?: GroupSummary[] | undefined;
  /** Whether a node of the bus did not answer in time, so that its part is missing; false where it is not said. */
  incomplete?: boolean | undefined;
}

/** What a publish ack says it survives. */
export type Durability = "none" | "memory" | "file" | "file_fsync" | "redis" | "redis_fsync";

/** How much history a topic holds; whichever bound is met first. */
export interface Retention {
  /** Messages; 0 for none. */
  messages: number;
  /** Milliseconds. */
  age_ms: number;
  /** Bytes. */
  bytes: number;
}

/** One work group in the answer to `channel_info`. */
export interface GroupSummary {
  /** Its name. */
  group: Group;
  /** Its members. */
  members: number;
  /** Jobs that were given out and are not settled. */
  pending: number;
  /** Messages that wait to be given out for the first time. */
  lag: number;
}

/** `members`. */
export interface MembersArgs {
  /** The room. */
  room: Room;
  /** The channel. */
  channel: Channel;
  /** Only members after this one, by client id: the `next` of the page before. */
  after?: ClientId | null | undefined;
  /** Items of one page; 100 where it is missing. */
  limit?: number | null | undefined;
}

/** The answer to `members`. */
export interface MembersResult {
  /** By client id. */
  members: Member[];
  /** All members, also those of other pages. */
  total: number;
  /** The `after` of the next page; none on the last. */
  next?: ClientId | null | undefined;
  /** Whether a node of the bus did not answer in time, so that its part is missing; false where it is not said. */
  incomplete?: boolean | undefined;
}

/** One member of a topic. */
export interface Member {
  /** The connection. */
  client: ClientId;
  /** Whom it acts for. */
  user?: UserId | null | undefined;
  /** The name it gave at connect. */
  name?: string | null | undefined;
  /** The kind it gave at connect. */
  kind?: string | null | undefined;
  /** The metadata it gave at connect. */
  metadata?: Record<string, unknown> | null | undefined;
  /** When it joined. */
  joined: Timestamp;
  /** The work groups that it is in, by name. */
  groups?: Group[] | undefined;
}

/** `history`: which messages (FR-036). */
export interface HistoryArgs {
  /** The room. */
  room: Room;
  /** The channel. */
  channel: Channel;
  /** Only messages after this. */
  since?: HistoryBound | null | undefined;
  /** Only messages up to and including this. */
  until?: HistoryBound | null | undefined;
  /** Messages of one page; 100 where it is missing. */
  limit?: number | null | undefined;
  /** Oldest first, or newest first. */
  direction?: Direction | undefined;
}

/** A bound by place or by time. */
export type HistoryBound = Position | Timestamp;

/** Which end a history page begins at. */
export type Direction = "forward" | "backward";

/** The answer to `history`. */
export interface HistoryResult {
  /** Delivered messages, as their subscribers got them. */
  messages: ServerMessage[];
  /** The log's last position. */
  head: Position;
  /** The first message still held. */
  first_seq?: number | null | undefined;
  /** The bound for the next page: `since` (forward) or `until` (backward). None on the last page. */
  next?: Position | null | undefined;
  /** Set where messages between `since` and the first one given are no longer held. */
  gap?: Gap | null | undefined;
}

/** A hole in a subscription (FR-031), told before the first message after it. */
export interface Gap {
  /** Why. */
  reason: GapReason;
  /** The last position that the subscriber holds. */
  from?: Position | null | undefined;
  /** The last missing position: the next message is `to.seq + 1` in `to.epoch`. */
  to: Position;
  /** When to refetch what depends on the missing messages, in milliseconds; spread, so that not everybody does at once. */
  refetch_after_ms?: number | undefined;
}

/** Why messages are missing. */
export type GapReason = "epoch_changed" | "trimmed" | "ahead" | "degraded" | "restored" | "conflated" | "limit";

/** `refresh`: new credentials. */
export interface RefreshArgs {
  /** The new token, of the same subject. */
  token: string;
}

/** The answer to `refresh`. */
export interface RefreshResult {
  /** When the new credentials expire. */
  expires?: Timestamp | null | undefined;
}

/** `disconnect`: whom. Exactly one of the two. */
export interface DisconnectArgs {
  /** One connection. */
  client?: ClientId | null | undefined;
  /** Every connection of a user. */
  user?: UserId | null | undefined;
}

/** The answer to `disconnect`. */
export interface DisconnectResult {
  /** Connections that are being closed. */
  disconnected: number;
  /** Whether a node of the bus did not answer in time, so that its part is missing; false where it is not said. */
  incomplete?: boolean | undefined;
}

/** `help`: which commands there are. */
export interface HelpArgs {
  /** Only this command. */
  command?: string | null | undefined;
}

/** The answer to `help`. */
export interface HelpResult {
  /** The commands, in the order of the reference. */
  commands: CommandHelp[];
}

/** One command in the answer to `help`. */
export interface CommandHelp {
  /** Its name. */
  name: string;
  /** What it does. */
  summary: string;
  /** What the client must be allowed to do. */
  permission?: Permission | null | undefined;
  /** The names of its arguments. */
  args: string[];
}

/** What a client may be allowed to do on a topic pattern. */
export type Permission = "publish" | "join" | "work" | "history" | "members" | "create" | "delete" | "list" | "broadcast_room" | "broadcast_all" | "private" | "status" | "disconnect";

/** The server's introduction (FR-004): sent first, and again when something in it changes. */
export interface Welcome {
  /** The server's version. */
  version: string;
  /** The protocol versions it speaks. */
  protocols: number[];
  /** The node. */
  node: ClientId;
  /** This connection's identity, until `connect` restores an older one. */
  client: ClientId;
  /** What it takes. */
  limits: Limits;
  /** Milliseconds of silence after which a peer is pinged. */
  heartbeat_ms: number;
  /** Whether `connect` with credentials must come first. */
  auth_required: boolean;
  /** Set while the server is shutting down. */
  draining?: Draining | null | undefined;
}

/** The limits that a server states in its welcome. */
export interface Limits {
  /** Bytes of one envelope. */
  envelope_bytes: number;
  /** Bytes of one frame (a batch of envelopes). */
  frame_bytes: number;
  /** Topics and patterns joined at once. */
  joins: number;
  /** Messages of one history page. */
  history: number;
}

/** How to leave a server that is shutting down. */
export interface Draining {
  /** When to reconnect, in milliseconds from now; another value for every client, so that they do not come all at once. */
  reconnect_after_ms: number;
}

/** Who joined or left. */
export interface Presence {
  /** The connection. */
  client: ClientId;
  /** Whom it acts for. */
  user?: UserId | null | undefined;
  /** The name it gave at connect. */
  name?: string | null | undefined;
  /** The kind it gave at connect. */
  kind?: string | null | undefined;
  /** Members now. */
  members: number;
}

/** A deleted channel. */
export interface Deleted {
  /** Who deleted it. */
  by: ClientId;
}

/** The result of an acknowledged publish (FR-023). */
export interface PublishResult {
  /** The life of the log that `seq` counts in. */
  epoch?: Epoch | undefined;
  /** 0 … 2^53 − 1. */
  seq?: number | undefined;
  /** What it survives. */
  durability: Durability;
  /** Whether it was stored before, under the same id. */
  duplicate: boolean;
}

/** Why a request was not carried out, and what the sender should do about it. */
export interface Refusal {
  /** What went wrong. A client treats a code that it does not know by its `retry`. */
  code: ErrorCode | string;
  /** The same in words; for people, not for programs. */
  message: string;
  /** Whether sending the same again can succeed. */
  retry: Retry;
  /** How long to wait before that, in milliseconds; with `retry: "after"`. */
  retry_after_ms?: number | null | undefined;
  /** The place in the envelope, as a JSON pointer (RFC 6901). */
  at?: string | null | undefined;
}

/** Why a request was refused. */
export type ErrorCode = "invalid_json" | "invalid_envelope" | "too_deep" | "too_large" | "unknown_type" | "unknown_command" | "invalid_args" | "invalid_name" | "unauthenticated" | "invalid_credentials" | "forbidden" | "unknown_channel" | "not_joined" | "not_held" | "no_recipient" | "no_responder" | "id_conflict" | "limit_exceeded" | "rate_limited" | "overloaded" | "draining" | "storage_unavailable" | "outcome_unknown" | "unsupported" | "internal";

/** Whether the same request can succeed later. */
export type Retry = "never" | "later" | "after";

/** an id is 1 to 64 of A-Z a-z 0-9 _ . : - */
export type MessageId = string;

/** Every command: its arguments and its result. */
export interface Commands {
  /** Introduce this client, authenticate it, choose batching, resume its identity. */
  connect: { args: ConnectArgs; result: ConnectResult };
  /** Ask for a sign of life and the server's time. */
  ping: { args: PingArgs; result: PingResult };
  /** Show the state of the bus. */
  status: { args: StatusArgs; result: StatusResult };
  /** Create a channel; one that exists stays as it is. */
  create_channel: { args: CreateChannelArgs; result: CreateChannelResult };
  /** Delete a channel with its history; its members are told. */
  delete_channel: { args: DeleteChannelArgs; result: DeleteChannelResult };
  /** Receive a topic's messages, or those of all topics that match a pattern. */
  join_channel: { args: JoinArgs; result: JoinResult };
  /** Stop receiving what was joined. */
  leave_channel: { args: LeaveArgs; result: LeaveResult };
  /** Settle jobs of a work group: they are done. */
  ack: { args: AckArgs; result: AckResult };
  /** Give jobs of a work group back: at once, after a while, or as dead. */
  nack: { args: NackArgs; result: NackResult };
  /** List rooms, by name. */
  list_rooms: { args: ListRoomsArgs; result: ListRoomsResult };
  /** List a room's channels, by name. */
  list_channels: { args: ListChannelsArgs; result: ListChannelsResult };
  /** Show one channel: members, head, what history holds. */
  channel_info: { args: ChannelInfoArgs; result: ChannelInfoResult };
  /** List who is joined to a topic. */
  members: { args: MembersArgs; result: MembersResult };
  /** Read a topic's messages, page by page, in either direction. */
  history: { args: HistoryArgs; result: HistoryResult };
  /** Replace the credentials of a live connection. */
  refresh: { args: RefreshArgs; result: RefreshResult };
  /** Close the connections of a client or user. */
  disconnect: { args: DisconnectArgs; result: DisconnectResult };
  /** List the commands. */
  help: { args: HelpArgs; result: HelpResult };
}
