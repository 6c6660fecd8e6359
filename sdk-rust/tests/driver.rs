//! The tokio driver against the model server on a real socket.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

#[path = "support/socket.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared by several test binaries")]
mod socket;
#[allow(dead_code, unreachable_pub, clippy::wildcard_enum_match_arm, reason = "shared by several test binaries")]
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arqonbus_client::core::Fault;
use arqonbus_client::protocol::{ErrorCode, GapReason, Refusal, Topic};
use arqonbus_client::{Client, EndReason, Error, Item, QUEUE_MESSAGES, State};
use futures_util::StreamExt;
use socket::Server;
use support::Model;

/// Waits until `condition` holds, and fails loudly where it never does.
async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = tokio::time::sleep(Duration::from_secs(20));
    tokio::pin!(deadline);
    while !condition() {
        tokio::select! {
            () = &mut deadline => panic!("never: {what}"),
            () = tokio::time::sleep(Duration::from_millis(2)) => {}
        }
    }
}

fn quick(server: &Server) -> arqonbus_client::Builder {
    Client::builder(server.url()).backoff(Duration::from_millis(5), Duration::from_millis(50))
}

fn topic(text: &str) -> Topic {
    text.parse().unwrap()
}

#[tokio::test]
async fn what_is_published_is_received() {
    let server = Server::start().await;
    let client = Client::connect(server.url()).await.unwrap();
    let mut subscription = client.join("science:explore").await.unwrap();
    let ack = client.publish("science:explore", &serde_json::json!({ "text": "hi" })).header("trace", "7").await.unwrap();
    assert_eq!(ack.position.unwrap().seq, 1);
    let message = subscription.message().await.unwrap();
    assert_eq!(message.payload::<serde_json::Value>().unwrap(), serde_json::json!({ "text": "hi" }));
    assert_eq!(message.header("trace").as_deref(), Some("7"));
    assert_eq!(message.position(), ack.position);
    assert_eq!(Some(*message.sender()), client.identity().map(|identity| identity.client));
}

#[tokio::test]
async fn many_publishes_in_flight_keep_their_order_and_share_frames() {
    let server = Server::start().await;
    let client = Client::connect(server.url()).await.unwrap();
    let mut receipts = Vec::new();
    for number in 0..5_000_u64 {
        receipts.push(client.publish("a:b", &number).send().await.unwrap());
    }
    for (number, receipt) in (1_u64..).zip(receipts) {
        assert_eq!(receipt.await.unwrap().position.unwrap().seq, number);
    }
    let model = server.model();
    let payloads: Vec<u64> = model.logs[&topic("a:b")].entries.iter().map(|entry| entry.payload.parse().unwrap()).collect();
    assert!(payloads.iter().copied().eq(0..5_000));
    assert!(model.frames_in < 2_500, "{} frames for 5,000 publishes", model.frames_in);
}

#[tokio::test]
async fn a_cut_connection_is_resumed_without_a_gap() {
    let server = Server::start().await;
    let client = quick(&server).connect().await.unwrap();
    let mut subscription = client.join("a:b").await.unwrap();
    let publisher = {
        let client = client.clone();
        tokio::spawn(async move {
            for number in 0..600_u64 {
                client.publish("a:b", &number).await.unwrap();
            }
        })
    };
    for number in 0..600_u64 {
        let Some(Item::Message(message)) = subscription.recv().await else { panic!("a gap, or the end") };
        assert_eq!(message.payload::<u64>().unwrap(), number);
        if number % 100 == 50 {
            server.cut();
        }
    }
    publisher.await.unwrap();
    assert!(client.last_loss().is_some());
    assert!(client.identity().unwrap().resumed);
}

