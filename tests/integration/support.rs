//! What several topics need: the stock rules, the fixtures with the time and envelope they
//! were sent with, and a running service to talk to.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use calspamd::config::Config;
use calspamd::lists::Lists;
use calspamd::message::{self, Envelope};
use calspamd::rules::{self, File, Files, RuleSet};
use calspamd::scan::{self, Outcome, Request};
use calspamd::server::{Address, Application, Scan, Settings, State};
use calspamd::site::Site;
use chrono::{DateTime, NaiveDateTime};
use serde::Deserialize;
use serde_json::Value;

use crate::history::Section;

/// Time of a scan whose message does not say when it was sent.
const NO_DATE: &str = "2026-11-20T12:00:00Z";

/// A path below the root of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The folder of the collection of real mails; none, said once a test, where it is not at hand.
pub(crate) fn corpus() -> Option<PathBuf> {
    let folder = std::env::var_os("CALSPAMD_CORPUS")
        .map_or_else(|| repository("../shared/corpus"), PathBuf::from);
    if !folder.is_dir() {
        println!("no corpus at {}: nothing of it is tested", folder.display());
        return None;
    }
    Some(folder)
}

/// The messages of a folder of fixtures, by name.
pub(crate) fn messages(folder: &str) -> Vec<PathBuf> {
    let folder = repository("tests/messages").join(folder);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_none_or(|ending| ending != "toml"))
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "no fixtures in {}", folder.display());
    paths
}

/// A file's name without the folder.
pub(crate) fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The stock rules, loaded once.
pub(crate) fn stock() -> &'static RuleSet {
    static STOCK: OnceLock<RuleSet> = OnceLock::new();
    STOCK.get_or_init(|| load(&rules::built_in()))
}

/// Rules of one file.
pub(crate) fn rule_set(text: &str) -> RuleSet {
    let file = File { name: "test.cf".to_owned(), text: text.to_owned() };
    load(&Files { rules: vec![file], ..Files::default() })
}

/// Loads rules that have no mistake.
pub(crate) fn load(files: &Files) -> RuleSet {
    match rules::load(files) {
        Ok(loaded) => loaded.rules,
        Err(diagnostics) => {
            let shown: Vec<String> = diagnostics.iter().map(ToString::to_string).collect();
            panic!("{}", shown.join("\n\n"))
        }
    }
}

/// Seconds since 1970 of a time as RFC 3339 writes it.
pub(crate) fn seconds(time: &str) -> i64 {
    DateTime::parse_from_rfc3339(time).unwrap().timestamp()
}

/// What a fixture's `.toml` says of its delivery.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Delivery {
    ip: Option<std::net::IpAddr>,
    helo: Option<String>,
    from: Option<String>,
    rcpt: Option<Vec<String>>,
    /// `Authentication-Results` that the caller vouches for.
    authentication_results: Option<Vec<String>>,
    now: Option<String>,
    /// The section `[site]` of the configuration.
    #[serde(default)]
    site: toml::Table,
    /// What DNS would answer: the whole name asked for, and its addresses.
    listings: Option<HashMap<String, Vec<Ipv4Addr>>>,
    /// What a store or a calendar server would know.
    history: Option<Section>,
    /// Authenticated user who sends it.
    user: Option<String>,
}

impl Delivery {
    /// What stands beside a message, if anything does.
    fn of(message: &Path) -> Self {
        let beside = message.with_extension("toml");
        let Ok(text) = std::fs::read_to_string(&beside) else { return Self::default() };
        toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", beside.display()))
    }
}

/// The request a mail system would make for a stored message, at the time it was sent.
pub(crate) fn request_for(path: &Path, bytes: &[u8]) -> Request {
    let delivery = Delivery::of(path);
    let bare = path.extension().is_some_and(|ending| ending == "ics");
    let envelope = Envelope {
        client_ip: delivery.ip,
        helo: delivery.helo,
        sender: delivery.from,
        user: delivery.user,
        recipients: delivery.rcpt.unwrap_or_default(),
        authentication_results: delivery.authentication_results.unwrap_or_default(),
        ..Envelope::default()
    };
    let now = delivery.now.map_or_else(|| time_of(bytes, bare), |time| seconds(&time));
    let history = delivery.history.map(Section::history).unwrap_or_default();
    Request { envelope, bare, now, history, ..Request::default() }
}

