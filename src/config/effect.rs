//! When a changed setting takes effect: at the next reload, or at the next start.
//!
//! Comes in: the configuration that a service began with, and the one that is written now. Goes
//! out: what the service can use of it, and the names of what has to wait.
//!
//! One table names every setting. What needs a new socket, another store or another shape of all
//! log lines waits for the start; a test holds that no setting is missing.

use super::Config;
use crate::server::keys::Tls;

/// When a change of a setting takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// With the next reload.
    Reload,
    /// With the next start; a reload says so.
    Start,
}

/// A setting: a key of the file.
pub struct Setting {
    /// `section.key`; tables of the operator's are `settings.NAME`.
    pub name: &'static str,
    /// Only where a running service keeps what it began with.
    kept: Option<Kept>,
}

struct Kept {
    differs: fn(&Config, &Config) -> bool,
    /// From the configuration of the start to another one.
    keep: fn(&Config, &mut Config),
}

impl Setting {
    /// When a change takes effect.
    pub const fn effect(&self) -> Effect {
        match self.kept {
            Some(_) => Effect::Start,
            None => Effect::Reload,
        }
    }
}

const fn reload(name: &'static str) -> Setting {
    Setting { name, kept: None }
}

macro_rules! start {
    ($name:literal, $section:ident.$key:ident) => {
        Setting {
            name: $name,
            kept: Some(Kept {
                differs: |one, other| one.$section.$key != other.$section.$key,
                keep: |started, config| {
                    config.$section.$key.clone_from(&started.$section.$key);
                },
            }),
        }
    };
}

/// The address of a listener that speaks TLS; certificate and key may change beside it.
macro_rules! start_tls {
    ($name:literal, $section:ident) => {
        Setting {
            name: $name,
            kept: Some(Kept {
                differs: |one, other| {
                    let listen =
                        |config: &Config| config.$section.tls.clone().map(|tls| tls.listen);
                    listen(one) != listen(other)
                },
                keep: |started, config| {
                    keep_listener(started.$section.tls.as_ref(), &mut config.$section.tls);
                },
            }),
        }
    };
}

fn keep_listener(started: Option<&Tls>, tls: &mut Option<Tls>) {
    match (started, tls) {
        (Some(started), Some(tls)) => tls.listen.clone_from(&started.listen),
        (started, tls) => *tls = started.cloned(),
    }
}

/// Every setting, in the order of the file.
pub static SETTINGS: &[Setting] = &[
    start!("http.listen", http.listen),
    reload("http.max_message"),
    reload("http.max_in_flight"),
    reload("http.insecure"),
    reload("http.password"),
    reload("http.enable_password"),
    reload("http.secure_ip"),
    reload("http.inline_settings"),
    reload("http.connections_per_client"),
    reload("http.rate"),
    reload("http.file_folders"),
    reload("http.keypair"),
    reload("http.keypair_file"),
    reload("http.encrypted_only"),
    start_tls!("http.tls.listen", http),
    reload("http.tls.certificate"),
    reload("http.tls.key"),
    start!("spamd.listen", spamd.listen),
    reload("spamd.allowed_ips"),
    reload("spamd.required_score"),
    reload("spamd.report_safe"),
    reload("spamd.allow_tell"),
    start_tls!("spamd.tls.listen", spamd),
    reload("spamd.tls.certificate"),
    reload("spamd.tls.key"),
    reload("rules.directories"),
    reload("dns.enabled"),
    reload("dns.servers"),
    reload("dns.budget"),
    reload("dns.max_questions"),
    start!("reputation.store", reputation.store),
    start!("reputation.state", reputation.state),
    start!("reputation.secret_file", reputation.secret_file),
    reload("reputation.provenance"),
    reload("reputation.learn"),
    reload("reputation.rates.organizer"),
    reload("reputation.rates.domain"),
    reload("reputation.rates.account"),
    reload("reputation.rates.client"),
    reload("reputation.rates.recipient"),
    reload("reputation.budget"),
    start!("reputation.max_size", reputation.max_size),
    reload("reputation.keep.events"),
    reload("reputation.keep.contacts"),
    reload("reputation.keep.campaigns"),
    reload("reputation.keep.reports"),
    reload("reputation.keep.records"),
    reload("reputation.half_life"),
    reload("limits.time"),
    reload("limits.parts"),
    reload("limits.depth"),
    reload("limits.components"),
    reload("limits.calendar_text"),
    reload("limits.attendees"),
    reload("limits.line"),
    reload("limits.instances"),
    reload("limits.urls"),
    reload("site.domains"),
    reload("site.trusted_authserv_ids"),
    reload("site.trusted_networks"),
    reload("site.welcome_organizers"),
    reload("site.block_addresses"),
    reload("site.block_urls"),
    reload("actions.greylist"),
    reload("actions.add_header"),
    reload("actions.quarantine"),
    reload("actions.reject"),
    reload("actions.discard"),
    reload("policy.auto_insert"),
    reload("log.level"),
    start!("log.format", log.format),
    reload("log.verbose_ids"),
    reload("settings.NAME.actions.greylist"),
    reload("settings.NAME.actions.add_header"),
    reload("settings.NAME.actions.quarantine"),
    reload("settings.NAME.actions.reject"),
    reload("settings.NAME.actions.discard"),
    reload("settings.NAME.scores"),
    reload("settings.NAME.symbols_disabled"),
    reload("settings.NAME.groups_disabled"),
    reload("settings.NAME.symbols_enabled"),
    reload("settings.NAME.groups_enabled"),
];

