//! The command line as people and scripts meet it: the built binary, its output and its exit codes.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;

/// No command of these tests takes as long, unless it hangs.
const DEADLINE: Duration = Duration::from_secs(30);

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_arqonbus"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ARQONBUS_")) {
        command.env_remove(name);
    }
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn signal(name: &str, pid: u32) {
    assert!(Command::new("kill").args([name, &pid.to_string()]).status().unwrap().success());
}

/// Waits for the end of a process; one that hangs is killed and fails the test.
fn end(child: Child) -> Output {
    let pid = child.id();
    let (done, result) = mpsc::sync_channel(1);
    std::thread::spawn(move || done.send(child.wait_with_output()));
    let Ok(output) = result.recv_timeout(DEADLINE) else {
        signal("-KILL", pid);
        panic!("the command hangs");
    };
    output.unwrap()
}

/// Exit code, standard output, standard error.
fn parts(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn run(args: &[&str]) -> (Option<i32>, String, String) {
    parts(&end(command(args).spawn().unwrap()))
}

/// A bus of its own; it ends with the test.
struct Bus {
    child: Option<Child>,
    announced: Value,
}

impl Bus {
    fn start(more: &[&str]) -> Self {
        let mut args = vec!["serve", "--port", "0", "--admin", "127.0.0.1:0", "--announce", "--set", "drain.notice_ms=0"];
        args.extend(more);
        let mut child = command(&args).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { announced: serde_json::from_str(&line).unwrap(), child: Some(child) }
    }

    fn url(&self) -> String {
        format!("ws://{}", self.announced["listen"].as_str().unwrap())
    }

    fn spawn(&self, args: &[&str]) -> Child {
        command(args).env("ARQONBUS_URL", self.url()).spawn().unwrap()
    }

    fn run(&self, args: &[&str]) -> (Option<i32>, String, String) {
        parts(&end(self.spawn(args)))
    }

    /// Runs a command that succeeds, and gives its standard output.
    fn ok(&self, args: &[&str]) -> String {
        let (code, out, err) = self.run(args);
        assert_eq!(code, Some(0), "{args:?}: {err}");
        out
    }

    fn with_input(&self, args: &[&str], input: &str) -> (Option<i32>, String, String) {
        let mut child = command(args).env("ARQONBUS_URL", self.url()).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        parts(&end(child))
    }

    /// Waits until so many are joined to a topic.
    fn await_members(&self, topic: &str, count: usize) {
        for _ in 0..200 {
            let (_, out, _) = self.run(&["members", topic, "--json"]);
            if out.lines().count() == count {
                return;
            }
        }
        panic!("{topic} never had {count} members");
    }

    /// Waits until a benchmark has somebody in its topic.
    fn await_bench(&self) {
        for _ in 0..200 {
            let out = self.ok(&["rooms", "bench", "--json"]);
            if out.lines().any(|line| serde_json::from_str::<Value>(line).unwrap()["members"] != 0) {
                return;
            }
        }
        panic!("no benchmark ever had its topic");
    }

    /// The status of an HTTP answer of the operator's listener.
    fn admin(&self, path: &str) -> String {
        let mut socket = TcpStream::connect(self.announced["admin"].as_str().unwrap()).unwrap();
        write!(socket, "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap_or_default().to_owned()
    }

    fn signal(&self, name: &str) {
        signal(name, self.child.as_ref().unwrap().id());
    }

    fn end(mut self) -> Option<i32> {
        end(self.child.take().unwrap()).status.code()
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

#[test]
fn serve_announces_its_addresses_and_drains_on_sigterm() {
    let bus = Bus::start(&[]);
    assert_eq!(bus.announced["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(bus.announced["pid"], bus.child.as_ref().unwrap().id());
    assert_eq!(bus.ok(&["pub", "a:b", "1"]).split(' ').nth(1), Some("memory\n"));
    for (path, status) in [("/health", "200"), ("/ready", "200"), ("/metrics", "200"), ("/version", "200"), ("/v1/ws", "404")] {
        assert_eq!(bus.admin(path), status, "{path}");
    }
    bus.signal("-TERM");
    assert_eq!(bus.end(), Some(0));
}

#[test]
fn a_second_signal_ends_the_server_at_once() {
    let bus = Bus::start(&["--set", "drain.deadline_ms=600000", "--set", "drain.notice_ms=600000"]);
    bus.signal("-TERM");
    let draining = (0..1_000).any(|_| {
        std::thread::sleep(Duration::from_millis(5));
        bus.admin("/ready") == "503"
    });
    assert!(draining, "it is not ready any more while it drains");
    bus.signal("-TERM");
    assert_eq!(bus.end(), Some(130));
}

#[test]
fn what_is_published_is_held_listed_and_replayed() {
    let bus = Bus::start(&[]);
    let first = bus.ok(&["pub", "a:b", "hello", "-H", "x=1"]);
    let since = first.split(' ').next().unwrap().to_owned();
    assert!(since.ends_with(":1"), "{first}");
    let ack: Value = serde_json::from_str(&bus.ok(&["pub", "a:b", "{\"n\":2}", "--json"])).unwrap();
    assert_eq!(ack["seq"], 2);
    let (code, acks, _) = bus.with_input(&["pub", "a:b", "-", "--text"], "3\n\n4\n");
    assert_eq!((code, acks.lines().count()), (Some(0), 2));
    assert_eq!(bus.ok(&["pub", "a:b", "5", "--no-ack", "--count", "2"]), "");
    assert_eq!(bus.ok(&["history", "a:b", "--payload"]), "\"hello\"\n{\"n\":2}\n\"3\"\n\"4\"\n5\n5\n");
    assert_eq!(bus.ok(&["history", "a:b", "--payload", "--reverse", "--limit", "2"]), "5\n5\n");
    assert_eq!(bus.ok(&["sub", "a:b", "--payload", "--since", &since, "-n", "2"]), "{\"n\":2}\n\"3\"\n");
    let envelope: Value = serde_json::from_str(&bus.ok(&["sub", "a:*", "--json", "--replay", "6", "-n", "1"])).unwrap();
    assert_eq!((&envelope["seq"], &envelope["headers"]["x"], &envelope["payload"]), (&1.into(), &"1".into(), &"hello".into()));
    assert!(bus.ok(&["rooms"]).lines().any(|line| line.split_whitespace().collect::<Vec<_>>() == ["a", "1", "0"]));
    assert!(bus.ok(&["rooms", "a"]).lines().nth(1).is_some_and(|line| line.starts_with("b ") && line.ends_with(":6")));
    assert!(bus.ok(&["status"]).contains("\nmessages in   6\n"));
    assert_eq!(bus.ok(&["ping", "-n", "2", "-i", "0.001"]).lines().count(), 2);
}

#[test]
fn a_subscriber_sees_what_comes_and_ends_by_ctrl_c() {
    let bus = Bus::start(&[]);
    let mut subscriber = bus.spawn(&["sub", "a:b", "--payload"]);
    bus.await_members("a:b", 1);
    bus.ok(&["pub", "a:b", "7"]);
    let mut lines = BufReader::new(subscriber.stdout.take().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    assert_eq!(line, "7\n");
    signal("-INT", subscriber.id());
    let (code, _, err) = parts(&end(subscriber));
    assert_eq!((code, err.as_str()), (Some(130), ""));
}

#[test]
fn a_pipe_that_nobody_reads_ends_quietly() {
    let bus = Bus::start(&[]);
    let mut subscriber = bus.spawn(&["sub", "a:b", "--payload"]);
    bus.await_members("a:b", 1);
    drop(subscriber.stdout.take());
    // While another test starts a process, that has the pipe, too, for a moment, and what is written then is not refused.
    for _ in 0..100 {
        if subscriber.try_wait().unwrap().is_some() {
            break;
        }
        bus.ok(&["pub", "a:b", "1"]);
    }
    let (code, _, err) = parts(&end(subscriber));
    assert_eq!((code, err.as_str()), (Some(0), ""));
}

#[test]
fn a_request_is_answered_by_reply() {
    let bus = Bus::start(&[]);
    let echo = bus.spawn(&["reply", "m:echo", "--echo", "-n", "1", "--payload"]);
    let fixed = bus.spawn(&["reply", "m:fixed", "{\"a\":42}", "-n", "1", "--payload"]);
    bus.await_members("m:echo", 1);
    bus.await_members("m:fixed", 1);
    assert_eq!(bus.ok(&["request", "m:echo", "[1, 2]"]), "[1, 2]\n");
    assert_eq!(bus.ok(&["request", "m:fixed", "what"]), "{\"a\":42}\n");
    assert_eq!(parts(&end(echo)), (Some(0), "[1, 2]\n".into(), String::new()));
    assert_eq!(parts(&end(fixed)).0, Some(0));
}

#[test]
fn exit_codes_say_what_went_wrong() {
    let bus = Bus::start(&[]);
    let mute = bus.spawn(&["sub", "m:mute"]);
    bus.await_members("m:mute", 1);
    for (args, code, says) in [
        (&["request", "m:nobody", "1"][..], 1, "no_responder"),
        (&["pub", "a:_b", "1"], 1, "invalid_name"),
        (&["pub", "@c_00000000", "1"], 1, "no_recipient"),
        (&["pub", "@user:ada", "1"], 1, "no_recipient"),
        (&["pub", "a:_b", "1", "--no-ack"], 1, "invalid_name"),
        (&["history", "no:where"], 1, "unknown_channel"),
        (&["pub", "a b", "1"], 2, "expected room:channel"),
        (&["pub", "a:b", "{", "--raw"], 2, "not JSON"),
        (&["sub", "a:*", "--since", "k3:1"], 2, "one, without *"),
        (&["sub", "a:b", "--since", "1"], 2, "expected epoch:seq"),
        (&["sub"], 2, "required"),
        (&["pub", "a:b", "-", "-n", "3"], 2, "--count"),
        (&["nonsense"], 2, "unrecognized"),
        (&["ping", "--url", "127.0.0.1:9100"], 2, "ws://host:port"),
        (&["ping", "--url", "ws://127.0.0.1:99999"], 2, "ws://host:port"),
        (&["ping", "--url", "ws://127.0.0.1:1"], 3, "cannot connect"),
        (&["request", "m:mute", "1", "--timeout", "0.3"], 4, "may have been done"),
    ] {
        let (got, out, err) = bus.run(args);
        assert_eq!((got, out.as_str()), (Some(code), ""), "{args:?}: {err}");
        assert!(err.contains(says) && !err.contains('\u{1b}'), "{args:?}: {err}");
    }
    signal("-TERM", mute.id());
    end(mute);
}

#[test]
fn only_commands_that_speak_to_a_bus_take_its_address() {
    for command in ["serve", "config", "config show", "schema", "completions"] {
        let words: Vec<&str> = command.split(' ').collect();
        let (code, help, _) = run(&[&words[..], &["--help"]].concat());
        assert!(code == Some(0) && !["--url", "--token", "--timeout"].iter().any(|flag| help.contains(flag)), "{command}: {help}");
        let (code, _, err) = run(&[&words[..], &["--url", "ws://127.0.0.1:9100"]].concat());
        assert!(code == Some(2) && err.contains("--url"), "{command}: {code:?} {err}");
    }
    for command in ["pub", "sub", "request", "reply", "history", "rooms", "members", "status", "ping", "bench", "bench fan-out"] {
        let words: Vec<&str> = command.split(' ').collect();
        let (_, help, _) = run(&[&words[..], &["--help"]].concat());
        assert!(help.contains("Connection:\n      --url <URL>"), "{command}: {help}");
    }
}

/// Topics live in different parts of the bus, and their refusals come from there.
#[test]
fn without_acks_refusals_are_told_wherever_the_topic_lives() {
    let bus = Bus::start(&["--set", "create=\"explicit\"", "--set", "shards=4"]);
    for number in 0..16 {
        let (code, _, err) = bus.run(&["pub", &format!("no:where{number}"), "1", "--no-ack"]);
        assert!(code == Some(1) && err.contains("unknown_channel"), "{number}: {code:?} {err}");
    }
}

#[test]
fn a_wrong_configuration_is_told_at_once_and_does_not_start() {
    let (code, out, err) = run(&["serve", "--listen", "0.0.0.0:0", "--set", "limits.joinz=1", "--set", "heartbeat_ms=x"]);
    assert_eq!((code, out.as_str()), (Some(2), ""));
    for says in [
        "3 mistakes",
        "did you mean limits.joins?",
        "--set heartbeat_ms: heartbeat_ms: expected a whole number",
        "--listen: listen: 0.0.0.0:0 is reachable",
    ] {
        assert!(err.contains(says), "{says}: {err}");
    }
}

#[test]
fn the_configuration_and_the_schema_are_printed() {
    let (code, out, _) = run(&["config", "show", "--set", "limits.joins=7"]);
    assert_eq!(code, Some(0));
    assert!(out.contains("\njoins = 7  # --set limits.joins\n"), "{out}");
    assert_eq!(run(&["config", "check"]).0, Some(0));
    let schema: Value = serde_json::from_str(&run(&["config", "schema"]).1).unwrap();
    assert_eq!(schema["properties"]["shards"]["default"], 0);
    let files = run(&["schema"]).1;
    assert!(files.lines().count() >= 3, "{files}");
    for file in files.lines() {
        assert!(serde_json::from_str::<Value>(&run(&["schema", file]).1).is_ok(), "{file}");
    }
    assert!(run(&["completions", "bash"]).1.contains("arqonbus"));
    assert!(run(&["--help"]).1.contains("arqonbus pub science:explore"));
}

#[test]
fn an_interrupted_benchmark_leaves_nothing_behind() {
    let bus = Bus::start(&[]);
    for what in [
        "bench fan-out --subscribers 5 --messages 100000000",
        "bench fan-in --publishers 5 --messages 100000000",
        "bench latency --subscribers 2 --messages 100000000",
        "bench idle --connections 5 --hold 600",
    ] {
        let child = bus.spawn(&what.split(' ').collect::<Vec<_>>());
        bus.await_bench();
        signal("-INT", child.id());
        let (code, _, err) = parts(&end(child));
        assert_eq!(code, Some(130), "{what}: {err}");
        assert_eq!(bus.ok(&["rooms", "bench", "--json"]), "", "{what}");
    }
}

#[test]
fn each_benchmark_delivers_everything_and_leaves_nothing_behind() {
    let bus = Bus::start(&[]);
    for (args, key, value) in [
        (&["bench", "--json", "fan-out", "--subscribers", "3", "--messages", "50"][..], "delivered", 150),
        (&["bench", "fan-in", "--publishers", "3", "--messages", "50", "--json"], "delivered", 150),
        (&["bench", "latency", "--messages", "20", "--subscribers", "2", "--json"], "delivered", 40),
        (&["bench", "idle", "--connections", "5", "--hold", "0.01", "--json"], "still_connected", 5),
    ] {
        let report: Value = serde_json::from_str(&bus.ok(args)).unwrap();
        assert_eq!(report[key], value, "{args:?}: {report}");
    }
    assert!(!bus.ok(&["rooms"]).contains("bench"));
}
