//! The tasks of one node that talk to Redis for its shards.

mod clerk;

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Duration;

use ::redis::{Cmd, Value};
use arqonbus_protocol::{ClientId, Topic};
use tokio::sync::{Notify, mpsc};

use super::appends::{Replicas, Writer};
use super::catalogue;
use super::desk::{Desk, Failure, Followed, News};
use super::group_script::{Answers, GroupPart};
use super::health;
use super::notice::Notice;
use super::script::{Caller, Ends, Found, Library, Look, first_key, found, heads};
use super::verdict::{is_outage, is_sure, is_unknown_function, is_unvouched, unreadable};
use super::{Confirmation, Feed, Link, LinkError, OpenError, Pushed};
use crate::clock::{Clock, Moment};
use crate::config;
use crate::hash::Homes;
use crate::storage::ReadRange;
use crate::telemetry::Metrics;

/// Milliseconds for which a question is tried again before Redis counts as away: a promoted replica or a new connection is there by then, and
/// a publisher that is to be refused is refused within a second.
pub(super) const PATIENCE_MS: u64 = 800;
/// Milliseconds between two tries.
const PAUSE_MS: u64 = 20;
/// Logs in one look: where all of each is too old, and in large entries, Redis is held for 7 ms by each.
const HEADS_AT_ONCE: usize = 8;
/// Notices that may wait to be sorted.
const PUSHES_MAX: usize = 4_096;

/// Redis, as the shards of one node use it. It ends with the last of its desks.
pub(crate) struct Engine {
    pub(super) link: Link,
    feed: Feed,
    pub(super) library: Library,
    pub(super) caller: Caller,
    pub(super) clock: Clock,
    homes: Homes,
    shards: Vec<mpsc::Sender<News>>,
    /// Names the next batch of questions about groups.
    batches: AtomicU64,
    /// Whether Redis is known to be away: until it is back nobody waits for it.
    pub(super) is_away: AtomicBool,
    /// Somebody was not served.
    pub(super) ill: Notify,
    pub(super) fsync: Arc<AtomicBool>,
    pub(super) replicas: Replicas,
    /// One for each shard.
    pub(super) writers: Vec<Arc<Writer>>,
    metrics: Arc<Metrics>,
    #[cfg(any(test, feature = "sabotage"))]
    sabotage: Option<crate::sim::Sabotage>,
}

/// What an engine needs to know of its bus.
pub(crate) struct Bus {
    pub(crate) node: ClientId,
    pub(crate) shards: usize,
    pub(crate) homes: Homes,
    pub(crate) clock: Clock,
    pub(crate) metrics: Arc<Metrics>,
    /// Random.
    pub(crate) salt: u64,
    /// The clock that scripts go by instead of Redis' own, in tests.
    pub(crate) now: Option<Arc<AtomicU64>>,
    /// A promise to break, so that a test can show that it would notice.
    #[cfg(any(test, feature = "sabotage"))]
    pub(crate) sabotage: Option<crate::sim::Sabotage>,
}

impl Bus {
    /// The incarnation that functions are told, instead of asking for it.
    #[cfg(any(test, feature = "sabotage"))]
    fn token(&self) -> String {
        if self.sabotage == Some(crate::sim::Sabotage::IgnoreIncarnation) { "whatever".into() } else { String::new() }
    }

    #[cfg(not(any(test, feature = "sabotage")))]
    #[expect(clippy::unused_self, reason = "of the same shape as with switches")]
    fn token(&self) -> String {
        String::new()
    }
}

impl Engine {
    /// Begins to connect; to be called within a tokio runtime. Gives each shard's desk, and whether Redis forces to disk what it acknowledges.
    ///
    /// # Errors
    /// Where the configuration can lead to no server at all.
    pub(crate) fn start(config: &config::Redis, bus: Bus) -> Result<(Vec<Desk>, Arc<AtomicBool>, Link), OpenError> {
        let (pushes, pushed) = mpsc::channel(PUSHES_MAX);
        let link = Link::open(config, bus.salt)?;
        let feed = Feed::open(config, bus.salt.rotate_left(32), pushes)?;
        let (desks, counters): (Vec<_>, Vec<_>) = (0..bus.shards).map(|_| Desk::new()).unzip();
        let fsync = Arc::new(AtomicBool::new(false));
        let caller = Caller {
            prefix: config.prefix.clone(),
            node: bus.node.to_string(),
            token: bus.token(),
            now: bus.now.clone(),
            epochs: Arc::new(AtomicU64::new(bus.salt >> 2 << 1)),
            is_cluster: link.is_cluster(),
        };
        let writers = (0..bus.shards).zip(1_u32..).map(|(_, shard)| Writer::open(config, &link, bus.salt.rotate_left(shard)).map(Arc::new));
        let writers: Vec<Arc<Writer>> = writers.collect::<Result<_, _>>()?;
        let engine = Arc::new(Self {
            link: link.clone(),
            feed,
            library: Library::new(),
            caller,
            clock: bus.clock,
            homes: bus.homes,
            shards: counters.iter().map(|counter| counter.news.clone()).collect(),
            batches: AtomicU64::new(0),
            is_away: AtomicBool::new(false),
            ill: Notify::new(),
            fsync: Arc::clone(&fsync),
            replicas: Replicas::of(config),
            writers: writers.clone(),
            metrics: bus.metrics,
            #[cfg(any(test, feature = "sabotage"))]
            sabotage: bus.sabotage,
        });
        for (counter, writer) in counters.into_iter().zip(writers) {
            tokio::spawn(clerk::serve(Arc::clone(&engine), counter, writer));
        }
        tokio::spawn(sort(Arc::downgrade(&engine), pushed));
        tokio::spawn(health::watch(Arc::downgrade(&engine), link.clone()));
        Ok((desks, fsync, link))
    }

