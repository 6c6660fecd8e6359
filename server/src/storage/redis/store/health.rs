//! Whether Redis can be used, and who is told.

use std::sync::Weak;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use ::redis::cmd;

use super::desk::News;
use super::engine::{Engine, PATIENCE_MS, join_all};
use super::verdict::{is_unknown_function, is_unvouched};
use super::{Link, LinkError, LinkState};

/// Milliseconds between two looks whether Redis is back.
const PROBE_MS: u64 = 100;
/// Milliseconds for the answer to such a look.
const PROBE_ANSWER_MS: u64 = 500;

impl Engine {
    /// Whether Redis would keep something now, by whichever connection, and lets its functions be called: one without the other is of no use.
    async fn probe(&self) -> Result<(), LinkError> {
        let mut write = cmd("SET");
        write.arg(format!("{}:probe", self.caller.prefix)).arg(1).arg("PX").arg(60_000);
        let others = self.writers.iter().filter(|_| self.replicas.count > 0).map(|writer| &writer.link);
        let links = std::iter::once(&self.link).chain(others);
        let time = Duration::from_millis(PROBE_ANSWER_MS);
        join_all(links.map(|link| link.query_within(&write, time)).collect()).await.into_iter().collect::<Result<Vec<_>, _>>()?;
        match self.link.query_within(&self.caller.heads(&self.library, &[]), time).await {
            Err(error) if is_unknown_function(&error) => self.link.query_within(&self.library.load(), time).await.map(drop),
            // Whoever asks next tells them which incarnation this is.
            Err(error) if is_unvouched(&error) => Ok(()),
            answer => answer.map(drop),
        }
    }

    /// Waits until Redis can be used.
    async fn wait_for_redis(&self) {
        let mut told = String::new();
        while let Err(error) = self.probe().await {
            let why = error.to_string();
            // Why there is no connection is said where connections are made.
            if why != told && !matches!(error, LinkError::NotSent(_)) {
                tracing::warn!(why, "Redis cannot be used");
                told = why;
            }
            tokio::time::sleep(Duration::from_millis(PROBE_MS)).await;
        }
    }
}

/// Tells the shards when Redis is away, and when it is back.
pub(super) async fn watch(engine: Weak<Engine>, link: Link) {
    let mut state = link.state();
    let (mut connection, mut advised) = (0, Vec::new());
    loop {
        let seen = state.borrow_and_update().clone();
        let Some(here) = engine.upgrade() else { return };
        let is_ill = match seen {
            LinkState::Up { connection: now, facts } => {
                let forced = facts.fsync_always();
                let promises_otherwise = here.fsync.swap(forced, Relaxed) != forced;
                let is_another = std::mem::replace(&mut connection, now) != now;
                let advice: Vec<_> = facts.advice().into_iter().chain(facts.lacks_replicas(here.replicas.count)).collect();
                if is_another || advice != advised {
                    advised = advice;
                    for advice in &advised {
                        tracing::warn!(%advice, "Redis");
                    }
                }
                if is_another || promises_otherwise {
                    // Another server may be at the other end, and acks must say what holds now.
                    here.tell_all(|| News::Interrupted).await;
                }
                tokio::select! {
                    () = here.ill.notified() => true,
                    changed = state.changed() => if changed.is_err() { return } else { false },
                }
            }
            LinkState::Down { .. } => {
                let up = state.wait_for(|state| matches!(state, LinkState::Up { .. }));
                tokio::time::timeout(Duration::from_millis(PATIENCE_MS), up).await.is_err()
            }
        };
        if is_ill {
            here.is_away.store(true, Relaxed);
            here.tell_all(|| News::Down).await;
            here.wait_for_redis().await;
            here.is_away.store(false, Relaxed);
            here.tell_all(|| News::Up).await;
        }
    }
}
