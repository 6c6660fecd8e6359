//! The one background thread of the process, which lives as long as somebody uses it.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// The runtime in use. Locked only by threads that hold the GIL and never across a wait, so a fork never finds it locked.
static CURRENT: Mutex<Weak<Runtime>> = Mutex::new(Weak::new());
/// How many forks lie between this process and the first one.
static GENERATION: AtomicU64 = AtomicU64::new(0);
/// Background threads that have not ended.
static THREADS: AtomicUsize = AtomicUsize::new(0);

/// How often a runtime that is wanted no more looks whether its drivers have said goodbye.
const LAST_LOOK: Duration = Duration::from_millis(5);

/// A thread with a tokio runtime. It ends when it is dropped and the drivers on it have ended.
pub(crate) struct Runtime {
    handle: Handle,
    generation: u64,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Runtime {
    /// Shares the running one, or starts one.
    pub(crate) fn shared() -> PyResult<Arc<Self>> {
        let mut current = CURRENT.lock().expect("nothing panics while it holds this lock");
        if let Some(runtime) = current.upgrade() {
            return Ok(runtime);
        }
        let runtime = Arc::new(Self::start()?);
        *current = Arc::downgrade(&runtime);
        Ok(runtime)
    }

    fn start() -> PyResult<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        THREADS.fetch_add(1, Ordering::AcqRel);
        let thread = std::thread::Builder::new().name("arqonbus".to_owned()).spawn(move || {
            runtime.block_on(async move {
                let _stopped_or_dropped = stopped.await;
                while Handle::current().metrics().num_alive_tasks() > 0 {
                    tokio::time::sleep(LAST_LOOK).await;
                }
            });
            // A name lookup that hangs must not keep the thread.
            runtime.shutdown_background();
            THREADS.fetch_sub(1, Ordering::AcqRel);
        })?;
        Ok(Self { handle, generation: GENERATION.load(Ordering::Acquire), stop: Some(stop), thread: Some(thread) })
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Ends the thread if nobody else uses it, and waits for it. Call it when the drivers have ended.
    pub(crate) fn release(self: Arc<Self>, py: Python<'_>) {
        if let Some(mut last) = Arc::into_inner(self) {
            last.signal();
            if let Some(thread) = last.thread.take() {
                py.detach(|| drop(thread.join()));
            }
        }
    }

    fn signal(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ended_already = stop.send(());
        }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if self.generation == generation() {
            self.signal();
        } else {
            // The thread stayed in the parent; what it holds there must not be touched here.
            std::mem::forget((self.stop.take(), self.thread.take()));
        }
    }
}

/// The number of this process in its line of forks.
pub(crate) fn generation() -> u64 {
    GENERATION.load(Ordering::Acquire)
}

/// Refuses what was made before a fork: its thread and socket stayed in the parent.
pub(crate) fn check_generation(made_in: u64) -> PyResult<()> {
    if made_in == generation() { Ok(()) } else { Err(crate::errors::forked()) }
}

/// Forgets the parent's thread. Python calls it in the child of a fork.
#[pyfunction]
pub(crate) fn after_fork_in_child() {
    GENERATION.fetch_add(1, Ordering::AcqRel);
    THREADS.store(0, Ordering::Release);
    let parents = std::mem::take(&mut *CURRENT.lock().expect("nothing panics while it holds this lock"));
    std::mem::forget(parents);
}

/// How many background threads live, for tests.
#[pyfunction]
pub(crate) fn runtime_threads() -> usize {
    THREADS.load(Ordering::Acquire)
}

/// What a lock says that cannot be poisoned.
pub(crate) fn poisoned<T>(_: T) -> PyErr {
    PyRuntimeError::new_err("an earlier call panicked while it held this lock")
}