#[tokio::test]
async fn a_slow_application_that_waits_for_acks_neither_hangs_nor_loses() {
    let server = Server::start().await;
    let client = Client::connect(server.url()).await.unwrap();
    let mut subscription = client.join("a:in").queue(8).await.unwrap();
    for number in 0..2_000_u64 {
        server.model().publish(topic("a:in"), &number.to_string());
    }
    server.stir();
    for number in 0..2_000_u64 {
        let Some(Item::Message(message)) = subscription.recv().await else { panic!("a gap, or the end") };
        assert_eq!(message.payload::<u64>().unwrap(), number);
        if number % 7 == 0 {
            // The ack is behind the messages that wait.
            client.publish("a:out", &number).timeout(Duration::from_secs(10)).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_conflating_subscription_says_what_it_skipped() {
    let server = Server::start().await;
    let client = Client::connect(server.url()).await.unwrap();
    let mut subscription = client.join("a:b").queue(10).conflate().await.unwrap();
    for number in 1..=1_000_u64 {
        server.model().publish(topic("a:b"), &number.to_string());
    }
    server.stir();
    // An answer comes after everything that was sent before it.
    client.ping().await.unwrap();
    let Some(Item::Gap { gap, .. }) = subscription.recv().await else { panic!("no gap") };
    assert_eq!((gap.reason, gap.from.unwrap().seq), (GapReason::Conflated, 0));
    let mut next = gap.to.seq + 1;
    assert!(next > 900, "the newest are kept");
    while next <= 1_000 {
        assert_eq!(subscription.message().await.unwrap().position().unwrap().seq, next);
        next += 1;
    }
}

#[tokio::test]
async fn requests_are_answered_and_nobody_there_is_said_at_once() {
    let server = Server::start().await;
    let asker = Client::connect(server.url()).await.unwrap();
    let refused = asker.request("svc:upper", "hi").await.unwrap_err();
    assert!(matches!(&refused, Error::Rejected(refusal) if refusal.code == ErrorCode::NoResponder), "{refused}");
    assert!(refused.is_retryable());

    let service = Client::connect(server.url()).await.unwrap();
    let _responder =
        service.respond("svc:upper", |request| async move { request.payload::<String>().map(|text| text.to_uppercase()) }).await.unwrap();
    let reply = asker.request("svc:upper", "hi").timeout(Duration::from_secs(10)).await.unwrap();
    assert_eq!(reply.payload::<String>().unwrap(), "HI");
}

#[tokio::test]
async fn private_messages_come_to_the_inbox() {
    let server = Server::start().await;
    let (ada, bob) = (Client::connect(server.url()).await.unwrap(), Client::connect(server.url()).await.unwrap());
    let mut inbox = bob.inbox().await.unwrap();
    // The inbox is registered before any later answer.
    bob.ping().await.unwrap();
    ada.private(bob.identity().unwrap().client.as_str(), &42).await.unwrap();
    assert_eq!(inbox.message().await.unwrap().payload::<u64>().unwrap(), 42);
    let nobody = ada.private("c_zzzzzzzz", &1).await.unwrap_err();
    assert!(matches!(nobody, Error::Rejected(refusal) if refusal.code == ErrorCode::NoRecipient));
}

#[tokio::test]
async fn what_comes_without_an_inbox_or_to_a_slow_reader_is_kept_or_told_as_missed() {
    let server = Server::start().await;
    let (ada, bob) = (Client::connect(server.url()).await.unwrap(), Client::connect(server.url()).await.unwrap());
    let to = bob.identity().unwrap().client.to_string();
    let send = |numbers: std::ops::Range<u64>| {
        let (ada, bob, to) = (ada.clone(), bob.clone(), to.clone());
        async move {
            for number in numbers {
                ada.private(&to, &number).await.unwrap();
            }
            // What was sent before has come.
            bob.ping().await.unwrap();
        }
    };
    let bound = u64::try_from(QUEUE_MESSAGES).unwrap();
    send(0..bound + 10).await;
    let mut inbox = bob.inbox().await.unwrap();
    assert!(matches!(inbox.recv().await, Some(Item::Missed(10))));
    for number in 10..bound + 10 {
        assert_eq!(inbox.message().await.unwrap().payload::<u64>().unwrap(), number);
    }
    send(0..bound + 5).await;
    assert!(matches!(inbox.recv().await, Some(Item::Missed(5))));
    assert_eq!(inbox.message().await.unwrap().payload::<u64>().unwrap(), 5);
    drop(inbox);
    send(7..9).await;
    let mut next = bob.inbox().await.unwrap();
    assert_eq!(next.message().await.unwrap().payload::<u64>().unwrap(), 7);
    assert_eq!(next.message().await.unwrap().payload::<u64>().unwrap(), 8);
    bob.close().await;
    assert!(matches!(next.recv().await, Some(Item::Ended(_))));
    assert!(next.recv().await.is_none());
}

#[tokio::test]
async fn history_is_read_page_by_page() {
    let server = Server::start().await;
    for number in 0..250_u64 {
        server.model().publish(topic("a:b"), &number.to_string());
    }
    let client = Client::connect(server.url()).await.unwrap();
    let all: Vec<u64> = client.history("a:b").page_size(20).stream().map(|message| message.unwrap().payload::<u64>().unwrap()).collect().await;
    assert!(all.into_iter().eq(0..250));
    let mut some = client.history("a:b").page_size(20).limit(30);
    let mut count = 0;
    while let Some(message) = some.next().await {
        message.unwrap();
        count += 1;
    }
    assert_eq!(count, 30);
}

#[tokio::test]
async fn nobody_listening_is_an_error_at_once() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = Client::connect(format!("ws://{address}")).await.unwrap_err();
    assert!(matches!(&error, Error::Closed(Fault::Unreachable(_))), "{error}");
}

#[tokio::test]
async fn an_address_that_is_none_is_refused_without_an_attempt() {
    for bad in
        ["", "not a url", "ws://", "ws://:9100", "127.0.0.1:9100", "ftp://127.0.0.1", "ws://127.0.0.1:99999", "ws://[::1]:", "ws://a b", "/v1/ws"]
    {
        let error = Client::builder(bad).first_attempts(0).connect().await.unwrap_err();
        assert!(matches!(&error, Error::Invalid(why) if why.contains("ws://host:port")), "{bad:?}: {error}");
    }
    let server = Server::start().await;
    for good in [server.url(), server.url().replace("ws:", "http:"), server.url() + "/v1/ws?x=1"] {
        Client::connect(good).await.unwrap();
    }
}

/// The task of a client ends with the runtime that it was begun in: whoever has the client elsewhere hears of it.
#[tokio::test]
async fn a_client_whose_runtime_is_gone_is_closed() {
    let server = Server::start().await;
    let url = server.url();
    let mute = Client::connect(&url).await.unwrap();
    let mut asked = mute.join("a:mute").await.unwrap();
    let (given, got) = tokio::sync::oneshot::channel();
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let client = Client::connect(url).await.unwrap();
            let subscription = client.join("a:b").await.unwrap();
            assert!(given.send((client, subscription)).is_ok());
            ended.await.unwrap();
        });
    });
    let (client, mut subscription) = got.await.unwrap();
    let asking = tokio::spawn({
        let client = client.clone();
        async move { client.request("a:mute", &1).timeout(Duration::from_secs(60)).await }
    });
    asked.message().await.unwrap();
    end.send(()).unwrap();
    assert!(matches!(asking.await.unwrap(), Err(Error::Unknown)), "it was sent, and never answered");
    eventually("the end of the client", || client.state() == State::Closed).await;
    let error = client.publish("a:b", &1).await.unwrap_err();
    assert!(matches!(error, Error::Closed(_)), "{error}");
    assert!(matches!(subscription.recv().await, Some(Item::Ended(EndReason::Closed(_)))));
    client.drain().await;
}

