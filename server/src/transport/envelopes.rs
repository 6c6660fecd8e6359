//! `POST /v1/envelopes`: the same envelopes and answers as on a socket (FR-003).

use std::time::Duration;

use arqonbus_protocol::{ErrorCode, Refusal, ServerEnvelope, encode_error};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use tokio::sync::oneshot;

use super::handshake::check_origin;
use super::surface::Surface;
use crate::shard::HttpJob;

/// How long a body may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(10);
const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";

/// Carries out the envelopes of one body, in order.
pub(crate) async fn post(State(surface): State<Surface>, request: Request) -> Response {
    surface.shared.metrics.http_requests.add(1);
    let (parts, body) = request.into_parts();
    // A page of any origin can post; that it cannot read the answer undoes nothing.
    if check_origin(&parts.headers, &surface.shared.config).is_err() {
        return refused(&surface, &Refusal::new(ErrorCode::Forbidden, "pages of this origin may not post"));
    }
    let body = match tokio::time::timeout(BODY_TIME, Limited::new(body, surface.shared.config.limits.http_body_bytes).collect()).await {
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(_)) => return refused(&surface, &Refusal::new(ErrorCode::TooLarge, "the body is too large, or was not sent whole")),
        Err(_) => return StatusCode::REQUEST_TIMEOUT.into_response(),
    };
    if std::str::from_utf8(&body).is_err() {
        return refused(&surface, &Refusal::new(ErrorCode::InvalidJson, "the body is not UTF-8"));
    }
    let envelopes = cut(&parts.headers, &body);
    let single = envelopes.len() == 1;
    let (answers, answered) = oneshot::channel();
    let Some(ask) = &surface.ask else { return StatusCode::NOT_FOUND.into_response() };
    if ask(HttpJob { envelopes, answers }).is_err() {
        return refused(&surface, &Refusal::new(ErrorCode::Overloaded, "too many requests wait"));
    }
    match answered.await {
        Ok(answers) if single => one_answer(answers.into_iter().next()),
        Ok(answers) => many_answers(&answers),
        Err(_) => refused(&surface, &Refusal::new(ErrorCode::Internal, "the request was dropped")),
    }
}

/// One envelope, or one a line.
fn cut(headers: &HeaderMap, body: &Bytes) -> Vec<Bytes> {
    // Not by its beginning: `application/jsonl` is lines.
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).and_then(|kind| kind.split(';').next());
    let is_json = kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case(JSON));
    let lines: Vec<Bytes> = body.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).map(|line| body.slice_ref(line)).collect();
    if is_json || lines.is_empty() { vec![body.clone()] } else { lines }
}

fn one_answer(answer: Option<Bytes>) -> Response {
    let Some(answer) = answer else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let refusal = refusal_in(&answer);
    let status = refusal.as_ref().map_or(StatusCode::OK, |refusal| status(refusal.code));
    let mut response = body(status, JSON, &[answer]);
    if let Some(ms) = refusal.and_then(|refusal| refusal.retry_after_ms) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(ms.div_ceil(1_000)));
    }
    response
}

fn many_answers(answers: &[Bytes]) -> Response {
    body(StatusCode::OK, NDJSON, answers)
}

/// Refuses a body as a whole.
fn refused(surface: &Surface, refusal: &Refusal) -> Response {
    body(status(refusal.code), JSON, &[encode_error(refusal, &surface.shared.clock.timestamp()).into()])
}

fn body(status: StatusCode, kind: &'static str, lines: &[Bytes]) -> Response {
    let mut text = BytesMut::new();
    for line in lines {
        text.extend_from_slice(line);
        text.extend_from_slice(b"\n");
    }
    (status, [(header::CONTENT_TYPE, kind)], Body::from(text.freeze())).into_response()
}

fn refusal_in(answer: &[u8]) -> Option<Refusal> {
    match ServerEnvelope::decode(std::str::from_utf8(answer).ok()?).ok()? {
        ServerEnvelope::Response(response) => response.outcome.err(),
        ServerEnvelope::Error(error) => Some(error.error),
        ServerEnvelope::Message(_) | ServerEnvelope::Event(_) => None,
    }
}

fn status(code: ErrorCode) -> StatusCode {
    StatusCode::from_u16(code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
