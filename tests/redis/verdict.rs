//! What is wrong with a run of publishers and subscribers, as the history checker and the topic's history say.

use std::collections::BTreeSet;

use arqonbus_tests::checker::{Recorder, What, check};
use arqonbus_tests::harness::Reach;
use arqonbus_tests::run::Run;
use serde_json::Value;

use crate::node::history;

/// Ends a run; gives every broken promise by its name, the first hundred. `node` is asked where the log ends and what it holds.
pub(crate) async fn verdict(run: Run, node: &impl Reach) -> Vec<String> {
    let topic = run.topic;
    let recorder = run.finish(node).await;
    let violations = check(&recorder.history()).into_iter().map(|violation| format!("{:?}: {}", violation.promise, violation.evidence));
    let held = history(node, &topic.to_string()).await;
    lost(&recorder, &held).into_iter().chain(violations).take(100).collect()
}

/// Whether a verdict has something against this promise.
pub(crate) fn shows(verdict: &[String], promise: &str) -> bool {
    verdict.iter().any(|broken| broken.starts_with(promise))
}

/// What was acknowledged and is not in the history (G4), or is there twice (G9).
fn lost(recorder: &Recorder, held: &[Value]) -> Vec<String> {
    let (mut there, mut found) = (BTreeSet::new(), Vec::new());
    for payload in held {
        let key = format!("p{}.{}", payload["from"], payload["number"]);
        if !there.insert(key.clone()) {
            found.push(format!("G9: {key} is in the history twice"));
        }
    }
    let seen = recorder.history();
    let acked = seen.iter().filter_map(|seen| if let What::Ok { id, .. } = seen.what { Some(id.to_string()) } else { None });
    found.extend(acked.filter(|id| !there.contains(id)).map(|id| format!("G4: {id} was acknowledged, and is not in the history")));
    found
}
