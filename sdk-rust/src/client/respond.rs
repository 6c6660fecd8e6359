//! Answering requests with a function.

use std::future::Future;

use serde::Serialize;
use tokio::task::{JoinHandle, JoinSet};

use super::{Client, Error, Item};
use crate::Message;

/// Requests that one responder answers at the same time; further ones wait in its queue.
const ANSWERS_MAX: usize = 64;

/// Answers requests until it is dropped. See [`Client::respond`].
#[derive(Debug)]
pub struct Responder(JoinHandle<()>);

impl Client {
    /// Joins a topic and answers every request there with what `answer` gives; several at the same time. Messages that ask for no
    /// answer are passed over. An `Err` is not sent: the requester's time runs out; answer with a value that says what is wrong.
    ///
    /// # Errors
    /// Those of the join.
    pub async fn respond<F, Fut, T, E>(&self, topic: impl AsRef<str>, answer: F) -> Result<Responder, Error>
    where
        F: Fn(Message) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
        T: Serialize + Send + Sync + 'static,
        E: Send + 'static,
    {
        let mut subscription = self.join(topic).await?;
        let client = self.clone();
        Ok(Responder(tokio::spawn(async move {
            let mut answers = JoinSet::new();
            while let Some(item) = subscription.recv().await {
                let Item::Message(request) = item else { continue };
                if request.reply_to().is_none() {
                    continue;
                }
                while answers.len() >= ANSWERS_MAX {
                    answers.join_next().await;
                }
                while answers.try_join_next().is_some() {}
                let (client, value) = (client.clone(), answer(request.clone()));
                answers.spawn(async move {
                    if let Ok(value) = value.await {
                        // A requester that is gone does not need it.
                        let _outcome = client.reply(&request, &value).await;
                    }
                });
            }
        })))
    }
}

impl Responder {
    /// Waits until the subscription ends, which it does when the client is closed or the channel deleted.
    pub async fn ended(mut self) {
        let _ended_or_aborted = (&mut self.0).await;
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.0.abort();
    }
}
