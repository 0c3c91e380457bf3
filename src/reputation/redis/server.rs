//! Where the servers are, and a connection to them.
//!
//! Comes in: the URL of the settings. Goes out: an [`Address`], and a [`Link`] that commands go
//! over. An error: a URL that names nothing, a certificate that cannot be read; a server that is
//! not there is none here.

use std::fs;
use std::time::Duration;

use redis::aio::{
    ConnectionLike, ConnectionManager, ConnectionManagerConfig, MultiplexedConnection,
};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, Cmd, ConnectionAddr, Pipeline, RedisFuture,
    TlsCertificates, TlsMode, Value,
};

/// Port of a server whose URL names none, and of a sentinel.
const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

/// Time until a connection must stand.
const CONNECT: Duration = Duration::from_secs(1);

/// Time after which an answer does not come any more: longer than anybody waits.
const RESPONSE: Duration = Duration::from_secs(20);

/// What keys begin with, unless the URL says so: `?prefix=`.
const PREFIX: &str = "calspamd";

/// Where to connect.
pub(super) struct Address {
    kind: Kind,
    /// What all keys begin with. In braces, so that a cluster keeps them together: what belongs to
    /// one scan is asked and told in one go.
    pub(super) prefix: Vec<u8>,
}

enum Kind {
    Single(Box<Client>),
    Sentinel(Box<tokio::sync::Mutex<SentinelClient>>),
    Cluster(Box<ClusterClient>),
}

/// A connection. Cheap to clone; all clones share it.
#[derive(Clone)]
pub(super) enum Link {
    Single(ConnectionManager),
    Sentinel(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl ConnectionLike for Link {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Single(link) => link.req_packed_command(cmd),
            Self::Sentinel(link) => link.req_packed_command(cmd),
            Self::Cluster(link) => link.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Single(link) => link.req_packed_commands(pipeline, offset, count),
            Self::Sentinel(link) => link.req_packed_commands(pipeline, offset, count),
            Self::Cluster(link) => link.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Single(link) => link.get_db(),
            Self::Sentinel(link) => link.get_db(),
            Self::Cluster(link) => link.get_db(),
        }
    }
}

/// What the URL says behind `?` that is ours.
#[derive(Default)]
struct Arguments {
    /// What keys begin with.
    prefix: Option<String>,
    /// Files in PEM: who vouches for servers, and what says who we are.
    ca: Option<String>,
    cert: Option<String>,
    key: Option<String>,
}

/// A URL taken apart as far as several hosts need it.
struct Parts<'u> {
    tls: bool,
    certificates: Option<TlsCertificates>,
    user: Option<String>,
    password: Option<String>,
    hosts: Vec<(&'u str, Option<u16>)>,
    path: Vec<&'u str>,
}

impl Address {
    /// Reads `redis://`, `rediss://` (TLS), `redis+unix://`, `redis+sentinel://HOST,HOST/MASTER`
    /// and `redis+cluster://HOST,HOST`, the last two also with `rediss`. Behind `?` stand `prefix`,
    /// and with TLS `ca`, `cert` and `key`.
    pub(super) fn read(url: &str) -> Result<Self, String> {
        let (url, arguments) = Arguments::split(url);
        let prefix = arguments.prefix.clone().unwrap_or_else(|| PREFIX.to_owned());
        if prefix.contains(['{', '}']) {
            return Err("prefix: no braces".to_owned());
        }
        let prefix = format!("{{{prefix}}}:").into_bytes();
        let (scheme, rest) = url.split_once("://").ok_or("no URL")?;
        let scheme = scheme.to_ascii_lowercase().replace("valkey", "redis");
        let tls = scheme.starts_with("rediss");
        let certificates = arguments.certificates(tls)?;
        let kind = match scheme.as_str() {
            "redis+sentinel" | "rediss+sentinel" => {
                sentinel(&Parts::read(rest, tls, certificates)?)?
            }
            "redis+cluster" | "rediss+cluster" => cluster(&Parts::read(rest, tls, certificates)?)?,
            "redis" | "rediss" | "redis+unix" => {
                let url = format!("{scheme}://{rest}");
                let client = match certificates {
                    Some(certificates) => Client::build_with_tls(url, certificates),
                    None => Client::open(url),
                };
                Kind::Single(Box::new(client.map_err(|error| told(&error))?))
            }
            _ => {
                return Err(format!(
                    "`{scheme}` is no scheme of Redis: write redis, rediss, redis+unix, redis+sentinel or redis+cluster"
                ));
            }
        };
        Ok(Self { kind, prefix })
    }

