//! Where the two worlds meet: the event loop's thread polls the Rust client's futures, and a doorbell says when it is worth it.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};

use arqonbus_client::Error;
use pyo3::prelude::*;
use slab::Slab;

use crate::errors;
use crate::runtime::{check_generation, generation};

/// Rounds of one wake-up; then the event loop goes on, and is woken again.
const ROUNDS_MAX: usize = 1_024;

/// What a call gives back, made into a Python object under the GIL.
pub(crate) type Answer = Box<dyn FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send>;
/// A call of the Rust client.
pub(crate) type Job = Pin<Box<dyn Future<Output = Result<Answer, Error>> + Send>>;

enum Task {
    /// A call, and the `asyncio.Future` that hears of it.
    Call { job: Job, future: Py<PyAny> },
    /// Readers of one queue, told when there is something in it.
    Readers(Vec<Py<PyAny>>),
    /// Being polled at this moment.
    Busy,
}

/// The calls of one event loop. It has no thread of its own: `run` is called by the loop.
#[pyclass(frozen, module = "arqonbus._arqonbus")]
pub(crate) struct Bridge {
    tasks: Mutex<Slab<Task>>,
    doorbell: Arc<Doorbell>,
    generation: u64,
}

#[pymethods]
impl Bridge {
    #[new]
    fn new() -> PyResult<Self> {
        let doorbell = Arc::new(Doorbell::new(Bell::open()?));
        Ok(Self { tasks: Mutex::default(), doorbell, generation: generation() })
    }

    /// The file descriptor that becomes readable when `run` should be called; -1 where the platform has none.
    fn fileno(&self) -> i32 {
        self.bell().bell().fileno()
    }

    /// Rings by calling `call` from a thread of its own, for loops that cannot watch a file descriptor. Before anything else.
    fn ring_by(&self, call: Py<PyAny>) -> PyResult<()> {
        self.bell().set(Bell::caller(call)?);
        Ok(())
    }

    /// Polls everything that has become ready, and what becomes ready by that, as a call that waits behind another does.
    fn run(&self, py: Python<'_>) -> PyResult<()> {
        check_generation(self.generation)?;
        let doorbell = self.bell();
        for _ in 0..ROUNDS_MAX {
            let ready = doorbell.answer();
            if ready.is_empty() {
                break;
            }
            for token in ready {
                self.poll(py, &doorbell, token)?;
            }
        }
        Ok(())
    }

    /// Drops all calls, and the bell. Their futures stay as they are.
    fn close(&self) {
        let tasks = std::mem::take(&mut *self.tasks());
        drop(tasks);
        self.bell().set(Bell::Silent);
    }

    /// How many calls wait for an answer, for tests.
    fn pending(&self) -> usize {
        self.tasks().iter().filter(|(_, task)| matches!(task, Task::Call { .. })).count()
    }
}

impl Bridge {
    /// Begins a call; `future` hears of its end.
    pub(crate) fn begin(&self, py: Python<'_>, job: Job, future: Py<PyAny>) -> PyResult<()> {
        check_generation(self.generation)?;
        let token = self.tasks().insert(Task::Call { job, future });
        self.poll(py, &self.bell(), token)
    }

    /// A place for the readers of one queue, and the waker that tells them.
    pub(crate) fn add_readers(&self) -> (usize, Waker) {
        let token = self.tasks().insert(Task::Readers(Vec::new()));
        (token, waker(&self.bell(), token))
    }

    /// Lets `future` wait for the queue.
    pub(crate) fn wait(&self, token: usize, future: Py<PyAny>) {
        if let Some(Task::Readers(readers)) = self.tasks().get_mut(token) {
            readers.push(future);
        }
    }

    pub(crate) fn remove(&self, token: usize) {
        let readers = self.tasks().try_remove(token);
        drop(readers);
    }

    /// Polls one task. No lock is held meanwhile: dropping a Python object can run anything.
    fn poll(&self, py: Python<'_>, doorbell: &Arc<Doorbell>, token: usize) -> PyResult<()> {
        let task = match self.tasks().get_mut(token) {
            Some(Task::Readers(readers)) => Task::Readers(std::mem::take(readers)),
            Some(task) => std::mem::replace(task, Task::Busy),
            None => return Ok(()),
        };
        match task {
            Task::Call { mut job, future } => {
                let waker = waker(doorbell, token);
                match job.as_mut().poll(&mut Context::from_waker(&waker)) {
                    Poll::Pending => {
                        if let Some(place) = self.tasks().get_mut(token) {
                            *place = Task::Call { job, future };
                        }
                        Ok(())
                    }
                    Poll::Ready(outcome) => {
                        self.remove(token);
                        settle(future.bind(py), outcome)
                    }
                }
            }
            Task::Readers(readers) => readers.into_iter().try_for_each(|reader| tell(reader.bind(py))),
            Task::Busy => Ok(()),
        }
    }

    fn tasks(&self) -> MutexGuard<'_, Slab<Task>> {
        self.tasks.lock().expect("nothing panics while it holds this lock")
    }

    fn bell(&self) -> Arc<Doorbell> {
        Arc::clone(&self.doorbell)
    }
}

