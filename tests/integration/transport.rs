//! Requests that nobody on the way can read: Rspamd's `HTTPCrypt`, and TLS on both listeners, with
//! rspamc, curl and spamc at the other end.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use calspamd::protocol::rspamd::crypt;
use calspamd::rules;
use calspamd::server::keys::{Hidden, KeyPair, Source, Tls};
use calspamd::server::{Address, Application, Fresh, Refusal, Settings, State, spamd};

use crate::cli::{Folder, calspamd, err, json, ok, out};
use crate::dialect::ask;
use crate::room::{part_of_a_body, until_taken};
use crate::support::{
    self, Reply, Service, calendar, load, mail, post, rule_set, state, test_settings,
};

fn invitation() -> String {
    mail("Payment", &calendar("REQUEST", &["SUMMARY:x\nATTACH:\\\\203.0.113.7\\share\\x"]))
}

fn pair_of(text: &str) -> Settings {
    Settings { keypair: Some(Source::Text(Hidden(text.to_owned()))), ..test_settings() }
}

fn stock(settings: Settings) -> Service {
    Service::with(settings, state(load(&rules::built_in()), calspamd::scan::scan))
}

/// Somebody who sends envelopes, and what he shares with the service.
struct Sender {
    secret: crypt::Secret,
    header: String,
}

impl Sender {
    fn new(service: &KeyPair) -> Self {
        let own = KeyPair::generate().unwrap();
        let header = format!("{}={}", service.short_id(), own.public());
        // Both sides come to the same secret, so the service's own half will do.
        let secret = service.shared_with(header.as_bytes()).unwrap();
        Self { secret, header }
    }

    fn envelope(&self, inner: &[u8]) -> Vec<u8> {
        self.secret.seal(inner).unwrap()
    }

    /// Sends a request in an envelope; gives the reply around, and the one inside.
    fn ask(&self, service: &Service, headers: &str, inner: &[u8]) -> (u16, String, Option<Reply>) {
        let headers = format!("{headers}Connection: close\r\nKey: {}\r\n", self.header);
        let reply = ask(service, &post("/post", &headers, &self.envelope(inner)));
        let inside = (reply.status == 200).then(|| {
            let text = self.secret.open(&reply.body).unwrap();
            Reply::read(&mut text.as_slice())
        });
        (reply.status, reply.head, inside)
    }

    #[track_caller]
    fn inside(&self, service: &Service, inner: &[u8]) -> Reply {
        self.ask(service, "", inner).2.unwrap()
    }
}

fn run(program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    output.unwrap_or_else(|_| panic!("{program} is missing: run `make tools`"))
}

#[test]
fn rspamc_reaches_us_encrypted() {
    let folder = Folder::new();
    let file = folder.write("mail.eml", &invitation());
    // Keys of ours, and of Rspamd.
    let ours = ok(&["keypair"]);
    let theirs = out(&run("rspamadm", &["keypair"]));
    for (text, other) in [(&ours, &theirs), (&theirs, &ours)] {
        let service = stock(pair_of(text));
        let address = service.address.to_string();
        let rspamc =
            |arguments: &[&str]| out(&run("rspamc", &[&["-h", &address], arguments].concat()));
        let public = KeyPair::read(text).unwrap().public();
        let clear = rspamc(&["symbols", &file]);
        let hidden = rspamc(&["--key", &public, "-i", "192.0.2.7", "symbols", &file]);
        let lines = |text: &str| {
            let wanted = |line: &&str| line.starts_with("Symbol:") || line.starts_with("Score:");
            text.lines().filter(wanted).map(str::to_owned).collect::<Vec<_>>()
        };
        assert!(clear.contains("Symbol: CAL_UNC_PATH"), "{clear}");
        assert_eq!(lines(&hidden), lines(&clear), "{hidden}");
        let stat = rspamc(&["--key", &public, "stat"]);
        assert!(stat.contains("Messages scanned: 2"), "{stat}");
        // Somebody who was given another key learns nothing, and breaks nothing.
        let other = KeyPair::read(other).unwrap().public();
        let wrong = rspamc(&["--key", &other, "symbols", &file]);
        assert!(!wrong.contains("CAL_UNC_PATH"), "{wrong}");
        assert_eq!(service.ask(b"GET /ping HTTP/1.0\r\n\r\n").status, 200);
    }
}

