//! The configuration changed under the running program.

use std::io::Read;
use std::sync::atomic::AtomicBool;

use calspamd::config::{Effect, SETTINGS};

use super::*;
use crate::support::{free_address, mail, repository};
use crate::transport::make_certificate;

/// A program with a configuration, listening where that says.
struct Configured {
    folder: Folder,
    program: Program,
}

impl Configured {
    /// `SOCKET` stands for the socket of the tests, `FOLDER` for their folder.
    fn start(text: &str, rules: &str) -> Self {
        Self::with(text, rules, |_| {})
    }

    fn with(text: &str, rules: &str, set: impl FnOnce(&mut Command)) -> Self {
        let folder = Folder::with("site.cf", rules);
        write(&folder, text);
        let program = Program::with(&folder, |command, _| {
            command.arg("--config").arg(folder.path().join("calspamd.toml"));
            set(command);
        });
        Self { folder, program }
    }

    fn write(&self, text: &str) {
        write(&self.folder, text);
    }

    fn reload(&self) -> Reply {
        self.program.ask(&post("/reload", "", b""))
    }

    /// Another configuration, which is in force afterwards; the answer's warnings.
    #[track_caller]
    fn change(&self, text: &str) -> Value {
        self.write(text);
        let reply = self.reload();
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()["warnings"].clone()
    }

    fn scan(&self, headers: &str) -> Reply {
        let headers = format!("Content-Type: text/calendar\r\n{headers}");
        self.program.ask(&post("/checkv2", &headers, event().as_bytes()))
    }

    fn action(&self, headers: &str) -> String {
        self.scan(headers).json()["action"].as_str().unwrap().to_owned()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }
}

fn write(folder: &Folder, text: &str) {
    let path = folder.path().display().to_string();
    let text = text.replace("SOCKET", &format!("unix:{path}/http.sock"));
    folder.write("calspamd.toml", &text.replace("FOLDER", &path));
}

/// Where the program listens, and nothing that another program could have taken.
const BASE: &str = "[spamd]\nlisten = \"none\"\n[http]\nlisten = \"SOCKET\"\n";

/// From behind a proxy, so that a password is asked for.
fn from_elsewhere(password: &str) -> String {
    format!("X-Forwarded-For: 192.0.2.9\r\nPassword: {password}\r\n")
}

#[test]
fn settings_follow_a_hangup() {
    let text = |password: &str, more: &str| format!("{BASE}password = \"{password}\"\n{more}");
    let first = text("first", "[actions]\nreject = 15\n[log]\nlevel = \"warn\"\n");
    let running = Configured::start(&first, &rules("8"));
    assert_eq!(running.action(""), "add header");
    assert_eq!(running.action("Settings-ID: mild\r\n"), "add header");
    assert_eq!(running.scan(&from_elsewhere("first")).status, 200);
    assert_eq!(running.scan(&from_elsewhere("second")).status, 401);
    assert!(!running.log().contains("scanned"), "{}", running.log());

    let second = "max_message = \"50KiB\"\n[actions]\nreject = 7\n[settings.mild]\n\
                  actions.reject = 30\nscores.SITE_TITLE = 25\n[log]\nverbose_ids = true\n";
    running.write(&text("second", second));
    assert_eq!(running.action(""), "add header", "not read yet");
    running.program.signal("HUP");
    wait("reload", || running.program.reloads("success") == 1);
    assert_eq!(running.action("From: ann@sender.example\r\n"), "reject");
    assert_eq!(running.scan("").json()["thresholds"]["reject"], 7.0);
    let mild = running.scan("Settings-ID: mild\r\n").json();
    assert_eq!((&mild["action"], &mild["score"]), (&"add header".into(), &25.0.into()));
    assert_eq!(running.scan(&from_elsewhere("first")).status, 401);
    assert_eq!(running.scan(&from_elsewhere("second")).status, 200);
    let refused = running.program.ask(&post("/checkv2", "", &vec![b' '; 60_000]));
    assert_eq!(refused.status, 413);
    assert!(refused.body.contains("larger than 51200 bytes"), "{refused:?}");
    let actions = running.program.ask(b"GET /actions HTTP/1.0\r\n\r\n").json();
    assert!(actions.to_string().contains("7.0"), "{actions}");
    let log = running.log();
    assert!(log.contains("scanned") && log.contains("ann@sender.example"), "{log}");

    // What is not written any more is as if it had never been.
    running.change(BASE);
    assert_eq!(running.action("Settings-ID: mild\r\n"), "add header");
    assert_eq!(running.scan(&from_elsewhere("any")).status, 200);
}

