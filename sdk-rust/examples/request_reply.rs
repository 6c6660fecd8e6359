//! A service that adds numbers, and a caller that asks it.
//!
//! `cargo run -p arqonbus-client --example request_reply`

use std::io::Write;

use arqonbus_client::{Client, Error};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Sum {
    numbers: Vec<i64>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let url = std::env::var("ARQONBUS_URL").unwrap_or_else(|_| "ws://127.0.0.1:9100".to_owned());

    let service = Client::builder(&url).name("adder").kind("service").connect().await?;
    let _responder =
        service.respond("math:sum", |request| async move { request.payload::<Sum>().map(|sum| sum.numbers.iter().sum::<i64>()) }).await?;

    let caller = Client::connect(&url).await?;
    let mut out = std::io::stdout();
    for last in 1..=5 {
        let reply = caller.request("math:sum", &Sum { numbers: (1..=last).collect() }).await?;
        let total: i64 = reply.payload().map_err(|error| Error::Decode(error.to_string()))?;
        let _closed_pipe = writeln!(out, "1 + … + {last} = {total}");
    }
    // Nobody answers here, and that is said at once.
    if let Err(error) = caller.request("math:nobody", &1).await {
        let _closed_pipe = writeln!(out, "math:nobody: {error}");
    }
    Ok(())
}
