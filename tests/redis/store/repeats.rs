//! A cluster's client sends again what it has no answer to (spec 006): a batch of questions about groups that was carried out is not carried out twice,
//! and what was in the lost answer is not lost without a word.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use arqonbus_server::config::Config;
use arqonbus_tests::harness::Peer;
use arqonbus_tests::harness::clock::eventually;
use arqonbus_tests::harness::peer::topic_args;
use arqonbus_tests::harness::redis::Cluster;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::Node;
use super::groups::{TOPIC, settling, worker};

/// What a question has within it whose answer is to be lost; `None` once it was.
type Lost = Arc<Mutex<Option<&'static [u8]>>>;

/// Questions about groups, by their kinds.
const SETTLES: &[u8] = b"\r\n$1\r\ns\r\n";
const CLAIMS: &[u8] = b"\r\n$1\r\nc\r\n";

/// Proxies before the servers of a cluster, which lose one answer and close that connection.
struct Losing {
    cluster: Cluster,
    lost: Lost,
    _carrying: JoinSet<()>,
}

impl Losing {
    async fn start() -> Self {
        let (cluster, lost) = (Cluster::start().await, Lost::default());
        let mut carrying = JoinSet::new();
        let mut ports = Vec::new();
        for node in &cluster.nodes {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
            let port = listener.local_addr().expect("a bound listener").port();
            let (server, lost) = (SocketAddr::from((Ipv4Addr::LOCALHOST, node.port())), Arc::clone(&lost));
            carrying.spawn(async move {
                let mut connections = JoinSet::new();
                while let Ok((client, _)) = listener.accept().await {
                    connections.spawn(carry(client, server, Arc::clone(&lost)));
                }
            });
            node.set("cluster-announce-port", &port.to_string()).await;
            ports.push(port);
        }
        for node in &cluster.nodes {
            eventually("the proxies' addresses", async || {
                let slots = format!("{:?}", node.tell(&["CLUSTER", "SLOTS"]).await);
                ports.iter().all(|port| slots.contains(&format!("int({port})"))).then_some(())
            })
            .await;
        }
        Self { cluster, lost, _carrying: carrying }
    }

    /// Loses the answer to the next question about groups that has this within it.
    fn lose(&self, within: &'static [u8]) {
        *self.lost.lock().expect("no proxy panicked") = Some(within);
    }

    fn has_lost(&self) -> bool {
        self.lost.lock().expect("no proxy panicked").is_none()
    }

    fn node(&self, change: impl FnOnce(&mut Config)) -> Node {
        Node::by(self.cluster.config(), None, change)
    }
}

fn has(bytes: &[u8], words: &[u8]) -> bool {
    bytes.windows(words.len()).any(|window| window == words)
}

/// Carries one connection. Of the question that is waited for only the answer is kept back: it was carried out.
async fn carry(mut client: TcpStream, server: SocketAddr, lost: Lost) {
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    let (mut asked, mut answered) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let Ok(length @ 1..) = read else { return };
                let question = &asked[..length];
                let is_lost = has(question, b"arqonbus_groups_")
                    && lost.lock().expect("no proxy panicked").take_if(|words| has(question, words)).is_some();
                if server.write_all(question).await.is_err() {
                    return;
                }
                if is_lost {
                    let _ = server.read(&mut answered).await;
                    return;
                }
            }
            read = server.read(&mut answered) => {
                let Ok(length @ 1..) = read else { return };
                if client.write_all(&answered[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}

#[tokio::test]
async fn an_ack_whose_answer_is_lost_is_unknown_and_not_refused_for_having_been_done() {
    let losing = Losing::start().await;
    let node = losing.node(|config| config.groups.ack_timeout_ms = 600_000);
    let mut member = worker(&node, json!({})).await;
    let mut publisher = Peer::connect(&node).await;
    publisher.publish(TOPIC, json!("work")).await;
    let job = member.message().await;
    let ack = json!({"type": "command", "command": "ack", "args": settling(&job)});
    losing.lose(SETTLES);
    let answer = member.request(ack.clone()).await;
    assert!(losing.has_lost());
    assert_eq!(answer["error"]["code"], json!("outcome_unknown"), "{answer}");
    assert_eq!(member.request(ack).await["error"]["code"], json!("not_held"), "it was done");
    let info = publisher.ok("channel_info", topic_args(TOPIC, json!({}))).await;
    assert_eq!((&info["groups"][0]["pending"], &info["groups"][0]["lag"]), (&json!(0), &json!(0)), "{info}");
}

#[tokio::test]
async fn a_gap_in_an_answer_that_is_lost_is_told_with_the_next() {
    let losing = Losing::start().await;
    let node = losing.node(|config| {
        config.groups.ack_timeout_ms = 4_000;
        config.groups.deliveries_max = 0;
        config.history.messages = 4;
    });
    let mut member = worker(&node, json!({"max_in_flight": 1})).await;
    let mut publisher = Peer::connect(&node).await;
    publisher.publish(TOPIC, json!(1)).await;
    let held = member.message().await;
    // While it works its next jobs are trimmed.
    for n in 2..=10 {
        publisher.publish(TOPIC, json!(n)).await;
    }
    losing.lose(CLAIMS);
    member.request(json!({"type": "command", "command": "ack", "args": settling(&held)})).await;
    let told = member.next().await;
    assert!(losing.has_lost());
    assert_eq!((&told["event"], &told["group"], &told["data"]["reason"]), (&json!("gap"), &json!("g"), &json!("trimmed")), "{told}");
    // What was in the lost answer comes back by the time-out.
    let mut given: Vec<Value> = Vec::new();
    while !(7..=10).all(|n| given.contains(&json!(n))) {
        let job = member.message().await;
        member.request(json!({"type": "command", "command": "ack", "args": settling(&job)})).await;
        given.push(job["payload"].clone());
    }
    assert_ne!(given[0], json!(7), "the first claim was carried out once");
}