    pub(super) async fn tell_all(&self, news: impl Fn() -> News) {
        for shard in &self.shards {
            // A shard that is gone needs no telling.
            let _ = shard.send(news()).await;
        }
    }

    /// Calls a function; makes it known first where Redis does not know it yet. Tries again for as long as that may help.
    async fn run(&self, call: impl Fn() -> Cmd) -> Result<Value, Failure> {
        self.run_while(call, |_| true).await
    }

    /// The same, for as long as what it met lets it try again.
    async fn run_while(&self, call: impl Fn() -> Cmd, may_repeat: fn(&LinkError) -> bool) -> Result<Value, Failure> {
        let ask = |left| {
            let call = call();
            async move { self.link.query_within(&call, left).await }
        };
        let answer = self.insist(&self.link, || first_key(&call()), self.clock.now().plus_ms(PATIENCE_MS), ask, may_repeat).await;
        answer.inspect_err(|failure| self.heed(failure))
    }

    /// Has Redis looked at where it serves nobody.
    pub(super) fn heed(&self, failure: &Failure) {
        if failure.outage && !self.is_away.load(Relaxed) {
            self.ill.notify_one();
        }
    }

    /// Asks something of the server that keeps a key, which functions answer, until `end`. Makes them known first where Redis does not know them yet.
    pub(super) async fn insist<T, F: Future<Output = Result<T, LinkError>>>(
        &self,
        link: &Link,
        key: impl Fn() -> Vec<u8>,
        end: Moment,
        ask: impl Fn(Duration) -> F,
        may_repeat: fn(&LinkError) -> bool,
    ) -> Result<T, Failure> {
        let (mut is_loaded, mut may_be_done) = (false, false);
        loop {
            if self.is_away.load(Relaxed) {
                return Err(Failure { sure: !may_be_done, outage: true, why: "Redis is away".to_owned() });
            }
            let left = Duration::from_millis(end.since(self.clock.now()).max(1));
            let mut error = match ask(left).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if !is_loaded && is_unknown_function(&error) {
                is_loaded = true;
                match link.query_within(&self.library.load(), left).await {
                    Ok(_) => continue,
                    Err(other) => error = other,
                }
            }
            if is_unvouched(&error) && end > self.clock.now() {
                match self.vouch(link, &key(), left).await {
                    Ok(()) => continue,
                    Err(other) => error = other,
                }
            }
            let (sure, outage) = (is_sure(&error), is_outage(&error));
            may_be_done |= !sure;
            let left = end.since(self.clock.now());
            if !outage || left <= PAUSE_MS || !may_repeat(&error) {
                return Err(Failure { sure: !may_be_done, outage, why: error.to_string() });
            }
            tokio::time::sleep(Duration::from_millis(PAUSE_MS)).await;
        }
    }

    /// Answers questions about the groups of one log. What may have been done is not asked again: jobs would be given out twice, and who has them would
    /// not know.
    async fn groups(&self, part: GroupPart) -> Result<Answers, Failure> {
        let mut answers = self.groups_call(&part).await?;
        while let Some(rest) = part.rest(&answers) {
            match self.groups_call(&rest).await {
                Ok(more) => answers.add(more),
                // What is left comes back by its time-out.
                Err(_) => break,
            }
        }
        Ok(answers)
    }

    async fn groups_call(&self, part: &GroupPart) -> Result<Answers, Failure> {
        let batch = if self.caller.is_cluster { format!("{}/{}", self.caller.node, self.batches.fetch_add(1, Relaxed)) } else { String::new() };
        let answer = self.run_while(|| self.caller.groups(&self.library, part, &batch), is_sure).await?;
        self.caller.answers(answer, part).ok_or_else(unreadable)
    }

    async fn open(&self, look: &Look) -> Result<Ends, Failure> {
        self.enter(std::slice::from_ref(look)).await?;
        self.ends(look).await
    }

