//! The program `amavisd` with our lines for it, and SpamAssassin inside.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::program::Site;
use crate::support::{self, repository};

/// A running amavisd.
pub(super) struct Amavis {
    site: Site,
    child: Child,
    address: SocketAddr,
}

impl Amavis {
    /// Starts it with a SpamAssassin, and waits until it answers.
    pub(super) fn start(site: Site) -> Self {
        let address = support::free_address();
        let root = site.path().display().to_string();
        let home = format!("{root}/amavis");
        for folder in ["tmp", "db", "var"] {
            std::fs::create_dir_all(format!("{home}/{folder}")).unwrap();
        }
        let owned = Command::new("chown").args(["-R", "amavis", &home]).status().unwrap();
        assert!(owned.success(), "there is no user amavis: run `make tools`");
        let port = address.port();
        let ours = repository("deploy/amavis/50-calspamd").display().to_string();
        let lines = format!(
            "use strict;\n\
             $MYHOME = '{home}'; $TEMPBASE = '{home}/tmp'; $ENV{{TMPDIR}} = $TEMPBASE;\n\
             $pid_file = '{home}/pid'; $lock_file = '{home}/lock'; $db_home = '{home}/db';\n\
             $daemon_user = 'amavis'; $daemon_group = 'amavis';\n\
             $myhostname = 'mx.rcpt.example'; $mydomain = 'rcpt.example';\n\
             $max_servers = 1; $enable_db = 0; $enable_global_cache = 0; $enable_zmq = 0;\n\
             $do_syslog = 0; $log_level = 2;\n\
             $inet_socket_bind = '127.0.0.1'; $inet_socket_port = {port};\n\
             $interface_policy{{{port}}} = 'PDP';\n\
             $policy_bank{{PDP}} = {{ protocol => 'AM.PDP', inet_acl => ['127.0.0.1'] }};\n\
             $sa_local_tests_only = 1; $sa_siteconfigpath = '{root}/site';\n\
             $sa_configpath = '{root}/rules';\n\
             $sa_tag_level_deflt = undef; $sa_tag2_level_deflt = 5; $sa_kill_level_deflt = 50;\n\
             $final_spam_destiny = D_PASS; @local_domains_maps = (['.rcpt.example']);\n\
             @bypass_virus_checks_maps = (1); @bypass_spam_checks_maps = (0);\n\
             include_config_files('{ours}');\n1;\n"
        );
        let file = format!("{root}/amavisd.conf");
        std::fs::write(&file, lines).unwrap();
        let log = std::fs::File::create(format!("{root}/log")).unwrap();
        let child = Command::new("/usr/sbin/amavisd")
            .args(["-c", &file, "foreground"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|_| panic!("amavisd is missing: run `make tools`"));
        let mut amavis = Self { site, child, address };
        let started = Instant::now();
        while TcpStream::connect(address).is_err() {
            let runs = matches!(amavis.child.try_wait(), Ok(None));
            assert!(runs && started.elapsed() < Duration::from_secs(100), "{}", amavis.log());
            thread::sleep(Duration::from_millis(100));
        }
        amavis
    }

    /// What it would do with a message, in its own protocol.
    #[track_caller]
    pub(super) fn check(&self, message: &str) -> String {
        let folder = self.site.path().join("amavis/tmp/mail");
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("email.txt");
        std::fs::write(&file, message).unwrap();
        let owned = Command::new("chown").args(["-R", "amavis"]).arg(&folder).status().unwrap();
        assert!(owned.success());
        let (folder, file) = (folder.display(), file.display());
        let request = format!(
            "request=AM.PDP\nsender=<ann@sender.example>\nrecipient=<bob@rcpt.example>\n\
             tempdir={folder}\ntempdir_removed_by=client\nmail_file={file}\n\
             delivery_care_of=client\nclient_address=198.51.100.7\n\
             client_name=mx.sender.example\nhelo_name=mx.sender.example\n\
             protocol_name=ESMTP\nqueue_id=Q1\n\n"
        );
        let mut stream = support::connect(self.address);
        stream.set_read_timeout(Some(Duration::from_secs(100))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        assert!(reply.contains("return_value=continue"), "{reply}\n{}", self.log());
        // Spaces and folds of headers are written by number.
        reply.replace("%0a%20", " ").replace("%0a%09", " ").replace("%20", " ")
    }

    fn log(&self) -> String {
        let bytes = std::fs::read(self.site.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Amavis {
    fn drop(&mut self) {
        support::terminate(&mut self.child);
    }
}