    /// Connects, or will do so by itself.
    pub(super) async fn connect(&self) -> redis::RedisResult<Link> {
        match &self.kind {
            Kind::Single(client) => {
                let config = ConnectionManagerConfig::new()
                    .set_connection_timeout(Some(CONNECT))
                    .set_response_timeout(Some(RESPONSE))
                    .set_number_of_retries(1)
                    .set_min_delay(Duration::from_millis(50));
                ConnectionManager::new_lazy_with_config((**client).clone(), config)
                    .map(Link::Single)
            }
            Kind::Sentinel(client) => {
                let config = AsyncConnectionConfig::new()
                    .set_connection_timeout(Some(CONNECT))
                    .set_response_timeout(Some(RESPONSE));
                let mut client = client.lock().await;
                client.get_async_connection_with_config(&config).await.map(Link::Sentinel)
            }
            Kind::Cluster(client) => client.get_async_connection().await.map(Link::Cluster),
        }
    }

    /// True when a connection finds its way back without help.
    pub(super) fn is_kept(&self) -> bool {
        matches!(self.kind, Kind::Single(_))
    }
}

/// What went wrong, without what the server was told.
pub(super) fn told(error: &redis::RedisError) -> String {
    let mut text = error.to_string();
    text.truncate(text.floor_char_boundary(200));
    text
}

impl Arguments {
    /// The URL without our own arguments, and those.
    fn split(url: &str) -> (String, Self) {
        let mut ours = Self::default();
        let Some((base, query)) = url.split_once('?') else { return (url.to_owned(), ours) };
        let mut others = Vec::new();
        for argument in query.split('&') {
            let (name, value) = argument.split_once('=').unwrap_or((argument, ""));
            let place = match name {
                "prefix" => &mut ours.prefix,
                "ca" => &mut ours.ca,
                "cert" => &mut ours.cert,
                "key" => &mut ours.key,
                _ => {
                    others.push(argument);
                    continue;
                }
            };
            place.get_or_insert_with(|| value.to_owned());
        }
        let others = others.join("&");
        (if others.is_empty() { base.to_owned() } else { format!("{base}?{others}") }, ours)
    }

    /// The certificates that they name; `None`: the system's.
    fn certificates(&self, tls: bool) -> Result<Option<TlsCertificates>, String> {
        let read = |path: &Option<String>| {
            let path = path.as_ref();
            let read =
                |path| fs::read(path).map_err(|error| format!("cannot read {path}: {error}"));
            path.map(read).transpose()
        };
        if self.ca.is_none() && self.cert.is_none() && self.key.is_none() {
            return Ok(None);
        }
        if !tls {
            return Err("ca, cert and key are for TLS: write rediss".to_owned());
        }
        let client_tls = match (read(&self.cert)?, read(&self.key)?) {
            (Some(client_cert), Some(client_key)) => {
                Some(ClientTlsConfig { client_cert, client_key })
            }
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => {
                return Err("cert and key: one needs the other".to_owned());
            }
        };
        Ok(Some(TlsCertificates { client_tls, root_cert: read(&self.ca)? }))
    }
}

impl<'u> Parts<'u> {
    fn read(
        rest: &'u str,
        tls: bool,
        certificates: Option<TlsCertificates>,
    ) -> Result<Self, String> {
        let rest = rest.split('?').next().unwrap_or_default();
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, hosts) = match authority.rsplit_once('@') {
            Some((login, hosts)) => (Some(login), hosts),
            None => (None, authority),
        };
        let (user, password) = login.map_or((None, None), |login| {
            let (user, password) = login.split_once(':').unwrap_or((login, ""));
            let filled = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            (filled(user), filled(password))
        });
        let hosts: Vec<(&str, Option<u16>)> = hosts.split(',').filter_map(host).collect();
        if hosts.is_empty() {
            return Err("the URL names no host".to_owned());
        }
        let path = path.split('/').collect();
        Ok(Self { tls, certificates, user, password, hosts, path })
    }

    fn addresses(&self, port: u16) -> impl Iterator<Item = ConnectionAddr> {
        self.hosts.iter().map(move |(host, own)| {
            let (host, port) = ((*host).to_owned(), own.unwrap_or(port));
            if self.tls {
                ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
            } else {
                ConnectionAddr::Tcp(host, port)
            }
        })
    }
}

