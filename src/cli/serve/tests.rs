//! Each setting that a reload can change reaches the running service, and each other one does not.

use std::any::Any;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::cli::Color;
use crate::config::{Effect, SETTINGS};
use crate::rules::{Files, RuleSet};
use crate::server::Reloaded;
use crate::server::keys::KeyPair;

/// Nothing that would outlive the test.
const BASE: &str = "[reputation]\nstore = \"memory\"\n";

/// A service that began with [`BASE`], or more, and reads a file of the test's.
struct Running {
    folder: PathBuf,
    state: State,
    /// What is logged.
    switch: log::Switch,
    _log: Box<dyn Any>,
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.folder));
    }
}

impl Running {
    fn start(started: &str) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("calspamd-serve-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        let common = Common {
            config: Some(folder.join("calspamd.toml")),
            rules: Vec::new(),
            no_dns: false,
            no_stock_rules: true,
            state: None,
            http: None,
            spamd: None,
            color: Color::Never,
        };
        fs::write(folder.join("calspamd.toml"), started).unwrap();
        let config = crate::cli::configuration(&common).unwrap();
        let (switch, log) = log::Switch::alone();
        let again = Again { common, started: config.clone(), switch: switch.clone() };
        let mut scan = config.scan;
        let clock: crate::reputation::Clock = Arc::new(|| 0);
        scan.reputation = Reputation::start(&config.reputation, clock).unwrap().0;
        let state = State::new(no_rules(), scan)
            .unwrap()
            .with_source(Box::new(move |running| again.read(running).map_err(refusal)));
        let running = Self { folder, state, switch, _log: Box::new(log) };
        running.reload(started).unwrap();
        running
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.folder.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        format!("{:?}", path.display().to_string())
    }

    fn reload(&self, text: &str) -> Result<Reloaded, Refusal> {
        self.write("calspamd.toml", text);
        self.state.reload().unwrap()
    }

    /// All that is in force, but for what is secret.
    fn shown(&self) -> String {
        format!("{:?} {}", self.state, self.switch.shown())
    }
}

fn no_rules() -> RuleSet {
    crate::rules::load(&Files::default()).unwrap().rules
}

/// A file with one key more, which stands in the table that its name says.
fn with(base: &str, name: &str, value: &str) -> String {
    let (section, key) = name.split_once('.').unwrap();
    let (section, key) = match key.strip_prefix("NAME.") {
        Some(key) => (format!("{section}.NAME"), key),
        None => (section.to_owned(), key),
    };
    let head = format!("[{section}]\n");
    let line = format!("{key} = {value}\n");
    match base.split_once(&head) {
        Some((before, rest)) => format!("{before}{head}{line}{rest}"),
        None => format!("{base}{head}{line}"),
    }
}

/// Settings whose effect is not in what [`Running::shown`] shows: certificates are tested where
/// TLS is spoken, and the last one below.
const ELSEWHERE: [&str; 7] = [
    "http.tls.listen",
    "http.tls.certificate",
    "http.tls.key",
    "spamd.tls.listen",
    "spamd.tls.certificate",
    "spamd.tls.key",
    "http.insecure",
];

