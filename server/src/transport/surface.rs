//! The HTTP surface for clients: handshakes, envelopes, the schema.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use hyper::upgrade::{OnUpgrade, Upgraded as HyperUpgraded};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::listener::{Peer, PlaceGuard};
use super::{envelopes, handshake};
use crate::shard::{HttpJob, Incoming, Upgraded};
use crate::shared::Shared;

/// What the surface serves, and where it hands what comes in.
#[derive(Clone)]
pub(crate) struct Surface {
    pub(crate) shared: Arc<Shared>,
    /// Takes upgraded sockets; false where none can be taken.
    pub(crate) serve: Arc<dyn Fn(Incoming) -> bool + Send + Sync>,
    /// Takes envelopes; gives them back where none can be taken.
    pub(crate) ask: Option<AskEnvelopes>,
}

/// Where envelopes that came over HTTP go.
pub(crate) type AskEnvelopes = Arc<dyn Fn(HttpJob) -> Result<(), HttpJob> + Send + Sync>;

/// The routes.
pub(crate) fn router(surface: Surface) -> Router {
    Router::new()
        .route("/", get(websocket))
        .route("/v1/ws", get(websocket))
        .route("/v1/envelopes", post(envelopes::post))
        .route("/v1/schema", get(schema))
        .fallback(not_found)
        .with_state(surface)
        .layer(from_fn(check_request))
}

/// Refuses what proxies and servers are known to read differently (RFC 9112 §3.2, §6.1).
async fn check_request(request: Request, next: Next) -> Response {
    let headers = request.headers();
    if request.version() >= http::Version::HTTP_11 && handshake::one(headers, &header::HOST).is_none() {
        return (StatusCode::BAD_REQUEST, "Host is missing or doubled\n").into_response();
    }
    if headers.contains_key(header::CONTENT_LENGTH) && headers.contains_key(header::TRANSFER_ENCODING) {
        return (StatusCode::BAD_REQUEST, "either Content-Length or Transfer-Encoding\n").into_response();
    }
    next.run(request).await
}

async fn websocket(State(surface): State<Surface>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let config = &surface.shared.config;
    let response = match handshake::check(&parts, config) {
        Ok(response) => response,
        Err(refused) => return refused.response(),
    };
    let Some(upgrade) = parts.extensions.remove::<OnUpgrade>() else {
        return (StatusCode::INTERNAL_SERVER_ERROR, "this server cannot upgrade\n").into_response();
    };
    // Within another application nobody has counted this connection yet.
    let place = parts.extensions.remove::<PlaceGuard>();
    if surface.shared.draining_ms().is_some() || (place.is_none() && surface.shared.is_full()) {
        return try_again_later();
    }
    let peer = parts.extensions.remove::<Peer>().map(|Peer(peer)| peer);
    tokio::spawn(async move {
        match upgrade.await {
            Ok(upgraded) => {
                let (stream, early) = take_apart(upgraded);
                let place = place.map(|place| Box::new(place) as crate::fanout::Place);
                // Where no shard takes it, the socket is dropped, and the client comes back.
                (surface.serve)(Incoming { stream, early, place, peer });
            }
            Err(error) => tracing::debug!(%error, "a handshake was not finished"),
        }
    });
    response
}

/// The bare socket where there is one, and what was read beyond the handshake.
fn take_apart(upgraded: HyperUpgraded) -> (Upgraded, Bytes) {
    let parts = match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(parts) => Ok((parts.io.into_inner(), parts.read_buf)),
        Err(upgraded) => {
            hyper_util::server::conn::auto::upgrade::downcast::<TokioIo<TcpStream>>(upgraded).map(|parts| (parts.io.into_inner(), parts.read_buf))
        }
    };
    match parts {
        // `into_std` takes the socket out of this runtime's reactor; the shard puts it into its own.
        Ok((stream, early)) => match stream.into_std() {
            Ok(stream) => (Upgraded::Tcp(stream), early),
            Err(error) => {
                tracing::warn!(%error, "a socket could not be handed over");
                (Upgraded::Boxed(Box::new(tokio::io::empty())), Bytes::new())
            }
        },
        Err(upgraded) => (Upgraded::Boxed(Box::new(TokioIo::new(upgraded))), Bytes::new()),
    }
}

/// The answer while there is no place.
pub(crate) fn try_again_later() -> Response {
    let mut response = (StatusCode::SERVICE_UNAVAILABLE, "no place left; try again later\n").into_response();
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
    response
}

async fn schema() -> Response {
    let files = arqonbus_protocol::schema::files();
    let schema = files.into_iter().find(|(path, _)| *path == "arqonbus.schema.json").map(|(_, text)| text);
    match schema {
        Some(text) => ([(header::CONTENT_TYPE, "application/schema+json")], Body::from(text)).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn not_found() -> Response {
    (StatusCode::NOT_FOUND, "there is nothing here: / and /v1/ws take WebSockets, /v1/envelopes takes POST\n").into_response()
}
