//! Serves the real listener, handshake, codec and outbox, but gives every message back: what a WebSocket conformance suite talks to.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::{Context, Poll};

use arqonbus_protocol::CloseCode;
use tokio::net::TcpListener;

use super::frame::{Decoder, Incoming as Message, Opcode, close_frame, frame};
use super::listener;
use super::outbox::{Outbox, SLICES_MAX};
use super::socket::Socket;
use super::surface::{Surface, router};
use crate::admin::Readiness;
use crate::config::Config;
use crate::shard::{Incoming, Upgraded};
use crate::shared::Shared;
use crate::telemetry::{Metrics, Telemetry};

/// Bytes of one message: the largest of the conformance suite is 16 MiB.
const MESSAGE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Echoes until `shutdown` resolves.
///
/// # Errors
/// Where the system gives no random numbers.
pub async fn serve(listener: TcpListener, shutdown: impl Future<Output = ()>) -> Result<(), Box<dyn std::error::Error>> {
    let config = Config::default();
    let metrics = Arc::new(Metrics::default());
    let (telemetry, _) = Telemetry::new(Arc::clone(&metrics), &config.telemetry);
    let shared = Arc::new(Shared::new(config, 1, metrics, telemetry, Arc::new(Readiness::default()))?);
    let serve = Arc::new(|incoming: Incoming| {
        tokio::spawn(echo(incoming));
        true
    });
    let surface = Surface { shared: Arc::clone(&shared), serve, ask: None };
    listener::accept(listener, router(surface), shared, shutdown).await;
    Ok(())
}

struct Echo {
    socket: Socket,
    decoder: Decoder,
    outbox: Outbox,
    scratch: Vec<u8>,
    ending: bool,
}

async fn echo(incoming: Incoming) {
    let socket = match incoming.stream {
        Upgraded::Tcp(stream) => match tokio::net::TcpStream::from_std(stream) {
            Ok(stream) => Socket::Tcp(stream),
            Err(_) => return,
        },
        Upgraded::Boxed(stream) => Socket::Boxed(stream),
    };
    let mut echo = Echo { socket, decoder: Decoder::default(), outbox: Outbox::default(), scratch: vec![0; 64 * 1024], ending: false };
    echo.take(&mut incoming.early.to_vec());
    poll_fn(|cx| echo.poll(cx)).await;
}

impl Echo {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            while !self.outbox.is_empty() {
                let mut slices = [std::io::IoSlice::new(&[]); SLICES_MAX];
                let count = self.outbox.slices(&mut slices);
                match std::task::ready!(self.socket.poll_write(cx, &slices[..count])) {
                    Ok(written) if written > 0 => self.outbox.advance(written),
                    _ => return Poll::Ready(()),
                }
            }
            if self.ending {
                return self.socket.poll_shutdown(cx).map(|_| ());
            }
            let mut scratch = std::mem::take(&mut self.scratch);
            let read = self.socket.poll_read(cx, &mut scratch);
            if let Poll::Ready(Ok(length)) = read {
                self.take(&mut scratch[..length]);
            }
            self.scratch = scratch;
            match std::task::ready!(read) {
                Ok(length) if length > 0 => {}
                _ => return Poll::Ready(()),
            }
        }
    }

    fn take(&mut self, bytes: &mut [u8]) {
        let Self { decoder, outbox, ending, .. } = self;
        let fed = decoder.feed(bytes, MESSAGE_BYTES_MAX, |message| {
            match message {
                Message::Text(text) => outbox.push_frames(frame(Opcode::Text, text.as_bytes()), false),
                Message::Binary(bytes) => outbox.push_frames(frame(Opcode::Binary, bytes), false),
                Message::Ping(payload) => outbox.push_frames(frame(Opcode::Pong, payload), false),
                Message::Pong => {}
                Message::Close(code) => {
                    outbox.push_frames(close_frame(code, ""), false);
                    *ending = true;
                }
            }
            !*ending
        });
        if let Err(code) = fed {
            self.refuse(code);
        }
    }

    fn refuse(&mut self, code: CloseCode) {
        self.outbox.push_frames(close_frame(code.code(), code.reason()), false);
        self.ending = true;
    }
}
