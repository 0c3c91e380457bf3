//! The effective configuration, written so that it can be read again.

use std::fmt::Display;

use super::Config;
use super::values::{Requests, Size, Threshold, Time};
use crate::reputation;
use crate::server::Password;
use crate::server::keys::{Source as KeySource, Tls};
use crate::server::spamd::ReportSafe;
use crate::verdict::Profile;

/// Collects lines; a comment stands above its key.
#[derive(Default)]
struct Page(Vec<String>);

impl Page {
    fn section(&mut self, name: &str) {
        if !self.0.is_empty() {
            self.0.push(String::new());
        }
        self.0.push(format!("[{name}]"));
    }

    fn key(&mut self, key: &str, value: impl Display, comment: &str) {
        self.comment(comment);
        self.plain(key, value);
    }

    fn comment(&mut self, comment: &str) {
        self.0.push(format!("# {comment}"));
    }

    fn plain(&mut self, key: &str, value: impl Display) {
        self.0.push(format!("{key} = {value}"));
    }

    fn text(&self) -> String {
        self.0.join("\n") + "\n"
    }
}

fn text(value: impl Display) -> String {
    toml::Value::String(value.to_string()).to_string()
}

fn list(values: impl IntoIterator<Item = impl Display>) -> String {
    let values: Vec<String> = values.into_iter().map(text).collect();
    format!("[{}]", values.join(", "))
}

fn remember(page: &mut Page, settings: &reputation::Settings) {
    page.section("reputation");
    match &settings.store {
        Some(store) => page.key("store", text(store), STORE),
        None => page.comment(STORE),
    }
    page.key("state", text(settings.state.display()), "Directory of the service's state.");
    match &settings.secret_file {
        Some(path) => page.key("secret_file", text(path.display()), SECRET),
        None => page.comment(SECRET),
    }
    page.key(
        "provenance",
        text(settings.provenance.name()),
        "hashed: records can be looked up, and not read; full: they can be read.",
    );
    page.key("learn", settings.learn, "Remember what is scanned.");
    page.key("budget", text(Time(settings.budget)), "A scan waits for the store at most so long.");
    let size = usize::try_from(settings.max_size).unwrap_or(usize::MAX);
    page.key("max_size", text(Size(size)), "Largest size of the store.");
    page.key("half_life", text(Time(settings.half_life)), "Time after which a report weighs half.");
    let rates = &settings.rates;
    page.comment("NUMBER/TIME that is allowed in a window that slides; 0/1h allows any number.");
    for (key, limit) in [
        ("organizer", rates.organizer),
        ("domain", rates.domain),
        ("account", rates.account),
        ("client", rates.client),
        ("recipient", rates.recipient),
    ] {
        page.plain(&format!("rates.{key}"), text(limit));
    }
    let keep = &settings.keep;
    page.comment("How long things are remembered after they were seen last.");
    for (key, time) in [
        ("events", keep.events),
        ("contacts", keep.contacts),
        ("campaigns", keep.campaigns),
        ("reports", keep.reports),
        ("records", keep.records),
    ] {
        page.plain(&format!("keep.{key}"), text(Time(time)));
    }
}

/// A listener that speaks TLS.
fn tls(page: &mut Page, settings: Option<&Tls>) {
    page.comment(TLS);
    let Some(Tls { listen, certificate, key }) = settings else { return };
    page.plain("tls.listen", text(listen));
    page.plain("tls.certificate", text(certificate.display()));
    page.plain("tls.key", text(key.display()));
}

/// What stands above a listener that speaks TLS.
const TLS: &str = "tls.listen, tls.certificate, tls.key: TLS at a second address.";

/// What stands above the name of the keys' file.
const KEYPAIR: &str = "keypair_file: keys for Rspamd's HTTPCrypt, made by calspamd keypair.";

/// What stands above the place of the store.
const STORE: &str = "store: embedded:DIRECTORY, redis://HOST:PORT, memory, or none; without it, a \
                     file in the state directory.";

/// What stands above the name of the secret's file.
const SECRET: &str = "secret_file: makes what is kept unreadable for others; one for all \
                      instances. Made in the state directory where it is missing.";

