//! A chat room in a terminal: what others write appears, what is typed is published.
//!
//! `cargo run -p arqonbus-client --example chat -- ada lobby:general`

use std::io::Write;

use arqonbus_client::{Client, Item};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, BufReader};

#[derive(Serialize, Deserialize)]
struct Line {
    text: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let name = args.next().unwrap_or_else(|| "somebody".to_owned());
    let topic = args.next().unwrap_or_else(|| "lobby:general".to_owned());
    let url = std::env::var("ARQONBUS_URL").unwrap_or_else(|_| "ws://127.0.0.1:9100".to_owned());

    let client = Client::builder(url).name(&name).user(&name).connect().await?;
    let mut chat = client.join(&topic).replay(10).presence(true).await?;
    let mut typed = BufReader::new(tokio::io::stdin()).lines();
    let mut out = std::io::stdout();
    loop {
        tokio::select! {
            item = chat.recv() => match item {
                Some(Item::Message(message)) => {
                    let from = message.user().map_or_else(|| message.sender().to_string(), ToString::to_string);
                    writeln!(out, "{from}: {}", message.payload::<Line>()?.text)?;
                }
                Some(Item::Gap { gap, .. }) => writeln!(out, "(some lines are missing: {})", gap.reason.as_str())?,
                Some(Item::Presence { joined, presence, .. }) => {
                    let who = presence.name.unwrap_or_else(|| presence.client.to_string());
                    writeln!(out, "({who} {})", if joined { "came" } else { "left" })?;
                }
                Some(_) => {}
                None => break,
            },
            line = typed.next_line() => match line? {
                // Our own lines are on the screen already.
                Some(text) => drop(client.publish(&topic, &Line { text }).exclude_sender().await?),
                None => break,
            },
        }
    }
    client.drain().await;
    Ok(())
}
