//! Programs of others that speak Rspamd's protocol, in a conversation with the service: Rspamd's
//! official client for Rust, and Haraka with its plug-in.
//!
//! The client for Node.js, `rspamd-client`, is no longer on npm; its requests are sent here as it
//! sent them.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use calspamd::rules;
use calspamd::scan;
use calspamd::server::keys::Hidden;
use calspamd::server::keys::{KeyPair, Source};
use calspamd::server::{Settings, State};
use serde_json::Value;

use crate::cli::{Folder, json};
use crate::spamd::memory;
use crate::support::{
    Reply, Service, calendar, free_address, load, mail, repository, test_settings,
};

/// A message with all the signs of an attack; `what` makes it another one.
fn invitation(what: &str) -> String {
    let event = format!("SUMMARY:{what}\nATTACH:file://203.0.113.7/share/agenda.lnk");
    mail(what, &calendar("REQUEST", &[&event]))
}

/// A service with a store and a pair of keys.
fn service(folder: &Folder, pair: &KeyPair) -> Service {
    let scan = scan::Settings { reputation: memory(folder), ..scan::Settings::default() };
    let state = State::new(load(&rules::built_in()), scan).unwrap();
    let keypair = Some(Source::Text(Hidden(pair.write())));
    Service::with(Settings { keypair, ..test_settings() }, Arc::new(state))
}

#[test]
fn rspamds_client_for_rust() {
    let folder = Folder::new();
    let pair = KeyPair::generate().unwrap();
    let service = service(&folder, &pair);
    let public = pair.public();
    for program in ["blocking", "pooled"] {
        for (key, packed) in
            [("-", "plain"), ("-", "zstd"), (public.as_str(), "plain"), (public.as_str(), "zstd")]
        {
            // Each run its own message: what one run reports must not change the next one's score.
            let text = invitation(&format!("Payment {program} {packed} {}", key.len()));
            let file = folder.write("mail.eml", &text);
            let path = repository("tests/clients/rust/target/debug").join(program);
            let url = format!("http://{}", service.address);
            let output = Command::new(&path).args([&url, key, packed, &file]).output();
            let output = output
                .unwrap_or_else(|_| panic!("{} is missing: run `make tools`", path.display()));
            assert!(output.status.success(), "{program}, {key}, {packed}: {output:?}");
            let said = json(&String::from_utf8_lossy(&output.stdout));
            assert_eq!(said["learned"], serde_json::json!([true, true]), "{said}");
            assert_eq!(said["required_score"], 15.0, "{said}");
            assert_eq!(said["message_id"], "m1@sender.example", "{said}");
            let symbols = said["symbols"].as_array().unwrap();
            assert!(symbols.iter().any(|symbol| symbol[0] == "CAL_UNC_PATH"), "{said}");
            let sum: f64 = symbols.iter().filter_map(|symbol| symbol[1].as_f64()).sum();
            assert!((sum - said["score"].as_f64().unwrap()).abs() < 0.01, "{said}");
        }
    }
    // The client that keeps its connections has kept them, encrypted too.
    let stat = service.ask(b"GET /stat HTTP/1.0\r\n\r\n").json();
    assert_eq!(stat["scanned"], 12, "{stat}");
}

/// What `rspamd-client` 0.x for Node.js asked: the old commands, with a body in pieces, and the
/// answer's object `default`.
#[test]
fn the_withdrawn_client_for_node() {
    let folder = Folder::new();
    let service = service(&folder, &KeyPair::generate().unwrap());
    let text = invitation("Payment");
    let ask = |path: &str| {
        let address = service.address;
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
             Transfer-Encoding: chunked\r\n\r\n"
        );
        let body = format!("{:x}\r\n{text}\r\n0\r\n\r\n", text.len());
        let mut stream = service.connect();
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        Reply::read(&mut stream).json()
    };
    for path in ["/check", "/symbols"] {
        let answer = ask(path);
        let default = &answer["default"];
        assert!(default["is_spam"].is_boolean(), "{answer}");
        assert!(default["CAL_UNC_PATH"]["score"].is_number(), "{answer}");
    }
    for path in ["/learnspam", "/learnham"] {
        assert_eq!(ask(path)["success"], Value::Bool(true));
    }
}

