//! Which incarnation of its data a server is, said to functions that may not ask it themselves.

use std::time::Duration;

use ::redis::{Pipeline, RedisError, Value, from_redis_value};

use super::engine::Engine;
use super::{Link, LinkError, ServerFacts};

impl Engine {
    /// Asks the server that keeps `key`, and tells its functions. What they then remember is forgotten as soon as the server may have other data,
    /// so it is asked for again only when they say so.
    ///
    /// The question leaves in one piece with the mark, so the same server answers both; and its functions themselves make the mark, so no other
    /// server believes the answer, wherever it is sent.
    pub(super) async fn vouch(&self, link: &Link, key: &[u8], time: Duration) -> Result<(), LinkError> {
        let mut ask = Pipeline::new();
        ask.add_command(self.library.mark(&format!("{}-{:x}", self.caller.node, self.caller.next_epoch())));
        ask.cmd("INFO").arg("replication");
        let mut answers = link.query_together(&ask, key, time).await?.into_iter();
        let mark: String = read(answers.next())?;
        let facts = ServerFacts::parse(&read(answers.next())?);
        if !facts.writable || facts.replid.is_empty() {
            return Err(LinkError::NotSent("the server is not a primary".to_owned()));
        }
        let mut tell = Pipeline::new();
        tell.add_command(self.library.vouch(&mark, &facts.replid));
        read(link.query_together(&tell, key, time).await?.pop()).map(|_: String| ())
    }
}

/// Reads one answer of several.
fn read(answer: Option<Value>) -> Result<String, LinkError> {
    match answer {
        Some(Value::ServerError(error)) => Err(RedisError::from(error).into()),
        answer => from_redis_value(answer.unwrap_or(Value::Nil)).map_err(|_| LinkError::Unknown("Redis answers something else".to_owned())),
    }
}