impl Config {
    /// What a service that began with `started` can use of this configuration: what waits for the
    /// next start is as it was. The names are of settings that are written otherwise now.
    #[must_use]
    pub fn after(mut self, started: &Self) -> (Self, Vec<&'static str>) {
        let mut waiting = Vec::new();
        for setting in SETTINGS {
            let Some(kept) = &setting.kept else { continue };
            if (kept.differs)(started, &self) {
                waiting.push(setting.name);
                (kept.keep)(started, &mut self);
            }
        }
        (self, waiting)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(Path::new("c"), text, []).map_err(|error| error.to_string())
    }

    /// The keys that may stand here, as the mistake of another one names them; none where any
    /// may, or where no table can stand.
    fn known(name: &str) -> Option<Vec<String>> {
        let error = parse(&format!("{name}no_such_key = 1\n")).err()?;
        let (first, _) = error.split_once('\n')?;
        let keys = error.split_once("known here: ")?.1;
        first
            .ends_with("unknown key `no_such_key`")
            .then(|| keys.split(", ").map(|key| key.trim().trim_matches('`').to_owned()).collect())
    }

    fn walk(prefix: &str, found: &mut Vec<String>) {
        for key in known(prefix).unwrap() {
            // The name of such a table is the operator's.
            let key = if key == "settings" { "settings.NAME".to_owned() } else { key };
            let below = format!("{prefix}{key}.");
            match known(&below) {
                Some(_) => walk(&below, found),
                None => found.push(format!("{prefix}{key}")),
            }
        }
    }

    #[test]
    fn every_setting_is_in_the_table_once() {
        let mut found = Vec::new();
        walk("", &mut found);
        assert!(found.len() > 70, "{found:?}");
        let mut named: Vec<&str> = SETTINGS.iter().map(|setting| setting.name).collect();
        named.sort_unstable();
        found.sort_unstable();
        assert_eq!(named, found);
    }

    #[test]
    fn what_waits_for_the_start_is_kept_and_named() {
        const TLS: &str = "tls = { listen = \"127.0.0.1:1\", certificate = \"c\", key = \"k\" }\n";
        #[track_caller]
        fn check(started: &str, written: &str, names: &[&str]) {
            let (started, written) = (parse(started).unwrap(), parse(written).unwrap());
            let (config, waiting) = written.after(&started);
            assert_eq!(waiting, names);
            assert!(config.after(&started).1.is_empty());
        }
        check("", "", &[]);
        check("", "[actions]\nreject = 3\n[http]\npassword = \"x\"\n", &[]);
        check(
            "",
            "[http]\nlisten = \"127.0.0.1:1\"\n[reputation]\nstore = \"memory\"\nstate = \"/s\"\n\
             secret_file = \"/f\"\nmax_size = \"1MiB\"\n[log]\nformat = \"json\"\n",
            &[
                "http.listen",
                "reputation.store",
                "reputation.state",
                "reputation.secret_file",
                "reputation.max_size",
                "log.format",
            ],
        );
        check("", "[spamd]\nlisten = \"none\"\n", &["spamd.listen"]);
        for section in ["http", "spamd"] {
            let with = format!("[{section}]\n{TLS}");
            let name = if section == "http" { "http.tls.listen" } else { "spamd.tls.listen" };
            check("", &with, &[name]);
            check(&with, "", &[name]);
            check(&with, &with.replace(":1\"", ":2\""), &[name]);
            check(&with, &with.replace("\"c\"", "\"d\"").replace("\"k\"", "\"l\""), &[]);
        }
        // The files change without the address.
        let started = parse(&format!("[http]\n{TLS}")).unwrap();
        let other = TLS.replace("\"c\"", "\"d\"").replace(":1\"", ":2\"");
        let (config, _) = parse(&format!("[http]\n{other}")).unwrap().after(&started);
        let tls = config.http.tls.unwrap();
        assert_eq!(
            (tls.listen.to_string().as_str(), tls.certificate.as_path()),
            ("127.0.0.1:1", Path::new("d"))
        );
    }
}
