//! Reads the one configuration file and the environment into settings that other modules own.
//!
//! Comes in: TOML, and variables named `CALSPAMD_SECTION__KEY`, which go before the file. Goes
//! out: a [`Config`] in which every value makes sense, or an [`Error`] that says where the
//! mistake stands and what to write instead.
//! Not an error: no file at the usual place. Every key has a default, equal to the default of
//! the settings it belongs to.
//!
//! The only module that knows toml and the environment.

mod effect;
mod environment;
mod mistake;
mod print;
mod sections;
mod values;

use std::io;
use std::path::{Path, PathBuf};

use crate::{lists, reputation, scan, server, site};
use mistake::mistake;
use sections::Sections;

pub use effect::{Effect, SETTINGS, Setting};
pub use environment::variables;
pub use mistake::{Error, Mistake};

/// Where the file is looked for unless the command line names one.
pub const DEFAULT_PATH: &str = "/etc/calspamd/calspamd.toml";

/// Where a site's own rules are looked for unless the file names directories.
pub const DEFAULT_RULES: &str = "/etc/calspamd/rules";

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Level {
    /// Nothing.
    Off,
    /// What an operator has to act on.
    Error,
    /// What an operator should know.
    Warn,
    /// One line a scan.
    #[default]
    Info,
    /// What is needed to find a mistake.
    Debug,
    /// Everything.
    Trace,
}

impl Level {
    const ALL: [Self; 6] =
        [Self::Off, Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace];

    /// Name in the file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl Format {
    const ALL: [Self; 2] = [Self::Text, Self::Json];

    /// Name in the file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

/// Settings of the log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Log {
    /// How much.
    pub level: Level,
    /// How it looks.
    pub format: Format,
    /// Log lines and the history may hold addresses, Message-IDs and subjects.
    pub verbose_ids: bool,
    /// Directives of `CALSPAMD_LOG`, which go before the level: `info,calspamd=debug`.
    pub filter: Option<String>,
}

/// The whole configuration, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The HTTP listener.
    pub http: server::Settings,
    /// The listener for spamd's protocol.
    pub spamd: server::spamd::Settings,
    /// It is another address than the default one, which may be taken: no reason to stop.
    pub spamd_is_named: bool,
    /// Listen where other machines can connect, although nothing guards the service.
    pub insecure: bool,
    /// All stages of a scan.
    pub scan: scan::Settings,
    /// Asking DNS lists.
    pub dns: lists::Settings,
    /// Remembering what was seen; the store is not open yet.
    pub reputation: reputation::Settings,
    /// What the site knows; its files are not read yet.
    pub site: site::Settings,
    /// Directories with a site's rules, in order.
    pub rule_directories: Vec<PathBuf>,
    /// The log.
    pub log: Log,
}

impl Config {
    /// Reads the file (the usual one where none is named) and the variables over it.
    pub fn read(
        path: Option<&Path>,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Error> {
        let file = path.unwrap_or(Path::new(DEFAULT_PATH));
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if path.is_none() && error.kind() == io::ErrorKind::NotFound => {
                String::new()
            }
            Err(source) => {
                return Err(Error::Read { path: file.to_owned(), source });
            }
        };
        Self::parse(file, &text, variables)
    }

