//! A live dashboard feed: sensors publish readings, the dashboard shows the newest of each and is honest about what it skipped.
//!
//! `cargo run -p arqonbus-client --example dashboard`

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use arqonbus_client::{Client, Error, Item};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Reading {
    celsius: f64,
}

/// Publishes readings of three sensors until the client is closed. A reading that is lost is followed by a newer one, so nobody waits for acks.
async fn sensors(client: Client) -> Result<(), Error> {
    for step in 0_u32.. {
        for (number, sensor) in ["cellar", "kitchen", "roof"].iter().enumerate() {
            let celsius = 12.0 + 6.0 * number as f64 + f64::from(step % 20) / 10.0;
            client.publish_nowait(format!("sensors:{sensor}"), &Reading { celsius }).await?;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let url = std::env::var("ARQONBUS_URL").unwrap_or_else(|_| "ws://127.0.0.1:9100".to_owned());
    let sensors = tokio::spawn(sensors(Client::builder(&url).name("sensors").connect().await?));

    let dashboard = Client::builder(&url).name("dashboard").connect().await?;
    // A screen wants the newest reading, not every one: what it is too slow for gives way, and is counted as a gap.
    let mut feed = dashboard.join("sensors:*").queue(64).conflate().await?;
    let mut newest: BTreeMap<String, f64> = BTreeMap::new();
    let mut skipped = 0;
    let mut out = std::io::stdout();
    let mut screen = tokio::time::interval(Duration::from_millis(500));
    for _ in 0..20 {
        loop {
            tokio::select! {
                _ = screen.tick() => break,
                item = feed.recv() => match item {
                    Some(Item::Message(message)) => {
                        let reading: Reading = message.payload().map_err(|error| Error::Decode(error.to_string()))?;
                        newest.insert(message.target().to_string(), reading.celsius);
                    }
                    Some(Item::Gap { .. }) => skipped += 1,
                    Some(_) => {}
                    None => return Ok(()),
                },
            }
        }
        let line: Vec<String> = newest.iter().map(|(sensor, celsius)| format!("{sensor} {celsius:.1} °C")).collect();
        let _closed_pipe = writeln!(out, "{}   gaps: {skipped}   {}", line.join("   "), dashboard.state().as_str());
    }
    sensors.abort();
    dashboard.drain().await;
    Ok(())
}
