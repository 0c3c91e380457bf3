//! The program `spamd` with Debian's plug-ins, ours, and a site's own lines; `spamassassin` and its
//! relatives with the same.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::cli::Folder;
use crate::support::{self, repository};

/// Debian's rules.
const STOCK: &str = "/usr/share/spamassassin";

/// What stands in every site's `local.cf`: no learning, results in headers of one line.
const LINES: &str = "\
report_safe 0
fold_headers 0
use_bayes 0
use_pyzor 0
use_razor2 0
clear_headers
add_header all Tests _TESTSSCORES(,)_
add_header all Score _SCORE_
add_header all Tags _CALSPAMD_;_CALSPAMDSCORE_;_CALSPAMDSYMBOLS_
add_header all Decision _CALSPAMDDECISION_
add_header all Report _REPORT_
util_rb_tld com example net org
";

/// Folders of a SpamAssassin.
pub(super) struct Site {
    folder: Folder,
    stock: bool,
}

impl Site {
    /// Debian's plug-ins and rules, and our plug-in asking a service.
    pub(super) fn asking(service: SocketAddr, lines: &str) -> Self {
        let site = Self::without_plugin(&format!("calspamd_url http://{service}\n{lines}"));
        for file in ["Calspamd.pm", "calspamd.pre", "calspamd.cf"] {
            let from = repository("deploy/spamassassin").join(file);
            std::fs::copy(from, site.folder.path().join("site").join(file)).unwrap();
        }
        site
    }

    /// The same with no other rules than ours: starts and scans in no time.
    pub(super) fn bare(service: SocketAddr, lines: &str) -> Self {
        Self { stock: false, ..Self::asking(service, lines) }
    }

    /// SpamAssassin alone.
    pub(super) fn without_plugin(lines: &str) -> Self {
        let folder = Folder::new();
        let etc = folder.path().join("site");
        for empty in ["site", "rules", "home"] {
            std::fs::create_dir_all(folder.path().join(empty)).unwrap();
        }
        for entry in
            std::fs::read_dir("/etc/spamassassin").unwrap_or_else(|_| panic!("run `make tools`"))
        {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|ending| ending == "pre") {
                std::fs::copy(&path, etc.join(path.file_name().unwrap())).unwrap();
            }
        }
        std::fs::write(etc.join("local.cf"), format!("{LINES}{lines}\n")).unwrap();
        // Without any rule it does not start.
        std::fs::write(folder.path().join("rules/any.cf"), "body __SITE_ANY /./\n").unwrap();
        Self { folder, stock: true }
    }

    /// Where all of it lies: `site`, `rules` and what else programs need.
    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    fn command(&self, program: &str) -> Command {
        let rules = self.folder.path().join("rules");
        let mut command = Command::new(program);
        command
            .arg(format!("--siteconfigpath={}", self.folder.path().join("site").display()))
            .arg(if self.stock {
                format!("--configpath={STOCK}")
            } else {
                format!("--configpath={}", rules.display())
            })
            .env("HOME", self.folder.path().join("home"));
        command
    }

    /// Runs one of SpamAssassin's programs on a message.
    pub(super) fn run(&self, program: &str, arguments: &[&str], message: &str) -> Output {
        let mut child = self
            .command(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}: run `make tools`"));
        child.stdin.take().unwrap().write_all(message.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }
}

/// A running spamd.
pub(super) struct Spamd {
    site: Site,
    child: Child,
    address: SocketAddr,
}

impl Spamd {
    /// Starts it without network tests, with so many children, and waits until it answers.
    pub(super) fn start(site: Site, children: usize) -> Self {
        Self::with(site, children, &["--local"])
    }

    /// The same with other options.
    pub(super) fn with(site: Site, children: usize, options: &[&str]) -> Self {
        let address = support::free_address();
        let log = std::fs::File::create(site.folder.path().join("log")).unwrap();
        let child = site
            .command("/usr/sbin/spamd")
            .args(options)
            .args(["--nouser-config", "--username=nobody", "--syslog=stderr"])
            .arg(format!("--listen={address}"))
            .arg(format!("--max-children={children}"))
            .arg(format!("--min-children={children}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|_| panic!("spamd is missing: run `make tools`"));
        let mut spamd = Self { site, child, address };
        let started = Instant::now();
        while spamd.ask("PING SPAMC/1.5\r\n\r\n").is_none_or(|reply| !reply.contains("PONG")) {
            let runs = matches!(spamd.child.try_wait(), Ok(None));
            assert!(runs && started.elapsed() < Duration::from_secs(100), "{}", spamd.log());
            thread::sleep(Duration::from_millis(100));
        }
        spamd
    }

    fn ask(&self, request: &str) -> Option<String> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(100))).unwrap();
        stream.write_all(request.as_bytes()).ok()?;
        stream.shutdown(Shutdown::Write).ok()?;
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).ok()?;
        Some(String::from_utf8_lossy(&reply).into_owned())
    }

    /// Has a message scanned.
    #[track_caller]
    pub(super) fn check(&self, message: &str) -> Scanned {
        let length = message.len();
        let request = format!("PROCESS SPAMC/1.5\r\nContent-length: {length}\r\n\r\n{message}");
        let reply = self.ask(&request).unwrap();
        let (_, mail) = reply.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{reply}"));
        Scanned::read(mail)
    }

    /// What it has logged.
    pub(super) fn log(&self) -> String {
        let bytes = std::fs::read(self.site.folder.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Spamd {
    fn drop(&mut self) {
        support::terminate(&mut self.child);
    }
}

/// What SpamAssassin has written into a message.
#[derive(Debug)]
pub(super) struct Scanned {
    /// The tests that hit, with their scores.
    pub(super) tests: BTreeMap<String, f64>,
    pub(super) score: f64,
    /// calspamd's action, its score and its symbols.
    pub(super) tags: String,
    pub(super) decision: String,
    pub(super) report: String,
}

impl Scanned {
    pub(super) fn read(mail: &str) -> Self {
        let mut headers: BTreeMap<String, String> = BTreeMap::new();
        let mut last = String::new();
        for line in mail.lines().take_while(|line| !line.trim().is_empty()) {
            if line.starts_with([' ', '\t']) {
                if let Some(value) = headers.get_mut(&last) {
                    write!(value, "\n{}", line.trim()).unwrap();
                }
            } else if let Some((name, value)) = line.split_once(':') {
                name.clone_into(&mut last);
                headers.insert(last.clone(), value.trim().to_owned());
            }
        }
        let mut header = |name: &str| headers.remove(&format!("X-Spam-{name}")).unwrap_or_default();
        let all = header("Tests");
        let tests = all.split(',').filter_map(|test| test.trim().split_once('='));
        Self {
            tests: tests.map(|(name, score)| (name.to_owned(), score.parse().unwrap())).collect(),
            score: header("Score").parse().unwrap_or_else(|_| panic!("{mail}")),
            tags: header("Tags"),
            decision: header("Decision"),
            report: header("Report"),
        }
    }

    pub(super) fn has(&self, test: &str) -> bool {
        self.tests.contains_key(test)
    }

    /// Those of ours.
    pub(super) fn ours(&self) -> BTreeMap<&str, f64> {
        let tests = self.tests.iter().map(|(name, score)| (name.as_str(), *score));
        tests.filter(|(name, _)| name.starts_with("CAL_")).collect()
    }
}
