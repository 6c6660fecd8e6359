//! Logs in Redis: kept, ordered, shared by nodes, and what is said when Redis loses them.

mod suite;
mod thin;

use arqonbus_server::config::{Config, StorageKind};
use arqonbus_tests::harness::Server;
use arqonbus_tests::harness::redis::Redis;

/// A node of the bus that `redis` keeps the logs of.
fn node(redis: &Redis) -> Server {
    Server::with(|config| use_redis(config, redis))
}

fn use_redis(config: &mut Config, redis: &Redis) {
    config.storage.kind = StorageKind::Redis;
    config.storage.redis = redis.config();
}
