//! Which incarnation of its data a server is, said to functions that may not ask it themselves.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use ::redis::{cmd, from_redis_value};

use super::engine::Engine;
use super::{Code, LinkError, ServerFacts};

impl Engine {
    /// Asks the server, and tells its functions. What they then remember is forgotten as soon as the server may have other data, so it is asked
    /// for again only when they say so.
    pub(super) async fn vouch(&self, time: Duration) -> Result<(), LinkError> {
        if self.caller.is_cluster {
            // Each server of it would have to be asked by itself.
            let why = "the user may not use INFO within functions, which a cluster needs: allow it +info".to_owned();
            return Err(LinkError::Refused { code: Code::NoInfo, why });
        }
        let connection = self.connection();
        let mark = format!("{}-{:x}", self.caller.node, self.epochs.fetch_add(1, Relaxed));
        self.link.query_within(&self.library.mark(&mark), time).await?;
        let mut ask = cmd("INFO");
        ask.arg("replication");
        let info: String = from_redis_value(self.link.query_within(&ask, time).await?).unwrap_or_default();
        let facts = ServerFacts::parse(&info);
        if !facts.writable || facts.replid.is_empty() {
            return Err(LinkError::NotSent("the server is not a primary".to_owned()));
        }
        if connection.is_none() || connection != self.connection() {
            return Err(LinkError::NotSent("the question may have been answered by another server".to_owned()));
        }
        self.link.query_within(&self.library.vouch(&mark, &facts.replid), time).await.map(drop)
    }
}
