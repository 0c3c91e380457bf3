//! What deploy/prometheus and deploy/grafana ask is what the service counts: promtool on the files
//! and on /metrics, and a real Prometheus that scrapes a service under load.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cli::{Folder, Program, err, ok};
use crate::support::{assert_none, calendar, free_address, mail, repository};

/// A rule that hits, one that never does, and one that asks a list.
const RULES: &str = "\
calendar SITE_TITLE summary =~ /payout/i
describe SITE_TITLE Promises money
score    SITE_TITLE 7
calendar SITE_OTHER summary =~ /unicorn/i
describe SITE_OTHER Promises a unicorn
score    SITE_OTHER 7
dnslist  D0 zone=d0.lists.example
body     D0 eval:check_dnslist('D0', 'organizer')
describe D0 Listed
score    D0 1
";

/// How often the service is scraped, and rules are worked out.
const INTERVAL: &str = "1s";

/// Time until everything that is asked must have an answer.
const PATIENCE: Duration = Duration::from_secs(90);

/// How long to scrape at least: `make test-packages` asks for a minute.
fn scraping_time() -> Duration {
    let seconds = std::env::var_os("CALSPAMD_SCRAPE_SECONDS");
    let seconds = seconds.map_or(5, |text| text.to_string_lossy().parse().unwrap());
    Duration::from_secs(seconds)
}

fn promtool(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new("promtool")
        .args(arguments)
        .current_dir(repository("deploy/prometheus"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|_| panic!("promtool is not installed; `make tools` does that"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[track_caller]
fn promtool_finds_nothing(arguments: &[&str], input: &str) {
    let output = promtool(arguments, input);
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), err(&output));
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
}

#[test]
fn the_files_for_prometheus_are_sound() {
    promtool_finds_nothing(&["check", "config", "prometheus.yml"], "");
    promtool_finds_nothing(&["check", "rules", "recording.yml", "alerts.yml"], "");
    promtool_finds_nothing(&["test", "rules", "tests.yml"], "");
}

/// Every alert has a test in which it fires.
#[test]
fn every_alert_is_tested() {
    let read =
        |name: &str| std::fs::read_to_string(repository("deploy/prometheus").join(name)).unwrap();
    let (alerts, tests) = (read("alerts.yml"), read("tests.yml"));
    let names: Vec<&str> =
        alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(names.len() > 10, "{names:?}");
    for name in names {
        let fires = tests
            .split("alertname: ")
            .any(|test| test.starts_with(&format!("{name}\n")) && test.contains("exp_alerts"));
        assert!(fires, "{name} never fires in tests.yml");
    }
}

/// Compose file and manifests against schemas, the files they mount and the program's own check.
#[test]
fn manifests_are_sound() {
    let python = repository("target/clients/deploy/bin/python");
    let output = Command::new(python)
        .args(["tests/clients/python/manifests.py", env!("CARGO_BIN_EXE_calspamd")])
        .current_dir(repository(""))
        .output()
        .unwrap_or_else(|_| panic!("the schemas are not installed; `make tools` does that"));
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), err(&output));
    assert!(output.status.success() && said == "well\n", "{said}");
}

#[test]
fn the_page_on_metrics_is_fresh() {
    let page = std::fs::read_to_string(repository("docs/metrics.md")).unwrap();
    assert!(
        page == ok(&["docs", "metrics"]),
        "docs/metrics.md is stale, run\n  cargo run -- docs metrics > docs/metrics.md"
    );
}

/// The program under some load, and what asks it.
struct Scene {
    program: Program,
    prometheus: Child,
    address: SocketAddr,
    _folder: Folder,
}

impl Drop for Scene {
    fn drop(&mut self) {
        drop(self.prometheus.kill());
        drop(self.prometheus.wait());
    }
}

impl Scene {
    fn start() -> Self {
        let folder = Folder::new();
        // Nobody answers there: lists are late, and then off.
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        let program = Program::start(&folder, RULES, silent.local_addr().unwrap());
        let address = free_address();
        let config = folder.write("prometheus.yml", &configuration(program.address()));
        let prometheus = Command::new("prometheus")
            .arg(format!("--config.file={config}"))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.level=error")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|_| panic!("prometheus is not installed; `make tools` does that"));
        Self { program, prometheus, address, _folder: folder }
    }

