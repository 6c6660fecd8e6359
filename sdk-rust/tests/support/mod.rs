//! A tiny bus in memory, without I/O: enough of a server for a client to be tried against.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use arqonbus_client::protocol::*;

/// The limits that the model states.
const LIMITS: limits::Limits = limits::Limits { envelope_bytes: 262_144, frame_bytes: 1_048_576, joins: 1_000, history: 1_000 };

/// One message of a log.
#[derive(Debug, Clone)]
pub struct Stored {
    pub seq: u64,
    pub id: MessageId,
    pub sender: ClientId,
    pub payload: String,
    text: String,
}

/// One topic's log.
#[derive(Debug)]
pub struct Log {
    pub epoch: Epoch,
    pub entries: VecDeque<Stored>,
    pub head: u64,
}

#[derive(Debug)]
struct Connection {
    client: ClientId,
    batch: bool,
    patterns: Vec<Pattern>,
    out: VecDeque<String>,
}

/// The bus.
#[derive(Debug, Default)]
pub struct Model {
    pub logs: BTreeMap<Topic, Log>,
    connections: BTreeMap<u64, Connection>,
    seen: HashMap<(ClientId, MessageId), PublishResult>,
    next: u64,
    /// Set to make every publish be refused so.
    pub refuse_publishes: Option<Refusal>,
    /// Frames that clients sent.
    pub frames_in: u64,
    /// Every message that its sender was not to see, also of logs that are gone.
    pub excluded: HashSet<(Topic, Epoch, u64)>,
}

impl Model {
    /// A new connection; the server speaks first.
    pub fn open(&mut self) -> u64 {
        self.next += 1;
        let client = ClientId::client(u128::from(self.next));
        let connection = Connection { client, batch: false, patterns: Vec::new(), out: VecDeque::new() };
        self.connections.insert(self.next, connection);
        let welcome = Welcome {
            version: "0.0.0".to_owned(),
            protocols: vec![1],
            node: ClientId::node(1),
            client,
            limits: LIMITS,
            heartbeat_ms: 15_000,
            auth_required: false,
            draining: None,
        };
        self.say(self.next, encode_event(&EventBody::Welcome(Box::new(welcome)), None, &now()));
        self.next
    }

    pub fn close(&mut self, connection: u64) {
        self.connections.remove(&connection);
    }

    /// What the server has to say, frame by frame.
    pub fn pop(&mut self, connection: u64) -> Option<String> {
        self.connections.get_mut(&connection)?.out.pop_front()
    }

    /// Takes a frame of a client.
    pub fn frame(&mut self, connection: u64, text: &str) {
        self.frames_in += 1;
        let batch = self.connections.get(&connection).is_some_and(|connection| connection.batch);
        let lines: Vec<&str> = if batch { text.split('\n').collect() } else { vec![text] };
        for line in lines {
            match ClientEnvelope::decode(line).unwrap_or_else(|malformed| panic!("the client sent {line}: {malformed}")) {
                ClientEnvelope::Message(publish) => self.on_publish(connection, &publish),
                ClientEnvelope::Command(request) => self.on_command(connection, request),
            }
        }
    }

    /// Publishes as somebody else.
    pub fn publish(&mut self, topic: Topic, payload: &str) -> PublishResult {
        let publish = Publish {
            id: None,
            target: Target::Topic(topic),
            payload: RawJson::from_encoder(payload),
            headers: None,
            correlation_id: None,
            request: false,
            ack: false,
            exclude_sender: false,
        };
        self.store(topic, ClientId::node(7), &publish)
    }

    /// Forgets all but the last `kept` messages of each topic.
    pub fn trim(&mut self, kept: usize) {
        for log in self.logs.values_mut() {
            while log.entries.len() > kept {
                log.entries.pop_front();
            }
        }
    }

    /// Loses everything, as a restart without storage does.
    pub fn lose_everything(&mut self) {
        self.next += 1;
        for log in self.logs.values_mut() {
            *log = Log { epoch: Epoch::from_number(self.next), entries: VecDeque::new(), head: 0 };
        }
        self.seen.clear();
    }

    pub fn log(&mut self, topic: Topic) -> &mut Log {
        self.next += 1;
        let epoch = Epoch::from_number(self.next);
        self.logs.entry(topic).or_insert_with(|| Log { epoch, entries: VecDeque::new(), head: 0 })
    }

