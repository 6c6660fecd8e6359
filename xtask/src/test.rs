//! The test command: every check that a change has to pass, in order, up to the first that fails.

mod steps;
mod tools;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::say;
use steps::{STEPS, Step};

/// Runs every step.
pub(crate) fn run(root: &Path) -> Result<String, String> {
    let (started, count) = (Stopwatch::start(), STEPS.len());
    for (number, step) in (1..).zip(STEPS) {
        let place = format!("[{number}/{count}] {}", step.name);
        say(&format!("\n{place}: {}", step.why));
        let took = Stopwatch::start();
        carry_out(root, step).map_err(|why| format!("{place}: FAILED after {}\n{why}", seconds(took.elapsed())))?;
        say(&format!("{place}: ok, {}", seconds(took.elapsed())));
    }
    Ok(format!("\nall {count} steps passed in {}", seconds(started.elapsed())))
}

/// Runs one step, after what it needs is there.
fn carry_out(root: &Path, step: &Step) -> Result<(), String> {
    (step.needs)(root)?;
    for line in step.commands {
        execute(root, line, step.env)?;
    }
    Ok(())
}

/// Runs one command line, whose words hold no blanks, with its output where ours goes.
pub(crate) fn execute(root: &Path, line: &str, env: &[(&str, &str)]) -> Result<(), String> {
    let set = env.iter().map(|(name, value)| format!("{name}='{value}' ")).collect::<String>();
    say(&format!("$ {set}{line}"));
    let mut words = line.split_whitespace();
    let program = words.next().unwrap_or_default();
    let mut command = Command::new(tools::find(root, program));
    command.args(words).envs(env.iter().copied()).current_dir(root).stdin(Stdio::null());
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{set}{line}` ended with {status}")),
        Err(error) => Err(format!("`{program}` cannot be run: {error}")),
    }
}

/// Tells how long something takes.
struct Stopwatch(std::time::Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "the owner of the clock")]
    fn start() -> Self {
        Self(std::time::Instant::now())
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

fn seconds(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds < 60 { format!("{:.1} s", time.as_secs_f64()) } else { format!("{} min {} s", seconds / 60, seconds % 60) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_ends_a_step_with_the_command_that_failed() {
        let root = std::env::temp_dir();
        let step = |commands| Step { name: "a", why: "b", needs: |_| Ok(()), commands, env: &[("A", "b c")] };
        carry_out(&root, &step(&["true", "true"])).unwrap();
        assert_eq!(carry_out(&root, &step(&["true", "false", "no-such-program"])).unwrap_err(), "`A='b c' false` ended with exit status: 1");
        assert!(carry_out(&root, &step(&["no-such-program x"])).unwrap_err().starts_with("`no-such-program` cannot be run: "));
        let unmet = Step { needs: |_| Err("it is not there".to_owned()), ..step(&["true"]) };
        assert_eq!(carry_out(&root, &unmet).unwrap_err(), "it is not there");
    }

    #[test]
    fn durations_are_short() {
        assert_eq!([seconds(Duration::from_millis(1_250)), seconds(Duration::from_secs(61))], ["1.2 s", "1 min 1 s"]);
    }
}