    /// Some mail: good, bad, broken, and none at all.
    fn load(&self) {
        let good = mail("Planning", &calendar("REQUEST", &["SUMMARY:Planning"]));
        let bad = mail("Money", &calendar("REQUEST", &["SUMMARY:Your payout is ready"]));
        for message in [good.as_str(), &bad, &good, "", "BEGIN:VCALENDAR\r\n"] {
            self.program.check("Flags: no_dns\r\n", message);
        }
        assert_eq!(self.program.get("/nowhere").status, 404);
    }

    /// Asks Prometheus; `None` while it is not there.
    fn ask(&self, path: &str) -> Option<Value> {
        let mut stream = std::net::TcpStream::connect(self.address).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\nHost: x\r\n\r\n").ok()?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply).ok()?;
        serde_json::from_str(reply.split_once("\r\n\r\n")?.1).ok()
    }

    /// What a query gives; an error of Prometheus is a failure.
    #[track_caller]
    fn query(&self, query: &str) -> Vec<Value> {
        let encoded: String = form_urlencoded::byte_serialize(query.as_bytes()).collect();
        let Some(answer) = self.ask(&format!("/api/v1/query?query={encoded}")) else {
            return Vec::new();
        };
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        answer["data"]["result"].as_array().unwrap().clone()
    }

    /// Rules as Prometheus has loaded them: name, query, health.
    fn rules(&self) -> Vec<(String, String, String)> {
        let Some(answer) = self.ask("/api/v1/rules") else { return Vec::new() };
        let groups = answer["data"]["groups"].as_array().cloned().unwrap_or_default();
        let rules = groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone());
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        rules
            .map(|rule| (text(&rule["name"]), text(&rule["query"]), text(&rule["health"])))
            .collect()
    }
}

/// The repository's configuration, for a service of ours and in a hurry.
fn configuration(service: SocketAddr) -> String {
    let folder = repository("deploy/prometheus");
    let text = std::fs::read_to_string(folder.join("prometheus.yml")).unwrap();
    assert!(text.contains("127.0.0.1:11380") && text.contains(": 15s"), "{text}");
    text.replace("127.0.0.1:11380", &service.to_string())
        .replace(": 15s", &format!(": {INTERVAL}"))
        .replace("- recording.yml", &format!("- {}", folder.join("recording.yml").display()))
        .replace("- alerts.yml", &format!("- {}", folder.join("alerts.yml").display()))
}

/// Every query of the dashboard, with its panel's title.
fn dashboard() -> Vec<(String, String)> {
    let path = repository("deploy/grafana/calspamd.json");
    let text = std::fs::read_to_string(path).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let mut queries = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let targets = panel["targets"].as_array().cloned().unwrap_or_default();
        assert!(panel["type"] == "row" || !targets.is_empty(), "{}", panel["title"]);
        for target in targets {
            let expr = target["expr"].as_str().unwrap();
            queries.push((panel["title"].as_str().unwrap().to_owned(), expr.to_owned()));
        }
    }
    assert!(queries.len() > 20, "{}", queries.len());
    queries
}

/// A dashboard's query as Grafana sends it with everything chosen.
fn filled(query: &str) -> String {
    let query = query.replace("$__rate_interval", "10s").replace("$__range", "1m");
    let query = query.replace("$job", ".*").replace("$instance", ".*");
    assert!(!query.contains('$'), "{query}");
    query
}

/// Metrics that a query names, and the values it wants of labels.
fn names(query: &str) -> (BTreeSet<String>, Vec<(String, String)>) {
    const WORDS: [&str; 9] =
        ["and", "or", "unless", "offset", "bool", "by", "on", "group_left", "without"];
    let mut metrics = BTreeSet::new();
    let mut values = Vec::new();
    let mut rest = query;
    let mut depth_of_labels = 0;
    let mut label = String::new();
    while let Some(c) = rest.chars().next() {
        if let Some(quoted) = rest.strip_prefix('"') {
            let (text, after) = quoted.split_once('"').unwrap();
            values.extend(text.split('|').map(|value| (label.clone(), value.to_owned())));
            rest = after;
            continue;
        }
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
        let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
        if word.is_empty() {
            match c {
                '{' | '[' => depth_of_labels += 1,
                '}' | ']' => depth_of_labels -= 1,
                _ => {}
            }
            rest = rest.strip_prefix(c).unwrap();
            continue;
        }
        let next = after.trim_start();
        let is_call = ["(", "by ", "without "].iter().any(|sign| next.starts_with(sign));
        if depth_of_labels > 0 {
            word.clone_into(&mut label);
            rest = after;
        } else if WORDS.contains(&word) {
            // Labels stand in the parentheses behind by, on and the like.
            let lists = is_call && !matches!(word, "and" | "or" | "unless");
            rest = if lists { after.split_once(')').unwrap().1 } else { after };
        } else {
            if !is_call && !word.starts_with(|c: char| c.is_ascii_digit()) {
                metrics.insert(word.to_owned());
            }
            rest = after;
        }
    }
    (metrics, values)
}

