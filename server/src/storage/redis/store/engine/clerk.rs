//! Answers the questions of one shard, many at once.

use std::sync::Arc;
use std::time::Duration;

use super::super::appends::Writer;
use super::super::desk::{Counter, Job, News};
use super::{Confirmation, Engine, join_all};

/// Questions of one shard that Redis is asked at once, besides the one that appends.
const ASKED_AT_ONCE: usize = 64;

/// Answers one shard's questions until it is gone.
pub(super) async fn serve(engine: Arc<Engine>, mut counter: Counter, writer: Arc<Writer>) {
    let places = Arc::new(tokio::sync::Semaphore::new(ASKED_AT_ONCE));
    while let Some(job) = counter.jobs.recv().await {
        let (engine, writer, news) = (Arc::clone(&engine), Arc::clone(&writer), counter.news.clone());
        let confirmation = engine.begin(&job).await;
        let places = Arc::clone(&places);
        // Those that wait for a place are no more than the lanes that ask; what need not wait for one goes past them.
        tokio::spawn(async move {
            let place = if needs_place(&job) { places.acquire_owned().await.ok() } else { None };
            if let Some(answer) = engine.answer(job, &writer, confirmation).await {
                // A shard that is gone needs no answer.
                let _ = news.send(answer).await;
            }
            drop(place);
        });
    }
}

/// Only what appends need not wait for a place: there is one such question at a time.
fn needs_place(job: &Job) -> bool {
    match job {
        Job::Append(_) | Job::Groups(_) | Job::Wake(_) | Job::Probe | Job::Unfollow(_) => false,
        Job::Open(_) | Job::Follow(_) | Job::Read(..) | Job::Fill(..) | Job::Heads(_) | Job::AllHeads(_) | Job::Delete(..) | Job::Enter(_) => true,
    }
}

impl Engine {
    /// Begins to answer one question. What is wished of the feed is wished before anything else is begun, so that the last wish counts.
    async fn begin(&self, job: &Job) -> Option<Confirmation> {
        match job {
            Job::Follow(look) => Some(self.feed.follow(vec![self.caller.feed(&look.topic)]).await),
            Job::Unfollow(topic) => Some(self.feed.unfollow(vec![self.caller.feed(topic)]).await),
            Job::Open(_)
            | Job::Append(_)
            | Job::Groups(_)
            | Job::Read(..)
            | Job::Fill(..)
            | Job::Heads(_)
            | Job::AllHeads(_)
            | Job::Delete(..)
            | Job::Enter(_)
            | Job::Wake(_)
            | Job::Probe => None,
        }
    }

    /// Answers one question that was begun; `None` where no answer is awaited.
    async fn answer(&self, job: Job, writer: &Writer, confirmation: Option<Confirmation>) -> Option<News> {
        Some(match job {
            Job::Open(look) => News::Opened(look.topic, self.open(&look).await),
            Job::Follow(look) => News::Followed(look.topic, self.follow(&look, confirmation?).await),
            // Where it is not confirmed, what comes is for nobody.
            Job::Unfollow(_) => return None,
            Job::Append(parts) => News::Appended(self.append(writer, parts).await),
            Job::Groups(parts) => News::Groups(join_all(parts.into_iter().map(|part| self.groups(part)).collect()).await),
            Job::Read(ticket, look, range) => News::Read(ticket, look.topic, range, self.read(&look, &range).await),
            Job::Fill(look, range) => News::Filled(look.topic, self.read(&look, &range).await),
            Job::Heads(looks) => News::Heads(self.many_heads(&looks).await),
            Job::AllHeads(looks) => News::AllHeads(self.many_heads(&looks).await),
            Job::Delete(ticket, topic, by) => News::Deleted(ticket, topic, self.delete(&topic, by).await),
            Job::Enter(looks) => {
                self.enter_again(&looks).await;
                return None;
            }
            Job::Wake(ms) => {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                News::Awake
            }
            Job::Probe => {
                self.ill.notify_one();
                return None;
            }
        })
    }
}
