//! Where connections to Redis come from: one server, the primary that sentinels name, or a cluster.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use ::redis::aio::{AsyncPushSender, ConnectionLike, MultiplexedConnection, SendError};
use ::redis::cluster::ClusterClientBuilder;
use ::redis::cluster_async::ClusterConnection;
use ::redis::cluster_routing::{MultipleNodeRoutingInfo, ResponsePolicy, Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr};
use ::redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use ::redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, Cmd, ConnectionInfo, IntoConnectionInfo, Pipeline, ProtocolVersion, PushInfo, RedisError,
    RedisFuture, RedisResult, TlsCertificates, Value,
};

use super::OpenError;
use crate::config;

/// Commands that wait to be written; whoever has more waits itself.
const COMMANDS_WAITING: usize = 1_024;

/// Takes what Redis says unasked. Must not wait.
pub(super) type Push = Arc<dyn Fn(PushInfo) + Send + Sync>;

/// Makes connections.
pub(super) struct Way {
    server: Server,
    connect: Duration,
    response: Duration,
}

enum Server {
    Single(Client),
    Sentinel(Box<SentinelClient>),
    Cluster { nodes: Vec<ConnectionInfo>, certificates: Option<TlsCertificates> },
}

impl Way {
    /// Reads the files that the configuration names; connects to nobody yet.
    pub(super) fn prepare(config: &config::Redis) -> Result<Self, OpenError> {
        let certificates = certificates(config)?;
        let nodes = config.urls.iter().map(|url| node(url, config)).collect::<Result<Vec<_>, _>>()?;
        if config.urls.iter().any(|url| url.starts_with("rediss://")) {
            // Whichever comes first in this process stays: they are all the same to us.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let server = if config.cluster {
            Server::Cluster { nodes, certificates }
        } else if config.sentinel_master.is_empty() {
            let node = nodes.into_iter().next().ok_or_else(|| OpenError::Settings("storage.redis.urls is empty".into()))?;
            Server::Single(match certificates {
                Some(certificates) => Client::build_with_tls(node, certificates).map_err(settings)?,
                None => Client::open(node).map_err(settings)?,
            })
        } else {
            Server::Sentinel(Box::new(sentinels(config, nodes, certificates)?))
        };
        Ok(Self { server, connect: Duration::from_millis(config.connect_ms), response: Duration::from_millis(config.response_ms) })
    }

    pub(super) fn is_cluster(&self) -> bool {
        matches!(self.server, Server::Cluster { .. })
    }

    /// Makes a connection that hands to `push` what Redis says unasked, and that the connection is lost.
    pub(super) async fn connect(&mut self, push: Push) -> RedisResult<Connection> {
        let push = move |info: PushInfo| -> Result<(), SendError> {
            push(info);
            Ok(())
        };
        // What waits for an answer has its own time-out, which knows what is asked.
        let settings = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect))
            .set_response_timeout(None)
            .set_pipeline_buffer_size(COMMANDS_WAITING);
        match &mut self.server {
            Server::Single(client) => {
                Ok(Connection::One(client.get_multiplexed_async_connection_with_config(&settings.set_push_sender(push)).await?))
            }
            Server::Sentinel(client) => {
                within(self.connect * 2, client.get_async_connection_with_config(&settings.set_push_sender(push))).await.map(Connection::One)
            }
            Server::Cluster { nodes, certificates } => {
                let client = cluster(nodes, certificates.as_ref(), push, self.connect, self.response)?;
                within(self.connect * 2, client.get_async_connection()).await.map(Connection::Cluster)
            }
        }
    }

    /// Where the primary is, as sentinels have it now; `None` where there are no sentinels, or none answers.
    pub(super) async fn primary(&mut self) -> Option<String> {
        let Server::Sentinel(client) = &mut self.server else { return None };
        let client = within(self.connect, client.async_get_client()).await.ok()?;
        Some(client.get_connection_info().addr().to_string())
    }
}

async fn within<T>(time: Duration, future: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    let elapsed = || RedisError::from(std::io::Error::new(std::io::ErrorKind::TimedOut, "no connection in time"));
    tokio::time::timeout(time, future).await.unwrap_or_else(|_| Err(elapsed()))
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn settings(error: RedisError) -> OpenError {
    OpenError::Settings(format!("storage.redis: {error}"))
}

fn read(file: &str) -> Result<Vec<u8>, OpenError> {
    fs::read(file).map_err(|error| OpenError::File { file: file.to_owned(), why: error.to_string() })
}

fn node(url: &str, config: &config::Redis) -> Result<ConnectionInfo, OpenError> {
    // The error of the crate may repeat what was wrong, which may be a password.
    let info = url.into_connection_info().map_err(|_| OpenError::Settings("storage.redis.urls: not an address of Redis".into()))?;
    let mut login = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3).set_lib_name("arqonbus", env!("CARGO_PKG_VERSION"));
    let (username, password) = if config.sentinel_master.is_empty() {
        (config.username.as_str(), password(config)?)
    } else {
        (config.sentinel_username.as_str(), config.sentinel_password.reveal().to_owned())
    };
    if !username.is_empty() {
        login = login.set_username(username);
    }
    if !password.is_empty() {
        login = login.set_password(password);
    }
    Ok(info.set_redis_settings(login))
}