#[test]
fn a_mistake_in_the_configuration_changes_nothing() {
    let good = format!("{BASE}[actions]\nreject = 15\n");
    let running = Configured::start(&good, &rules("8"));
    // Rules that are all right are not put into force either.
    running.folder.write("site.cf", &rules("9"));
    let unchanged = || {
        let reply = running.scan("").json();
        assert_eq!(reply["symbols"]["SITE_TITLE"]["score"], 8.0);
        assert_eq!(reply["thresholds"]["reject"], 15.0);
    };
    for (text, status, expected) in [
        (format!("{BASE}[actions\nreject = 3\n"), 422, "calspamd.toml:5:9: "),
        (
            format!("{BASE}[actions]\nreject = true\n"),
            422,
            "calspamd.toml:6:10: actions.reject: `true` is no threshold\n    reject = true\n  hint: ",
        ),
        (format!("{BASE}[actions]\nrejct = 3\n"), 422, "calspamd.toml:6:1: actions.rejct: "),
        (format!("{good}[site]\nblock_urls = [\"FOLDER/none\"]\n"), 500, "cannot read "),
        (format!("{good}[rules]\ndirectories = [\"FOLDER\"]\nx = 1\n"), 422, ":9:1: rules.x"),
    ] {
        running.write(&text);
        let reply = running.reload();
        assert_eq!(reply.status, status, "{text}: {reply:?}");
        assert_eq!(reply.json()["success"], false);
        let error = reply.json()["error"].as_str().unwrap().to_owned();
        assert!(error.contains(expected), "{text}: {error}");
        unchanged();
    }
    let failures = running.program.reloads("failure");
    running.program.signal("HUP");
    wait("failure", || running.program.reloads("failure") == failures + 1);
    unchanged();
    let metrics = running.program.ask(b"GET /metrics HTTP/1.0\r\n\r\n").body;
    assert!(metrics.contains("calspamd_last_reload_successful 0"));
    let log = running.log();
    for part in ["`true` is no threshold; reject = true; hint: write a number", "nothing reloaded"]
    {
        assert!(log.contains(part), "{part} in {log}");
    }

    // And the other way round: settings wait for rules.
    running.write(&format!("{BASE}[actions]\nreject = 5\n"));
    running.folder.write("site.cf", "calendar SITE_TITLE sumary =~ /a/\n");
    assert_eq!(running.reload().status, 422);
    unchanged();
    running.folder.write("site.cf", &rules("9"));
    assert_eq!(running.reload().status, 200);
    let reply = running.scan("").json();
    assert_eq!((&reply["score"], &reply["action"]), (&9.0.into(), &"reject".into()));
    let metrics = running.program.ask(b"GET /metrics HTTP/1.0\r\n\r\n").body;
    assert!(metrics.contains("calspamd_last_reload_successful 1"));
}

#[test]
fn what_waits_for_the_start_is_named_and_the_rest_is_done() {
    let running = Configured::start(BASE, &rules("8"));
    assert_eq!(running.action(""), "add header");
    let other = BASE.replace("SOCKET", "unix:FOLDER/other.sock");
    let text = format!(
        "{other}[actions]\nreject = 5\n[reputation]\nstate = \"FOLDER/state\"\n[log]\n\
         format = \"json\"\n"
    );
    let names = "takes effect at the next start: http.listen, reputation.state, log.format";
    assert_eq!(running.change(&text), serde_json::json!([names]));
    assert_eq!(running.action(""), "reject");
    assert!(!running.folder.path().join("other.sock").exists());
    let log = running.log();
    assert!(log.lines().any(|line| line.contains("WARN") && line.contains(names)), "{log}");
    assert!(!log.contains("{\"timestamp"), "{log}");
    // Said as often as it is true.
    assert_eq!(running.change(&text), serde_json::json!([names]));
    assert_eq!(running.change(BASE), serde_json::json!([]));
}

#[test]
fn the_environment_and_the_command_line_go_before_the_file_again() {
    let running = Configured::with(BASE, &rules("8"), |command| {
        command.args(["--state", "/nonexistent"]).env("CALSPAMD_ACTIONS__REJECT", "5");
    });
    let text = format!(
        "{BASE}[actions]\nreject = 50\nadd_header = 7\n[reputation]\nstate = \"/srv\"\n\
         store = \"none\"\n[rules]\ndirectories = [\"/nonexistent\"]\n"
    );
    assert_eq!(running.change(&text), serde_json::json!([]));
    let reply = running.scan("").json();
    assert_eq!(reply["thresholds"]["reject"], 5.0);
    assert_eq!(reply["thresholds"]["add header"], 7.0);
    assert_eq!(reply["symbols"]["SITE_TITLE"]["score"], 8.0);
}

