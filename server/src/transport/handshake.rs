//! The opening handshake (RFC 6455 §4.2): checked in full before anything is upgraded.

use std::net::IpAddr;

use arqonbus_protocol::SUBPROTOCOL;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode, request::Parts};
use sha1::{Digest, Sha1};

use crate::config::Config;

/// Appended to the client's key (RFC 6455 §1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Why a handshake is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Not a handshake at all.
    NotWebSocket,
    /// Another version than 13.
    Version,
    /// A header is missing, doubled, or wrong.
    Header(&'static str),
    /// A page of another origin.
    Origin,
}

impl Refused {
    /// The answer.
    pub(crate) fn response(self) -> Response<axum::body::Body> {
        let (status, text) = match self {
            Self::NotWebSocket => (
                StatusCode::UPGRADE_REQUIRED,
                "this is an ArqonBus server: connect with WebSocket (subprotocol arqonbus.v1), or POST /v1/envelopes\n",
            ),
            Self::Version => (StatusCode::UPGRADE_REQUIRED, "only WebSocket version 13 is spoken here\n"),
            Self::Header(text) => (StatusCode::BAD_REQUEST, text),
            Self::Origin => (StatusCode::FORBIDDEN, "pages of this origin may not connect: the setting `origins` lists those that may\n"),
        };
        let mut response = Response::new(axum::body::Body::from(text));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        if status == StatusCode::UPGRADE_REQUIRED {
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        }
        response
    }
}

/// Checks a request that should become a WebSocket, and gives the answer that makes it one.
pub(crate) fn check(parts: &Parts, config: &Config) -> Result<Response<axum::body::Body>, Refused> {
    let headers = &parts.headers;
    if !has_token(headers, &header::UPGRADE, "websocket") || !has_token(headers, &header::CONNECTION, "upgrade") {
        return Err(Refused::NotWebSocket);
    }
    if parts.version < http::Version::HTTP_11 {
        return Err(Refused::Header("a WebSocket handshake needs HTTP/1.1\n"));
    }
    if one(headers, &header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(Refused::Version);
    }
    let key = one(headers, &header::SEC_WEBSOCKET_KEY).filter(|key| is_key(key.as_bytes()));
    let key = key.ok_or(Refused::Header("Sec-WebSocket-Key is missing, doubled, or not 16 bytes in base64\n"))?;
    check_origin(headers, config)?;

    let mut response = Response::new(axum::body::Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let answer = response.headers_mut();
    answer.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    answer.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    answer.insert(header::SEC_WEBSOCKET_ACCEPT, accept(key.as_bytes()));
    if has_token(headers, &header::SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL) {
        answer.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    }
    Ok(response)
}

/// Refuses pages of origins that are not known. Browsers say where a page comes from; other programs say nothing, and need not.
///
/// A page counts as the server's own where it was loaded from the same `Host`. Of a server that nobody outside can reach that is so only by an address or
/// `localhost`: any other name may have been made to lead here by whoever owns it, after his page was loaded (DNS rebinding).
pub(crate) fn check_origin(headers: &HeaderMap, config: &Config) -> Result<(), Refused> {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let Some(origin) = origins.next() else { return Ok(()) };
    let origin = origin.to_str().map_err(|_| Refused::Origin)?;
    if origins.next().is_some() {
        return Err(Refused::Origin);
    }
    let host = one(headers, &header::HOST).and_then(|host| host.to_str().ok());
    let host = host.filter(|host| config.allow_public_without_auth || is_beyond_rebinding(host));
    let own = |scheme: &str| origin.strip_prefix(scheme).is_some_and(|authority| Some(authority) == host);
    let listed = config.origins.iter().any(|allowed| allowed == "*" || allowed == origin);
    if listed || own("http://") || own("https://") { Ok(()) } else { Err(Refused::Origin) }
}

/// Whether the name in a `Host` leads to the same machine whoever owns the domains of the world.
fn is_beyond_rebinding(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        Some(_) | None => host,
    };
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    address.parse::<IpAddr>().is_ok() || name == "localhost" || name.ends_with(".localhost")
}

/// The value of a header that stands once.
pub(crate) fn one<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|found| found.trim().eq_ignore_ascii_case(token))
}

/// 16 bytes in base64 are 22 digits and two signs of padding.
fn is_key(key: &[u8]) -> bool {
    let digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.len() == 24 && key.ends_with(b"==") && key[..22].iter().all(digit)
}

