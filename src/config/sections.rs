//! The file's sections as written, and what they come to.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;

use super::values::{Listen, Parsed, Requests, Score, Server, Size, Threshold, Time, Word};
use super::{Config, DEFAULT_RULES, Format, Level, Log};
use crate::reputation::{Limit, Place, Provenance};
use crate::server::keys::{Source as KeySource, Tls};
use crate::server::{Address, spamd};
use crate::site::{self, Network, Who};
use crate::verdict::{Action, Policy, Profile};
use crate::{lists, reputation, scan, server};

macro_rules! sections {
    ($($section:ident: $name:ident { $($key:ident: $value:ty,)+ })+ ; $named:ident: $tables:ty) => {
        $(
            #[derive(Debug, Default, Deserialize)]
            #[serde(deny_unknown_fields)]
            struct $name { $($key: Option<$value>,)+ }

            impl $name {
                fn overlaid(self, over: Self) -> Self {
                    Self { $($key: over.$key.or(self.$key),)+ }
                }
            }
        )+

        /// The whole file; what is missing is left to the defaults.
        #[derive(Debug, Default, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub(super) struct Sections { $($section: $name,)+ $named: $tables }

        impl Sections {
            /// The same with the other's values where it has any.
            pub(super) fn overlaid(self, over: Self) -> Self {
                Self {
                    $($section: self.$section.overlaid(over.$section),)+
                    $named: self.$named.overlaid(over.$named),
                }
            }
        }
    };
}

sections! {
    http: Http {
        listen: Parsed<Address>,
        max_message: Size,
        max_in_flight: Size,
        insecure: bool,
        password: Parsed<server::Password>,
        enable_password: Parsed<server::Password>,
        secure_ip: Vec<Parsed<Network>>,
        inline_settings: bool,
        connections_per_client: NonZeroUsize,
        rate: Parsed<Requests>,
        file_folders: Vec<PathBuf>,
        keypair: String,
        keypair_file: PathBuf,
        encrypted_only: bool,
        tls: TlsSection,
    }
    spamd: Spamd {
        listen: Parsed<Listen>,
        allowed_ips: Vec<Parsed<Network>>,
        required_score: f64,
        report_safe: u8,
        allow_tell: bool,
        tls: TlsSection,
    }
    rules: Rules {
        directories: Vec<PathBuf>,
    }
    dns: Dns {
        enabled: bool,
        servers: Vec<Parsed<Server>>,
        budget: Time,
        max_questions: NonZeroUsize,
    }
    reputation: ReputationSection {
        store: Parsed<Place>,
        state: PathBuf,
        secret_file: PathBuf,
        provenance: Word<Provenance>,
        learn: bool,
        rates: RatesSection,
        budget: Time,
        max_size: Size,
        keep: KeepSection,
        half_life: Time,
    }
    limits: Limits {
        time: Time,
        parts: NonZeroUsize,
        depth: NonZeroUsize,
        components: NonZeroUsize,
        calendar_text: Size,
        attendees: NonZeroUsize,
        line: Size,
        instances: NonZeroUsize,
        urls: NonZeroUsize,
    }
    site: Site {
        domains: Vec<Parsed<Who>>,
        trusted_authserv_ids: Vec<String>,
        trusted_networks: Vec<Parsed<Network>>,
        welcome_organizers: Vec<Parsed<Who>>,
        block_addresses: Vec<PathBuf>,
        block_urls: Vec<PathBuf>,
    }
    actions: Actions {
        greylist: Threshold,
        add_header: Threshold,
        quarantine: Threshold,
        reject: Threshold,
        discard: Threshold,
    }
    policy: PolicySection {
        auto_insert: Word<Policy>,
    }
    log: LogSection {
        level: Word<Level>,
        format: Word<Format>,
        verbose_ids: bool,
    }
    ; settings: Profiles
}

/// Tables of other settings, by a name of the operator's.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
struct Profiles(BTreeMap<String, ProfileSection>);

impl Profiles {
    fn overlaid(mut self, over: Self) -> Self {
        self.0.extend(over.0);
        self
    }
}

/// One of them.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ProfileSection {
    actions: Actions,
    scores: BTreeMap<String, Score>,
    symbols_disabled: BTreeSet<String>,
    groups_disabled: BTreeSet<String>,
    symbols_enabled: BTreeSet<String>,
    groups_enabled: BTreeSet<String>,
}