#[tokio::test]
async fn the_first_connection_can_be_waited_for() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let waiting = tokio::spawn(
        Client::builder(format!("ws://{address}")).first_attempts(0).backoff(Duration::from_millis(2), Duration::from_millis(20)).connect(),
    );
    let server = Server::start_at(address).await;
    let client = waiting.await.unwrap().unwrap();
    client.ping().await.unwrap();
    drop(server);
}

#[tokio::test]
async fn dropping_a_subscription_leaves_and_dropping_the_client_closes() {
    let server = Server::start().await;
    let client = Client::connect(server.url()).await.unwrap();
    let subscription = client.join("a:b").await.unwrap();
    assert_eq!(server.model().joins(), 1);
    assert!(matches!(client.join("a:b").await, Err(Error::Invalid(_))), "one subscription per pattern");
    drop(subscription);
    eventually("left", || server.model().joins() == 0).await;
    let again = client.join("a:b").await.unwrap();
    drop(client);
    assert_eq!(server.model().connections(), 1, "a subscription keeps its connection");
    drop(again);
    eventually("closed", || server.model().connections() == 0).await;
}

#[tokio::test]
async fn a_drain_waits_for_every_ack() {
    let server = Server::start().await;
    let client = Client::connect(server.url()).await.unwrap();
    let mut subscription = client.join("a:b").await.unwrap();
    let mut receipts = Vec::new();
    for number in 0..500_u64 {
        receipts.push(client.publish("a:b", &number).send().await.unwrap());
    }
    client.drain().await;
    assert_eq!(client.state(), State::Closed);
    for receipt in receipts {
        receipt.await.unwrap();
    }
    assert!(matches!(client.publish("a:b", &1).await, Err(Error::Closed(Fault::Closed))));
    let mut last = None;
    while let Some(item) = subscription.recv().await {
        last = Some(item);
    }
    assert!(matches!(last, Some(Item::Ended(EndReason::Closed(Fault::Closed)))));
}

