//! How lists are, as an administrator sees it: by command, over HTTP, as metrics.

use std::thread;
use std::time::{Duration, Instant};

use super::Lab;
use crate::cli::{Folder, Program, calspamd, json, out};
use crate::support::{calendar, mail};

/// State and reason that `lists test` must give each list of [`CONTROLLED`].
const STATES: [(&str, &str, Option<&str>); 9] = [
    ("ALL", "broken", Some("it lists everything")),
    ("BLOCKED", "broken", Some("it refuses to answer this resolver")),
    ("EATEN", "broken", Some("its test entry is not listed; does the resolver drop 127.0.0.0/8?")),
    ("FAILING", "broken", Some("its answers are errors")),
    ("GOOD", "ok", None),
    ("PARKED", "broken", Some("it lists everything")),
    ("STRAY", "broken", Some("somebody else answers for it")),
    ("UNPAID", "off", Some("switched off, or its key is missing")),
    ("WHITE", "ok", None),
];

const CONTROLLED: &str = "
dnslist GOOD    zone=zen.dnslab.test kind=ip policy=\"free for all\"
dnslist WHITE   zone=wl.dnslab.test kind=ip use=allow codes=127.0.2.0-127.0.9.3 errors=127.0.0.255
dnslist ALL     zone=all.fault.dnslab.test kind=ip
dnslist PARKED  zone=b.all.fault.dnslab.test kind=hash
dnslist BLOCKED zone=b254.fault.dnslab.test kind=ip
dnslist STRAY   zone=hijack.fault.dnslab.test kind=ip
dnslist FAILING zone=servfail.fault.dnslab.test kind=ip
dnslist EATEN   zone=neg30.fault.dnslab.test kind=ip
dnslist UNPAID  keyed={key}.keyed.dnslab.test kind=ip
header GOOD    eval:check_dnslist('GOOD', 'client')
header WHITE   eval:check_dnslist('WHITE', 'client')
header ALL     eval:check_dnslist('ALL', 'client')
header PARKED  eval:check_dnslist('PARKED', 'organizer')
header BLOCKED eval:check_dnslist('BLOCKED', 'client')
header STRAY   eval:check_dnslist('STRAY', 'client')
header FAILING eval:check_dnslist('FAILING', 'client')
header EATEN   eval:check_dnslist('EATEN', 'client')
";

#[test]
fn the_state_of_lists_is_shown() {
    let Some(lab) = Lab::start() else { return };
    let folder = Folder::with("rules.cf", CONTROLLED);
    let (path, server) = (folder.path().display().to_string(), lab.resolver);
    let config = folder.write("calspamd.toml", &format!("[dns]\nservers = [\"{server}\"]\n"));
    let test =
        ["lists", "test", "--no-stock-rules", "--config", &config, "--rules", &path, "--color"];
    let output = calspamd(&[&test[..], &["never", "--json"]].concat());
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let rows = json(&out(&output));
    let found: Vec<(&str, &str, Option<&str>)> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            let value = |key: &str| row[key].as_str();
            (value("name").unwrap(), value("state").unwrap(), value("reason"))
        })
        .collect();
    assert_eq!(found, STATES);
    let good = &rows[4];
    assert_eq!(
        (&good["zone"], &good["policy"]),
        (&"zen.dnslab.test".into(), &"free for all".into())
    );
    assert!(good["latency_ms"].as_f64().is_some_and(|ms| ms < 2_000.0), "{good}");

    let output = calspamd(&[&test[..], &["never"]].concat());
    let shown = out(&output);
    assert!(shown.lines().count() == STATES.len(), "{shown}");
    for (name, state, reason) in STATES {
        let line = shown.lines().find(|line| line.starts_with(name)).unwrap();
        assert!(line.contains(state) && line.contains(reason.unwrap_or_default()), "{line}");
    }

    let program = Program::start(&folder, CONTROLLED, lab.resolver);
    let message = mail("Planning", &calendar("REQUEST", &["SUMMARY:Planning"]));
    let answer = program.check("IP: 192.0.2.10\r\n", &message);
    let symbols: Vec<&String> = answer["symbols"].as_object().unwrap().keys().collect();
    assert_eq!(symbols, ["GOOD"], "{answer}");
    // Test points are looked at from the start on.
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let stat = program.get("/stat").json();
        let lists = stat["lists"].as_array().unwrap();
        let off = lists.iter().filter(|list| list["up"] == false);
        let off: Vec<&str> = off.map(|list| list["name"].as_str().unwrap()).collect();
        if off == ["ALL", "BLOCKED", "EATEN", "FAILING", "PARKED", "STRAY"] {
            let good = lists.iter().find(|list| list["name"] == "GOOD").unwrap();
            assert_eq!(good["questions"]["listed"], 1, "{good}");
            break;
        }
        assert!(Instant::now() < end, "{stat}");
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(program.metric("calspamd_list_up{list=\"GOOD\"}"), 1);
    assert_eq!(program.metric("calspamd_list_up{list=\"STRAY\"}"), 0);
}