impl ProfileSection {
    fn into_profile(self) -> Profile {
        let limits = [
            (Action::Greylist, self.actions.greylist),
            (Action::AddHeader, self.actions.add_header),
            (Action::Quarantine, self.actions.quarantine),
            (Action::Reject, self.actions.reject),
            (Action::Discard, self.actions.discard),
        ];
        let given = limits.into_iter().filter_map(|(action, limit)| Some((action, limit?.0)));
        Profile {
            actions: given.collect(),
            scores: self.scores.into_iter().map(|(name, score)| (name, score.0)).collect(),
            symbols_disabled: self.symbols_disabled,
            groups_disabled: self.groups_disabled,
            symbols_enabled: self.symbols_enabled,
            groups_enabled: self.groups_enabled,
        }
    }
}

/// A table in a section.
macro_rules! table {
    ($name:ident { $($key:ident: $value:ty,)+ }) => {
        #[derive(Debug, Default, Clone, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct $name { $($key: Option<$value>,)+ }
    };
}

table! {
    RatesSection {
        organizer: Parsed<Limit>,
        domain: Parsed<Limit>,
        account: Parsed<Limit>,
        client: Parsed<Limit>,
        recipient: Parsed<Limit>,
    }
}

table! {
    KeepSection {
        events: Time,
        contacts: Time,
        campaigns: Time,
        reports: Time,
        records: Time,
    }
}

/// A listener that speaks TLS, all of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct TlsSection {
    listen: Parsed<Address>,
    certificate: PathBuf,
    key: PathBuf,
}