fn accept(key: &[u8]) -> HeaderValue {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let hash = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    let mut text = String::with_capacity(28);
    for bytes in hash.chunks(3) {
        let group = bytes.iter().fold(0_u32, |group, byte| (group << 8) | u32::from(*byte)) << (8 * (3 - bytes.len()));
        for at in 0..4 {
            let digit = DIGITS[(group >> (18 - 6 * at)) as usize & 63];
            text.push(if at <= bytes.len() { char::from(digit) } else { '=' });
        }
    }
    HeaderValue::from_str(&text).expect("base64 is ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The request of RFC 6455 §1.3, with `change` made to it.
    fn check_with(change: impl FnOnce(&mut HeaderMap), origins: &[&str]) -> Result<HeaderMap, Refused> {
        let origins = origins.iter().map(|origin| (*origin).to_owned()).collect();
        check_by(change, &Config { origins, allow_public_without_auth: true, ..Config::default() })
    }

    fn check_by(change: impl FnOnce(&mut HeaderMap), config: &Config) -> Result<HeaderMap, Refused> {
        let (mut parts, ()) = http::Request::new(()).into_parts();
        let given = [
            ("host", "bus.example:9100"),
            ("upgrade", "websocket"),
            ("connection", "keep-alive, Upgrade"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("sec-websocket-version", "13"),
            ("sec-websocket-protocol", "other, arqonbus.v1"),
        ];
        parts.headers.extend(given.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))));
        change(&mut parts.headers);
        check(&parts, config).map(|response| response.headers().clone())
    }

    #[test]
    fn the_example_of_the_rfc_is_answered_as_it_says() {
        let answer = check_with(|_| {}, &[]).unwrap();
        assert_eq!(answer[header::SEC_WEBSOCKET_ACCEPT], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(answer[header::SEC_WEBSOCKET_PROTOCOL], "arqonbus.v1");
    }

    #[test]
    fn what_is_wrong_is_said() {
        type Change = fn(&mut HeaderMap);
        let key = || Refused::Header("Sec-WebSocket-Key is missing, doubled, or not 16 bytes in base64\n");
        let cases: [(Change, Refused); 7] = [
            (|headers| drop(headers.remove("upgrade")), Refused::NotWebSocket),
            (|headers| drop(headers.remove("connection")), Refused::NotWebSocket),
            (|headers| drop(headers.insert("sec-websocket-version", HeaderValue::from_static("8"))), Refused::Version),
            (|headers| drop(headers.remove("sec-websocket-version")), Refused::Version),
            (|headers| drop(headers.remove("sec-websocket-key")), key()),
            (|headers| assert!(headers.append("sec-websocket-key", HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ=="))), key()),
            (|headers| drop(headers.insert("sec-websocket-key", HeaderValue::from_static("short"))), key()),
        ];
        for (change, refused) in cases {
            assert_eq!(check_with(change, &[]).unwrap_err(), refused);
        }
    }

    #[test]
    fn only_known_origins_may_connect() {
        let with = |origin: &'static str, allowed: &[&str]| {
            check_with(|headers| drop(headers.insert("origin", HeaderValue::from_static(origin))), allowed).is_ok()
        };
        assert!(with("http://bus.example:9100", &[]), "its own");
        assert!(with("https://app.example", &["https://app.example"]));
        assert!(with("https://anything.example", &["*"]));
        for foreign in [
            "https://app.example",
            "http://bus.example",
            "http://bus.example:9101",
            "http://bus.example:9100.evil.example",
            "null",
            "",
            "https://xapp.example",
        ] {
            assert!(!with(foreign, &["https://good.example"]), "{foreign}");
        }
    }

    #[test]
    fn a_name_that_was_made_to_lead_to_a_local_server_is_not_its_own() {
        let is_own = |host: &'static str, config: &Config| {
            let origin = format!("http://{host}");
            let change = |headers: &mut HeaderMap| {
                headers.insert("host", HeaderValue::from_static(host));
                headers.insert("origin", HeaderValue::from_str(&origin).unwrap());
            };
            check_by(change, config).is_ok()
        };
        let local = Config::default();
        for host in ["localhost:9100", "localhost", "bus.localhost:9100", "127.0.0.1:9100", "192.0.2.7", "[::1]:9100", "[::1]"] {
            assert!(is_own(host, &local), "{host}");
        }
        let public = Config { allow_public_without_auth: true, ..Config::default() };
        for host in ["evil.example:9100", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example:9100", "notlocalhost", ""] {
            assert!(!is_own(host, &local), "{host}");
            assert!(is_own(host, &public) || host.is_empty(), "{host}");
        }
    }
}