#[test]
fn rspamd_reads_our_keys() {
    let folder = Folder::new();
    let keys = folder.path().join("pair").display().to_string();
    let public = ok(&["keypair", "--output", &keys]);
    assert_eq!(fs::metadata(&keys).unwrap().permissions().mode() & 0o777, 0o600);
    // Its own commands for files are broken in 3.4 with any pair, so a script loads ours.
    let script = format!(
        "local parser = require('ucl').parser()\n\
         assert(parser:parse_file('{keys}'))\n\
         local pair = require('rspamd_cryptobox_keypair').load(parser:get_object())\n\
         print(require('ucl').to_format(pair:totable(), 'json-compact'))\n"
    );
    let script = folder.write("load.lua", &script);
    let loaded = json(&out(&run("rspamadm", &["lua", &script])));
    assert_eq!(loaded["keypair"]["pubkey"], public.trim());
    let id = loaded["keypair"]["id"].as_str().unwrap();
    let text = fs::read_to_string(&keys).unwrap();
    assert!(text.contains(&format!("id = \"{id}\"")), "{id}: {text}");
    // A pair that others may hold is not overwritten.
    let again = calspamd(&["keypair", "--output", &keys]);
    assert_eq!(again.status.code(), Some(1), "{}", err(&again));
}

#[test]
fn what_is_inside_counts_as_if_it_came_in_the_clear() {
    let pair = KeyPair::generate().unwrap();
    let settings = Settings { max_message: 10_000, ..pair_of(&pair.write()) };
    let service = stock(settings);
    let sender = Sender::new(&pair);
    let pong = sender.inside(&service, b"GET /PING HTTP/1.0\r\n\r\n");
    assert_eq!((pong.status, pong.body.as_str()), (200, "pong\r\n"));
    let (status, head, inside) = sender.ask(&service, "", b"GET /none HTTP/1.0\r\n\r\n");
    // From outside all replies look alike.
    assert_eq!((status, inside.unwrap().status), (200, 404), "{head}");
    assert!(head.contains("\r\ncontent-type: application/octet-stream\r\n"), "{head}");
    // Bare line feeds, as the client for Rust has it.
    let text = invitation();
    let check = format!(
        "POST /checkv2?from=a%40b.example HTTP/1.1\nIp: 192.0.2.7\nContent-Length: {}\n\n{text}",
        text.len()
    );
    let answer = sender.inside(&service, check.as_bytes()).json();
    assert!(answer["symbols"]["CAL_UNC_PATH"].is_object(), "{answer}");
    assert_eq!(answer["calendar"]["provenance"]["source_ip"], "192.0.2.7");
    // The limit on messages holds inside, and a little above it outside.
    let request = |length: usize| {
        format!("POST /checkv2 HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{}", "x".repeat(length))
    };
    assert_eq!(sender.inside(&service, request(10_000).as_bytes()).status, 200);
    assert_eq!(sender.inside(&service, request(10_001).as_bytes()).status, 413);
    assert_eq!(sender.ask(&service, "", request(300_000).as_bytes()).0, 413);
    // A bomb in an envelope is one still.
    let bomb = calspamd::protocol::compression::zstd(&vec![0; 100 << 20]).unwrap();
    let head = format!(
        "POST /checkv2 HTTP/1.1\r\nCompression: zstd\r\nContent-Length: {}\r\n\r\n",
        bomb.len()
    );
    assert_eq!(sender.inside(&service, &[head.as_bytes(), &bomb].concat()).status, 413);
}

#[test]
fn an_envelope_takes_room_twice_while_it_is_opened() {
    let pair = KeyPair::generate().unwrap();
    let service = stock(Settings { max_in_flight: 400_000, ..pair_of(&pair.write()) });
    let sender = Sender::new(&pair);
    let request = |length: usize| {
        format!("POST /checkv2 HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{}", "x".repeat(length))
    };
    let other = part_of_a_body(2, service.address, 200_000, 150_000);
    until_taken(service.address, 150_000);
    assert_eq!(sender.inside(&service, request(100_000).as_bytes()).status, 200);
    assert_eq!(sender.ask(&service, "", request(140_000).as_bytes()).0, 503);
    drop(other);
    until_taken(service.address, 0);
    assert_eq!(sender.inside(&service, request(140_000).as_bytes()).status, 200);
    // What nobody reads is given back, too.
    let unread = request(140_000).replace("POST /checkv2", "POST /ping");
    assert_eq!(sender.inside(&service, unread.as_bytes()).status, 200);
    until_taken(service.address, 0);
}