/// When a message was sent: its Date, else its newest DTSTAMP.
fn time_of(bytes: &[u8], bare: bool) -> i64 {
    let settings = message::Settings::default();
    let message = message::parse(bytes, bare, &Envelope::default(), &settings);
    let stamps = || {
        let lines = message.calendar_parts.iter().flat_map(|part| part.text.lines());
        lines.filter_map(|line| {
            let time = line.strip_prefix("DTSTAMP:")?.trim_end_matches('Z');
            let time = NaiveDateTime::parse_from_str(time, "%Y%m%dT%H%M%S").ok()?;
            Some(time.and_utc().timestamp())
        })
    };
    message.date.or_else(|| stamps().max()).unwrap_or_else(|| seconds(NO_DATE))
}

/// Scans a stored message with the stock rules, as it was delivered.
pub(crate) fn scan_file(path: &Path) -> Outcome {
    let bytes = std::fs::read(path).unwrap();
    scan::scan(&bytes, &request_for(path, &bytes), stock(), &settings_for(path))
}

/// Settings of the site that a stored message was delivered to: lists say what its `.toml` says,
/// else nobody is asked.
pub(crate) fn settings_for(path: &Path) -> scan::Settings {
    let Delivery { site, listings, .. } = Delivery::of(path);
    let site =
        toml::to_string(&toml::Table::from_iter([("site".to_owned(), site.into())])).unwrap();
    let config = Config::parse(path, &site, []).unwrap_or_else(|error| panic!("{error}"));
    let lists = listings.map(Lists::stated).unwrap_or_default();
    scan::Settings { site: Site::open(config.site).unwrap(), lists, ..config.scan }
}

/// Scans with the settings that nobody has changed.
pub(crate) fn scan(bytes: &[u8], request: &Request, rules: &RuleSet) -> Outcome {
    scan::scan(bytes, request, rules, &scan::Settings::default())
}

/// A scan that takes its time, for what happens meanwhile.
pub(crate) fn slow_scan(
    bytes: &[u8],
    request: &Request,
    rules: &RuleSet,
    settings: &scan::Settings,
) -> Outcome {
    thread::sleep(Duration::from_millis(700));
    scan::scan(bytes, request, rules, settings)
}

/// Names of the symbols that hit.
pub(crate) fn symbols(outcome: &Outcome) -> Vec<&str> {
    outcome.verdict.symbols.iter().map(|symbol| &*symbol.hit.symbol).collect()
}

/// Score and symbols in a line, for messages of failures.
pub(crate) fn summary(outcome: &Outcome) -> String {
    let shown = |symbol: &calspamd::verdict::Symbol| {
        let evidence: Vec<String> = symbol
            .hit
            .evidence
            .iter()
            .map(|evidence| format!("{}: {}", evidence.place, evidence.text))
            .collect();
        format!("\n      {} {:.2} [{}]", symbol.hit.symbol, symbol.score, evidence.join("; "))
    };
    let symbols: String = outcome.verdict.symbols.iter().map(shown).collect();
    format!("{:.2}{symbols}", outcome.verdict.score)
}

/// Fails with everything that was found at once.
#[track_caller]
pub(crate) fn assert_none(failures: &[String]) {
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

/// A calendar around content lines of one event, or of several.
pub(crate) fn calendar(method: &str, events: &[&str]) -> String {
    use std::fmt::Write as _;
    let mut text =
        format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Example//EN\r\nMETHOD:{method}\r\n");
    for (number, lines) in events.iter().enumerate() {
        let lines = lines.replace('\n', "\r\n");
        write!(
            text,
            "BEGIN:VEVENT\r\nUID:u{number}@sender.example\r\nDTSTAMP:20261120T100000Z\r\n\
             DTSTART:20261121T100000Z\r\nDTEND:20261121T110000Z\r\n\
             ORGANIZER:mailto:ann@sender.example\r\n{lines}\r\nEND:VEVENT\r\n"
        )
        .unwrap();
    }
    text + "END:VCALENDAR\r\n"
}

/// A mail with a calendar in it.
pub(crate) fn mail(subject: &str, calendar: &str) -> String {
    format!(
        "From: ann@sender.example\r\nTo: bob@rcpt.example\r\nSubject: {subject}\r\n\
         Message-ID: <m1@sender.example>\r\nDate: Fri, 20 Nov 2026 10:00:00 +0000\r\n\
         MIME-Version: 1.0\r\n\
         Content-Type: text/calendar; method=REQUEST; charset=utf-8\r\n\r\n{calendar}"
    )
}

/// Base64 in lines of 76 characters.
pub(crate) fn base64(octets: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for (index, piece) in octets.chunks(3).enumerate() {
        let bits = piece.iter().fold(0_usize, |bits, byte| (bits << 8) | usize::from(*byte));
        let bits = bits << (8 * (3 - piece.len()));
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place)) & 63];
            out.push(if place > piece.len() { '=' } else { char::from(digit) });
        }
        if index % 19 == 18 {
            out.push_str("\r\n");
        }
    }
    out
}