    /// Joined patterns of all connections.
    pub fn joins(&self) -> usize {
        self.connections.values().map(|connection| connection.patterns.len()).sum()
    }

    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    fn on_publish(&mut self, connection: u64, publish: &Publish<'_>) {
        let Some(from) = self.connections.get(&connection) else { return };
        let sender = from.client;
        let refusal = match (&self.refuse_publishes, &publish.target) {
            (Some(refusal), _) => Some(refusal.clone()),
            (None, Target::Topic(topic)) if publish.request && !self.has_other_member(connection, topic) => {
                Some(Refusal::new(ErrorCode::NoResponder, "nobody"))
            }
            (None, Target::Client(to)) if !self.connections.values().any(|other| other.client == *to) => {
                Some(Refusal::new(ErrorCode::NoRecipient, "nobody"))
            }
            (None, _) => None,
        };
        let id = publish.id.unwrap_or_else(|| MessageId::ulid(1, 1));
        if let Some(refusal) = refusal {
            return self.say(connection, encode_refused(&id, &refusal));
        }
        let result = match publish.target {
            Target::Topic(topic) => self.store(topic, sender, publish),
            target => self.deliver_elsewhere(target, sender, publish),
        };
        if publish.ack || publish.exclude_sender {
            self.say(connection, encode_ok(&id, &result));
        }
    }

    fn has_other_member(&self, connection: u64, topic: &Topic) -> bool {
        self.connections.iter().any(|(number, other)| *number != connection && other.patterns.iter().any(|pattern| pattern.matches(topic)))
    }

    fn store(&mut self, topic: Topic, sender: ClientId, publish: &Publish<'_>) -> PublishResult {
        if let Some(id) = publish.id
            && let Some(before) = self.seen.get(&(sender, id))
        {
            return PublishResult { duplicate: true, ..*before };
        }
        let id = publish.id.unwrap_or_else(|| MessageId::ulid(2, u128::from(self.next)));
        let log = self.log(topic);
        log.head += 1;
        let position = Position { epoch: log.epoch, seq: log.head };
        let text = delivery(publish, id, sender, Some(position));
        let payload = publish.payload.as_str().to_owned();
        log.entries.push_back(Stored { seq: position.seq, id, sender, payload, text: text.clone() });
        if publish.exclude_sender {
            self.excluded.insert((topic, position.epoch, position.seq));
        }
        let result = PublishResult { position: Some(position), durability: Durability::Memory, duplicate: false };
        self.seen.insert((sender, id), result);
        for connection in self.connections.values_mut() {
            let left_out = publish.exclude_sender && connection.client == sender;
            if !left_out && connection.patterns.iter().any(|pattern| pattern.matches(&topic)) {
                connection.out.push_back(text.clone());
            }
        }
        result
    }

    fn deliver_elsewhere(&mut self, target: Target, sender: ClientId, publish: &Publish<'_>) -> PublishResult {
        let text = delivery(publish, publish.id.unwrap_or_else(|| MessageId::ulid(3, 3)), sender, None);
        for connection in self.connections.values_mut() {
            let meant = match target {
                Target::Client(to) => connection.client == to,
                Target::Everyone => true,
                Target::Room(room) => connection.patterns.iter().any(|pattern| pattern.matches_room(&room)),
                Target::Topic(_) | Target::User(_) => false,
            };
            if meant {
                connection.out.push_back(text.clone());
            }
        }
        PublishResult { position: None, durability: Durability::None, duplicate: false }
    }

    fn on_command(&mut self, connection: u64, request: Request) {
        let id = request.id.expect("the client names its requests");
        match request.command {
            Command::Connect(args) => self.on_connect(connection, &id, &args),
            Command::JoinChannel(args) => self.on_join(connection, &id, &args),
            Command::LeaveChannel(args) => {
                if let Some(from) = self.connections.get_mut(&connection) {
                    from.patterns.retain(|pattern| *pattern != args.pattern());
                }
                self.say(connection, encode_ok(&id, &LeaveResult {}));
            }
            Command::History(args) => self.on_history(connection, &id, &args),
            Command::Ping(_) => self.say(connection, encode_ok(&id, &PingResult { timestamp: now() })),
            Command::Refresh(_) => self.say(connection, encode_ok(&id, &RefreshResult { expires: None })),
            _ => self.say(connection, encode_refused(&id, &Refusal::new(ErrorCode::Unsupported, "the model does not"))),
        }
    }

