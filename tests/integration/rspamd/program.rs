//! The program `rspamd` with Debian's configuration, the plug-in, and a site's own files.

use std::io::Write;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cli::Folder;
use crate::support::{self, repository};

/// What a site has changed.
pub(crate) struct Site {
    /// What stands in its `local.d`.
    files: Vec<(String, String)>,
    /// Its thresholds.
    pub(crate) actions: String,
    /// Where its proxy answers mail systems.
    pub(crate) milter: Option<SocketAddr>,
    /// Where its controller listens.
    pub(crate) controller: Option<SocketAddr>,
}

impl Site {
    /// One that asks a service.
    pub(crate) fn asking(service: SocketAddr) -> Self {
        Self {
            files: vec![("calspamd.conf".to_owned(), super::at(service))],
            // Not what these mails are about.
            actions: "reject = 100; add_header = 80; greylist = 70;".to_owned(),
            milter: None,
            controller: None,
        }
    }

    /// Adds lines to a file.
    pub(crate) fn add(&mut self, file: &str, text: &str) {
        self.files.push((file.to_owned(), text.to_owned()));
    }
}

/// The root of another system whose Rspamd is run, where the tests are told of one; the temporary
/// folder is below it then.
fn root() -> Option<PathBuf> {
    std::env::var_os("CALSPAMD_RSPAMD").map(PathBuf::from)
}

/// A program of Rspamd's.
pub(crate) fn command(name: &str) -> Command {
    let Some(root) = root() else { return Command::new(name) };
    let mut command = Command::new("chroot");
    command.arg(root).arg(name);
    command
}

/// A path as the programs see it.
pub(crate) fn inside(path: &Path) -> PathBuf {
    let Some(root) = root() else { return path.to_owned() };
    let below =
        path.strip_prefix(&root).unwrap_or_else(|_| panic!("{} is elsewhere", path.display()));
    Path::new("/").join(below)
}

/// The first two numbers of the version.
pub(crate) fn version() -> (u32, u32) {
    let output = command("rspamd").arg("--version").output();
    let output = output.unwrap_or_else(|_| panic!("rspamd is missing: run `make tools`"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let number =
        text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    let mut numbers = number.unwrap_or_default().split('.').map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// A running Rspamd.
pub(crate) struct Rspamd {
    folder: Folder,
    child: Child,
    address: SocketAddr,
    _names: Nameless,
}

impl Rspamd {
    /// Starts it, and waits until it answers.
    pub(crate) fn start(site: &Site) -> Self {
        let folder = Folder::new();
        let place = inside(folder.path());
        let root = folder.path();
        let etc = root.join("etc");
        let configuration = self::root().unwrap_or_default().join("etc/rspamd");
        let configuration = Path::new("/").join(configuration);
        let copied = Command::new("cp").arg("-rL").arg(configuration).arg(&etc).status().unwrap();
        assert!(copied.success(), "rspamd is missing: run `make tools`");
        std::fs::create_dir_all(etc.join("plugins.d")).unwrap();
        for (from, to) in [
            ("calspamd.lua", "plugins.d/calspamd.lua"),
            ("calspamd.conf", "modules.d/calspamd.conf"),
        ] {
            std::fs::copy(repository("deploy/rspamd").join(from), etc.join(to)).unwrap();
        }
        // All the world's top-level domains take most of the time of a start.
        std::fs::write(root.join("tld"), "com\nexample\nnet\norg\n").unwrap();
        let names = Nameless::start();
        let address = support::free_address();
        let port = address.port();
        let local = etc.join("local.d");
        for (file, text) in &site.files {
            append(&local.join(file), text);
        }
        let over = etc.join("override.d");
        for (file, text) in [
            (
                "options.inc",
                format!(
                    "disable_hyperscan = true; url_tld = \"{}\"; dns {{ nameserver = [\"127.0.0.1:{}\"]; timeout = 0.2s; retransmits = 1; }} history_file = \"\"; rrd = \"\";",
                    place.join("tld").display(),
                    names.port
                ),
            ),
            ("actions.conf", site.actions.clone()),
            ("worker-normal.inc", format!("bind_socket = \"127.0.0.1:{port}\"; count = 1;")),
            ("worker-controller.inc", worker(site.controller, "secure_ip = \"127.0.0.1\";")),
            (
                "worker-proxy.inc",
                worker(
                    site.milter,
                    "milter = yes; upstream \"local\" { default = yes; self_scan = yes; }",
                ),
            ),
            ("fuzzy_check.conf", "enabled = false;".to_owned()),
            ("rspamd_update.conf", "enabled = false;".to_owned()),
            (
                "logging.inc",
                format!(
                    "type = \"file\"; filename = \"{}\"; level = \"info\";",
                    place.join("log").display()
                ),
            ),
        ] {
            append(&over.join(file), &text);
        }
        let mut command = command("rspamd");
        command.args(["-f", "-i", "-c"]).arg(place.join("etc/rspamd.conf"));
        for name in ["CONFDIR", "LOCAL_CONFDIR"] {
            command.arg(format!("--var={name}={}/etc", place.display()));
        }
        for name in ["DBDIR", "RUNDIR", "LOGDIR"] {
            command.arg(format!("--var={name}={}", place.display()));
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(root.join("stderr")).unwrap())
            .spawn()
            .unwrap();
        let rspamd = Self { folder, child, address, _names: names };
        rspamd.wait(address);
        rspamd
    }

    /// Waits until one of its workers listens.
    pub(crate) fn wait(&self, worker: SocketAddr) {
        let started = Instant::now();
        while TcpStream::connect(worker).is_err() {
            assert!(started.elapsed() < Duration::from_secs(100), "{}", self.log());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Has a message scanned.
    #[track_caller]
    pub(crate) fn check(&self, message: &[u8], headers: &str) -> Value {
        let reply = support::ask(self.address, &support::post("/checkv2", headers, message));
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        ["log", "stderr"]
            .map(|file| std::fs::read(self.folder.path().join(file)).unwrap_or_default())
            .map(|text| String::from_utf8_lossy(&text).into_owned())
            .concat()
    }
}

impl Drop for Rspamd {
    fn drop(&mut self) {
        support::terminate(&mut self.child);
    }
}

/// A worker's settings: one process at this address, or none.
fn worker(address: Option<SocketAddr>, more: &str) -> String {
    address.map_or_else(
        || "enabled = false; count = -1;".to_owned(),
        |address| format!("bind_socket = \"{address}\"; count = 1; {more}"),
    )
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
