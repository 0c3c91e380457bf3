//! DNS lists against the lab beside this repository: rbldnsd with lists of every kind, unbound
//! in front of it, and a server that breaks in thirty ways. What each entry must give is worked
//! out from the lab's own zone files. Where the lab is not at hand the zones of `tests/dns` do
//! what they can (`lists`); where it is, its programs must be there too.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use calspamd::lists::{AskResult, Report};

use crate::support::repository;

// Every entry of every zone.
mod entries;
// Every way to be broken.
mod faults;
// What is shown of lists.
mod states;
// What the zones say.
mod zones;

/// The lab, running.
struct Lab {
    home: PathBuf,
    folder: PathBuf,
    /// unbound, which knows all of it.
    resolver: SocketAddr,
    /// The broken server itself.
    faults: SocketAddr,
}

impl Lab {
    /// `None`, said once, where the lab is not at hand.
    fn start() -> Option<Self> {
        let home = std::env::var_os("DNSLAB_FOLDER")
            .map_or_else(|| repository("../shared/dnslab"), PathBuf::from);
        if !home.is_dir() {
            println!("no DNS lab at {}: nothing is tested", home.display());
            return None;
        }
        // The lab removes no folder without its name in it.
        let folder = std::env::temp_dir().join(format!("dnslab-calspamd-{}", std::process::id()));
        let mut lab = Self {
            home,
            folder,
            resolver: SocketAddr::from(([127, 0, 0, 1], 0)),
            faults: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        let output = lab.script("start.sh").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_ne!(output.status.code(), Some(77), "{said}; `make tools` installs it");
        assert!(output.status.success(), "{said}");
        let env = std::fs::read_to_string(lab.folder.join("lab.env")).unwrap();
        let settings: BTreeMap<&str, &str> =
            env.lines().filter_map(|line| line.split_once('=')).collect();
        lab.resolver.set_port(settings["DNSLAB_PORT"].parse().unwrap());
        lab.faults.set_port(settings["DNSLAB_FAULT_PORT"].parse().unwrap());
        Some(lab)
    }

    fn script(&self, name: &str) -> Command {
        let mut command = Command::new("sh");
        command.arg(self.home.join(name)).stdin(Stdio::null());
        command.env("DNSLAB_DIR", &self.folder).env("DNSLAB_PORT", "auto");
        command
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        drop(self.script("stop.sh").arg("--purge").output());
    }
}

/// How often a question came to this.
fn count(report: &Report, result: AskResult) -> u64 {
    report.counts.iter().filter(|(known, _)| *known == result).map(|(_, count)| count).sum()
}
