//! One WebSocket: opening it, and saying goodbye to it.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;

use arqonbus_protocol::SUBPROTOCOL;
use arqonbus_protocol::limits::FRAME_BYTES_MAX;
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::time::{Duration, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::{Error as WsError, UrlError};
use tokio_tungstenite::tungstenite::http::{HeaderValue, Request, Response, Uri, header};
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::{Message as Frame, protocol::WebSocketConfig};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream};

use super::Error;
use crate::core::OpenError;

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;
/// Whom to believe at `wss://`; nobody without the feature `tls`.
pub(crate) type Trust = Option<Connector>;
pub(crate) type Opening = Pin<Box<dyn Future<Output = Result<Socket, OpenError>> + Send>>;
pub(crate) type Closing = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Bytes of one frame from the server: a batch and the largest envelope fit well.
const INBOUND_FRAME_BYTES_MAX: usize = 16 * FRAME_BYTES_MAX;
/// How long the other side may take to answer a close frame.
const GOODBYE: Duration = Duration::from_secs(2);

/// The address to dial: `http` stands for `ws`. What names no host, or a port that there cannot be, is refused before anything is dialled.
pub(crate) fn address(url: &str) -> Result<String, Error> {
    let invalid = || Error::Invalid(format!("an address is ws://host:port or wss://host:port, and not {url:?}"));
    let uri: Uri = url.parse().map_err(|_| invalid())?;
    let (Some("ws" | "wss" | "http" | "https"), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return Err(invalid()) };
    let after_host = authority.as_str().rsplit('@').next().and_then(|place| place.strip_prefix(authority.host()));
    if authority.host().is_empty() || (after_host != Some("") && authority.port_u16().is_none()) {
        return Err(invalid());
    }
    Ok(url.strip_prefix("http").map_or_else(|| url.to_owned(), |rest| format!("ws{rest}")))
}

/// Opens a WebSocket.
pub(crate) fn open(url: String, trust: Trust) -> Opening {
    Box::pin(async move {
        let mut request = url.into_client_request().map_err(|error| open_error(&error))?;
        request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
        let config = WebSocketConfig::default().max_frame_size(Some(INBOUND_FRAME_BYTES_MAX)).max_message_size(Some(INBOUND_FRAME_BYTES_MAX));
        // Nagle's delay would hold back the last frame of every batch.
        let connected = connect(request, config, trust).await;
        let (socket, _) = connected.map_err(|error| open_error(&error))?;
        Ok(socket)
    })
}

type Connected = Result<(Socket, Response<Option<Vec<u8>>>), WsError>;

#[cfg(feature = "tls")]
async fn connect(request: Request<()>, config: WebSocketConfig, trust: Trust) -> Connected {
    tokio_tungstenite::connect_async_tls_with_config(request, Some(config), true, trust).await
}

#[cfg(not(feature = "tls"))]
async fn connect(request: Request<()>, config: WebSocketConfig, _: Trust) -> Connected {
    tokio_tungstenite::connect_async_with_config(request, Some(config), true).await
}

/// Sends what is left and a close frame, and waits a moment for the answer, so that nothing sent is lost to a reset.
pub(crate) fn close(mut socket: Socket, left: VecDeque<Frame>, code: Option<u16>) -> Closing {
    Box::pin(async move {
        let goodbye = async {
            for frame in left {
                socket.feed(frame).await?;
            }
            if let Some(code) = code {
                socket.send(Frame::Close(Some(CloseFrame { code: code.into(), reason: "".into() }))).await?;
            } else {
                socket.flush().await?;
            }
            while socket.next().await.is_some_and(|frame| frame.is_ok()) {}
            Ok::<(), WsError>(())
        };
        let _gone_either_way = timeout(GOODBYE, goodbye).await;
    })
}

fn open_error(error: &WsError) -> OpenError {
    match error {
        WsError::Http(response) => http_error(response),
        WsError::Url(UrlError::UnableToConnect(_)) | WsError::Io(_) | WsError::ConnectionClosed | WsError::Protocol(_) | WsError::Tls(_) => {
            OpenError { why: error.to_string(), permanent: false, retry_after_ms: None }
        }
        WsError::AlreadyClosed
        | WsError::Capacity(_)
        | WsError::WriteBufferFull(_)
        | WsError::Utf8(_)
        | WsError::AttackAttempt
        | WsError::Url(_)
        | WsError::HttpFormat(_) => OpenError { why: error.to_string(), permanent: true, retry_after_ms: None },
    }
}

/// 4xx says that the same attempt would be refused again, but for the two that mean "later".
fn http_error<T>(response: &Response<T>) -> OpenError {
    let status = response.status();
    let seconds = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()).and_then(|text| text.parse::<u64>().ok());
    OpenError {
        why: format!("the server answered {status}"),
        permanent: status.is_client_error() && status.as_u16() != 429 && status.as_u16() != 408,
        retry_after_ms: seconds.map(|seconds| seconds.saturating_mul(1_000)),
    }
}