    /// The same from a file's text.
    pub fn parse(
        path: &Path,
        text: &str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Error> {
        let sections: Sections = toml::from_str(text)
            .map_err(|error| Error::File(Box::new(mistake(path, text, &error))))?;
        let overrides = environment::read(variables)?;
        let mut config = sections.overlaid(overrides.sections).into_config();
        config.log.filter = overrides.log;
        Ok(config)
    }

    /// Refuses to listen where other machines can connect, unless that is wanted. Asked last,
    /// because the command line has a say in the address.
    pub fn check_address(&self) -> Result<(), Error> {
        let tls = self.http.tls.as_ref().map(|tls| &tls.listen);
        let public = [Some(&self.http.listen), tls].into_iter().flatten().find(|a| !a.is_local());
        let is_guarded = self.http.password.is_some() || self.insecure;
        match public {
            Some(address) if !is_guarded => return Err(Error::Public(address.clone())),
            Some(_) | None => {}
        }
        let tls = self.spamd.tls.as_ref().map(|tls| &tls.listen);
        let listen = self.spamd.listen.as_ref();
        match [listen, tls].into_iter().flatten().find(|address| !address.is_local()) {
            Some(address) if self.spamd.allowed.written.is_empty() => {
                Err(Error::PublicSpamd(address.clone()))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The effective configuration as TOML with comments; reading it gives the same again, but
    /// for the password, which nobody is shown.
    pub fn print(&self) -> String {
        print::print(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, variables: &[(&str, &str)]) -> Result<Config, Error> {
        let variables = variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
        Config::parse(Path::new("calspamd.toml"), text, variables)
    }

    fn error(text: &str) -> String {
        parse(text, &[]).unwrap_err().to_string()
    }

    #[test]
    fn nothing_at_all_gives_the_defaults() {
        let config = parse("", &[]).unwrap();
        assert_eq!(config.http, server::Settings::default());
        assert_eq!(format!("{:?}", config.scan), format!("{:?}", scan::Settings::default()));
        assert_eq!(config.rule_directories, [PathBuf::from(DEFAULT_RULES)]);
        assert!(config.check_address().is_ok());
    }

    #[test]
    fn mistakes_name_line_column_key_and_hint() {
        let cases = [
            (
                "[http]\nlisten = \"127.0.0.1:11380\"\nlisen = 1\n",
                "calspamd.toml:3:1: http.lisen: unknown key `lisen`\n    lisen = 1\n  \
                 hint: known here: `listen`, `max_message`, `max_in_flight`, `insecure`, \
                 `password`, `enable_password`, `secure_ip`, `inline_settings`, `connections_per_client`, \
                 `rate`, `file_folders`, `keypair`, `keypair_file`, `encrypted_only`, `tls`",
            ),
            (
                "[web]\n",
                "calspamd.toml:1:2: web: unknown key `web`\n    [web]\n  hint: known here: \
                 `http`, `spamd`, `rules`, `dns`, `reputation`, `limits`, `site`, `actions`, `policy`, `log`, `settings`",
            ),
            (
                "\n[limits]\n  time = \"3 parsecs\"\n",
                "calspamd.toml:3:10: limits.time: `3 parsecs` is no duration\n      \
                 time = \"3 parsecs\"\n  hint: write a number with ms, s, m, h or d: 500ms, 3s",
            ),
            (
                "[http]\nmax_message = \"50 Mb\"\n",
                "calspamd.toml:2:15: http.max_message: `50 Mb` is no size\n    \
                 max_message = \"50 Mb\"\n  hint: write a number with B, KB, MB, GB, KiB, MiB or \
                 GiB: 50MiB",
            ),
            (
                "[actions]\nreject = true\n",
                "calspamd.toml:2:10: actions.reject: `true` is no threshold\n    \
                 reject = true\n  hint: write a number, or false to switch the action off",
            ),
            (
                "[http]\nrate = \"many\"\n",
                "calspamd.toml:2:8: http.rate: `many` is no limit\n    rate = \"many\"\n  \
                 hint: write NUMBER/TIME, as in 100/1s; 0/1s allows any number",
            ),
            (
                "[settings.out]\nscores.CAL_LONG = inf\n",
                "calspamd.toml:2:19: settings.out.scores.CAL_LONG: `inf` is no score\n    \
                 scores.CAL_LONG = inf",
            ),
            (
                "[policy]\nauto_insert = \"maybe\"\n",
                "calspamd.toml:2:15: policy.auto_insert: `maybe` is not known here\n    \
                 auto_insert = \"maybe\"\n  hint: write all, known or never",
            ),
            (
                "[site]\ndomains = [\"corp.example\", \"localhost\"]\n",
                "calspamd.toml:2:11: site.domains: `localhost` is no mail address or domain\n    \
                 domains = [\"corp.example\", \"localhost\"]",
            ),
            (
                "[http]\nlisten = \"localhost\"\n",
                "calspamd.toml:2:10: http.listen: `localhost` is no address: write IP:PORT, as \
                 in 127.0.0.1:11380, or unix:/PATH\n    listen = \"localhost\"",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(error(text), expected);
        }
        let syntax = error("[http\n");
        assert!(syntax.starts_with("calspamd.toml:1:6: "), "{syntax}");
    }

    #[test]
    fn environment_goes_before_the_file() {
        let variables = [
            ("CALSPAMD_HTTP__LISTEN", "unix:/run/calspamd.sock"),
            ("CALSPAMD_LIMITS__TIME", "500ms"),
            ("CALSPAMD_ACTIONS__REJECT", "20"),
            ("CALSPAMD_ACTIONS__GREYLIST", "false"),
            ("CALSPAMD_RULES__DIRECTORIES", "/a,/b"),
            ("CALSPAMD_SITE__TRUSTED_AUTHSERV_IDS", "[\"mx.example.com\"]"),
            ("CALSPAMD_LOG__FORMAT", "json"),
            ("CALSPAMD_LOG", "debug"),
            ("CALSPAMD_CORPUS", "/corpus"),
            ("HOME", "/root"),
        ];
        let config = parse("[limits]\ntime = \"2s\"\nurls = 7\n", &variables).unwrap();
        assert_eq!(config.http.listen.to_string(), "unix:/run/calspamd.sock");
        assert_eq!(config.scan.limits.time.as_millis(), 500);
        assert_eq!(config.scan.limits.urls, 7);
        assert_eq!(config.scan.verdict.thresholds.reject, Some(20.0));
        assert_eq!(config.scan.verdict.thresholds.greylist, None);
        assert_eq!(config.rule_directories, [PathBuf::from("/a"), PathBuf::from("/b")]);
        assert_eq!(config.scan.message.trusted_authserv_ids, ["mx.example.com"]);
        assert_eq!(config.log.format, Format::Json);
        assert_eq!(config.log.filter.as_deref(), Some("debug"));
    }

    #[test]
    fn wrong_variables_are_named() {
        let error = |name, value| parse("", &[(name, value)]).unwrap_err().to_string();
        assert_eq!(
            error("CALSPAMD_HTTP__LISEN", "x"),
            "environment: CALSPAMD_HTTP__LISEN: unknown key `lisen`\n  hint: known here: \
             `listen`, `max_message`, `max_in_flight`, `insecure`, `password`, `enable_password`, `secure_ip`, \
             `inline_settings`, `connections_per_client`, `rate`, `file_folders`, `keypair`, \
             `keypair_file`, `encrypted_only`, `tls`"
        );
        assert_eq!(
            error("CALSPAMD_LISTEN", "x"),
            "environment: CALSPAMD_LISTEN: there is no such setting\n  hint: write \
             CALSPAMD_SECTION__KEY, as in CALSPAMD_HTTP__LISTEN"
        );
        assert_eq!(
            error("CALSPAMD_LIMITS__TIME", "soon"),
            "environment: CALSPAMD_LIMITS__TIME: `soon` is no duration\n  hint: write a number \
             with ms, s, m, h or d: 500ms, 3s"
        );
    }

    #[test]
    fn public_addresses_need_a_word() {
        let public = parse("[http]\nlisten = \"0.0.0.0:11380\"\n", &[]).unwrap();
        let error = public.check_address().unwrap_err().to_string();
        assert!(error.starts_with("http.listen: other machines can connect to 0.0.0.0:11380"));
        let wanted = "[http]\nlisten = \"0.0.0.0:11380\"\ninsecure = true\n";
        assert!(parse(wanted, &[]).unwrap().check_address().is_ok());
        let guarded = "[http]\nlisten = \"0.0.0.0:11380\"\npassword = \"let me in\"\n";
        assert!(parse(guarded, &[]).unwrap().check_address().is_ok());
        // Who may only not change anything may still read and scan.
        let half = "[http]\nlisten = \"0.0.0.0:11380\"\nenable_password = \"let me in\"\n";
        assert!(parse(half, &[]).unwrap().check_address().is_err());
    }

    #[test]
    fn printed_configuration_reads_back_the_same() {
        let other = "
            [http]
            listen = \"unix:/run/a \\\"b\\\".sock\"
            max_message = 1234567
            insecure = true
            secure_ip = [\"192.0.2.0/24\", \"2001:db8::/32\"]
            inline_settings = false
            connections_per_client = 7
            rate = \"100/2s\"
            keypair_file = \"/etc/calspamd/keypair\"
            encrypted_only = true
            tls.listen = \"127.0.0.1:11381\"
            tls.certificate = \"/etc/ssl/c.pem\"
            tls.key = \"/etc/ssl/k.pem\"
            [spamd]
            tls = { listen = \"[::1]:784\", certificate = \"c\", key = \"k\" }
            [rules]
            directories = [\"/one\", \"two\"]
            [dns]
            enabled = false
            servers = [\"127.0.0.1:5300\", \"[2001:db8::53]:54\"]
            budget = \"900ms\"
            max_questions = 9
            [limits]
            time = \"1500ms\"
            parts = 1
            depth = 2
            components = 3
            calendar_text = \"3KiB\"
            attendees = 4
            line = 5
            instances = 6
            urls = 7
            [site]
            domains = [\"corp.example\"]
            trusted_authserv_ids = [\"mx.example.com\"]
            trusted_networks = [\"192.0.2.0/24\", \"2001:db8::1\"]
            welcome_organizers = [\"ann@partner.example\", \"partner.test\"]
            block_addresses = [\"/etc/a\"]
            block_urls = [\"/etc/u\", \"v\"]
            [reputation]
            store = \"redis://192.0.2.1:6379/3\"
            state = \"/srv/calspamd\"
            secret_file = \"/etc/calspamd/secret\"
            provenance = \"full\"
            learn = false
            rates.organizer = \"7/2h\"
            rates.recipient = \"0/1d\"
            keep.campaigns = \"3d\"
            budget = \"50ms\"
            max_size = \"2GiB\"
            half_life = \"7d\"
            [actions]
            greylist = false
            add_header = 5.5
            quarantine = 10
            reject = false
            discard = 30
            [policy]
            auto_insert = \"never\"
            [log]
            level = \"debug\"
            format = \"json\"
            verbose_ids = true
            [settings.outbound]
            actions.reject = 20
            actions.greylist = false
            scores.CAL_LONG = 0
            scores.OTHER = -1.5
            symbols_disabled = [\"A\", \"B\"]
            groups_enabled = [\"content\"]
            [settings.\"for us\"]
        ";
        for text in ["", other] {
            let config = parse(text, &[]).unwrap();
            let printed = config.print();
            let again = parse(&printed, &[]).unwrap_or_else(|e| panic!("{e}\n{printed}"));
            assert_eq!(format!("{again:?}"), format!("{config:?}"), "{printed}");
        }
    }

    #[test]
    fn the_password_is_not_shown() {
        let config = parse("[http]\nenable_password = \"let me in\"\n", &[]).unwrap();
        let password = config.http.enable_password.as_ref().unwrap();
        assert_eq!(password.plain(), Some("let me in"));
        assert!(!config.print().contains("let me in"));
        assert!(config.print().contains("# enable_password is set"));
        assert!(!format!("{config:?}").contains("let me in"));
        let empty = parse("[http]\nenable_password = \"\"\n", &[]).unwrap();
        assert_eq!(empty.http.enable_password, None);
    }

    #[test]
    fn a_named_file_must_exist() {
        let missing = Path::new("/nonexistent/calspamd.toml");
        let error = Config::read(Some(missing), []).unwrap_err().to_string();
        assert!(error.starts_with("cannot read /nonexistent/calspamd.toml: "), "{error}");
    }
}
