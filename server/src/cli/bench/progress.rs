//! A progress bar, on terminals only.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::cli::output;

/// Counts up to a total, and draws itself where a person looks. The last clone wipes it away.
#[derive(Debug, Clone)]
pub(super) struct Progress(Arc<Bar>);

#[derive(Debug)]
struct Bar {
    what: &'static str,
    done: AtomicU64,
    total: u64,
    visible: bool,
}

/// Often enough to look alive.
const REDRAW: Duration = Duration::from_millis(100);
const WIDTH: u64 = 30;

impl Progress {
    /// Begins at 0.
    pub(super) fn start(what: &'static str, total: u64) -> Self {
        let bar = Arc::new(Bar { what, done: AtomicU64::new(0), total: total.max(1), visible: output::notes_to_terminal() });
        if bar.visible {
            let drawn = Arc::downgrade(&bar);
            tokio::spawn(async move {
                while let Some(bar) = drawn.upgrade() {
                    draw(&bar.line());
                    drop(bar);
                    tokio::time::sleep(REDRAW).await;
                }
            });
        }
        Self(bar)
    }

    /// Counts `n` more.
    pub(super) fn add(&self, n: u64) {
        self.0.done.fetch_add(n, Relaxed);
    }
}

impl Bar {
    fn line(&self) -> String {
        let done = self.done.load(Relaxed).min(self.total);
        let filled = usize::try_from(done * WIDTH / self.total).unwrap_or(0);
        let (full, empty) = ("█".repeat(filled), "░".repeat(WIDTH as usize - filled));
        format!("\r{:<12} {full}{empty} {:>3} %", self.what, done * 100 / self.total)
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if self.visible {
            draw("\r\u{1b}[K");
        }
    }
}

/// A bar that cannot be drawn is none.
fn draw(text: &str) {
    let mut stderr = std::io::stderr().lock();
    drop(stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_fills_and_does_not_overflow() {
        let bar = |done| Bar { what: "x", done: AtomicU64::new(done), total: 10, visible: false };
        assert!(bar(0).line().ends_with("░   0 %"), "{}", bar(0).line());
        assert_eq!(bar(5).line().matches('█').count(), 15);
        assert!(bar(11).line().ends_with("█ 100 %"));
    }
}
