//! The operator's listener: liveness, readiness, metrics, version. Nothing of it is on the public port.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderValue, StatusCode, header};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::telemetry::Metrics;

/// Where a server stands between its start and its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Not yet accepting.
    Starting,
    /// Taking work.
    Ready,
    /// Shutting down: no new work.
    Draining,
}

/// The present [`Phase`], shared between the bus that sets it and whoever asks. It only goes forward.
#[derive(Debug, Default)]
pub struct Readiness(AtomicU8);

impl Readiness {
    /// Enters `phase`, unless a later one was entered already.
    pub fn enter(&self, phase: Phase) {
        self.0.fetch_max(phase as u8, Relaxed);
    }

    /// The present phase.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self.0.load(Relaxed) {
            0 => Phase::Starting,
            1 => Phase::Ready,
            _ => Phase::Draining,
        }
    }
}

/// What the operator's listener tells about.
#[derive(Debug, Clone)]
pub struct Admin {
    /// What `/metrics` renders.
    pub metrics: Arc<Metrics>,
    /// What `/ready` answers by.
    pub readiness: Arc<Readiness>,
}

/// The operator's pages: `/health`, `/ready`, `/metrics`, `/version`. Every other path is 404.
pub fn router(admin: Admin) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .route("/version", get(version))
        .fallback(|| async {
            answer(StatusCode::NOT_FOUND, &json!({ "error": "not_found", "paths": ["/health", "/ready", "/metrics", "/version"] }))
        })
        .method_not_allowed_fallback(|| async { answer(StatusCode::METHOD_NOT_ALLOWED, &json!({ "error": "method_not_allowed" })) })
        .with_state(admin)
}

/// Probes and scrapers at once; more wait.
const CONNECTIONS_MAX: usize = 64;
/// How long a scraper may take to say what it wants, and how long a kept-alive connection may be silent.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// Enough for a scraper's headers.
const BUFFER_BYTES_MAX: usize = 16 * 1024;

/// Serves the operator's pages until `shutdown` resolves. A probe in flight then is cut: it learns the same from a closed port.
pub async fn serve(listener: TcpListener, admin: Admin, shutdown: impl Future<Output = ()>) {
    let service = TowerToHyperService::new(router(admin));
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => return,
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener, &room) => accepted,
        };
        let Some((socket, permit)) = accepted else { continue };
        let service = service.clone();
        connections.spawn(async move {
            let mut http = hyper::server::conn::http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(BUFFER_BYTES_MAX);
            // What a probe does wrong is its own affair.
            drop(http.serve_connection(TokioIo::new(socket), service).await);
            drop(permit);
        });
    }
}

/// The next connection, once there is room for it; none after a pause where accepting fails.
async fn accept(listener: &TcpListener, room: &Arc<Semaphore>) -> Option<(tokio::net::TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(room).acquire_owned().await.expect("the semaphore is never closed");
    if let Ok((socket, _)) = listener.accept().await {
        return Some((socket, permit));
    }
    // Out of file descriptors, most likely: at once again would spin.
    tokio::time::sleep(Duration::from_millis(100)).await;
    None
}

/// Whether the process serves at all. Says nothing about stores: restarting this process would not heal them.
async fn health() -> Response {
    answer(StatusCode::OK, &json!({ "status": "ok" }))
}

/// Whether new clients should be sent here.
async fn ready(State(admin): State<Admin>) -> Response {
    match admin.readiness.phase() {
        Phase::Starting => answer(StatusCode::SERVICE_UNAVAILABLE, &json!({ "status": "starting" })),
        // A store that is away is told, and no reason to send clients elsewhere: every node meets the same.
        Phase::Ready => answer(StatusCode::OK, &json!({ "status": "ready", "storage": admin.metrics.storage_state.value() })),
        Phase::Draining => answer(StatusCode::SERVICE_UNAVAILABLE, &json!({ "status": "draining" })),
    }
}

async fn metrics(State(admin): State<Admin>) -> Response {
    let text = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(header::CONTENT_TYPE, text)], admin.metrics.render()).into_response()
}

async fn version() -> Response {
    answer(StatusCode::OK, &json!({ "version": env!("CARGO_PKG_VERSION"), "protocols": [arqonbus_protocol::PROTOCOL_VERSION] }))
}

fn answer(status: StatusCode, body: &Value) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (status, headers, format!("{body}\n")).into_response()
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use hyper::service::Service as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    fn admin(phase: Phase) -> Admin {
        let admin = Admin { metrics: Arc::default(), readiness: Arc::default() };
        admin.readiness.enter(phase);
        admin
    }

    async fn ask(phase: Phase, method: &str, path: &str) -> (u16, String, String) {
        let request = http::Request::builder().method(method).uri(path).body(String::new()).unwrap();
        let response = TowerToHyperService::new(router(admin(phase))).call(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let kind = parts.headers[header::CONTENT_TYPE].to_str().unwrap().to_owned();
        (parts.status.as_u16(), kind, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn each_path_answers_what_it_is_for() {
        use Phase::{Draining, Ready, Starting};
        for (phase, method, path, status, kind, says) in [
            (Starting, "GET", "/health", 200, "application/json", "ok"),
            (Starting, "GET", "/ready", 503, "application/json", "starting"),
            (Ready, "GET", "/ready", 200, "application/json", "ready"),
            (Draining, "GET", "/ready", 503, "application/json", "draining"),
            (Draining, "GET", "/health", 200, "application/json", "ok"),
            (Ready, "GET", "/version", 200, "application/json", env!("CARGO_PKG_VERSION")),
            (Ready, "GET", "/metrics", 200, "text/plain; version=0.0.4; charset=utf-8", "# TYPE arqonbus_connections gauge"),
            (Ready, "GET", "/", 404, "application/json", "not_found"),
            (Ready, "GET", "/v1/ws", 404, "application/json", "not_found"),
            (Ready, "POST", "/ready", 405, "application/json", "method_not_allowed"),
        ] {
            let answer = ask(phase, method, path).await;
            assert_eq!((answer.0, answer.1.as_str()), (status, kind), "{method} {path}");
            assert!(answer.2.contains(says), "{method} {path}: {}", answer.2);
        }
    }

    #[test]
    fn readiness_only_goes_forward() {
        let readiness = Readiness::default();
        assert_eq!(readiness.phase(), Phase::Starting);
        readiness.enter(Phase::Draining);
        readiness.enter(Phase::Ready);
        assert_eq!(readiness.phase(), Phase::Draining);
    }

    #[tokio::test]
    async fn it_serves_on_a_socket_until_it_is_shut_down() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let server = tokio::spawn(serve(listener, admin(Phase::Ready), async { drop(stopped.await) }));
        let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
        socket.write_all(b"GET /ready HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("\"ready\""), "{answer}");
        drop(stop);
        server.await.unwrap();
        assert!(tokio::net::TcpStream::connect(address).await.is_err());
    }
}