impl From<TlsSection> for Tls {
    fn from(section: TlsSection) -> Self {
        let TlsSection { listen, certificate, key } = section;
        Self { listen: listen.0, certificate, key }
    }
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

/// Where spamd's protocol is served.
fn spamd_address() -> Address {
    Address::Tcp(SocketAddr::from(([127, 0, 0, 1], 11783)))
}

fn spamd_settings(section: &Spamd, http: &server::Settings) -> spamd::Settings {
    let mut settings = spamd::Settings {
        listen: Some(spamd_address()),
        max_message: http.max_message,
        connections_per_client: http.connections_per_client,
        ..spamd::Settings::default()
    };
    set(&mut settings.listen, section.listen.clone().map(|listen| listen.0.0));
    let allowed = section.allowed_ips.clone().unwrap_or_default();
    settings.allowed = allowed.into_iter().map(|network| network.0).collect();
    set(&mut settings.required_score, section.required_score.filter(|score| score.is_finite()));
    if section.report_safe.is_some_and(|mode| mode > 0) {
        settings.report_safe = spamd::ReportSafe::Attachment;
    }
    set(&mut settings.allow_tell, section.allow_tell);
    settings.tls = section.tls.clone().map(Tls::from);
    settings
}

impl Sections {
    pub(super) fn into_config(self) -> Config {
        let mut http = server::Settings::default();
        set(&mut http.listen, self.http.listen.map(|listen| listen.0));
        set(&mut http.max_message, self.http.max_message.map(|size| size.0));
        set(&mut http.max_in_flight, self.http.max_in_flight.map(|size| size.0));

        // An empty password would let everybody in.
        let password = |given: Option<Parsed<server::Password>>| {
            given.map(|parsed| parsed.0).filter(|password| password.plain() != Some(""))
        };
        http.password = password(self.http.password);
        http.enable_password = password(self.http.enable_password);
        http.secure = self.http.secure_ip.into_iter().flatten().map(|network| network.0).collect();
        set(&mut http.inline_settings, self.http.inline_settings);
        let connections = self.http.connections_per_client.map(NonZeroUsize::get);
        set(&mut http.connections_per_client, connections);
        set(&mut http.rate, self.http.rate.map(|rate| rate.0.0));
        set(&mut http.file_folders, self.http.file_folders);
        let text = self.http.keypair.filter(|text| !text.is_empty()).map(server::keys::Hidden);
        let file = self.http.keypair_file.map(KeySource::File);
        http.keypair = text.map(KeySource::Text).or(file);
        set(&mut http.encrypted_only, self.http.encrypted_only);
        http.tls = self.http.tls.map(Tls::from);

        let spamd = spamd_settings(&self.spamd, &http);

        let mut log = Log::default();
        set(&mut log.level, self.log.level.map(|word| word.0));
        set(&mut log.format, self.log.format.map(|word| word.0));
        set(&mut log.verbose_ids, self.log.verbose_ids);

        let mut dns = lists::Settings::default();
        let servers = self.dns.servers.unwrap_or_default();
        dns.servers = servers.into_iter().map(|server| server.0.0).collect();
        // Lists refuse resolvers that many share, so somebody has to say whom we may ask.
        dns.enabled = self.dns.enabled.unwrap_or(!dns.servers.is_empty());
        set(&mut dns.budget, self.dns.budget.map(|time| time.0));
        set(&mut dns.most, self.dns.max_questions.map(NonZeroUsize::get));

        let directories = self.rules.directories;
        let mut scan = scan_settings(&self.limits, &self.actions, &self.policy);
        set(&mut scan.message.trusted_authserv_ids, self.site.trusted_authserv_ids.clone());
        let profiles = self.settings.0.into_iter();
        scan.verdict.profiles =
            profiles.map(|(name, section)| (name, Arc::new(section.into_profile()))).collect();
        Config {
            http,
            spamd_is_named: spamd.listen != Some(spamd_address()),
            spamd,
            insecure: self.http.insecure.unwrap_or_default(),
            scan,
            site: site_settings(self.site),
            reputation: reputation_settings(self.reputation),
            dns,
            rule_directories: directories.unwrap_or_else(|| vec![DEFAULT_RULES.into()]),
            log,
        }
    }
}

fn reputation_settings(section: ReputationSection) -> reputation::Settings {
    let mut settings = reputation::Settings {
        store: section.store.map(|store| store.0),
        secret_file: section.secret_file,
        ..reputation::Settings::default()
    };
    set(&mut settings.state, section.state);
    set(&mut settings.provenance, section.provenance.map(|word| word.0));
    set(&mut settings.learn, section.learn);
    set(&mut settings.budget, section.budget.map(|time| time.0));
    set(&mut settings.half_life, section.half_life.map(|time| time.0));
    let size = section.max_size.map(|size| u64::try_from(size.0).unwrap_or(u64::MAX));
    set(&mut settings.max_size, size);

    let (rates, given) = (&mut settings.rates, section.rates.unwrap_or_default());
    set(&mut rates.organizer, given.organizer.map(|limit| limit.0));
    set(&mut rates.domain, given.domain.map(|limit| limit.0));
    set(&mut rates.account, given.account.map(|limit| limit.0));
    set(&mut rates.client, given.client.map(|limit| limit.0));
    set(&mut rates.recipient, given.recipient.map(|limit| limit.0));

    let (keep, given) = (&mut settings.keep, section.keep.unwrap_or_default());
    set(&mut keep.events, given.events.map(|time| time.0));
    set(&mut keep.contacts, given.contacts.map(|time| time.0));
    set(&mut keep.campaigns, given.campaigns.map(|time| time.0));
    set(&mut keep.reports, given.reports.map(|time| time.0));
    set(&mut keep.records, given.records.map(|time| time.0));
    settings
}

fn site_settings(site: Site) -> site::Settings {
    fn values<T>(parsed: Option<Vec<Parsed<T>>>) -> Vec<T> {
        parsed.unwrap_or_default().into_iter().map(|parsed| parsed.0).collect()
    }
    site::Settings {
        domains: values(site.domains),
        trusted_networks: values(site.trusted_networks),
        welcome_organizers: values(site.welcome_organizers),
        block_addresses: site.block_addresses.unwrap_or_default(),
        block_urls: site.block_urls.unwrap_or_default(),
    }
}

fn scan_settings(limits: &Limits, actions: &Actions, policy: &PolicySection) -> scan::Settings {
    let mut scan = scan::Settings::default();
    let number = |number: Option<NonZeroUsize>| number.map(NonZeroUsize::get);

    set(&mut scan.limits.time, limits.time.map(|time| time.0));
    set(&mut scan.limits.urls, number(limits.urls));
    set(&mut scan.message.parts, number(limits.parts));
    set(&mut scan.message.calendar_text, limits.calendar_text.map(|size| size.0));
    // One word for the operator: how deep things may be nested, messages and components.
    set(&mut scan.message.depth, number(limits.depth));
    set(&mut scan.calendar.depth, number(limits.depth));
    set(&mut scan.calendar.components, number(limits.components));
    set(&mut scan.calendar.attendees, number(limits.attendees));
    set(&mut scan.calendar.line, limits.line.map(|size| size.0));
    set(&mut scan.calendar.instances, number(limits.instances));

    let thresholds = &mut scan.verdict.thresholds;
    set(&mut thresholds.greylist, actions.greylist.map(|limit| limit.0));
    set(&mut thresholds.add_header, actions.add_header.map(|limit| limit.0));
    set(&mut thresholds.quarantine, actions.quarantine.map(|limit| limit.0));
    set(&mut thresholds.reject, actions.reject.map(|limit| limit.0));
    set(&mut thresholds.discard, actions.discard.map(|limit| limit.0));
    set(&mut scan.verdict.auto_insert, policy.auto_insert.map(|word| word.0));
    scan
}
