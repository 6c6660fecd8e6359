//! The model behind a real WebSocket, on loopback.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, broadcast};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;

use crate::support::Model;

/// A server that stops when it is dropped.
pub struct Server {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

struct Shared {
    model: Mutex<Model>,
    changed: Notify,
    cut: broadcast::Sender<()>,
}

impl Server {
    pub async fn start() -> Self {
        Self::start_at(([127, 0, 0, 1], 0).into()).await
    }

    pub async fn start_at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { model: Mutex::default(), changed: Notify::new(), cut: broadcast::Sender::new(4) });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&shared)));
        Self { address, shared, _tasks: tasks }
    }

    pub fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    pub fn model(&self) -> MutexGuard<'_, Model> {
        self.shared.model.lock().unwrap()
    }

    /// Lets the connections say what the model has for them.
    pub fn stir(&self) {
        self.shared.changed.notify_waiters();
    }

    /// Breaks every connection without a goodbye.
    pub fn cut(&self) {
        let _nobody_connected = self.shared.cut.send(());
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        connections.spawn(serve(stream, Arc::clone(&shared)));
    }
}

#[expect(clippy::result_large_err, reason = "the callback's type is tungstenite's")]
fn choose_subprotocol(
    request: &Request,
    mut response: Response,
) -> Result<Response, tokio_tungstenite::tungstenite::handshake::server::ErrorResponse> {
    if request.headers().contains_key("sec-websocket-protocol") {
        response.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("arqonbus.v1"));
    }
    Ok(response)
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let Ok(mut socket) = tokio_tungstenite::accept_hdr_async(stream, choose_subprotocol).await else { return };
    let connection = shared.model.lock().unwrap().open();
    let mut cut = shared.cut.subscribe();
    loop {
        // Registered before the outbox is looked at, so that nothing said in between is missed.
        let changed = shared.changed.notified();
        tokio::pin!(changed);
        changed.as_mut().enable();
        let said: Vec<String> = std::iter::from_fn(|| shared.model.lock().unwrap().pop(connection)).collect();
        if !said.is_empty() {
            for text in said {
                if socket.feed(Frame::text(text)).await.is_err() {
                    break;
                }
            }
            if socket.flush().await.is_err() {
                break;
            }
        }
        tokio::select! {
            _ = cut.recv() => break,
            () = changed => {}
            frame = socket.next() => match frame {
                Some(Ok(Frame::Text(text))) => {
                    shared.model.lock().unwrap().frame(connection, &text);
                    shared.changed.notify_waiters();
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => break,
            },
        }
    }
    shared.model.lock().unwrap().close(connection);
}
