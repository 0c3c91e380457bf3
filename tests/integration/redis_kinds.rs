//! The shared store on real servers of other kinds: with TLS and a CA of the house's own, behind a
//! sentinel, in a cluster.

use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use calspamd::reputation::store::{Ask, Found, Kind};
use calspamd::reputation::{Redis, Settings, Store};

use crate::cli::Folder;
use crate::redis::{
    ANN, BOB, RECOVERY, Server, answer, during, is_partial, program, wait_for_recovery,
};
use crate::sequences::{START, Site, invitation};
use crate::stores::key;
use crate::support::free_address;
use crate::transport::make_certificate;

const SOON: Duration = Duration::from_secs(5);

/// Says a line to a server in the clear; what it answers first.
fn say(port: u16, line: &str) -> Option<String> {
    let stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(SOON)).ok()?;
    answer(stream, line)
}

/// Waits until a server's answer has a word in it.
#[track_caller]
fn wait_for(port: u16, line: &str, word: &str) {
    let start = Instant::now();
    loop {
        let reply = say(port, line).unwrap_or_default();
        if reply.contains(word) {
            return;
        }
        assert!(start.elapsed() < RECOVERY, "{line}: {reply}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// A site with this store, once it answers.
fn site(url: &str, budget: Duration) -> (Site, Arc<Redis>) {
    let store = Arc::new(Redis::open(url).unwrap());
    let ask = [Ask::Read { key: key(Kind::Event, 1), since: 0 }];
    let start = Instant::now();
    while let Err(trouble) = store.recall(&ask, SOON) {
        assert!(start.elapsed() < RECOVERY, "{url}: {trouble}");
        drop(store.tend(0));
        thread::sleep(Duration::from_millis(50));
    }
    (Site::new(store.clone(), &Settings { budget, ..Settings::default() }), store)
}

/// What a scan leaves there, the next one finds.
#[track_caller]
fn remembers(site: &Site) {
    let first = site.scan(&invitation(0, ANN, BOB, START));
    assert!(!is_partial(&first) && first.has("CAL_FIRST_CONTACT"), "{:?}", first.symbols());
    let second = site.scan(&invitation(1, ANN, BOB, START + 60));
    assert!(!is_partial(&second) && !second.has("CAL_FIRST_CONTACT"), "{:?}", second.symbols());
}

/// Neither a server whose certificate nobody vouches for nor one that wants to see ours first.
#[track_caller]
fn refuses(url: &str) {
    let store = Redis::open(url).unwrap();
    let ask = [Ask::Read { key: key(Kind::Event, 1), since: 0 }];
    assert!(store.recall(&ask, SOON).is_err(), "{url}");
}

/// A certificate for this machine that a CA signs, with its key.
fn signed(folder: &Folder, (ca, ca_key): (&Path, &Path)) -> (String, String) {
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (certificate, key) = (file("signed.crt"), file("signed.key"));
    let output = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-nodes", "-days", "2", "-subj", "/CN=redis"])
        .args(["-addext", "subjectAltName=DNS:localhost"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-keyout", &key, "-out", &certificate])
        .args([Path::new("-CA"), ca, Path::new("-CAkey"), ca_key])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    (certificate, key)
}

#[test]
fn tls_with_a_ca_of_our_own() {
    let folder = Folder::new();
    let (ca, ca_key) = make_certificate(&folder, "ca");
    let (certificate, own_key) = signed(&folder, (&ca, &ca_key));
    let (other, _) = make_certificate(&folder, "other");
    let file = |path: &Path| path.to_str().unwrap().to_owned();
    let (ca, other) = (file(&ca), file(&other));
    let start = |clients: &str| {
        let port = free_address().port();
        let server = Server::with(&[
            "--port",
            "0",
            "--tls-port",
            &port.to_string(),
            "--tls-cert-file",
            &certificate,
            "--tls-key-file",
            &own_key,
            "--tls-ca-cert-file",
            &ca,
            "--tls-auth-clients",
            clients,
        ]);
        (server, port)
    };
    let (_server, port) = start("no");
    let url = format!("rediss://localhost:{port}");
    refuses(&url);
    refuses(&format!("{url}?ca={other}"));
    let (site, _) = site(&format!("{url}/0?prefix=tls&ca={ca}"), SOON);
    remembers(&site);
    site.reputation.stop();
    site.service.stop();

    let (_server, port) = start("yes");
    let url = format!("rediss://localhost:{port}?ca={ca}");
    refuses(&url);
    let (site, _) = self::site(&format!("{url}&cert={certificate}&key={own_key}"), SOON);
    remembers(&site);
    site.reputation.stop();
    site.service.stop();
}

/// A process that ends with the test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A server with a port of its own.
fn on_port(options: &[&str]) -> (Server, u16) {
    let port = free_address().port();
    let server = Server::with(&[&["--port", &port.to_string()], options].concat());
    (server, port)
}

/// The primary freezes, as when its machine is gone: nobody closes any connection. The sentinel
/// makes the replica the primary, and what was remembered before is there.
#[test]
fn a_sentinel_names_another_primary() {
    let (primary, first) = on_port(&[]);
    let (_replica, second) = on_port(&["--replicaof", "127.0.0.1", &first.to_string()]);
    let folder = Folder::new();
    let port = free_address().port();
    let configuration = folder.write(
        "sentinel.conf",
        &format!(
            "port {port}\nbind 127.0.0.1\ndir {}\nsentinel monitor main 127.0.0.1 {first} 1\n\
             sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 4000\n",
            folder.path().display()
        ),
    );
    let mut sentinel = Command::new(program("redis-server"));
    sentinel.arg(configuration).arg("--sentinel").stdin(Stdio::null());
    let _sentinel = Program(sentinel.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    wait_for(second, "INFO replication", "master_link_status:up");
    wait_for(port, "SENTINEL REPLICAS main", &second.to_string());

    let url = format!("redis+sentinel://127.0.0.1:{port}/main");
    let (site, _) = site(&url, Settings::default().budget);
    remembers(&site);
    // Everything is at the replica.
    assert_eq!(say(first, "WAIT 1 5000").as_deref(), Some(":1\r\n"));

    primary.freeze();
    during(&site, "the primary is gone");
    wait_for(port, "SENTINEL GET-MASTER-ADDR-BY-NAME main", &second.to_string());
    wait_for_recovery(&site);
    let later = site.scan(&invitation(2, ANN, BOB, START + 120));
    assert!(!is_partial(&later) && !later.has("CAL_FIRST_CONTACT"), "{:?}", later.symbols());
    site.reputation.stop();
    site.service.stop();
}

#[test]
fn a_cluster_is_one_store() {
    let nodes: Vec<(Server, u16)> = (0..3)
        .map(|_| {
            on_port(&[
                "--cluster-enabled",
                "yes",
                "--cluster-port",
                &free_address().port().to_string(),
            ])
        })
        .collect();
    let hosts: Vec<String> = nodes.iter().map(|(_, port)| format!("127.0.0.1:{port}")).collect();
    let output = Command::new(program("redis-cli"))
        .args(["--cluster", "create"])
        .args(&hosts)
        .arg("--cluster-yes")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    for (_, port) in &nodes {
        wait_for(*port, "CLUSTER INFO", "cluster_state:ok");
    }
    // Whatever node one knows, and wherever the prefix lies.
    for (number, host) in hosts.iter().enumerate() {
        let url = format!("redis+cluster://{host}?prefix=test{number}");
        let (site, store) = site(&url, SOON);
        remembers(&site);
        assert!(store.stats().unwrap().bytes > 0);
        let mut entries = Vec::new();
        store.visit(&mut |key, entry| entries.push((key, entry))).unwrap();
        assert!(entries.len() > 5, "{}", entries.len());
        let seen = entries.iter().find(|(key, _)| key.kind() == Some(Kind::Seen)).unwrap().0;
        let known = || {
            let ask = Ask::List { key: seen, since: 0, most: 9 };
            match store.recall(&[ask], SOON).unwrap().as_slice() {
                [Found::List(members)] => members.len(),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(known(), 1);
        assert!(site.reputation.purge(ANN).unwrap() > 0);
        assert_eq!(known(), 0);
        store.restore(entries).unwrap();
        assert_eq!(known(), 1);
        site.reputation.stop();
        site.service.stop();
    }
}