/// Another value than the default, as the file has it.
fn other_value(running: &Running, name: &str) -> String {
    let short = name.strip_prefix("settings.NAME.").unwrap_or(name);
    let value = match short {
        "http.listen" | "spamd.listen" => "\"127.0.0.1:1\"",
        "http.max_message" | "http.max_in_flight" | "limits.calendar_text" | "limits.line" => {
            "\"1KiB\""
        }
        "reputation.max_size" => "\"1GB\"",
        "http.password" | "http.enable_password" => "\"let me in\"",
        "http.secure_ip" | "spamd.allowed_ips" | "site.trusted_networks" => "[\"192.0.2.0/24\"]",
        "http.inline_settings" | "spamd.allow_tell" | "reputation.learn" => "false",
        "http.connections_per_client" | "spamd.report_safe" | "dns.max_questions" => "1",
        "http.rate" => "\"3/1s\"",
        "http.file_folders" => "[\"/srv/mail\"]",
        "http.keypair" => return format!("{:?}", KeyPair::generate().unwrap().write()),
        "http.keypair_file" => {
            return running.write("pair", &KeyPair::generate().unwrap().write());
        }
        "spamd.required_score" => "7.5",
        "rules.directories" => {
            fs::create_dir_all(running.folder.join("rules")).unwrap();
            running.write("rules/a.cf", "calendar SITE_A exists:summary\ndescribe SITE_A a\n");
            return format!("[{:?}]", running.folder.join("rules").display().to_string());
        }
        "dns.servers" => "[\"127.0.0.1:1\"]",
        "dns.budget" | "reputation.budget" | "limits.time" => "\"7ms\"",
        "reputation.store" => "\"none\"",
        "reputation.state" | "reputation.secret_file" => "\"/srv/calspamd\"",
        "reputation.provenance" => "\"full\"",
        "reputation.half_life" => "\"1h\"",
        "site.domains" | "site.welcome_organizers" => "[\"corp.example\"]",
        "site.trusted_authserv_ids" => "[\"mx.corp.example\"]",
        "site.block_addresses" => return format!("[{}]", running.write("list", "bad.example\n")),
        "site.block_urls" => return format!("[{}]", running.write("urls", "bad.example\n")),
        "policy.auto_insert" => "\"never\"",
        "log.level" => "\"debug\"",
        "log.format" => "\"json\"",
        "log.verbose_ids" | "http.encrypted_only" | "dns.enabled" => "true",
        "scores" => "{ SITE_A = 3 }",
        "symbols_disabled" | "groups_disabled" | "symbols_enabled" | "groups_enabled" => "[\"A\"]",
        _ if short.starts_with("reputation.rates.") => "\"5/1m\"",
        _ if short.starts_with("reputation.keep.") => "\"2h\"",
        _ if short.starts_with("limits.") => "2",
        _ if short.starts_with("actions.") => "77",
        _ => panic!("{name}: say here what it can be"),
    };
    value.to_owned()
}

