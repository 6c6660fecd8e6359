//! A run of publishers and subscribers of one topic, through whatever a test does to the bus meanwhile.

use std::net::SocketAddr;
use std::sync::Arc;

use arqonbus_protocol::{Position, Topic};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::checker::{Fault, Recorder, Violation, What, assert_kept, check};
use crate::harness::Reach;
use crate::harness::clock::eventually;
use crate::load::{Nodes, Publisher, Subscriber, head};

/// Publishers and subscribers of one topic.
#[derive(Debug)]
pub struct Run {
    /// What everybody sees.
    pub recorder: Recorder,
    /// What everybody is joined to.
    pub topic: Topic,
    /// Those that publish.
    pub publishers: JoinSet<()>,
    subscribers: JoinSet<()>,
    end: watch::Sender<Option<Position>>,
}

impl Run {
    /// Lets everybody join, then begins to publish: each of the publishers so many messages.
    pub async fn begin(address: SocketAddr, publishers: u32, subscribers: u32, count: usize) -> Self {
        Self::among(&[address], publishers, subscribers, count).await
    }

    /// The same with clients spread over several nodes.
    ///
    /// # Panics
    /// Where somebody cannot join.
    pub async fn among(nodes: &[SocketAddr], publishers: u32, subscribers: u32, count: usize) -> Self {
        let (recorder, topic, ready) = (Recorder::default(), "a:b".parse().expect("a topic"), Arc::new(Semaphore::new(0)));
        let (end, until) = watch::channel(None);
        let mut run = Self { recorder, topic, publishers: JoinSet::new(), subscribers: JoinSet::new(), end };
        for number in 0..subscribers {
            let subscriber = Subscriber { number, topic, ready: Arc::clone(&ready), until: until.clone() };
            run.subscribers.spawn(subscriber.run(Nodes::of(nodes, number as usize), run.recorder.clone()));
        }
        let _ = ready.acquire_many(subscribers).await.expect("nobody closes it");
        for number in 0..publishers {
            let publisher = Publisher { number, topics: vec![topic], count, window: 16 };
            run.publishers.spawn(publisher.run(Nodes::of(nodes, number as usize), run.recorder.clone()));
        }
        run
    }

    /// How many publishes are acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        self.recorder.history().iter().filter(|seen| matches!(seen.what, What::Ok { .. })).count()
    }

    /// Waits until so many publishes are acknowledged.
    pub async fn reached(&self, acknowledged: usize) {
        eventually("progress", async || (self.acknowledged() >= acknowledged).then_some(())).await;
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

    /// Waits until everything is published and received; gives what everybody saw.
    pub async fn finish(self, bus: &impl Reach) -> Recorder {
        self.publishers.join_all().await;
        let head = head(bus, self.topic).await;
        self.end.send_replace(Some(head));
        self.subscribers.join_all().await;
        self.recorder.note(What::Settled { topic: self.topic, head });
        self.recorder
    }
}
