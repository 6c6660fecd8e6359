//! The accept loop: bounded in connections, in header size and in time.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::shared::Shared;
use crate::telemetry::{Signal, TurnedAway};

/// How long a client may take to send its request's head, or the next one's.
const HEAD_TIME: Duration = Duration::from_secs(5);
/// Bytes of a request's head.
const HEAD_BYTES: usize = 16 * 1024;
/// How long accepting pauses when no file descriptor is left.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a client that finds no place has to read why.
const TURN_AWAY_TIME: Duration = Duration::from_secs(1);

/// A connection's place among those that the server may have; given back when the last clone is dropped.
#[derive(Clone)]
pub(crate) struct PlaceGuard(#[expect(dead_code, reason = "held for its drop")] Arc<Place>);

struct Place(Arc<Shared>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.release_place();
    }
}

/// Where a request comes from.
#[derive(Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Accepts connections until `shutdown` resolves.
pub(crate) async fn accept(listener: TcpListener, router: Router, shared: Arc<Shared>, shutdown: impl Future<Output = ()>) {
    let mut shutdown = pin!(shutdown);
    let (closing, closed) = watch::channel(());
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => begin(stream, peer, &router, &shared, closed.clone()),
            Err(error) if is_exhaustion(&error) => {
                shared.telemetry.tell(&Signal::AcceptPaused);
                tokio::time::sleep(PAUSE).await;
            }
            // The client was gone before it was accepted.
            Err(error) => tracing::debug!(%error, "a connection could not be accepted"),
        }
    }
    drop(closing);
}

/// No file descriptor or memory is left, here or in the system (accept(2)).
fn is_exhaustion(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(code) if [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM].contains(&code))
}

fn begin(stream: TcpStream, peer: SocketAddr, router: &Router, shared: &Arc<Shared>, mut closed: watch::Receiver<()>) {
    if !shared.take_place() {
        shared.telemetry.tell(&Signal::TurnedAway { reason: TurnedAway::Full });
        return drop(tokio::spawn(turn_away(stream)));
    }
    let place = PlaceGuard(Arc::new(Place(Arc::clone(shared))));
    // Frames are written whole; waiting for more to send would only delay them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a socket takes no options");
    }
    let router = router.clone().layer(axum::Extension(place)).layer(axum::Extension(Peer(peer)));
    tokio::spawn(async move {
        let mut builder = hyper::server::conn::http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_buf_size(HEAD_BYTES);
        let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)).with_upgrades();
        let mut connection = pin!(connection);
        let ended = tokio::select! {
            ended = &mut connection => ended,
            // An error says that the server stops accepting: what is under way is still answered.
            _ = closed.changed() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "an HTTP connection ended early");
        }
    });
}

/// Says that there is no place, and waits a moment so that it can be read.
async fn turn_away(mut stream: TcpStream) {
    let said = async {
        stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await?;
        stream.shutdown().await?;
        let mut ignored = [0; 1024];
        while stream.read(&mut ignored).await? > 0 {}
        Ok::<(), io::Error>(())
    };
    // Whoever does not read it is gone anyway.
    let _ = tokio::time::timeout(TURN_AWAY_TIME, said).await;
}