    /// Whatever is appended behind the ends that this gives comes as a notice, where it is confirmed.
    async fn follow(&self, look: &Look, confirmation: Confirmation) -> Result<Followed, Failure> {
        let confirmed = confirmation.confirmed().await.is_ok();
        Ok(Followed { ends: self.ends(look).await?, confirmed })
    }

    async fn ends(&self, look: &Look) -> Result<Ends, Failure> {
        self.heads(std::slice::from_ref(look)).await?.into_iter().next().ok_or_else(unreadable)
    }

    /// Enters logs into the catalogue.
    async fn enter(&self, looks: &[Look]) -> Result<(), Failure> {
        for command in catalogue::enter(&self.caller.prefix, looks, self.clock.unix_ms()) {
            self.run(|| command.clone()).await?;
        }
        Ok(())
    }

    /// Enters logs into the catalogue again, and takes out what is over.
    async fn enter_again(&self, looks: &[Look]) {
        let expire = catalogue::expire(&self.caller.prefix, self.clock.unix_ms());
        let done = match self.enter(looks).await {
            Ok(()) => self.run(|| expire.clone()).await.map(drop),
            Err(failure) => Err(failure),
        };
        // Once Redis is back all are entered again.
        if let Err(failure) = done {
            tracing::warn!(why = failure.why, "the list of topics in Redis cannot be kept up");
        }
    }

    async fn heads(&self, looks: &[Look]) -> Result<Vec<Ends>, Failure> {
        let answer = self.run(|| self.caller.heads(&self.library, looks)).await?;
        heads(answer).filter(|ends| ends.len() == looks.len()).ok_or_else(unreadable)
    }

    /// Looks at many logs; those that cannot be seen now are left out.
    async fn many_heads(&self, looks: &[Look]) -> Vec<(Topic, Ends)> {
        let at_once = if self.caller.is_cluster { 1 } else { HEADS_AT_ONCE };
        let mut seen = Vec::with_capacity(looks.len());
        for looks in looks.chunks(at_once) {
            match self.heads(looks).await {
                Ok(ends) => seen.extend(looks.iter().map(|look| look.topic).zip(ends)),
                Err(failure) if failure.outage => break,
                // One of them is at fault.
                Err(_) => seen.extend(self.heads_one_by_one(looks).await),
            }
        }
        seen
    }

    async fn heads_one_by_one(&self, looks: &[Look]) -> Vec<(Topic, Ends)> {
        let mut seen = Vec::with_capacity(looks.len());
        for look in looks {
            match self.ends(look).await {
                Ok(ends) => seen.push((look.topic, ends)),
                Err(failure) if failure.outage => break,
                Err(Failure { why, .. }) => {
                    tracing::warn!(room = %look.topic.room, channel = %look.topic.channel, why, "a log cannot be looked at");
                }
            }
        }
        seen
    }

    async fn read(&self, look: &Look, range: &ReadRange) -> Result<Found, Failure> {
        let answer = self.run(|| self.caller.read(&self.library, look, range)).await?;
        found(answer, range.direction).ok_or_else(unreadable)
    }

    async fn delete(&self, topic: &Topic, by: ClientId) -> Result<(), Failure> {
        self.run(|| self.caller.delete(&self.library, topic, by)).await.map(drop)
    }

    /// Whether replicas are waited for.
    #[cfg(any(test, feature = "sabotage"))]
    pub(super) fn waits(&self) -> bool {
        self.replicas.count > 0 && self.sabotage != Some(crate::sim::Sabotage::AckUnreplicated)
    }

    #[cfg(not(any(test, feature = "sabotage")))]
    pub(super) fn waits(&self) -> bool {
        self.replicas.count > 0
    }
}

/// Brings notices to the shards of their topics.
async fn sort(engine: Weak<Engine>, mut pushed: mpsc::Receiver<Pushed>) {
    while let Some(push) = pushed.recv().await {
        let Some(engine) = engine.upgrade() else { return };
        let Pushed::Message { channel, payload } = push else {
            engine.tell_all(|| News::Interrupted).await;
            continue;
        };
        let read = engine.caller.topic_of(&channel).zip(Notice::parse(&payload));
        let Some((topic, notice)) = read else {
            engine.metrics.notices_malformed.add(1);
            continue;
        };
        let shard = usize::from(engine.homes.of_topic(&topic));
        // A shard that is gone follows nothing.
        let _ = engine.shards[shard].send(News::Noticed(topic, notice)).await;
    }
}

/// All of them, at once.
pub(super) async fn join_all<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut pinned: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut outputs: Vec<Option<F::Output>> = pinned.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        for (future, output) in pinned.iter_mut().zip(&mut outputs).filter(|(_, output)| output.is_none()) {
            if let std::task::Poll::Ready(value) = future.as_mut().poll(cx) {
                *output = Some(value);
            }
        }
        if outputs.iter().all(Option::is_some) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    outputs.into_iter().flatten().collect()
}
