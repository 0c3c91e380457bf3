//! Haraka, which npm has fetched, with its plug-in for SpamAssassin set up as in `deploy/haraka`.

use std::net::SocketAddr;
use std::process::Command;

use calspamd::server::spamd::Settings;

use super::{Daemon, Sink, deployed, forged, gone, headers, submit};
use crate::cli::Folder;
use crate::spamd::{Spamd, abusive, good};
use crate::support::{self, repository};

/// Takes every recipient, and brings mail to the sink as it stands after the other plug-ins.
const LAST: &str = r"
const net = require('net');
exports.hook_rcpt = (next) => next(OK);
exports.hook_queue = function (next, connection) {
  connection.transaction.message_stream.get_data((mail) => {
    const socket = net.connect(PORT, '127.0.0.1');
    socket.on('close', () => next(OK));
    socket.write('HELO haraka\r\nDATA\r\n');
    socket.write(mail);
    socket.end('\r\n.\r\nQUIT\r\n');
    socket.resume();
  });
};
";

struct Haraka {
    address: SocketAddr,
    _daemon: Daemon,
    _folder: Folder,
}

impl Haraka {
    fn start(spamd: SocketAddr, sink: &Sink) -> Self {
        let folder = Folder::new();
        let root = folder.path();
        let package = repository("tests/clients/npm/node_modules/Haraka");
        let config = root.join("config");
        let copied =
            Command::new("cp").arg("-rL").arg(package.join("config")).arg(&config).status();
        assert!(copied.unwrap().success(), "Haraka is missing: run `make tools`");
        std::fs::create_dir(root.join("plugins")).unwrap();
        let address = support::free_address();
        let plugins = deployed("haraka/plugins").replace("queue/smtp_forward", "last");
        let settings =
            deployed("haraka/spamassassin.ini").replace("127.0.0.1:11783", &spamd.to_string());
        for (file, text) in [
            ("config/smtp.ini", format!("listen={address}\nnodes=0\n")),
            ("config/plugins", plugins),
            ("config/spamassassin.ini", settings),
            ("plugins/calspamd_strip.js", deployed("haraka/calspamd_strip.js")),
            ("plugins/last.js", LAST.replace("PORT", &sink.address.port().to_string())),
        ] {
            std::fs::write(root.join(file), text).unwrap();
        }
        let mut command = Command::new("node");
        command.arg(package.join("bin/haraka")).arg("-c").arg(root).current_dir(root);
        let daemon = Daemon::start(&mut command, &root.join("log"), address);
        Self { address, _daemon: daemon, _folder: folder }
    }
}

#[test]
fn spam_is_refused_and_the_rest_marked() {
    let sink = Sink::start();
    let spamd = Spamd::start(Settings::default());
    let haraka = Haraka::start(spamd.address, &sink);
    let said = submit(haraka.address, &forged(&abusive()));
    assert!(said.starts_with("550 spam score exceeded threshold"), "{said}");

    let said = submit(haraka.address, &forged(&good()));
    assert!(said.starts_with("250"), "{said}");
    let mail = sink.next();
    assert!(headers(&mail, "X-Calspam-Decision").is_empty(), "{mail}");
    let status = headers(&mail, "X-Spam-Status");
    assert!(status[0].starts_with("No, score=") && status[0].contains("required=6.0"), "{mail}");

    gone(spamd.service, spamd.address);
    let said = submit(haraka.address, &good());
    assert!(said.starts_with("250"), "{said}");
    assert!(headers(&sink.next(), "X-Spam-Status").is_empty());
}
