//! G20 for a whole process: its wall clock is set a day on and back while it serves.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use arqonbus_tests::harness::{Peer, Process, Scratch, peer::message};
use serde_json::json;

#[tokio::test]
async fn g20_a_process_whose_wall_clock_is_set_keeps_order_windows_and_history() {
    let Some(library) = libfaketime() else {
        // Not by a macro: the test runner would swallow it.
        let _ = std::io::stderr().write_all(b"\n!!!! NO LIBFAKETIME: G20 is NOT TRIED on a real process. Debian's package is libfaketime. !!!!\n");
        return;
    };
    let scratch = Scratch::new();
    let dial = scratch.path().join("clock");
    set(&dial, "+0");
    let variables = [
        ("LD_PRELOAD", library.display().to_string()),
        ("FAKETIME_TIMESTAMP_FILE", dial.display().to_string()),
        ("FAKETIME_NO_CACHE", "1".into()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
    ];
    let process = Process::with("127.0.0.1:0", "", &variables.map(|(name, value)| (name.to_owned(), value)));
    let mut member = Peer::joined(&process, "a:b").await;
    let mut publisher = Peer::connect(&process).await;
    let mut days = Vec::new();
    for (seq, offset) in (1_u64..).zip(["+0", "+1d", "-1d", "+0"]) {
        set(&dial, offset);
        let mut envelope = message("a:b", json!(seq));
        envelope["id"] = json!(format!("m{seq}"));
        envelope["ack"] = json!(true);
        assert_eq!(publisher.request(envelope.clone()).await["result"]["seq"], seq);
        // The same id is known, however far the clock has gone.
        let again = publisher.request(envelope).await;
        assert_eq!((&again["result"]["seq"], &again["result"]["duplicate"]), (&json!(seq), &json!(true)), "{offset}");
        let heard = member.message().await;
        assert_eq!(heard["seq"], seq);
        days.push(heard["timestamp"].as_str().expect("a timestamp")[..10].to_owned());
    }
    assert!(days[1] > days[0] && days[2] < days[0], "the clock was set: {days:?}");
    let history = publisher.ok("history", json!({ "room": "a", "channel": "b" })).await;
    assert_eq!(history["messages"].as_array().map(Vec::len), Some(4));
    let status = publisher.ok("status", json!({})).await;
    assert!(status["uptime_ms"].as_u64().is_some_and(|ms| ms < 3_600_000), "{status}");
}

fn set(dial: &Path, offset: &str) {
    std::fs::write(dial, offset).expect("a scratch file");
}

/// Where Debian and others put it, or `LIBFAKETIME`.
fn libfaketime() -> Option<PathBuf> {
    let named = std::env::var_os("LIBFAKETIME").map(PathBuf::from);
    let places = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"];
    named.into_iter().chain(places.iter().map(|place| Path::new(place).join("faketime/libfaketime.so.1"))).find(|path| path.exists())
}