    fn on_connect(&mut self, connection: u64, id: &MessageId, args: &ConnectArgs) {
        let Some(from) = self.connections.get_mut(&connection) else { return };
        let restored = args.resume.as_deref().and_then(|key| key.strip_prefix("key-")).and_then(|client| client.parse().ok());
        from.client = restored.unwrap_or(from.client);
        from.batch = args.batch;
        let client = from.client;
        let result = ConnectResult {
            client,
            user: None,
            resume: format!("key-{client}"),
            resumed: restored.is_some(),
            batch: args.batch,
            heartbeat_ms: 15_000,
        };
        self.say(connection, encode_ok(id, &result));
        // An older connection with that identity is replaced.
        let old: Vec<u64> =
            self.connections.iter().filter(|(number, other)| **number != connection && other.client == client).map(|(number, _)| *number).collect();
        old.into_iter().for_each(|number| self.close(number));
    }

    fn on_join(&mut self, connection: u64, id: &MessageId, args: &JoinArgs) {
        let pattern = args.pattern();
        if let Some(topic) = pattern.as_topic() {
            self.log(topic);
        }
        let mut topics = Vec::new();
        let mut past = Vec::new();
        for (topic, log) in self.logs.iter().filter(|(topic, _)| pattern.matches(topic)) {
            let listed = args.positions.iter().flatten().find(|known| known.topic() == *topic).map(TopicPosition::position);
            let oldest = log.entries.front().map_or(log.head, |first| first.seq - 1);
            let (start, gap) = match (args.since.or(listed), args.replay) {
                (Some(since), _) => catch_up(log, since, oldest),
                (None, Some(replay)) => (oldest.max(log.head.saturating_sub(u64::from(replay))), None),
                (None, None) if args.positions.is_some() => (oldest, None),
                (None, None) => (log.head, None),
            };
            let at = |seq| Position { epoch: log.epoch, seq };
            topics.push(TopicStart { room: topic.room, channel: topic.channel, head: at(log.head), start: at(start), members: 1 });
            past.extend(gap.map(|gap| String::from_utf8(encode_event(&EventBody::Gap(gap), Some(topic), &now())).unwrap()));
            past.extend(log.entries.iter().filter(|entry| entry.seq > start).map(|entry| entry.text.clone()));
        }
        self.say(connection, encode_ok(id, &JoinResult::new(topics, true)));
        if let Some(from) = self.connections.get_mut(&connection) {
            from.out.extend(past);
            from.patterns.push(pattern);
        }
    }

    fn on_history(&mut self, connection: u64, id: &MessageId, args: &HistoryArgs) {
        let limit = args.limit.unwrap_or(100) as usize;
        let log = self.log(args.topic());
        let after = match args.since {
            Some(HistoryBound::Position(position)) => position.seq,
            Some(HistoryBound::Timestamp(_)) | None => 0,
        };
        let page: Vec<&Stored> = log.entries.iter().filter(|entry| entry.seq > after).take(limit).collect();
        let next = page.last().filter(|last| last.seq < log.head).map(|last| Position { epoch: log.epoch, seq: last.seq });
        let messages = page.iter().map(|entry| serde_json::value::RawValue::from_string(entry.text.clone()).unwrap()).collect();
        let result = HistoryResult { messages, head: Position { epoch: log.epoch, seq: log.head }, first_seq: None, next, gap: None };
        self.say(connection, encode_ok(id, &result));
    }

    fn say(&mut self, connection: u64, text: Vec<u8>) {
        if let Some(to) = self.connections.get_mut(&connection) {
            to.out.push_back(String::from_utf8(text).unwrap());
        }
    }
}

/// Where delivery begins for somebody who holds `since`, and what they have to be told.
fn catch_up(log: &Log, since: Position, oldest: u64) -> (u64, Option<Gap>) {
    let reason = if since.epoch != log.epoch {
        GapReason::EpochChanged
    } else if since.seq > log.head {
        GapReason::Ahead
    } else if since.seq < oldest {
        GapReason::Trimmed
    } else {
        return (since.seq, None);
    };
    let start = if reason == GapReason::Ahead { log.head } else { oldest };
    let to = Position { epoch: log.epoch, seq: start };
    (start, Some(Gap { reason, from: Some(since), to, refetch_after_ms: 0 }))
}

fn delivery(publish: &Publish<'_>, id: MessageId, sender: ClientId, position: Option<Position>) -> String {
    let head = DeliveryHead {
        id,
        target: publish.target,
        sender,
        user: None,
        timestamp: now(),
        position,
        reply_to: publish.request.then_some(sender),
        correlation_id: publish.correlation_id,
        exclude_sender: publish.exclude_sender,
    };
    let mut out = Vec::new();
    Delivery { head, headers: publish.headers, payload: publish.payload, job: None }.encode_into(&mut out);
    String::from_utf8(out).unwrap()
}

fn now() -> Timestamp {
    Timestamp::from_unix_ms(1_795_366_140_000)
}