#[test]
fn envelopes_that_cannot_be_opened_are_refused() {
    let pair = KeyPair::generate().unwrap();
    let service = stock(pair_of(&pair.write()));
    let sender = Sender::new(&pair);
    let good = sender.envelope(b"GET /ping HTTP/1.0\r\n\r\n");
    let mut changed = good.clone();
    changed[30] ^= 1;
    let stranger = KeyPair::generate().unwrap();
    let other_key = format!("{}={}", stranger.short_id(), stranger.public());
    for (key, body, error) in [
        (sender.header.as_str(), changed.as_slice(), "cannot decrypt: the code is wrong"),
        (&sender.header, &good[..39], "cannot decrypt: the code is wrong"),
        (&sender.header, b"", "cannot decrypt: the code is wrong"),
        (&other_key, &good, "encrypted for another key"),
        ("", &good, "the header Key is not understood"),
        ("a=b", &good, "the header Key is not understood"),
        (&sender.header, &sender.envelope(b"no request"), "no request inside"),
        (&sender.header, &sender.envelope(b"G\xffT / HTTP/1.0\r\n\r\n"), "no request inside"),
        (&sender.header, &sender.envelope(b"GET  HTTP/1.0\r\n\r\n"), "no request inside"),
    ] {
        let reply = service.ask(&post("/post", &format!("Key: {key}\r\n"), body));
        assert_eq!(reply.status, 400, "{key}: {reply:?}");
        assert_eq!(reply.json()["error"], error, "{key}");
    }
    let metrics = service.ask(b"GET /metrics HTTP/1.0\r\n\r\n").body;
    assert!(metrics.contains("reason=\"encryption\"} 9"), "{metrics}");
    assert!(metrics.contains("calspamd_panics_total 0"), "{metrics}");
    // Without keys nobody knows what an envelope is.
    let without = stock(test_settings());
    let reply = without.ask(&post("/post", &format!("Key: {}\r\n", sender.header), &good));
    assert_eq!(reply.status, 404);
}

#[test]
fn connections_are_kept() {
    let pair = KeyPair::generate().unwrap();
    let service = stock(pair_of(&pair.write()));
    let sender = Sender::new(&pair);
    let mut stream = service.connect();
    for _ in 0..3 {
        let envelope = sender.envelope(b"GET /ping HTTP/1.1\r\n\r\n");
        let headers = format!("Key: {}\r\n", sender.header);
        stream.write_all(&post("/post", &headers, &envelope)).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut octet = [0];
            stream.read_exact(&mut octet).unwrap();
            head.extend(octet);
        }
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n"), "{head}");
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let mut body = vec![0; length.unwrap().parse().unwrap()];
        stream.read_exact(&mut body).unwrap();
        let inside = Reply::read(&mut sender.secret.open(&body).unwrap().as_slice());
        assert_eq!(inside.body, "pong\r\n");
    }
}

/// Who brings an envelope for somebody else cannot hide that in it.
#[test]
fn an_envelope_gives_no_rights() {
    let pair = KeyPair::generate().unwrap();
    let state = State::new(rule_set(""), calspamd::scan::Settings::default())
        .unwrap()
        .with_source(Box::new(|_| Err(Refusal::Files("asked".to_owned()))));
    let settings = Settings { encrypted_only: true, ..pair_of(&pair.write()) };
    let service = Service::with(settings, Arc::new(state));
    let sender = Sender::new(&pair);
    let reload = b"POST /reload HTTP/1.1\r\n\r\n";
    assert_eq!(sender.inside(&service, reload).status, 500, "asked");
    let brought = sender.ask(&service, "X-Forwarded-For: 192.0.2.9\r\n", reload).2.unwrap();
    assert_eq!(brought.status, 401);
    // In the clear this machine itself may ask, and nobody else.
    assert_eq!(service.post("/ping", "", "").status, 200);
    let reply = service.post("/ping", "X-Forwarded-For: 192.0.2.9\r\n", "");
    assert_eq!((reply.status, &reply.json()["error"]), (400, &"Encryption required".into()));
}

