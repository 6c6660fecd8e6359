//! A directory that lives as long as its test.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// An empty directory, removed with everything in it when this is dropped.
#[derive(Debug)]
pub struct Scratch(PathBuf);

/// Bytes that must be free in memory for files to be kept there: several servers keep some megabytes each.
const IN_MEMORY_BYTES: u64 = 2 << 30;

impl Scratch {
    /// Makes one.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it makes a directory: that should be seen where it happens")]
    pub fn new() -> Self {
        Self::within(std::env::temp_dir())
    }

    /// Makes one that is in memory where there is enough of that: whoever forces files to disk there does not wait for those who compile. It outlives
    /// processes as a disk does.
    #[must_use]
    pub fn in_memory() -> Self {
        let memory = Path::new("/dev/shm");
        let free = rustix::fs::statvfs(memory).map_or(0, |stat| stat.f_bavail.saturating_mul(stat.f_frsize));
        Self::within(if free >= IN_MEMORY_BYTES { memory.to_owned() } else { std::env::temp_dir() })
    }

    fn within(parent: PathBuf) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("arqonbus-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = parent.join(name);
        std::fs::create_dir_all(&path).expect("a directory for temporary files");
        Self(path)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
