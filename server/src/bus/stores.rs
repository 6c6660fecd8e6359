//! The stores of the shards, as the configuration wants them.

use std::sync::Arc;
use std::time::Duration;

use crate::config::StorageKind;
use crate::shared::Shared;
use crate::storage::redis::store::{self, Engine, Means, RedisStore};
use crate::storage::redis::{Link, LinkError, OpenError};
use crate::storage::{Budget, MemoryStore, Store};

/// Makes one shard's store, on that shard's thread.
pub(super) type MakeStore = Box<dyn FnOnce() -> Box<dyn Store> + Send>;

/// What makes the stores, by shard, and the way to Redis where there is one.
pub(super) fn stores(shared: &Arc<Shared>) -> Result<(Vec<MakeStore>, Option<Link>), OpenError> {
    let budget = Arc::new(Budget::new(shared.config.history_total_bytes));
    let memory = || {
        let (salt, budget, ids_max) = (shared.random(), Arc::clone(&budget), shared.config.ids_of_logs_max(shared.shards));
        move || MemoryStore::new(salt, budget).remembering(ids_max)
    };
    if shared.config.storage.kind == StorageKind::Memory {
        let make = |memory: Box<dyn FnOnce() -> MemoryStore + Send>| Box::new(move || Box::new(memory()) as Box<dyn Store>) as MakeStore;
        return Ok(((0..shared.shards).map(|_| make(Box::new(memory()))).collect(), None));
    }
    let bus = store::Bus {
        node: shared.node,
        shards: shared.shards,
        homes: shared.homes.clone(),
        clock: shared.clock,
        metrics: Arc::clone(&shared.metrics),
        salt: shared.random(),
        now: None,
        #[cfg(any(test, feature = "sabotage"))]
        sabotage: shared.sabotage,
    };
    let (desks, fsync, link) = Engine::start(&shared.config.storage.redis, bus)?;
    let makes = desks.into_iter().map(|desk| {
        let (shared, fsync, memory) = (Arc::clone(shared), Arc::clone(&fsync), memory());
        Box::new(move || {
            let salt = (u128::from(shared.random()) << 64) | u128::from(shared.random());
            let means = Means {
                node: shared.node,
                fsync,
                memory: memory(),
                metrics: Arc::clone(&shared.metrics),
                salt,
                #[cfg(any(test, feature = "sabotage"))]
                sabotage: shared.sabotage,
            };
            Box::new(RedisStore::new(&shared.config.storage.redis, desk, means)) as Box<dyn Store>
        }) as MakeStore
    });
    Ok((makes.collect(), Some(link)))
}

/// Waits for Redis where the bus may not start without it.
pub(super) async fn found(shared: &Shared, link: Option<&Link>) -> Result<(), LinkError> {
    let redis = &shared.config.storage.redis;
    match link {
        Some(link) if !redis.start_without => link.ready(Duration::from_millis(redis.connect_ms.saturating_add(redis.response_ms))).await.map(drop),
        _ => Ok(()),
    }
}