#[test]
fn the_configuration_check_names_the_key_and_the_mistake() {
    let folder = Folder::new();
    let keys = folder.path().join("pair").display().to_string();
    let public = ok(&["keypair", "--output", &keys]);
    let config = folder.write("calspamd.toml", &format!("[http]\nkeypair_file = \"{keys}\"\n"));
    let checked = ok(&["config", "check", "--config", &config]);
    assert!(checked.contains(&format!("public key: {public}")), "{checked}");
    let fails = |text: &str, expected: &str| {
        let config = folder.write("bad.toml", text);
        let output = calspamd(&["config", "check", "--config", &config]);
        assert_eq!(output.status.code(), Some(2), "{text}: {}", out(&output));
        assert!(err(&output).contains(expected), "{text}: {}", err(&output));
        let output = calspamd(&["serve", "--config", &config]);
        assert_eq!(output.status.code(), Some(2), "{text}: {}", err(&output));
    };
    fails("[http]\nkeypair_file = \"/none\"\n", "cannot read /none");
    fails("[http]\nkeypair = \"abc\"\n", "http.keypair: there is no `privkey`");
    fails("[http]\nencrypted_only = true\n", "there is no key to encrypt for");
    let tls =
        "[spamd]\ntls = { listen = \"127.0.0.1:0\", certificate = \"/none\", key = \"/n\" }\n";
    fails(tls, "cannot read /none");
    fails("[http]\ntls = { listen = \"127.0.0.1:0\" }\n", "missing field `certificate`");
    fs::set_permissions(&keys, Permissions::from_mode(0o644)).unwrap();
    fails(&format!("[http]\nkeypair_file = \"{keys}\"\n"), "others of this machine may read");
}

/// A certificate for this machine with its key, both made now.
pub(crate) fn make_certificate(folder: &Folder, name: &str) -> (PathBuf, PathBuf) {
    let path = |ending: &str| folder.path().join(format!("{name}.{ending}"));
    let (certificate, key) = (path("crt"), path("key"));
    let output = run(
        "openssl",
        &[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost,IP:127.0.0.1",
            "-keyout",
            key.to_str().unwrap(),
            "-out",
            certificate.to_str().unwrap(),
        ],
    );
    assert!(output.status.success(), "{output:?}");
    (certificate, key)
}

/// A service with TLS on both listeners.
struct Secured {
    service: Service,
    http: SocketAddr,
    spamd: SocketAddr,
    certificate: PathBuf,
    key: PathBuf,
    folder: Folder,
}

impl Secured {
    fn start() -> Self {
        Self::with(test_settings())
    }

    fn with(settings: Settings) -> Self {
        let folder = Folder::new();
        let (certificate, key) = make_certificate(&folder, "one");
        let tls = Tls {
            listen: "127.0.0.1:0".parse().unwrap(),
            certificate: certificate.clone(),
            key: key.clone(),
        };
        let head_timeout = Duration::from_secs(2);
        let state = State::new(load(&rules::built_in()), calspamd::scan::Settings::default())
            .unwrap()
            .with_source(Box::new(|_| {
                rules::load(&rules::built_in()).map(Fresh::from).map_err(Refusal::Rules)
            }));
        let settings = Settings { tls: Some(tls.clone()), head_timeout, ..settings };
        let mut application = Application::build(settings, Arc::new(state)).unwrap();
        let settings = spamd::Settings { tls: Some(tls), head_timeout, ..Default::default() };
        application.add_spamd(settings).unwrap();
        let http = application.tls_address().unwrap();
        let Some(Address::Tcp(spamd)) = application.spamd_tls_address().cloned() else {
            panic!("no address")
        };
        let service = Service::of(application);
        Self { service, http, spamd, certificate, key, folder }
    }

    fn curl(&self, certificate: &Path, path: &str, more: &[&str]) -> Output {
        let url = format!("https://localhost:{}{path}", self.http.port());
        let resolve = format!("localhost:{}:127.0.0.1", self.http.port());
        let trust = certificate.to_str().unwrap();
        let fixed =
            ["--silent", "--max-time", "20", "--cacert", trust, "--resolve", &resolve, &url];
        run("curl", &[&fixed, more].concat())
    }

    fn spamc(&self, mail: &str, arguments: &[&str]) -> Output {
        let port = self.spamd.port().to_string();
        let trust = self.certificate.to_str().unwrap();
        let fixed =
            ["-d", "127.0.0.1", "-p", &port, "-x", "-t", "20", "-S", "--ssl-ca-file", trust];
        support::spamc(&[&fixed, arguments].concat(), mail)
    }
}