/// The store, and with it what was seen, is the same before and after.
#[test]
fn the_memory_goes_on_under_other_settings() {
    let running = Configured::start(BASE, &rules("8"));
    let records = || {
        let stats = running.program.ask(b"GET /calendar/store/stats HTTP/1.0\r\n\r\n").json();
        stats["entries"].as_object().unwrap().values().filter_map(Value::as_u64).sum::<u64>()
    };
    let scan = |uid: &str| {
        let text = event().replace("UID:u0@", &format!("UID:{uid}@"));
        let mail = mail("Payout", &text);
        assert_eq!(running.program.ask(&post("/checkv2", "", mail.as_bytes())).status, 200);
    };
    scan("a");
    wait("record", || records() > 0);
    let before = records();
    running.change(&format!("{BASE}[reputation]\nlearn = false\n"));
    assert_eq!(records(), before);
    scan("b");
    running.change(BASE);
    scan("c");
    wait("record", || records() > before);
    let uid = |uid: &str| {
        let path = format!("/calendar/provenance?uid={uid}@sender.example");
        let reply = running.program.ask(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes());
        reply.json()["records"].as_array().unwrap().len()
    };
    assert_eq!([uid("a"), uid("b"), uid("c")], [1, 0, 1]);
}

/// Whoever asked the name servers of a configuration that is gone is gone with it.
#[test]
#[cfg(target_os = "linux")]
fn reloads_leave_no_threads_and_no_files_behind() {
    const ROUNDS: usize = 40;
    let text = |round: usize| format!("{BASE}[dns]\nservers = [\"127.0.0.1:{}\"]\n", 1 + round % 2);
    let running = Configured::start(&text(0), &rules("8"));
    let process = PathBuf::from(format!("/proc/{}", running.program.child.id()));
    let count = |what: &str| std::fs::read_dir(process.join(what)).unwrap().count();
    running.change(&text(1));
    let before = [count("task"), count("fd")];
    for round in 2..ROUNDS {
        running.change(&text(round));
        assert_eq!(running.action(""), "add header");
    }
    // Workers have more threads and connections than at first; each round would leave more.
    let less = |[threads, files]: [usize; 2]| {
        count("task") < threads + ROUNDS / 2 && count("fd") < files + ROUNDS / 2
    };
    wait("end of threads and files", || less(before));
}

#[test]
fn certificates_may_have_other_names() {
    let (http, spamd) = (free_address(), free_address());
    let folder = Folder::new();
    let text = |name: &str| {
        let (certificate, key) = make_certificate(&folder, name);
        let tls = |listen| {
            format!(
                "tls = {{ listen = \"{listen}\", certificate = \"{}\", key = \"{}\" }}\n",
                certificate.display(),
                key.display()
            )
        };
        let text = BASE.replacen("[http]", &format!("{}[http]", tls(spamd)), 1) + &tls(http);
        (text, certificate)
    };
    let ((first, one), (second, two)) = (text("one"), text("two"));
    let running = Configured::start(&first, &rules("8"));
    let shows = |address: std::net::SocketAddr, certificate: &Path| {
        let output = Command::new("openssl")
            .args(["s_client", "-verify_return_error", "-connect", &address.to_string()])
            .arg("-CAfile")
            .arg(certificate)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        output.status.success()
    };
    let is_one = || [http, spamd].map(|address| (shows(address, &one), shows(address, &two)));
    assert_eq!(is_one(), [(true, false); 2]);
    assert_eq!(running.change(&second), serde_json::json!([]));
    assert_eq!(is_one(), [(false, true); 2]);
    // Without the section the address stays, and so does what it shows.
    let names = "takes effect at the next start: http.tls.listen, spamd.tls.listen";
    running.change(&first);
    assert_eq!(running.change(BASE), serde_json::json!([names]));
    assert_eq!(is_one(), [(true, false); 2]);
}

/// What one answer says: of the rules, of the settings.
type Seen = (f64, f64);

