//! Mounts the bus into an axum application that has pages of its own.
//!
//! `cargo run -p arqonbus-server --example mount`, then open a WebSocket at ws://127.0.0.1:9100/bus/v1/ws.

use arqonbus_server::{Bus, config::Config};
use axum::{Router, routing::get};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let bus = Bus::start(Config::default())?;
    let app = Router::new().route("/", get(|| async { "an application with a bus in it\n" })).nest("/bus", bus.router());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:9100").await?;
    axum::serve(listener, app).await?;
    Ok(())
}