#[tokio::test]
async fn publishers_wait_for_room_and_nothing_is_lost_at_the_end() {
    let server = Server::start().await;
    let client = Client::builder(server.url()).in_flight(16, 4_000).connect().await.unwrap();
    let payload = "x".repeat(1_500);
    for number in 0..100_u64 {
        client.publish("a:b", &(number, &payload)).send().await.map(drop).unwrap();
        client.publish_nowait("a:b", &number).await.unwrap();
    }
    client.drain().await;
    assert_eq!(server.model().logs[&topic("a:b")].head, 200);
    assert_eq!(client.fault(), Some(Fault::Closed));
}

#[tokio::test]
async fn a_closed_client_leaves_no_publish_without_an_outcome() {
    let server = Server::start().await;
    let client = Client::connect(server.url()).await.unwrap();
    let mut receipts = Vec::new();
    for number in 0..200_u64 {
        receipts.push(client.publish("a:b", &number).send().await.unwrap());
    }
    client.close().await;
    for receipt in receipts {
        match receipt.await {
            Ok(_) | Err(Error::Unknown | Error::NotSent | Error::Closed(Fault::Closed)) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn a_refusal_names_its_code_and_a_bad_name_is_never_sent() {
    let server = Server::start().await;
    let client = Client::connect(server.url()).await.unwrap();
    server.model().refuse_publishes = Some(Refusal::new(ErrorCode::Forbidden, "no"));
    assert!(matches!(client.publish("a:b", &1).await, Err(Error::Rejected(refusal)) if refusal.code == ErrorCode::Forbidden));
    let mut refusals = client.refusals();
    client.publish_nowait("a:b", &1).await.unwrap();
    assert_eq!(refusals.recv().await.unwrap().code, ErrorCode::Forbidden);
    assert!(matches!(client.publish("no topic", &1).await, Err(Error::Invalid(_))));
    assert!(matches!(client.publish_json("a:b", "{bad").await, Err(Error::Invalid(_))));
}

#[tokio::test]
async fn a_token_is_asked_for_before_every_attempt() {
    let server = Server::start().await;
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let client = quick(&server)
        .token_provider(move || {
            let number = counter.fetch_add(1, Ordering::SeqCst);
            async move { Ok::<_, Error>(format!("token-{number}")) }
        })
        .connect()
        .await
        .unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    server.cut();
    let mut state = client.watch_state();
    state.wait_for(|state| *state == State::Waiting || *state == State::Connecting).await.unwrap();
    state.wait_for(|state| *state == State::Connected).await.unwrap();
    assert!(asked.load(Ordering::SeqCst) >= 2);
}

/// The model must refuse nothing by itself in these tests.
#[test]
fn the_model_is_a_version_1_server() {
    let mut model = Model::default();
    let connection = model.open();
    let welcome = model.pop(connection).unwrap();
    assert!(matches!(arqonbus_client::protocol::ServerEnvelope::decode(&welcome), Ok(arqonbus_client::protocol::ServerEnvelope::Event(_))));
}
