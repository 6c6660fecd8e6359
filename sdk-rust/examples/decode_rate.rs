//! How many delivered envelopes one core of this machine decodes: borrowed, and through the client core into owned messages.
//!
//! `cargo run --release -p arqonbus-client --no-default-features --example decode_rate`

use std::hint::black_box;
use std::io::Write;

use arqonbus_client::core::{Config, Core, Event, Joining, Output};
use arqonbus_client::protocol::{Pattern, ServerEnvelope};

const TIMESTAMP: &str = "2026-11-22T16:49:00.000Z";
const ROUNDS: u32 = 5;
const MESSAGES: u64 = 200_000;

fn message(seq: u64, payload: &str) -> String {
    format!(
        r#"{{"type":"message","id":"arq_01JD0000000000000000000000","room":"science","channel":"explore","sender":"c_aaaaaaaaaaaaaaaaaaaa","timestamp":"{TIMESTAMP}","epoch":"k3v9x2","seq":{seq},"payload":{payload}}}"#
    )
}

/// A core that is connected and joined, as a server would have it.
fn joined() -> Core {
    let mut core = Core::new(Config::new("ws://nowhere"), 1);
    core.connect(0);
    core.handle_open(0);
    let welcome = r#"{"version":"0","protocols":[1],"node":"n_nnnnnnnn","client":"c_aaaaaaaa","limits":{"envelope_bytes":262144,"frame_bytes":1048576,"joins":9,"history":9},"heartbeat_ms":15000,"auth_required":false}"#;
    core.handle_frame(&format!(r#"{{"type":"event","event":"welcome","timestamp":"{TIMESTAMP}","data":{welcome}}}"#), 0);
    let id = request_id(&mut core);
    answer(&mut core, &id, r#"{"client":"c_aaaaaaaa","resume":"k","resumed":false,"batch":true,"heartbeat_ms":15000}"#);
    let pattern: Pattern = "science:explore".parse().expect("a pattern");
    core.join(Joining::new(pattern), 0).expect("a fresh core takes a join");
    let id = request_id(&mut core);
    let start = r#"{"epoch":"k3v9x2","seq":0}"#;
    answer(
        &mut core,
        &id,
        &format!(r#"{{"topics":[{{"room":"science","channel":"explore","head":{start},"start":{start},"members":1}}],"complete":true}}"#),
    );
    core
}

fn answer(core: &mut Core, id: &str, result: &str) {
    core.handle_frame(&format!(r#"{{"type":"response","request_id":"{id}","status":"ok","result":{result}}}"#), 0);
}

/// The id of the request that the core sends next.
fn request_id(core: &mut Core) -> String {
    loop {
        if let Output::Transmit(text) = core.poll_output() {
            let start = text.find(r#""id":""#).expect("a request has an id") + 6;
            return text[start..].chars().take_while(|c| *c != '"').collect();
        }
    }
}

/// Nanoseconds of CPU that this thread has had: other work on the machine does not count.
fn cpu_ns() -> std::io::Result<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    text.split(' ').next().and_then(|ns| ns.parse().ok()).ok_or_else(|| std::io::Error::other("no CPU time on this system"))
}

/// The best of several rounds, in millions per second.
fn rate(mut run: impl FnMut()) -> std::io::Result<f64> {
    let mut best = u64::MAX;
    for _ in 0..ROUNDS {
        let start = cpu_ns()?;
        run();
        best = best.min(cpu_ns()? - start);
    }
    Ok(MESSAGES as f64 * 1e3 / best as f64)
}

fn main() -> std::io::Result<()> {
    let payload = format!(r#"{{"text":"{}","n":42}}"#, "x".repeat(230));
    let frames: Vec<String> = (1..=MESSAGES).map(|seq| message(seq, &payload)).collect();
    let borrowed = rate(|| {
        for frame in &frames {
            black_box(ServerEnvelope::decode(frame).expect("an envelope"));
        }
    })?;
    let owned = rate(|| {
        let mut core = joined();
        let mut delivered = 0;
        for frame in &frames {
            core.handle_frame(frame, 0);
            loop {
                match core.poll_output() {
                    Output::Event(Event::Message { message, .. }) => {
                        black_box(message);
                        delivered += 1;
                    }
                    Output::Wait { .. } => break,
                    Output::Event(_) | Output::Open { .. } | Output::Transmit(_) | Output::Close { .. } => {}
                }
            }
        }
        assert_eq!(delivered, MESSAGES, "every message is delivered");
    })?;
    writeln!(std::io::stdout(), "256-byte payloads, million envelopes per CPU-second: borrowed {borrowed:.2}, owned through the core {owned:.2}")
}