pub(super) fn print(config: &Config) -> String {
    let Config {
        http,
        spamd,
        spamd_is_named: _,
        insecure,
        scan,
        site,
        dns,
        reputation,
        rule_directories,
        log,
    } = config;
    let mut page = Page::default();

    page.section("http");
    page.key("listen", text(&http.listen), "IP:PORT or unix:/PATH.");
    page.key("max_message", text(Size(http.max_message)), "Larger messages are refused with 413.");
    page.key(
        "max_in_flight",
        text(Size(http.max_in_flight)),
        "Memory for all messages at a time; who comes with more is asked to try again.",
    );
    page.key(
        "insecure",
        insecure,
        "Listen where other machines can connect, although nobody is asked for a password.",
    );
    let set = |password: &Option<Password>| match password {
        Some(_) => "set, and not shown",
        None => "not set",
    };
    let what = set(&http.password);
    page.comment(&format!("password is {what}: asked from whoever scans or looks from elsewhere."));
    let what = set(&http.enable_password);
    page.comment(&format!("enable_password is {what}: asked for changes from elsewhere."));
    page.key("secure_ip", list(&http.secure.written), "Who needs no password and has no limits.");
    page.key(
        "inline_settings",
        http.inline_settings,
        "Whether a request may bring its own scores and thresholds (Settings).",
    );
    page.key(
        "connections_per_client",
        http.connections_per_client,
        "Connections at a time of one client.",
    );
    page.key("rate", text(Requests(http.rate)), "Requests of one client; 0/1s: any number.");
    page.key(
        "file_folders",
        list(http.file_folders.iter().map(|folder| folder.display())),
        "Folders from which callers may name a file to scan (File, Shm).",
    );
    match &http.keypair {
        Some(KeySource::File(path)) => page.key("keypair_file", text(path.display()), KEYPAIR),
        Some(KeySource::Text(_)) => page.comment("keypair is set, and not shown."),
        None => page.comment(KEYPAIR),
    }
    page.key("encrypted_only", http.encrypted_only, "Others than this machine must use HTTPCrypt.");
    tls(&mut page, http.tls.as_ref());

    page.section("spamd");
    let listen = spamd.listen.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string);
    page.key("listen", text(listen), "spamd's protocol: IP:PORT, unix:/PATH, or none.");
    page.key("allowed_ips", list(&spamd.allowed.written), "Who may connect, beside this machine.");
    page.key(
        "required_score",
        format_args!("{:?}", spamd.required_score),
        "From here on its clients call it spam.",
    );
    page.key(
        "report_safe",
        u8::from(spamd.report_safe == ReportSafe::Attachment),
        "PROCESS: 0 adds headers to spam, 1 attaches it to a report.",
    );
    page.key("allow_tell", spamd.allow_tell, "Whether TELL may teach.");
    tls(&mut page, spamd.tls.as_ref());

    page.section("rules");
    page.key(
        "directories",
        list(rule_directories.iter().map(|path| path.display())),
        "Directories with *.cf files and lists/*.txt, read after the built-in rules.",
    );

    page.section("dns");
    page.key("enabled", dns.enabled, "Ask DNS lists; without this key, where servers are named.");
    page.key("servers", list(&dns.servers), "Resolvers, IP or IP:PORT; none: the system's.");
    page.key("budget", text(Time(dns.budget)), "A scan waits for lists at most so long.");
    page.key("max_questions", dns.most, "Questions to lists per message.");

    remember(&mut page, reputation);

    page.section("limits");
    page.key("time", text(Time(scan.limits.time)), "A scan answers with what it has after this.");
    page.key("parts", scan.message.parts, "MIME parts read.");
    page.key("depth", scan.message.depth, "Messages in messages, components in components.");
    page.key("components", scan.calendar.components, "Calendar components read per message.");
    page.key(
        "calendar_text",
        text(Size(scan.message.calendar_text)),
        "Calendar text read from one part.",
    );
    page.key("attendees", scan.calendar.attendees, "Attendees read per message.");
    page.key("line", text(Size(scan.calendar.line)), "Longest content line; longer ones are cut.");
    page.key("instances", scan.calendar.instances, "Instances of a recurrence looked at.");
    page.key("urls", scan.limits.urls, "Links read per message.");

    page.section("site");
    page.key("domains", list(&site.domains), "Your own domains, with all below them.");
    page.key(
        "trusted_authserv_ids",
        list(&scan.message.trusted_authserv_ids),
        "Authentication-Results of these servers are believed (RFC 8601).",
    );
    page.key(
        "trusted_networks",
        list(&site.trusted_networks),
        "Your own servers: what they pass on comes from inside.",
    );
    page.key(
        "welcome_organizers",
        list(&site.welcome_organizers),
        "Addresses and domains that are good when they are authenticated.",
    );
    page.key(
        "block_addresses",
        list(site.block_addresses.iter().map(|path| path.display())),
        "Files with addresses and domains of advisories, read again when they change.",
    );
    page.key(
        "block_urls",
        list(site.block_urls.iter().map(|path| path.display())),
        "Files with links, hosts and SHA-256 of links, read again when they change.",
    );

    page.section("actions");
    let thresholds = &scan.verdict.thresholds;
    page.comment("The score an action begins at, or false.");
    for (key, limit) in [
        ("greylist", thresholds.greylist),
        ("add_header", thresholds.add_header),
        ("quarantine", thresholds.quarantine),
        ("reject", thresholds.reject),
        ("discard", thresholds.discard),
    ] {
        page.plain(key, Threshold(limit));
    }

    page.section("policy");
    page.key(
        "auto_insert",
        text(scan.verdict.auto_insert.name()),
        "Which clean events may enter a calendar by themselves: all, known or never.",
    );

    page.section("log");
    page.key("level", text(log.level.name()), "off, error, warn, info, debug or trace.");
    page.key("format", text(log.format.name()), "text or json.");
    page.key("verbose_ids", log.verbose_ids, "Log and /history say whom a message was about.");
    for (name, profile) in &scan.verdict.profiles {
        print_profile(&mut page, name, profile);
    }
    page.text()
}

fn print_profile(page: &mut Page, name: &str, profile: &Profile) {
    page.section(&format!("settings.{}", text(name)));
    for (action, limit) in &profile.actions {
        page.plain(&format!("actions.{}", action.name().replace(' ', "_")), Threshold(*limit));
    }
    for (symbol, score) in &profile.scores {
        page.plain(&format!("scores.{}", text(symbol)), format_args!("{score:?}"));
    }
    for (key, names) in [
        ("symbols_disabled", &profile.symbols_disabled),
        ("groups_disabled", &profile.groups_disabled),
        ("symbols_enabled", &profile.symbols_enabled),
        ("groups_enabled", &profile.groups_enabled),
    ] {
        if !names.is_empty() {
            page.plain(key, list(names));
        }
    }
}
