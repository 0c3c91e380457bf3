//! Asks DNS: the resolver of the system or those configured, through hickory-resolver, whose
//! own cache is off so that one place decides how long an answer lives.
//!
//! Not an error: anything that comes back, or nothing. A failure is a [`Reply`] as well.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};

use super::list::Kind;

/// Time for one try; a lost packet is sent again well within it.
const TRY: Duration = Duration::from_secs(1);

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    /// Addresses.
    Addresses {
        /// All of them.
        addresses: Vec<Ipv4Addr>,
        /// Seconds they are good for.
        ttl: u32,
    },
    /// No such name, or no address.
    Nothing {
        /// Seconds that is good for, where the zone says so.
        ttl: Option<u32>,
    },
    /// Nobody has answered in time.
    TimedOut,
    /// The answer was that there is none: SERVFAIL, REFUSED, a broken name.
    Failed,
}

/// Asks for a name.
pub(super) type Ask =
    Arc<dyn Fn(Arc<str>, Kind) -> Pin<Box<dyn Future<Output = Reply> + Send>> + Send + Sync>;

/// The resolver of these servers, or of the system where none is named.
pub(super) fn resolver(servers: &[SocketAddr]) -> Result<TokioResolver, String> {
    let mut builder = if servers.is_empty() {
        TokioResolver::builder_tokio().map_err(|error| error.to_string())?
    } else {
        let servers = servers.iter().map(|server| {
            let (mut udp, mut tcp) = (ConnectionConfig::udp(), ConnectionConfig::tcp());
            (udp.port, tcp.port) = (server.port(), server.port());
            NameServerConfig::new(server.ip(), true, vec![udp, tcp])
        });
        let config = ResolverConfig::from_parts(None, Vec::new(), servers.collect());
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
    };
    let options: &mut ResolverOpts = builder.options_mut();
    options.timeout = TRY;
    options.attempts = 1;
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    builder.build().map_err(|error| error.to_string())
}

/// Asks through a resolver.
pub(super) fn through(resolver: TokioResolver) -> Ask {
    Arc::new(move |name, kind| {
        let resolver = resolver.clone();
        Box::pin(async move {
            match kind {
                Kind::Ip | Kind::Name | Kind::Hash => addresses(&resolver, &name).await,
                Kind::Mail => mail(&resolver, &name).await,
            }
        })
    })
}

/// Without the final dot the search domains of the machine would be tried as well.
fn name_of(text: &str) -> Option<Name> {
    let mut name = Name::from_ascii(text).ok()?;
    name.set_fqdn(true);
    Some(name)
}

fn no_answer(error: &NetError) -> Reply {
    if let NetError::Dns(DnsError::NoRecordsFound(none)) = error {
        return Reply::Nothing { ttl: none.negative_ttl };
    }
    if matches!(error, NetError::Timeout) { Reply::TimedOut } else { Reply::Failed }
}

async fn addresses(resolver: &TokioResolver, name: &str) -> Reply {
    let Some(name) = name_of(name) else { return Reply::Failed };
    let lookup = match resolver.lookup(name, RecordType::A).await {
        Ok(lookup) => lookup,
        Err(error) => return no_answer(&error),
    };
    let mut ttl = u32::MAX;
    let mut addresses = Vec::new();
    for record in lookup.answers() {
        // An alias on the way is good for no longer than it says.
        ttl = ttl.min(record.ttl);
        if let RData::A(address) = record.data {
            addresses.push(address.0);
        }
    }
    if addresses.is_empty() {
        Reply::Nothing { ttl: None }
    } else {
        Reply::Addresses { addresses, ttl }
    }
}

/// Whether a domain can receive mail, in the answers of [`Kind::Mail`].
async fn mail(resolver: &TokioResolver, domain: &str) -> Reply {
    const NO_NAME: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
    const NULL_MX: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
    const NOTHING: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 4);
    let Some(name) = name_of(domain) else { return Reply::Failed };
    let says = |address, ttl: Option<u32>| Reply::Addresses {
        addresses: vec![address],
        ttl: ttl.unwrap_or_default(),
    };
    match resolver.lookup(name.clone(), RecordType::MX).await {
        Ok(lookup) => {
            let ttl = lookup.answers().iter().map(|record| record.ttl).min();
            let null = |data: &RData| matches!(data, RData::MX(mx) if mx.exchange.is_root());
            let mut servers =
                lookup.answers().iter().filter(|r| matches!(r.data, RData::MX(_))).peekable();
            if servers.peek().is_some() {
                let all_null = servers.all(|record| null(&record.data));
                return if all_null { says(NULL_MX, ttl) } else { Reply::Nothing { ttl } };
            }
        }
        Err(NetError::Dns(DnsError::NoRecordsFound(none))) => {
            if none.response_code == ResponseCode::NXDomain {
                return says(NO_NAME, none.negative_ttl);
            }
        }
        Err(error) => return no_answer(&error),
    }
    for kind in [RecordType::A, RecordType::AAAA] {
        match resolver.lookup(name.clone(), kind).await {
            Ok(_) => return Reply::Nothing { ttl: None },
            Err(NetError::Dns(DnsError::NoRecordsFound(_))) => {}
            Err(error) => return no_answer(&error),
        }
    }
    says(NOTHING, None)
}
