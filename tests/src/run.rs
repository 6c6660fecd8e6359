//! A run of publishers and subscribers of one topic, through whatever a test does to the bus meanwhile.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use arqonbus_protocol::{Position, Topic};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::checker::{Fault, Recorder, Violation, What, assert_kept, check};
use crate::harness::Reach;
use crate::harness::clock::{PATIENCE, eventually};
use crate::load::{Amount, Nodes, Publisher, Subscriber, head};

/// How long it may take until a bus that has lost something goes on (G21).
const REPAIR: Duration = Duration::from_secs(10);

/// Publishers and subscribers of one topic.
#[derive(Debug)]
pub struct Run {
    /// What everybody sees.
    pub recorder: Recorder,
    /// What everybody is joined to.
    pub topic: Topic,
    /// Those that publish.
    pub publishers: JoinSet<()>,
    /// How long whoever lacks something may take to receive it, once the run is over.
    pub patience: Duration,
    subscribers: JoinSet<()>,
    end: watch::Sender<Option<Position>>,
    enough: watch::Sender<bool>,
}

impl Run {
    /// Lets everybody join, then begins to publish: each of the publishers so many messages.
    pub async fn begin(address: SocketAddr, publishers: u32, subscribers: u32, count: usize) -> Self {
        Self::among(&[address], publishers, subscribers, count).await
    }

    /// The same with clients spread over several nodes.
    pub async fn among(nodes: &[SocketAddr], publishers: u32, subscribers: u32, count: usize) -> Self {
        Self::of(nodes, publishers, subscribers, |_| Amount::Count(count)).await
    }

    /// The same, but everybody publishes until the run is ended: sixteen messages, a rest, and again.
    pub async fn steady(nodes: &[SocketAddr], publishers: u32, subscribers: u32, rest: Duration) -> Self {
        Self::of(nodes, publishers, subscribers, |enough| Amount::Until(enough.clone(), rest)).await
    }

    async fn of(nodes: &[SocketAddr], publishers: u32, subscribers: u32, amount: impl Fn(&watch::Receiver<bool>) -> Amount) -> Self {
        let (recorder, topic) = (Recorder::default(), "a:b".parse().expect("a topic"));
        let (end, _) = watch::channel(None);
        let (enough, stopped) = watch::channel(false);
        let mut run = Self { recorder, topic, publishers: JoinSet::new(), subscribers: JoinSet::new(), patience: PATIENCE, end, enough };
        run.subscribe(nodes, 0..subscribers).await;
        for number in 0..publishers {
            let publisher = Publisher { number, topics: vec![topic], amount: amount(&stopped), window: 16 };
            run.publishers.spawn(publisher.run(Nodes::of(nodes, number as usize), run.recorder.clone()));
        }
        run
    }

    /// Lets subscribers of these numbers join, each beginning with another of the nodes.
    pub async fn subscribe(&mut self, nodes: &[SocketAddr], numbers: Range<u32>) {
        let ready = Arc::new(Semaphore::new(0));
        for number in numbers.clone() {
            let subscriber = Subscriber { number, topic: self.topic, ready: Arc::clone(&ready), until: self.end.subscribe() };
            self.subscribers.spawn(subscriber.run(Nodes::of(nodes, number as usize), self.recorder.clone()));
        }
        let all = u32::try_from(numbers.len()).expect("made of such numbers");
        let _ = ready.acquire_many(all).await.expect("nobody closes it");
    }

    /// How many publishes are acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        self.recorder.count(|what| matches!(what, What::Ok { .. }))
    }

    /// Waits until so many publishes are acknowledged.
    pub async fn reached(&self, acknowledged: usize) {
        eventually("progress", async || (self.acknowledged() >= acknowledged).then_some(())).await;
    }

    /// Waits until so many more publishes are acknowledged.
    pub async fn more(&self, acknowledged: usize) {
        self.reached(self.acknowledged() + acknowledged).await;
    }

    /// The same; gives false where it takes longer than a bus may need to go on (G21).
    pub async fn goes_on(&self, acknowledged: usize) -> bool {
        timeout(REPAIR, self.more(acknowledged)).await.is_ok()
    }

    /// Waits until somebody saw that a promise is broken; gives false where nobody does for a while.
    pub async fn breaks(&self) -> bool {
        let seen = eventually("a broken promise", async || (!check(&self.recorder.history()).is_empty()).then_some(()));
        timeout(REPAIR, seen).await.is_ok()
    }

    /// Notes what the test does to the bus.
    pub fn note(&self, fault: Fault) {
        self.recorder.note(What::Fault(fault));
    }

    /// Waits until everything is published and received, and checks what everybody saw.
    pub async fn check(self, bus: &impl Reach) {
        assert_kept(&self.finish(bus).await.history());
    }

    /// The same; gives what is wrong.
    pub async fn violations(self, bus: &impl Reach) -> Vec<Violation> {
        check(&self.finish(bus).await.history())
    }

    /// Waits until everything is published and received; gives what everybody saw. Whoever has not received everything in time is left behind,
    /// which the checker sees.
    ///
    /// # Panics
    /// Where a subscriber does.
    pub async fn finish(mut self, bus: &impl Reach) -> Recorder {
        self.enough.send_replace(true);
        self.publishers.join_all().await;
        let head = head(bus, self.topic).await;
        self.end.send_replace(Some(head));
        let all = async {
            while let Some(ended) = self.subscribers.join_next().await {
                ended.expect("a subscriber that receives");
            }
        };
        let _ = timeout(self.patience, all).await;
        self.recorder.note(What::Settled { topic: self.topic, head });
        self.recorder
    }
}
