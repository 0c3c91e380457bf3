//! What is in force: the rules, and all settings that can change while the service runs.
//!
//! Comes in: rules and settings that were read. Goes out: one [`Current`], replaced as a whole. Who
//! answers a request takes it once and keeps it to the end, so that no answer is half of one
//! configuration and half of the next.
//! What counts on stays: who has sent how many requests and how many wrong passwords.

use std::fmt;
use std::sync::Arc;

use rustls::sign::CertifiedKey;

use super::access::Access;
use super::keys::{self, KeyPair, Source, Tls};
use super::quota::Quota;
use super::room::Room;
use super::{Settings, spamd};
use crate::metrics::HitCounters;
use crate::protocol::rspamd::ListedSymbol;
use crate::rules::RuleSet;
use crate::scan;

/// Rules and settings. Cheap to clone: only the parts that change are made anew.
#[derive(Clone)]
pub(super) struct Current {
    pub(super) rules: Arc<RuleSet>,
    /// The listing of symbols.
    pub(super) symbols: Arc<[ListedSymbol]>,
    pub(super) hits: Arc<HitCounters>,
    /// Settings of the stages.
    pub(super) scan: Arc<scan::Settings>,
    /// Log lines and the history may say whom a message was about.
    pub(super) verbose_ids: bool,
    pub(super) http: Arc<Http>,
    pub(super) spamd: Arc<Spamd>,
}

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Current")
            .field("symbols", &self.symbols.len())
            .field("scan", &self.scan)
            .field("verbose_ids", &self.verbose_ids)
            .field("http", &self.http.settings)
            .field("spamd", &self.spamd.settings)
            .finish_non_exhaustive()
    }
}

/// What a set of rules has.
pub(super) fn listing(rules: &RuleSet) -> Arc<[ListedSymbol]> {
    let listed = |symbol: &crate::rules::Symbol| ListedSymbol {
        name: symbol.name.to_string(),
        group: symbol.group.as_deref().map(str::to_owned),
        score: symbol.score,
        description: symbol.description.as_deref().map(str::to_owned),
    };
    rules.symbols().map(listed).collect()
}

/// Settings of the HTTP listener, and what was read as they say.
#[derive(Default)]
pub(super) struct Http {
    pub(super) settings: Settings,
    pub(super) access: Access,
    /// Requests that each client may send.
    pub(super) rate: Option<Arc<Quota>>,
    /// Without keys envelopes are not known, as in Rspamd.
    pub(super) keypair: Option<KeyPair>,
    pub(super) certificate: Option<Arc<CertifiedKey>>,
    /// Memory for bodies, those of spamd's protocol too.
    pub(super) room: Arc<Room>,
}

impl Http {
    /// The same under other settings. Keys and certificates are read, also where their names have
    /// not changed.
    pub(super) fn under(&self, settings: Settings) -> Result<Self, keys::Error> {
        let rate = settings.rate.map(|rate| match &self.rate {
            Some(quota) if self.settings.rate == Some(rate) => Arc::clone(quota),
            Some(_) | None => Arc::new(Quota::new(rate.count, rate.window)),
        });
        Ok(Self {
            access: self.access.under(&settings),
            rate,
            keypair: settings.keypair.as_ref().map(Source::read).transpose()?,
            certificate: certificate(settings.tls.as_ref())?,
            room: self.room.under(settings.max_in_flight),
            settings,
        })
    }
}

/// Settings of the listener for spamd's protocol, and what was read as they say.
#[derive(Default)]
pub(super) struct Spamd {
    pub(super) settings: spamd::Settings,
    pub(super) certificate: Option<Arc<CertifiedKey>>,
}

impl Spamd {
    /// Reads the certificate.
    pub(super) fn open(settings: spamd::Settings) -> Result<Self, keys::Error> {
        Ok(Self { certificate: certificate(settings.tls.as_ref())?, settings })
    }
}

fn certificate(tls: Option<&Tls>) -> Result<Option<Arc<CertifiedKey>>, keys::Error> {
    Ok(tls.map(Tls::read).transpose()?.map(Arc::new))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::super::Rate;
    use super::super::keys::Hidden;
    use super::super::quota::Client;
    use super::*;

    #[test]
    fn requests_count_on_unless_the_rate_changes() {
        let client = Client::from("192.0.2.1".parse::<std::net::IpAddr>().unwrap());
        let under = |http: &Http, count| {
            let rate = Some(Rate { count, window: Duration::from_hours(1) });
            http.under(Settings { rate, ..Settings::default() }).unwrap()
        };
        let takes = |http: &Http| http.rate.as_ref().unwrap().take(client, Instant::now()).is_ok();
        let first = under(&Http::default(), 1);
        assert!(takes(&first) && !takes(&first));
        let same = under(&first, 1);
        assert!(!takes(&same));
        let more = under(&same, 2);
        assert!(takes(&more) && takes(&more) && !takes(&more));
        assert!(more.under(Settings::default()).unwrap().rate.is_none());
    }

    #[test]
    fn keys_come_and_go_and_a_broken_one_does_neither() {
        let pair = KeyPair::generate().unwrap();
        let under = |http: &Http, text: Option<String>| {
            let keypair = text.map(|text| Source::Text(Hidden(text)));
            http.under(Settings { keypair, ..Settings::default() })
        };
        let with = under(&Http::default(), Some(pair.write())).unwrap();
        assert!(with.keypair == Some(pair));
        assert!(under(&with, None).unwrap().keypair.is_none());
        assert!(under(&with, Some("nonsense".to_owned())).is_err());
    }
}