#[test]
fn queries_are_taken_apart() {
    let (metrics, values) = names(
        "sum by (le, job) (rate(a_total{x=~\"p q|r\",y!=\"s\"}[5m])) / (b:c:rate5m > 0.5) \
         and on (job) d offset 1d",
    );
    assert_eq!(metrics.into_iter().collect::<Vec<_>>(), ["a_total", "b:c:rate5m", "d"]);
    let values: Vec<String> =
        values.iter().map(|(label, value)| format!("{label}={value}")).collect();
    assert_eq!(values, ["x=p q", "x=r", "y=s"]);
}

/// Names of queries that nobody counts, and values of labels that no series has.
fn strangers(queries: &[(String, String)], records: &[&str], metrics: &str) -> Vec<String> {
    let mut known: BTreeSet<&str> = records.iter().copied().collect();
    known.insert("up");
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        known.extend(line.split(['{', ' ']).next());
    }
    let mut failures = Vec::new();
    for (place, query) in queries {
        let (metrics_named, values) = names(query);
        let unknown = metrics_named.iter().filter(|name| !known.contains(name.as_str()));
        failures.extend(unknown.map(|name| format!("{place}: nobody counts {name}")));
        for (label, value) in values {
            let is_own = matches!(label.as_str(), "job" | "instance");
            if !is_own && !metrics.contains(&format!("{label}=\"{value}\"")) {
                failures.push(format!("{place}: no series has {label}=\"{value}\""));
            }
        }
    }
    failures
}

#[test]
fn a_real_prometheus_finds_what_dashboard_and_alerts_ask() {
    let scene = Scene::start();
    let begin = Instant::now();
    // One scan that asks lists, in vain.
    scene.program.check("", &mail("Planning", &calendar("REQUEST", &["SUMMARY:Planning"])));

    let queries = dashboard();
    let mut missing: Vec<&(String, String)> = queries.iter().collect();
    let mut unhealthy = vec!["Prometheus does not answer".to_owned()];
    loop {
        scene.load();
        missing.retain(|(_, query)| scene.query(&filled(query)).is_empty());
        let rules = scene.rules();
        if !rules.is_empty() {
            let bad = rules.iter().filter(|(_, _, health)| health != "ok");
            unhealthy = bad.map(|(name, _, health)| format!("{name}: {health}")).collect();
        }
        let is_done = missing.is_empty() && unhealthy.is_empty();
        if (is_done && begin.elapsed() >= scraping_time()) || begin.elapsed() > PATIENCE {
            break;
        }
        thread::sleep(Duration::from_millis(200));
    }
    let missing: Vec<String> =
        missing.iter().map(|(title, query)| format!("{title}: no data for {query}")).collect();
    assert_none(&missing);
    assert_none(&unhealthy);

    // After all of it, everything is as the tools want it.
    let metrics = scene.program.get("/metrics").body;
    promtool_finds_nothing(&["check", "metrics"], &metrics);
    let rules = scene.rules();
    let records: Vec<&str> =
        rules.iter().map(|(name, _, _)| name.as_str()).filter(|name| name.contains(':')).collect();
    let asked = rules.iter().map(|(name, query, _)| (name.clone(), query.clone()));
    let asked: Vec<(String, String)> = asked.chain(queries.clone()).collect();
    assert_none(&strangers(&asked, &records, &metrics));
    // Nobody answers questions to lists here, so there is no rate of their answers.
    for record in records.into_iter().filter(|record| !record.contains("dns_cache")) {
        // A rate needs some rounds of rules more.
        while scene.query(record).is_empty() {
            assert!(begin.elapsed() < PATIENCE, "no data for {record}");
            scene.load();
            thread::sleep(Duration::from_millis(200));
        }
    }

    // The check itself can fail.
    let wrong = [("x".to_owned(), "rate(calspamd_scan_total{action=\"drop\"}[5m])".to_owned())];
    assert_eq!(strangers(&wrong, &[], &metrics).len(), 2);
    let page = std::fs::read_to_string(repository("docs/metrics.md")).unwrap();
    for line in metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = line.split(' ').next().unwrap();
        assert!(page.contains(&format!("| `{name}` |")), "{name} is not in docs/metrics.md");
    }
}
