//! The program `rspamd` with Debian's configuration, the plug-in, and a site's own files.

use std::io::Write;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cli::Folder;
use crate::support::{self, repository};

/// What stands in a site's `local.d`.
pub(super) struct Site(Vec<(String, String)>);

impl Site {
    /// One that asks a service.
    pub(super) fn asking(service: SocketAddr) -> Self {
        Self(vec![("calspamd.conf".to_owned(), super::at(service))])
    }

    /// Adds lines to a file.
    pub(super) fn add(&mut self, file: &str, text: &str) {
        self.0.push((file.to_owned(), text.to_owned()));
    }
}

/// A running Rspamd.
pub(super) struct Rspamd {
    folder: Folder,
    child: Child,
    address: SocketAddr,
    _names: Nameless,
}

impl Rspamd {
    /// Starts it, and waits until it answers.
    pub(super) fn start(site: &Site) -> Self {
        let there = Command::new("rspamd").arg("--version").output().is_ok();
        assert!(there, "rspamd is missing: run `make tools`");
        let folder = Folder::new();
        let root = folder.path();
        let etc = root.join("etc");
        let copied = Command::new("cp").arg("-rL").arg("/etc/rspamd").arg(&etc).status().unwrap();
        assert!(copied.success());
        std::fs::create_dir_all(etc.join("plugins.d")).unwrap();
        for (from, to) in [
            ("calspamd.lua", "plugins.d/calspamd.lua"),
            ("calspamd.conf", "modules.d/calspamd.conf"),
        ] {
            std::fs::copy(repository("deploy/rspamd").join(from), etc.join(to)).unwrap();
        }
        let names = Nameless::start();
        let address = support::free_address();
        let port = address.port();
        let local = etc.join("local.d");
        for (file, text) in &site.0 {
            append(&local.join(file), text);
        }
        let over = etc.join("override.d");
        for (file, text) in [
            (
                "options.inc",
                format!(
                    "disable_hyperscan = true; dns {{ nameserver = [\"127.0.0.1:{}\"]; timeout = 0.2s; retransmits = 1; }} history_file = \"\"; rrd = \"\";",
                    names.port
                ),
            ),
            // Not what these mails are about.
            ("actions.conf", "reject = 100; add_header = 80; greylist = 70;".to_owned()),
            ("worker-normal.inc", format!("bind_socket = \"127.0.0.1:{port}\"; count = 1;")),
            ("worker-controller.inc", "enabled = false; count = -1;".to_owned()),
            ("worker-proxy.inc", "enabled = false; count = -1;".to_owned()),
            ("fuzzy_check.conf", "enabled = false;".to_owned()),
            ("rspamd_update.conf", "enabled = false;".to_owned()),
            (
                "logging.inc",
                format!(
                    "type = \"file\"; filename = \"{}\"; level = \"info\";",
                    root.join("log").display()
                ),
            ),
        ] {
            append(&over.join(file), &text);
        }
        let mut command = Command::new("rspamd");
        command.args(["-f", "-i", "-c"]).arg(etc.join("rspamd.conf"));
        for (name, place) in [("CONFDIR", &etc), ("LOCAL_CONFDIR", &etc)] {
            command.arg(format!("--var={name}={}", place.display()));
        }
        for name in ["DBDIR", "RUNDIR", "LOGDIR"] {
            command.arg(format!("--var={name}={}", root.display()));
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(root.join("stderr")).unwrap())
            .spawn()
            .unwrap();
        let rspamd = Self { folder, child, address, _names: names };
        let started = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(started.elapsed() < Duration::from_secs(100), "{}", rspamd.log());
            thread::sleep(Duration::from_millis(50));
        }
        rspamd
    }

    /// Has a message scanned.
    #[track_caller]
    pub(super) fn check(&self, message: &[u8], headers: &str) -> Value {
        let reply = support::ask(self.address, &support::post("/checkv2", headers, message));
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()
    }

    /// What it has logged.
    pub(super) fn log(&self) -> String {
        ["log", "stderr"]
            .map(|file| std::fs::read(self.folder.path().join(file)).unwrap_or_default())
            .map(|text| String::from_utf8_lossy(&text).into_owned())
            .concat()
    }
}

impl Drop for Rspamd {
    fn drop(&mut self) {
        // Its workers stop with it on a term, and not on a kill.
        let pid = self.child.id().to_string();
        drop(Command::new("kill").arg(&pid).status());
        for _ in 0..100 {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn append(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    writeln!(file, "{text}").unwrap();
}

/// A name server that answers every question with NXDOMAIN.
pub(crate) struct Nameless {
    pub(crate) port: u16,
    stop: Arc<AtomicBool>,
}

impl Nameless {
    pub(crate) fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        thread::spawn(move || {
            let mut packet = [0; 1500];
            while !stopped.load(Ordering::Relaxed) {
                let Ok((length, peer)) = socket.recv_from(&mut packet) else { continue };
                let Some(question) = packet[..length].get(12..) else { continue };
                let Some(end) = question.iter().position(|byte| *byte == 0) else { continue };
                let mut answer = packet[..(12 + end + 5).min(length)].to_vec();
                // An answer, recursion is there, no such name; no records but the question.
                answer[2..4].copy_from_slice(&[0x81, 0x83]);
                answer[6..12].fill(0);
                drop(socket.send_to(&answer, peer));
            }
        });
        Self { port, stop }
    }
}

impl Drop for Nameless {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