#[test]
fn each_setting_reaches_the_service_with_a_reload_or_waits_for_the_start() {
    let running = Running::start(BASE);
    for setting in SETTINGS {
        let name = setting.name;
        if ELSEWHERE.contains(&name) {
            continue;
        }
        // What has an effect only beside another setting.
        let base = match name {
            "http.encrypted_only" => {
                let pair = running.write("pair", &KeyPair::generate().unwrap().write());
                with(BASE, "http.keypair_file", &pair)
            }
            "dns.enabled" => with(&with(BASE, "dns.servers", "[\"127.0.0.1:1\"]"), name, "false"),
            "dns.budget" | "dns.max_questions" => with(BASE, "dns.servers", "[\"127.0.0.1:1\"]"),
            _ => BASE.to_owned(),
        };
        assert_eq!(running.reload(&base).unwrap().waiting, Vec::<&str>::new(), "{name}");
        let before = running.shown();
        let value = other_value(&running, name);
        let text = if matches!(name, "dns.enabled" | "reputation.store") {
            let (key, old) = match name {
                "dns.enabled" => ("enabled", "false"),
                _ => ("store", "\"memory\""),
            };
            base.replace(&format!("{key} = {old}"), &format!("{key} = {value}"))
        } else {
            with(&base, name, &value)
        };
        let reloaded = running.reload(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let after = running.shown();
        match setting.effect() {
            Effect::Reload => {
                assert_ne!(before, after, "{name} = {value} has no effect");
                assert_eq!(reloaded.waiting, Vec::<&str>::new(), "{name}");
            }
            Effect::Start => {
                assert_eq!(before, after, "{name} = {value} has an effect");
                assert_eq!(reloaded.waiting, [name]);
            }
        }
        // And back again.
        running.reload(&base).unwrap();
        assert_eq!(running.shown(), before, "{name}");
    }
}

/// The reason of a refusal that changed nothing.
#[track_caller]
fn refused(running: &Running, text: &str) -> Refusal {
    let before = running.shown();
    let refusal = running.reload(text).unwrap_err();
    assert_eq!(running.shown(), before);
    refusal
}

#[test]
fn a_reload_may_not_open_what_the_start_would_not() {
    #[track_caller]
    fn check(started: &str, written: &str, key: &str) {
        let running = Running::start(&format!("{BASE}{started}"));
        match refused(&running, &format!("{BASE}{written}")) {
            Refusal::Configuration(error) => assert!(error.starts_with(key), "{error}"),
            other @ (Refusal::Rules(_) | Refusal::Files(_)) => panic!("{other}"),
        }
    }
    const PUBLIC: &str = "[http]\nlisten = \"0.0.0.0:1\"\n";
    check(&format!("{PUBLIC}password = \"x\"\n"), PUBLIC, "http.listen: ");
    check(&format!("{PUBLIC}insecure = true\n"), PUBLIC, "http.listen: ");
    // The service goes on to listen where it began, whatever the file says of the address now.
    check(&format!("{PUBLIC}password = \"x\"\n"), "", "http.listen: ");
    check("", PUBLIC, "http.listen: ");
    let spamd = "[spamd]\nlisten = \"0.0.0.0:1\"\n";
    check(&format!("{spamd}allowed_ips = [\"192.0.2.1\"]\n"), "", "spamd.listen: ");
    check(&format!("{spamd}allowed_ips = [\"192.0.2.1\"]\n"), spamd, "spamd.listen: ");
}

#[test]
fn mistakes_change_nothing_and_say_where_they_are() {
    let running = Running::start(BASE);
    let text = |addition: &str| format!("{BASE}{addition}");
    let list = running.write("list", "no address at all\n");
    for (addition, expected) in [
        ("[actions\n", "calspamd.toml:3:9: "),
        ("[actions]\nreject = 3\n[limits]\ntime = \"soon\"\n", "calspamd.toml:6:8: limits.time: "),
        ("[http]\nencrypted_only = true\n", "http.encrypted_only: "),
        ("[http]\nkeypair = \"x\"\n", "http.keypair: "),
        ("[http]\nkeypair_file = \"/nonexistent/pair\"\n", "cannot read /nonexistent/pair: "),
        ("[rules]\ndirectories = [\"/nonexistent\"]\n", "cannot read /nonexistent: "),
        ("[site]\nblock_urls = [\"/nonexistent\"]\n", "cannot read /nonexistent: "),
        (&format!("[site]\nblock_addresses = [{list}]\n"), "list: line 1: "),
    ] {
        let refusal = refused(&running, &text(addition)).to_string();
        assert!(refusal.contains(expected), "{addition}: {refusal}");
    }
    fs::remove_file(running.folder.join("calspamd.toml")).unwrap();
    let refusal = running.state.reload().unwrap().unwrap_err();
    assert!(matches!(refusal, Refusal::Files(_)), "{refusal}");
    // Mended.
    assert_eq!(running.reload(&text("[actions]\nreject = 3\n")).unwrap().waiting.len(), 0);
}

#[test]
fn caches_and_the_store_go_on() {
    let dns = |more: &str| format!("{BASE}[dns]\nservers = [\"127.0.0.1:1\"]\n{more}");
    let running = Running::start(&dns(""));
    let lists = || running.state.settings().lists.clone();
    let first = lists();
    running.reload(&dns("max_questions = 3\nbudget = \"9ms\"\n")).unwrap();
    assert!(lists().shares(&first) && lists().most() == 3);
    let memory = running.state.settings();
    running.reload(&dns("").replace(":1\"", ":2\"")).unwrap();
    assert!(!lists().shares(&first));
    assert!(running.state.settings().reputation.shares(&memory.reputation));
    running.reload(&dns("enabled = false\n")).unwrap();
    assert!(!lists().is_on());
}