/// A Haraka that keeps what it takes.
struct Haraka {
    child: Child,
    address: SocketAddr,
    folder: Folder,
}

/// Takes every recipient and writes each message down.
const SINK: &str = "\
exports.hook_rcpt = (next) => next(OK)
exports.hook_queue = function (next, connection) {
  const lines = connection.transaction.header.lines().join('')
  require('fs').writeFileSync(process.env.SINK, lines)
  next(OK)
}
";

impl Haraka {
    fn start(service: SocketAddr) -> Self {
        let folder = Folder::new();
        let installed = repository("tests/clients/npm/node_modules/Haraka");
        let config = folder.path().join("config");
        // It does not start without its own files.
        copy(&installed.join("config"), &config);
        let address = free_address();
        let port = service.port();
        for (name, text) in [
            ("smtp.ini", format!("listen={address}\nnodes=0\n")),
            ("plugins", "rspamd\nsink\n".to_owned()),
            (
                "rspamd.ini",
                format!("host=127.0.0.1\nport={port}\n[check]\nlocal_ip=true\nprivate_ip=true\n"),
            ),
        ] {
            fs::write(config.join(name), text).unwrap();
        }
        fs::create_dir(folder.path().join("plugins")).unwrap();
        folder.write("plugins/sink.js", SINK);
        let child = Command::new("node")
            .arg(installed.join("bin/haraka"))
            .arg("-c")
            .arg(folder.path())
            .env("SINK", folder.path().join("taken"))
            .stdout(fs::File::create(folder.path().join("log")).unwrap())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|_| panic!("node is missing: run `make tools`"));
        let mut haraka = Self { child, address, folder };
        let end = Instant::now() + Duration::from_mins(1);
        while TcpStream::connect(address).is_err() {
            let ended = haraka.child.try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < end, "{ended:?}: {}", haraka.log());
            thread::sleep(Duration::from_millis(50));
        }
        haraka
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Hands over a message; gives the last reply, and the header fields of what was taken.
    fn deliver(&self, mail: &str) -> (String, String) {
        let taken = self.folder.path().join("taken");
        drop(fs::remove_file(&taken));
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        let mut replies = BufReader::new(stream.try_clone().unwrap());
        let mut answer = || loop {
            let mut line = String::new();
            assert_ne!(replies.read_line(&mut line).unwrap(), 0, "{}", self.log());
            if line.as_bytes().get(3) == Some(&b' ') {
                return line;
            }
        };
        answer();
        let mut last = String::new();
        for words in [
            "EHLO mail.sender.example\r\n".to_owned(),
            "MAIL FROM:<ann@sender.example>\r\n".to_owned(),
            "RCPT TO:<bob@rcpt.example>\r\n".to_owned(),
            "DATA\r\n".to_owned(),
            format!("{mail}\r\n.\r\n"),
        ] {
            stream.write_all(words.as_bytes()).unwrap();
            last = answer();
        }
        (last, fs::read_to_string(taken).unwrap_or_default())
    }
}

impl Drop for Haraka {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A folder's files, one level deep.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    let entries = fs::read_dir(from)
        .unwrap_or_else(|_| panic!("{} is missing: run `make tools`", from.display()));
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }
}

#[test]
fn haraka_asks_by_its_plugin() {
    let folder = Folder::new();
    let service = service(&folder, &KeyPair::generate().unwrap());
    let haraka = Haraka::start(service.address);
    let good = mail("Lunch", &calendar("REQUEST", &["SUMMARY:Lunch"]));
    let (reply, taken) = haraka.deliver(&good);
    assert!(reply.starts_with("250"), "{reply}: {}", haraka.log());
    assert!(taken.contains("X-Calspam-Decision: "), "{taken}");
    assert!(haraka.log().contains("action: no action"), "{}", haraka.log());

    // The envelope has come along: the store knows who sent.
    let (reply, taken) = haraka.deliver(&invitation("Payment"));
    let scanned = service.post("/checkv2", "", &invitation("Payment")).json();
    let action = scanned["action"].as_str().unwrap();
    assert!(haraka.log().contains(&format!("action: {action}")), "{action}: {}", haraka.log());
    assert_eq!(reply.starts_with("250"), action != "reject", "{reply}");
    assert_eq!(taken.is_empty(), action == "reject", "{taken}");
}
