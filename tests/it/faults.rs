//! Lost connections and lost processes: every subscriber sees the next message or a gap (G2, G6, G7, G9, G10).

use std::future::Future;

use arqonbus_tests::checker::Fault;
use arqonbus_tests::harness::chaos::{Chaos, Cut, Dice, Fate, Plan};
use arqonbus_tests::harness::clock::eventually;
use arqonbus_tests::harness::{Process, Reach, Server};
use arqonbus_tests::load::{Amount, Publisher};
use arqonbus_tests::run::Run;
use rustix::process::Signal;

/// Runs a test with the seed from `ARQONBUS_SEED`, or one that is always the same, and prints it.
#[expect(clippy::print_stdout, reason = "shown where the test fails: how to see the failure again")]
async fn seeded<F: Future<Output = ()>>(test: impl FnOnce(u64) -> F) {
    let seed = std::env::var("ARQONBUS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_122);
    println!("ARQONBUS_SEED={seed}");
    test(seed).await;
}

#[tokio::test]
async fn g06_g07_flaps_lose_nothing_and_make_no_gap() {
    seeded(async |seed| {
        let server = Server::with(|config| config.history.messages = 100_000);
        let chaos = Chaos::before(server.address(), seed, |_, dice| Plan {
            up: Fate { delay_ms: 2, slice: 1 + dice.below(200) as usize, cut: None },
            down: Fate { delay_ms: 2, slice: 1 + dice.below(2_000) as usize, cut: None },
        })
        .await;
        let run = Run::begin(chaos.address(), 3, 6, 300).await;
        for flap in 1..=8 {
            run.reached(flap * 90).await;
            run.note(Fault::Flap);
            chaos.flap();
        }
        run.check(&server).await;
        assert!(chaos.connections() > 30, "the flaps cut connections: {}", chaos.connections());
    })
    .await;
}

/// The stream is cut at another byte on every connection, in both directions and by every kind of cut.
#[tokio::test]
async fn g02_g09_a_pipeline_cut_at_any_byte_keeps_its_order_and_is_stored_once() {
    seeded(async |seed| {
        let server = Server::with(|config| config.history.messages = 100_000);
        let chaos = Chaos::before(server.address(), seed, |number, dice: &mut Dice| {
            let at = 300 + dice.below(9_000);
            let cut = if number % 2 == 0 { Cut::Reset } else { Cut::HalfClose };
            match number % 4 {
                0 | 1 => Plan { up: Fate { cut: Some((at, cut)), ..Fate::default() }, ..Plan::default() },
                _ => Plan { down: Fate { cut: Some((at, cut)), ..Fate::default() }, ..Plan::default() },
            }
        })
        .await;
        let run = Run::begin(chaos.address(), 2, 2, 400).await;
        run.note(Fault::Flap);
        run.check(&server).await;
        assert!(chaos.connections() > 20, "{} connections", chaos.connections());
    })
    .await;
}

/// Bytes vanish while the connection stands: the client gives up and comes back.
#[tokio::test]
async fn g06_a_black_hole_loses_nothing() {
    seeded(async |seed| {
        let server = Server::with(|config| config.history.messages = 100_000);
        let chaos = Chaos::before(server.address(), seed, |number, dice: &mut Dice| match number {
            0..4 => Plan { down: Fate { cut: Some((2_000 + dice.below(4_000), Cut::BlackHole)), ..Fate::default() }, ..Plan::default() },
            _ => Plan::default(),
        })
        .await;
        let run = Run::begin(chaos.address(), 2, 2, 200).await;
        run.note(Fault::Flap);
        eventually("the end of publishing", async || (run.acknowledged() >= 400).then_some(())).await;
        chaos.flap();
        run.check(&server).await;
    })
    .await;
}

#[tokio::test]
async fn g04_g06_g10_a_killed_and_restarted_server_is_told_to_everybody() {
    let mut process = Process::start("");
    let address = process.address();
    let run = Run::begin(address, 3, 8, 3_000).await;
    for round in 1..=3 {
        run.reached(round * 1_500).await;
        process.kill();
        run.note(Fault::Restart);
        process = Process::at(&address.to_string(), "");
    }
    run.check(&process).await;
}

/// A process that stands still for a while, as on a machine that swaps or migrates, is late and nothing worse.
#[tokio::test]
async fn g06_g07_a_process_that_stood_still_loses_nothing_and_makes_no_gap() {
    let process = Process::start("[history]\nmessages = 100000\n");
    let run = Run::begin(process.address(), 2, 4, 1_500).await;
    for stop in 1..=2 {
        run.reached(stop * 500).await;
        process.signal(Signal::STOP);
        tokio::time::sleep(std::time::Duration::from_millis(700)).await;
        process.signal(Signal::CONT);
    }
    run.check(&process).await;
}

/// More than history holds is published while subscribers are away: the hole is announced.
#[tokio::test]
async fn g06_g11_a_past_that_was_trimmed_while_away_is_announced() {
    seeded(async |seed| {
        let server = Server::with(|config| config.history.messages = 20);
        let chaos = Chaos::before(server.address(), seed, |_, _| Plan::default()).await;
        let run = Run::begin(chaos.address(), 0, 6, 0).await;
        run.note(Fault::Trim);
        let publisher = Publisher { number: 9, topics: vec![run.topic], amount: Amount::Count(2_000), window: 64 };
        let publishing = tokio::spawn(publisher.run(server.address(), run.recorder.clone()));
        for flap in 1..=10 {
            run.reached(flap * 150).await;
            chaos.flap();
        }
        publishing.await.unwrap();
        run.check(&server).await;
    })
    .await;
}