#[test]
fn curl_and_spamc_speak_tls() {
    let secured = Secured::start();
    let file = secured.folder.write("mail.eml", &invitation());
    let from_file = format!("@{file}");
    let more = ["--data-binary", from_file.as_str(), "-H", "Content-Type: text/plain"];
    let output = secured.curl(&secured.certificate, "/checkv2", &more);
    assert!(out(&output).contains("CAL_UNC_PATH"), "{output:?}");
    // HTTP/1.1 is all that is offered: one reader of requests is enough.
    let version = ["--http2", "-o", "/dev/null", "-w", "%{http_version}"];
    assert_eq!(out(&secured.curl(&secured.certificate, "/ping", &version)), "1.1");
    let checked = secured.spamc(&invitation().replace("\r\n", "\n"), &["-R"]);
    assert!(out(&checked).contains("CAL_UNC_PATH"), "{checked:?}");
    // The default is not to look at the certificate's name; a certificate is asked for anyway.
    let (other, _) = make_certificate(&secured.folder, "other");
    assert!(!secured.curl(&other, "/ping", &[]).status.success());
    // The port in the clear goes on.
    assert_eq!(secured.service.post("/ping", "", "").status, 200);
}

/// A client's connections count with TLS, too.
#[test]
fn nobody_takes_all_places_with_tls() {
    let secured = Secured::with(Settings { connections_per_client: 2, ..test_settings() });
    let address = secured.http.to_string();
    let connect = || {
        let mut child = Command::new("openssl")
            .args(["s_client", "-connect", &address, "-quiet", "-CAfile"])
            .arg(&secured.certificate)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.as_mut().unwrap().write_all(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        // It is connected once an answer begins.
        child.stdout.as_mut().unwrap().read_exact(&mut [0; 4]).unwrap();
        child
    };
    let works = || secured.curl(&secured.certificate, "/ping", &[]).status.success();
    assert!(works());
    let held = [connect(), connect()];
    assert!(!works());
    for mut child in held {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let end = Instant::now() + Duration::from_secs(10);
    while !works() {
        assert!(Instant::now() < end, "the places are not free again");
    }
}

#[test]
fn certificates_are_renewed_with_a_reload() {
    let secured = Secured::start();
    let works = |certificate: &Path| secured.curl(certificate, "/ping", &[]).status.success();
    let reload = || secured.service.post("/reload", "", "");
    let first = secured.folder.path().join("first");
    fs::copy(&secured.certificate, &first).unwrap();
    assert!(works(&first));

    // Half a renewal is none: the key does not belong to the certificate yet.
    let (certificate, key) = make_certificate(&secured.folder, "two");
    fs::copy(&certificate, &secured.certificate).unwrap();
    let refused = reload();
    assert_eq!(refused.status, 500, "{refused:?}");
    assert!(refused.body.contains("one.crt"), "{refused:?}");
    assert!(works(&first) && !works(&certificate));

    fs::copy(&key, &secured.key).unwrap();
    assert_eq!(reload().status, 200);
    assert!(!works(&first) && works(&certificate));
    let checked = secured.spamc(&invitation(), &["-c"]);
    assert!(out(&checked).contains('/'), "{checked:?}");
}

#[test]
fn who_never_greets_is_sent_away() {
    let secured = Secured::start();
    for address in [secured.http, secured.spamd] {
        for words in [&b""[..], b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01"] {
            let mut stream = support::connect(address);
            drop(stream.write_all(words));
            let started = Instant::now();
            let mut rest = Vec::new();
            drop(stream.read_to_end(&mut rest));
            let took = started.elapsed();
            // Two seconds by the settings; much longer is another mistake.
            assert!(took < Duration::from_secs(15), "{address}: {took:?}");
            assert!(!rest.starts_with(b"HTTP"), "{address}");
        }
    }
    assert_eq!(out(&secured.curl(&secured.certificate, "/ping", &[])), "pong\r\n");
}

#[test]
fn an_address_for_tls_needs_its_files() {
    let tls = Tls {
        listen: "127.0.0.1:0".parse().unwrap(),
        certificate: "/none".into(),
        key: "/none".into(),
    };
    let settings = Settings { tls: Some(tls), ..test_settings() };
    let state = state(rule_set(""), calspamd::scan::scan);
    let error = Application::build(settings, state).unwrap_err();
    assert!(error.to_string().contains("cannot read /none"), "{error}");
}