/// A running service.
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<std::io::Result<()>>>,
}

impl Service {
    /// A service with these rules.
    pub(crate) fn start(rules: RuleSet) -> Self {
        Self::with(test_settings(), state(rules, scan::scan))
    }

    pub(crate) fn with(settings: Settings, state: Arc<State>) -> Self {
        Self::of(Application::build(settings, state).unwrap())
    }

    /// The same of an application that is bound already.
    pub(crate) fn of(application: Application) -> Self {
        let address = match application.address() {
            Address::Tcp(address) => *address,
            Address::Unix(_) => SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = until(Arc::clone(&stop));
        let thread = Some(thread::spawn(move || application.serve(stopped)));
        Self { address, stop, thread }
    }

    pub(crate) fn connect(&self) -> TcpStream {
        connect(self.address)
    }

    /// Sends bytes on a connection of their own and reads one reply.
    pub(crate) fn ask(&self, request: &[u8]) -> Reply {
        ask(self.address, request)
    }

    pub(crate) fn post(&self, path: &str, headers: &str, body: &str) -> Reply {
        self.ask(&post(path, headers, body.as_bytes()))
    }

    /// Tells the service to stop, and waits until it has.
    pub(crate) fn stop(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap().unwrap();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

async fn until(flag: Arc<AtomicBool>) {
    while !flag.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Settings with any free port.
pub(crate) fn test_settings() -> Settings {
    Settings { listen: "127.0.0.1:0".parse().unwrap(), ..Settings::default() }
}

/// What requests share.
pub(crate) fn state(rules: RuleSet, scan: Scan) -> Arc<State> {
    let mut state = State::new(rules, scan::Settings::default()).unwrap();
    state.scan = scan;
    Arc::new(state)
}

/// Ends a program as an administrator does: with its workers, which a kill would leave behind.
pub(crate) fn terminate(child: &mut Child) {
    drop(Command::new("kill").arg(child.id().to_string()).status());
    for _ in 0..100 {
        if matches!(child.try_wait(), Ok(Some(_))) {
            return;
        }
        thread::sleep(Duration::from_millis(50));
    }
    drop(child.kill());
    drop(child.wait());
}

/// An address where nobody listens.
pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

/// A connection that does not wait for ever.
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// Sends bytes on a connection of their own and reads one reply. A service that refuses a
/// message may stop reading it, so not all of the request need arrive.
pub(crate) fn ask(address: SocketAddr, request: &[u8]) -> Reply {
    let mut stream = connect(address);
    let sent = stream.write_all(request);
    let reply = Reply::read(&mut stream);
    if let Err(error) = sent {
        assert_ne!(reply.status, 200, "{error}");
    }
    reply
}

/// A request with a body.
pub(crate) fn post(path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head =
        format!("POST {path} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

/// Reads the head of a request or a reply, up to the empty line or to where it is cut off.
pub(crate) fn read_head(stream: &mut impl Read) -> Vec<u8> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
        head.extend(byte);
    }
    head
}

/// The value of a header.
pub(crate) fn field<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

/// Runs spamc over a mail, which it need not read where it has no use for it.
pub(crate) fn spamc(arguments: &[&str], mail: &str) -> Output {
    let mut child = Command::new("spamc")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|_| panic!("spamc is missing: run `make tools`"));
    drop(child.stdin.take().unwrap().write_all(mail.as_bytes()));
    child.wait_with_output().unwrap()
}

/// A mail of a text and another part, of this type and with more headers if there are any.
pub(crate) fn with_part(kind: &str, more: &str, body: &str) -> String {
    format!(
        "From: ann@sender.example\r\nSubject: x\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\
         \r\nhello\r\n--b\r\nContent-Type: {kind}\r\n{more}\r\n{body}\r\n--b--\r\n"
    )
}

/// A reply, taken apart.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn read(stream: &mut impl Read) -> Self {
        let bytes = read_head(stream);
        assert!(bytes.ends_with(b"\r\n\r\n"), "{}", String::from_utf8_lossy(&bytes));
        let head = String::from_utf8(bytes).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut reply = Self { status, head, body: String::new() };
        let length = reply.header("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        stream.read_exact(&mut body).unwrap();
        reply.body = String::from_utf8(body).unwrap();
        reply
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}