/// Gives a future its outcome, unless whoever waited was cancelled.
fn settle(future: &Bound<'_, PyAny>, outcome: Result<Answer, Error>) -> PyResult<()> {
    let py = future.py();
    if future.call_method0(pyo3::intern!(py, "done"))?.is_truthy()? {
        return Ok(());
    }
    let answer = outcome.map_err(|error| errors::raise(py, &error)).and_then(|answer| answer(py));
    match answer {
        Ok(value) => future.call_method1(pyo3::intern!(py, "set_result"), (value,)),
        Err(error) => future.call_method1(pyo3::intern!(py, "set_exception"), (error.into_value(py),)),
    }
    .map(drop)
}

fn tell(reader: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = reader.py();
    if !reader.call_method0(pyo3::intern!(py, "done"))?.is_truthy()? {
        reader.call_method1(pyo3::intern!(py, "set_result"), (py.None(),))?;
    }
    Ok(())
}

/// What has become ready, and the bell that says so. Bounded by the number of calls: what waits rings once.
struct Doorbell {
    ready: Mutex<Vec<usize>>,
    rung: AtomicBool,
    bell: Mutex<Bell>,
}

impl Doorbell {
    fn new(bell: Bell) -> Self {
        Self { ready: Mutex::default(), rung: AtomicBool::new(false), bell: Mutex::new(bell) }
    }

    /// Takes what is ready. The bell is silenced first, so that what comes meanwhile rings again.
    fn answer(&self) -> Vec<usize> {
        self.bell().silence();
        self.rung.store(false, Ordering::SeqCst);
        std::mem::take(&mut *self.ready.lock().expect("nothing panics while it holds this lock"))
    }

    fn ring(&self, token: usize) {
        let mut ready = self.ready.lock().expect("nothing panics while it holds this lock");
        if ready.last() != Some(&token) {
            ready.push(token);
        }
        drop(ready);
        if !self.rung.swap(true, Ordering::SeqCst) {
            self.bell().ring();
        }
    }

    fn set(&self, bell: Bell) {
        let old = std::mem::replace(&mut *self.bell(), bell);
        drop(old);
    }

    fn bell(&self) -> MutexGuard<'_, Bell> {
        self.bell.lock().expect("nothing panics while it holds this lock")
    }
}

struct Ringer {
    doorbell: Arc<Doorbell>,
    token: usize,
}

impl Wake for Ringer {
    fn wake(self: Arc<Self>) {
        self.doorbell.ring(self.token);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.doorbell.ring(self.token);
    }
}

fn waker(doorbell: &Arc<Doorbell>, token: usize) -> Waker {
    Waker::from(Arc::new(Ringer { doorbell: Arc::clone(doorbell), token }))
}

/// How the event loop is woken.
enum Bell {
    /// One byte in a socket pair that the loop watches: the ringing thread never needs the GIL.
    #[cfg(unix)]
    Pair { near: std::os::unix::net::UnixStream, far: std::os::unix::net::UnixStream },
    /// A thread that calls into Python.
    Caller(SyncSender<()>),
    /// Nothing, or nothing any more.
    Silent,
}

impl Bell {
    #[cfg(unix)]
    fn open() -> PyResult<Self> {
        let (near, far) = std::os::unix::net::UnixStream::pair()?;
        near.set_nonblocking(true)?;
        far.set_nonblocking(true)?;
        Ok(Self::Pair { near, far })
    }

    #[cfg(not(unix))]
    fn open() -> PyResult<Self> {
        Ok(Self::Silent)
    }

    /// A thread, because whoever rings may hold a lock that a thread with the GIL waits for.
    fn caller(call: Py<PyAny>) -> PyResult<Self> {
        let (ring, rung) = sync_channel::<()>(1);
        std::thread::Builder::new().name("arqonbus-bell".to_owned()).spawn(move || {
            while rung.recv().is_ok() {
                // Nothing to tell where the interpreter is ending, or the loop has been closed.
                let _told = Python::try_attach(|py| call.call0(py).is_ok());
            }
            Python::try_attach(|_| drop(call));
        })?;
        Ok(Self::Caller(ring))
    }

    fn fileno(&self) -> i32 {
        match self {
            #[cfg(unix)]
            Self::Pair { near, .. } => std::os::fd::AsRawFd::as_raw_fd(near),
            Self::Caller(_) | Self::Silent => -1,
        }
    }

    fn ring(&self) {
        match self {
            #[cfg(unix)]
            Self::Pair { far, .. } => {
                // A full pair is one that was rung already.
                let _rung_enough = std::io::Write::write(&mut &*far, &[1]);
            }
            Self::Caller(ring) => {
                let _rung_already = ring.try_send(());
            }
            Self::Silent => {}
        }
    }

    fn silence(&self) {
        match self {
            #[cfg(unix)]
            Self::Pair { near, .. } => {
                let _nothing_rang = std::io::Read::read(&mut &*near, &mut [0; 64]);
            }
            Self::Caller(_) | Self::Silent => {}
        }
    }
}