/// `name`, `name:port`, `[2001:db8::1]:port`.
fn host(text: &str) -> Option<(&str, Option<u16>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (address, after) = rest.split_once(']')?;
        return Some((address, after.strip_prefix(':').and_then(|port| port.parse().ok())));
    }
    let (name, port) =
        text.split_once(':').map_or((text, None), |(name, port)| (name, port.parse().ok()));
    (!name.is_empty()).then_some((name, port))
}

fn sentinel(parts: &Parts<'_>) -> Result<Kind, String> {
    let master = parts.path.first().filter(|name| !name.is_empty());
    let master = master.ok_or("write redis+sentinel://HOST,HOST/MASTER, with the master's name")?;
    let build = || {
        let mut builder = SentinelClientBuilder::new(
            parts.addresses(SENTINEL_PORT),
            master,
            SentinelServerType::Master,
        )?;
        if parts.tls {
            builder = builder
                .set_client_to_redis_tls_mode(TlsMode::Secure)
                .set_client_to_sentinel_tls_mode(TlsMode::Secure);
        }
        if let Some(certificates) = &parts.certificates {
            builder = builder
                .set_client_to_redis_certificates(certificates.clone())
                .set_client_to_sentinel_certificates(certificates.clone());
        }
        if let Some(user) = &parts.user {
            builder = builder.set_client_to_redis_username(user);
        }
        if let Some(password) = &parts.password {
            builder = builder.set_client_to_redis_password(password);
        }
        if let Some(db) = parts.path.get(1).and_then(|db| db.parse().ok()) {
            builder = builder.set_client_to_redis_db(db);
        }
        builder.build()
    };
    let client = build().map_err(|error: redis::RedisError| told(&error))?;
    Ok(Kind::Sentinel(Box::new(tokio::sync::Mutex::new(client))))
}

fn cluster(parts: &Parts<'_>) -> Result<Kind, String> {
    let mut builder = ClusterClient::builder(parts.addresses(PORT))
        .connection_timeout(CONNECT)
        .response_timeout(RESPONSE);
    if let Some(certificates) = &parts.certificates {
        builder = builder.certs(certificates.clone());
    }
    if let Some(user) = &parts.user {
        builder = builder.username(user.clone());
    }
    if let Some(password) = &parts.password {
        builder = builder.password(password.clone());
    }
    builder.build().map(|client| Kind::Cluster(Box::new(client))).map_err(|error| told(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        #[track_caller]
        fn check(url: &str, prefix: Option<&str>) {
            let read = Address::read(url);
            match (read, prefix) {
                (Ok(address), Some(prefix)) => {
                    assert_eq!(address.prefix, prefix.as_bytes(), "{url}");
                }
                (Err(_), None) => {}
                (Ok(_), None) => panic!("{url} is taken"),
                (Err(error), Some(_)) => panic!("{url}: {error}"),
            }
        }
        check("redis://127.0.0.1", Some("{calspamd}:"));
        check("redis://ann:secret@127.0.0.1:6380/2", Some("{calspamd}:"));
        check("rediss://redis.example?prefix=mx", Some("{mx}:"));
        check("valkey://redis.example", Some("{calspamd}:"));
        check("redis+unix:///run/redis.sock?db=1&prefix=a:b", Some("{a:b}:"));
        check("redis+sentinel://a.example,b.example:26380/mymaster/1", Some("{calspamd}:"));
        check("rediss+sentinel://:secret@[2001:db8::1]:26379/main?prefix=x", Some("{x}:"));
        check("redis+cluster://a.example:7000,b.example:7001", Some("{calspamd}:"));
        for url in [
            "redis://",
            "http://a.example",
            "redis+sentinel://a.example",
            "redis+sentinel:///main",
            "redis+cluster://",
            "redis://a.example?prefix={x}",
            "redis+http://a.example",
            "redis://a.example?ca=/etc/hosts",
            "rediss://a.example?ca=/nowhere/at/all",
            "rediss://a.example?cert=/etc/hosts",
        ] {
            check(url, None);
        }
    }
}