fn password(config: &config::Redis) -> Result<String, OpenError> {
    if config.password_file.is_empty() {
        return Ok(config.password.reveal().to_owned());
    }
    let not_text = || OpenError::File { file: config.password_file.clone(), why: "not UTF-8".into() };
    let text = String::from_utf8(read(&config.password_file)?).map_err(|_| not_text())?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

fn certificates(config: &config::Redis) -> Result<Option<TlsCertificates>, OpenError> {
    if config.tls_ca_file.is_empty() && config.tls_cert_file.is_empty() {
        return Ok(None);
    }
    let root_cert = if config.tls_ca_file.is_empty() { None } else { Some(read(&config.tls_ca_file)?) };
    let client_tls = if config.tls_cert_file.is_empty() {
        None
    } else {
        Some(ClientTlsConfig { client_cert: read(&config.tls_cert_file)?, client_key: read(&config.tls_key_file)? })
    };
    Ok(Some(TlsCertificates { client_tls, root_cert }))
}

fn sentinels(config: &config::Redis, nodes: Vec<ConnectionInfo>, certificates: Option<TlsCertificates>) -> Result<SentinelClient, OpenError> {
    let database = nodes.first().map_or(0, |node| node.redis_settings().db());
    let tls = config.urls.iter().any(|url| url.starts_with("rediss://"));
    let addresses = nodes.into_iter().map(|node| node.addr().clone());
    let mut builder = SentinelClientBuilder::new(addresses, &config.sentinel_master, SentinelServerType::Master).map_err(settings)?;
    builder = builder
        .set_client_to_redis_protocol(ProtocolVersion::RESP3)
        .set_client_to_redis_db(database)
        .set_client_to_sentinel_protocol(ProtocolVersion::RESP3);
    let password = password(config)?;
    if !config.username.is_empty() {
        builder = builder.set_client_to_redis_username(&config.username);
    }
    if !password.is_empty() {
        builder = builder.set_client_to_redis_password(password);
    }
    if !config.sentinel_username.is_empty() {
        builder = builder.set_client_to_sentinel_username(&config.sentinel_username);
    }
    if !config.sentinel_password.is_empty() {
        builder = builder.set_client_to_sentinel_password(config.sentinel_password.reveal());
    }
    if tls {
        builder = builder.set_client_to_redis_tls_mode(::redis::TlsMode::Secure).set_client_to_sentinel_tls_mode(::redis::TlsMode::Secure);
    }
    if let Some(certificates) = certificates {
        builder = builder.set_client_to_redis_certificates(certificates.clone()).set_client_to_sentinel_certificates(certificates);
    }
    builder.build().map_err(settings)
}

fn cluster(
    nodes: &[ConnectionInfo],
    certificates: Option<&TlsCertificates>,
    push: impl AsyncPushSender,
    connect: Duration,
    response: Duration,
) -> RedisResult<::redis::cluster::ClusterClient> {
    let mut builder = ClusterClientBuilder::new(nodes.iter().cloned())
        .use_protocol(ProtocolVersion::RESP3)
        .connection_timeout(connect)
        .response_timeout(response)
        .push_sender(push);
    if let Some(certificates) = certificates {
        builder = builder.certs(certificates.clone());
    }
    builder.build()
}

/// One connection, which many may use at once; a clone is the same connection.
#[derive(Clone)]
pub(super) enum Connection {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Connection {
    /// Sends a command and gives its answer, whenever that comes.
    pub(super) fn send<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::One(connection) => connection.req_packed_command(command),
            Self::Cluster(connection) => connection.req_packed_command(command),
        }
    }

    /// Sends commands in one piece: to the one server that keeps `key`, by one connection, and nothing of others comes between them. Gives the
    /// answer to each.
    pub(super) fn send_together<'a>(&'a mut self, commands: &'a Pipeline, key: &[u8]) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::One(connection) => connection.req_packed_commands(commands, 0, commands.len()),
            Self::Cluster(connection) => {
                let to = SingleNodeRoutingInfo::SpecificNode(Route::with_key(key, SlotAddr::Master));
                Box::pin(connection.route_pipeline(commands.clone(), 0, commands.len(), to))
            }
        }
    }

    /// Asks the server, or every primary of a cluster; gives each answer with what names its server.
    pub(super) async fn ask_all(&mut self, command: &Cmd) -> RedisResult<Vec<(Value, Value)>> {
        match self {
            Self::One(connection) => Ok(vec![(Value::Nil, connection.req_packed_command(command).await?.extract_error()?)]),
            Self::Cluster(connection) => {
                let everywhere = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, Some(ResponsePolicy::Special)));
                let answer = connection.route_command(command.clone(), everywhere).await?.extract_error()?;
                if let Value::Map(answers) = answer { Ok(answers) } else { Ok(vec![(Value::Nil, answer)]) }
            }
        }
    }

    /// Begins to receive what is published on these channels; done once Redis has confirmed it.
    pub(super) async fn subscribe(&mut self, channels: &[Vec<u8>]) -> RedisResult<()> {
        match self {
            Self::One(connection) => connection.subscribe(channels).await,
            // One command holds channels of one slot only.
            Self::Cluster(connection) => {
                for channel in channels {
                    connection.ssubscribe(channel.as_slice()).await?;
                }
                Ok(())
            }
        }
    }

    pub(super) async fn unsubscribe(&mut self, channels: &[Vec<u8>]) -> RedisResult<()> {
        match self {
            Self::One(connection) => connection.unsubscribe(channels).await,
            Self::Cluster(connection) => {
                for channel in channels {
                    connection.sunsubscribe(channel.as_slice()).await?;
                }
                Ok(())
            }
        }
    }
}
