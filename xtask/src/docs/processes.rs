//! Processes that a page starts: their output, and their end.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::Duration;

/// How often a condition is looked at while it is waited for, and how many times.
const LOOK: Duration = Duration::from_millis(20);
const LOOKS: u32 = 1_500;

/// Where commands run, and what they see.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) directory: PathBuf,
    /// Where the built commands are.
    pub(super) programs: PathBuf,
    pub(super) env: Vec<(String, String)>,
}

/// A process with its output in a file.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    output: PathBuf,
}

impl Place {
    /// Starts a line for the shell.
    pub(super) fn start(&self, line: &str, env: &[(&str, String)], output: &str) -> Result<Process, String> {
        let path = self.directory.join(output);
        let file = File::create(&path).map_err(|error| error.to_string())?;
        let errors = file.try_clone().map_err(|error| error.to_string())?;
        let mut command = Command::new("bash");
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ARQONBUS_")) {
            command.env_remove(name);
        }
        let search = std::env::var("PATH").unwrap_or_default();
        let programs = format!("{0}:{0}/examples:{search}", self.programs.display());
        command.args(["-c", line]).current_dir(&self.directory).env("PATH", programs).env("NO_COLOR", "1");
        command.envs(self.env.iter().map(|(name, value)| (name, value))).envs(env.iter().map(|(name, value)| (name, value)));
        let child = command.stdin(Stdio::null()).stdout(file).stderr(errors).spawn();
        Ok(Process { child: child.map_err(|error| format!("bash cannot be run: {error}"))?, output: path })
    }

    /// Runs a line to its end, and gives its output.
    pub(super) fn run(&self, line: &str) -> Result<Vec<String>, String> {
        let mut process = self.start(line, &[], "output")?;
        process.wait().ok_or_else(|| format!("`{line}` does not end"))?;
        Ok(process.lines())
    }
}

impl Process {
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written up to now, in whole lines.
    pub(super) fn lines(&self) -> Vec<String> {
        let text = fs::read(&self.output).unwrap_or_default();
        String::from_utf8_lossy(&text).lines().map(str::to_owned).collect()
    }

    pub(super) fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// Waits for its end; none where that takes too long.
    pub(super) fn wait(&mut self) -> Option<ExitStatus> {
        let mut status = None;
        wait_until(|| {
            status = self.child.try_wait().ok().flatten();
            status.is_some()
        });
        status
    }

    /// Asks it to end, as an operator would.
    pub(super) fn terminate(&self, directory: &Path) -> Result<(), String> {
        let asked = Command::new("bash").args(["-c", &format!("kill -TERM {}", self.id())]).current_dir(directory).status();
        asked.map(drop).map_err(|error| error.to_string())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for a condition. Gives whether it came true in time.
pub(super) fn wait_until(mut condition: impl FnMut() -> bool) -> bool {
    (0..LOOKS).any(|_| {
        condition() || {
            sleep(LOOK);
            false
        }
    })
}