/// Scores, thresholds, tables of settings and what spamd's clients are told change together, a
/// hundred times under load: no answer has some of them from before and some from after.
#[test]
fn no_answer_mixes_rules_and_settings_of_two_configurations() {
    const ROUNDS: u32 = 100;
    let files = |round: u32| {
        let text = format!(
            "[spamd]\nlisten = \"unix:FOLDER/spamd.sock\"\nrequired_score = {}\n\
             [http]\nlisten = \"SOCKET\"\n[actions]\nreject = {}\n[settings.table]\n\
             scores.SITE_TITLE = {}\n",
            2_000 + round,
            1_000 + round,
            500 + round,
        );
        (rules(&round.to_string()), text)
    };
    let (rules, text) = files(1);
    let running = Configured::start(&text, &rules);
    let over = AtomicBool::new(false);
    // Half a request comes before a reload, and half behind it.
    let ask = |socket: &str, head: &str, body: &str| {
        let mut stream = UnixStream::connect(running.folder.path().join(socket)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        thread::sleep(Duration::from_millis(15));
        stream.write_all(body.as_bytes()).unwrap();
        stream
    };
    let event = event();
    let http = |headers: &str| -> Seen {
        let head = format!(
            "POST /checkv2 HTTP/1.1\r\nHost: x\r\nContent-Type: text/calendar\r\n{headers}\
             Content-Length: {}\r\n\r\n",
            event.len()
        );
        let reply = Reply::read(&mut ask("http.sock", &head, &event));
        assert_eq!(reply.status, 200, "{reply:?}");
        let reply = reply.json();
        let score = reply["symbols"]["SITE_TITLE"]["score"].as_f64().unwrap();
        assert_eq!(reply["score"], reply["symbols"]["SITE_TITLE"]["score"]);
        (score, reply["thresholds"]["reject"].as_f64().unwrap() - 1_000.0)
    };
    let table = || -> Seen {
        let (score, limit) = http("Settings-ID: table\r\n");
        (score - 500.0, limit)
    };
    let spamd = || -> Seen {
        let mail = mail("Payout", &event);
        let head = format!("CHECK SPAMC/1.5\r\nContent-length: {}\r\n\r\n", mail.len());
        let mut reply = String::new();
        ask("spamd.sock", &head, &mail).read_to_string(&mut reply).unwrap();
        let line = reply.lines().find_map(|line| line.strip_prefix("Spam: ")).unwrap();
        let (score, required) = line.split_once(';').unwrap().1.split_once('/').unwrap();
        let number = |text: &str| text.trim().parse::<f64>().unwrap();
        (number(score), number(required) - 2_000.0)
    };
    let asks: [&(dyn Fn() -> Seen + Sync); 3] = [&|| http(""), &table, &spamd];
    thread::scope(|scope| {
        let workers: Vec<_> = asks
            .iter()
            .map(|ask| {
                let over = &over;
                scope.spawn(move || {
                    let (mut count, mut last) = (0_u32, 0.0);
                    while !over.load(Ordering::Relaxed) {
                        let (rules, settings) = ask();
                        assert!((rules - settings).abs() < 0.5, "{rules} with {settings}");
                        assert!(rules >= last, "{rules} after {last}");
                        (count, last) = (count + 1, rules);
                    }
                    count
                })
            })
            .collect();
        for round in 2..=ROUNDS {
            thread::sleep(Duration::from_millis(5));
            let (rules, text) = files(round);
            running.folder.write("site.cf", &rules);
            running.change(&text);
        }
        over.store(true, Ordering::Relaxed);
        for worker in workers {
            assert!(worker.join().unwrap() > 10, "hardly anything was asked");
        }
    });
    assert_eq!(http(""), (f64::from(ROUNDS), f64::from(ROUNDS)));
    assert_eq!(running.program.reloads("failure"), 0);
}

/// Names of the settings that wait for the start.
fn waiting() -> Vec<&'static str> {
    let starts = SETTINGS.iter().filter(|setting| setting.effect() == Effect::Start);
    starts.map(|setting| setting.name).collect()
}

#[test]
fn the_page_on_the_protocol_names_all_that_wait_for_the_start() {
    let page = std::fs::read_to_string(repository("docs/protocol.md")).unwrap();
    let section = page.split("\n## Reload\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let table = section.split("| setting | why |").nth(1).unwrap().split("\n\n").next().unwrap();
    let cells = table.lines().filter_map(|row| row.split('|').nth(1));
    let mut named: Vec<&str> = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    let mut expected = waiting();
    named.sort_unstable();
    expected.sort_unstable();
    assert_eq!(named, expected);
}

#[test]
fn the_commented_configuration_marks_all_that_wait_for_the_start() {
    let text = std::fs::read_to_string(repository("deploy/calspamd.toml")).unwrap();
    let (mut section, mut comment, mut marked) = (String::new(), String::new(), Vec::new());
    let mut count = 0;
    for line in text.lines() {
        let bare = line.strip_prefix("# ").unwrap_or(line);
        if let Some(name) = bare.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.replace("settings.outbound", "settings.NAME");
            comment.clear();
            continue;
        }
        let key = bare
            .split_once(" = ")
            .map(|(key, _)| key)
            .filter(|key| key.bytes().all(|b| b.is_ascii_alphabetic() || matches!(b, b'_' | b'.')));
        let Some(key) = key else {
            comment =
                if line.starts_with('#') { format!("{comment} {line}") } else { String::new() };
            continue;
        };
        count += 1;
        if comment.contains("(start)") {
            marked.push(format!("{section}.{key}"));
        }
        comment.clear();
    }
    assert!(count > 60, "{count}");
    // A listener of TLS is one line there.
    let shown = |name: &&str| name.replace(".tls.listen", ".tls");
    let mut expected: Vec<String> = waiting().iter().map(shown).collect();
    marked.sort_unstable();
    expected.sort_unstable();
    assert_eq!(marked, expected);
}
