//! The conformance suite of stores.

use std::cell::Cell;

use arqonbus_server::storage::redis::Trial;
use arqonbus_server::storage::suite;
use arqonbus_tests::harness::redis::Redis;

#[test]
fn the_store_in_redis_does_what_every_store_must() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let server = runtime.block_on(Redis::start());
    let runs = Cell::new(0);
    suite::run(&mut || {
        runs.set(runs.get() + 1);
        Box::new(Trial::new(&server.config(), runs.get()))
    });
}
