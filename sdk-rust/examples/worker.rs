//! A worker of a group: takes orders, one at a time, gives back what it cannot do, and gives up on what nobody can.
//!
//! `cargo run -p arqonbus-client --example worker -- orders:new packers`, in several terminals; then
//! `arqonbus pub orders:new '{"item":"lamp","count":2}'`.

use std::io::Write;
use std::time::Duration;

use arqonbus_client::{Client, Error, Job, WorkItem};
use serde::Deserialize;

#[derive(Deserialize)]
struct Order {
    item: String,
    count: u32,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let topic = args.next().unwrap_or_else(|| "orders:new".to_owned());
    let group = args.next().unwrap_or_else(|| "packers".to_owned());
    let url = std::env::var("ARQONBUS_URL").unwrap_or_else(|_| "ws://127.0.0.1:9100".to_owned());

    let client = Client::builder(url).kind("worker").connect().await?;
    let mut jobs = client.join(&topic).group(&group).max_in_flight(1).await?;
    let mut out = std::io::stdout();
    while let Some(item) = jobs.recv().await {
        match item {
            WorkItem::Job(job) => match pack(&mut out, &job).await {
                // Somebody else has it by now: nothing is lost.
                Err(Error::Rejected(refusal)) => writeln!(out, "too late: {refusal}")?,
                Err(Error::Unknown) => writeln!(out, "it may come again")?,
                packed => packed?,
            },
            WorkItem::Gap { gap, .. } => writeln!(out, "orders are missing: {}", gap.reason.as_str())?,
            WorkItem::Lost(jobs) => writeln!(out, "{jobs} orders went to others")?,
            WorkItem::Ended(reason) => return Err(reason.into()),
            _ => {}
        }
    }
    Ok(())
}

async fn pack(out: &mut impl Write, job: &Job) -> Result<(), Error> {
    let order: Order = match job.payload() {
        Ok(order) => order,
        // Nobody can do this one.
        Err(error) => return job.nack().dead().reason(error.to_string()).await,
    };
    if order.count > 10 {
        return job.nack().delay(Duration::from_secs(5)).reason("not that many in stock").await;
    }
    let _closed = writeln!(out, "packed {} × {} (delivery {})", order.count, order.item, job.delivery());
    job.ack().await
}
