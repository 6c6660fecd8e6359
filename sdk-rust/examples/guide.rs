//! What docs/guides/rust.md shows, from beginning to end.
//!
//! `cargo run -p arqonbus-client --example guide`

use std::io::Write;

use arqonbus_client::{Client, Error, Item};
use serde::{Deserialize, Serialize};
use tokio::time::Duration;

#[derive(Debug, Serialize, Deserialize)]
struct Reading {
    celsius: f64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut out = std::io::stdout();
    let url = std::env::var("ARQONBUS_URL").unwrap_or_else(|_| "ws://127.0.0.1:9100".to_owned());

    let client = Client::builder(&url).name("thermostat").kind("service").user("ada").publish_timeout(Duration::from_secs(20)).connect().await?;

    let ack = client.publish("lab:readings", &Reading { celsius: 21.5 }).header("unit", "C").await?;
    writeln!(out, "stored: {}, duplicate: {}", ack.durability.as_str(), ack.duplicate)?;

    match client.publish("lab:readings", &Reading { celsius: 21.6 }).id("reading-2").await {
        Ok(ack) => writeln!(out, "acked at seq {}", ack.position.map_or(0, |position| position.seq))?,
        Err(Error::Rejected(refusal)) => writeln!(out, "certainly not stored: {refusal}")?,
        Err(Error::NotSent) => writeln!(out, "certainly not stored: there was no connection")?,
        Err(Error::Unknown) => writeln!(out, "nobody knows; send it again under the same id")?,
        Err(error) => return Err(error.into()),
    }

    let mut pipeline = Vec::new();
    for celsius in [21.7, 21.8, 21.9] {
        pipeline.push(client.publish("lab:readings", &Reading { celsius }).send().await?);
    }
    for receipt in pipeline {
        receipt.await?;
    }

    let mut readings = client.join("lab:readings").replay(2).await?;
    for _ in 0..2 {
        match readings.recv().await {
            Some(Item::Message(message)) => {
                let reading: Reading = message.payload()?;
                writeln!(out, "{} °C from {:?}", reading.celsius, message.user().map(ToString::to_string))?;
            }
            Some(Item::Gap { gap, .. }) => writeln!(out, "messages are missing: {}", gap.reason.as_str())?,
            Some(Item::Ended(reason)) => return Err(reason.to_string().into()),
            Some(_) | None => {}
        }
    }

    let _responder = client.respond("lab:calibrate", |request| async move { request.payload::<f64>().map(|offset| offset + 0.5) }).await?;
    let panel = Client::connect(&url).await?;
    let reply = panel.request("lab:calibrate", &1.0).timeout(Duration::from_secs(2)).await?;
    writeln!(out, "calibrated: {}", reply.payload::<f64>()?)?;

    let mut inbox = client.inbox().await?;
    panel.private("user:ada", &"well done").await?;
    if let Some(message) = inbox.message().await {
        writeln!(out, "private: {}", message.payload_json())?;
    }

    let mut history = panel.history("lab:readings").backward().limit(3);
    while let Some(message) = history.next().await {
        writeln!(out, "{}", message?.payload::<Reading>()?.celsius)?;
    }

    let members = panel.members("lab:readings").await?;
    writeln!(out, "members: {}", members.total)?;

    panel.close().await;
    client.drain().await;
    Ok(())
}
