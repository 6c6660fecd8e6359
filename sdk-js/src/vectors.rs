//! What the codec makes of any text, by the same describer as the tests of the protocol crate; compiled for WebAssembly, run by Node.

use arqonbus_client::protocol::ClientEnvelope;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::describe;
use crate::load::{Direction, Frame};

fn frame(direction: &str, name: &str, result_of: Option<String>) -> Frame {
    let direction = if direction == "client" { Direction::Client } else { Direction::Server };
    Frame { file: String::new(), name: name.to_owned(), direction, result_of }
}

/// What one envelope was decoded to, as JSON.
#[wasm_bindgen]
#[must_use]
pub fn description(direction: &str, name: &str, result_of: Option<String>, text: &str) -> String {
    describe::description(&frame(direction, name, result_of), text).to_string()
}

/// The canonical text of one envelope.
#[wasm_bindgen]
#[must_use]
pub fn encoded(direction: &str, name: &str, result_of: Option<String>, text: &str) -> String {
    describe::encoded(&frame(direction, name, result_of), text)
}

/// Why a text from a client is refused, as JSON; nothing where it is not.
#[wasm_bindgen]
#[must_use]
pub fn refusal(text: &str) -> Option<String> {
    let malformed = ClientEnvelope::decode(text).err()?;
    let refusal = &malformed.refusal;
    Some(serde_json::json!({ "code": refusal.code, "at": refusal.at.as_deref().unwrap_or_default(), "id": malformed.id }).to_string())
}
