//! `calspamd mass-check` and `calspamd rescore`, as an administrator runs them.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use crate::cli::{Folder, calspamd, err, json, ok, out};
use crate::support::{calendar, mail, messages};

const SPAM: &str = "tests/messages/spam";
const HAM: &str = "tests/messages/ham";

/// Rules with plain figures.
const RULES: &str = "calendar T_VOUCHER summary =~ /voucher/\ndescribe T_VOUCHER x\n\
    score T_VOUCHER 4\n\
    calendar T_MEETING summary =~ /meeting/\ndescribe T_MEETING x\nscore T_MEETING 2.5\n\
    calendar T_PAST start_in < 0\ndescribe T_PAST x\nscore T_PAST 3\n";

/// A mail that invites to something, sent the day before.
fn invitation(summary: &str) -> String {
    mail("x", &calendar("REQUEST", &[&format!("SUMMARY:{summary}")]))
}

/// Mails one behind the other.
fn mbox(mails: &[String]) -> String {
    let line = "From ann@sender.example Fri Nov 20 10:00:00 2026\n";
    let message = |mail: &String| format!("{line}{}\n\n", mail.replace('\r', ""));
    mails.iter().map(message).collect::<Vec<_>>().concat()
}

/// Rules, spam in an mbox and a folder, ham in a Maildir.
fn corpus() -> Folder {
    let folder = Folder::with("site.cf", RULES);
    for path in ["spam", "Maildir/cur", "Maildir/new", "Maildir/tmp"] {
        std::fs::create_dir_all(folder.path().join(path)).unwrap();
    }
    let spam = [invitation("a voucher"), invitation("voucher meeting"), invitation("hello")];
    folder.write("spam.mbox", &mbox(&spam));
    folder.write("spam/a file.eml", &invitation("voucher"));
    folder.write("spam/bare.ics", &calendar("PUBLISH", &["SUMMARY:voucher"]));
    folder.write("Maildir/cur/1:2,S", &invitation("a meeting"));
    folder.write("Maildir/cur/2:2,S", &invitation("voucher meeting"));
    folder.write("Maildir/new/3", "Subject: no calendar\r\n\r\nhello\r\n");
    folder.write("Maildir/tmp/4", &invitation("half"));
    folder.write("Maildir/dovecot.index", "x");
    folder
}

/// The command on it.
fn run(folder: &Folder, more: &[&str]) -> String {
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (rules, mbox, spam, ham) = (path(""), path("spam.mbox"), path("spam"), path("Maildir"));
    let arguments = [
        "mass-check",
        "--no-stock-rules",
        "--rules",
        &rules,
        "--spam",
        &mbox,
        "--spam",
        &spam,
        "--ham",
        &ham,
    ];
    ok(&[&arguments, more].concat())
}

#[test]
fn the_table_and_the_summaries_are_spamassassins() {
    let folder = corpus();
    let shown = run(&folder, &["--threshold", "6", "--threshold", "2.5", "--misses"]);
    let path = folder.path().display();
    let expected = format!(
        "\
OVERALL%   SPAM%     HAM%     S/O    RANK   SCORE  NAME
      8        5        3    0.625   0.00    0.00  (all messages)
100.000  62.5000  37.5000    0.625   0.00    0.00  (all messages as %)
 62.500  80.0000  33.3333    0.706   1.00    4.00  T_VOUCHER
 37.500  20.0000  66.6667    0.231   0.00    2.50  T_MEETING

# SUMMARY for threshold 6.0:
# Correctly non-spam:      2  66.67%
# Correctly spam:          1  20.00%
# False positives:         1  33.33%
# False negatives:         4  80.00%
# TCR(l=50): 0.092593  SpamRecall: 20.000%  SpamPrec: 50.000%

# SUMMARY for threshold 2.5:
# Correctly non-spam:      1  33.33%
# Correctly spam:          4  80.00%
# False positives:         2  66.67%
# False negatives:         1  20.00%
# TCR(l=50): 0.049505  SpamRecall: 80.000%  SpamPrec: 66.667%

# Messages: 8, with a calendar: 7, not read to the end: 0, not read: 0

# Misses for threshold 6.0: 5
ham    6.50  {path}/Maildir/cur/2:2,S  T_MEETING,T_VOUCHER
"
    );
    assert!(shown.starts_with(&expected), "{shown}\nand not\n{expected}");
    let hello = shown.lines().nth(expected.lines().count()).unwrap();
    assert!(hello.starts_with("spam   0.00  ") && hello.contains("spam.mbox."), "{hello}");
    assert!(run(&folder, &["--all"]).contains("    3.00  T_PAST\n"));
}

#[test]
fn mail_is_judged_on_the_day_it_came_unless_somebody_says_otherwise() {
    let folder = corpus();
    assert!(!run(&folder, &[]).contains("T_PAST"));
    assert!(run(&folder, &["--now", "2027-01-01T00:00:00Z"]).contains("T_PAST"));
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let folder = corpus();
    let mut texts = Vec::new();
    for jobs in ["1", "4", "16"] {
        let logs = Folder::new();
        let to = logs.path().display().to_string();
        let mut text = run(&folder, &["--json", "--misses", "--jobs", jobs, "--log", &to]);
        text += &ok(&["mass-check", "--spam", SPAM, "--ham", HAM, "--misses", "--jobs", jobs]);
        for log in ["spam.log", "ham.log"] {
            text += &std::fs::read_to_string(logs.path().join(log)).unwrap();
        }
        texts.push(text);
    }
    assert!(texts.iter().all(|text| *text == texts[0]), "{}\n{}", texts[0], texts[1]);
}

#[test]
fn logs_have_spamassassins_shape() {
    let folder = corpus();
    let logs = Folder::new();
    run(&folder, &["--log", &logs.path().display().to_string(), "--threshold", "6"]);
    let read = |name: &str| std::fs::read_to_string(logs.path().join(name)).unwrap();
    let path = folder.path().display();
    let spam = read("spam.log");
    let lines: Vec<&str> = spam.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines.len(), 5, "{spam}");
    let sent = "time=1795168800,scantime=0,format=";
    assert_eq!(lines[0], format!(".  4 {path}/spam.mbox.0 T_VOUCHER {sent}m,reuse=no,set=0"));
    assert!(lines[1].starts_with("Y  6 ") && lines[1].contains(" T_MEETING,T_VOUCHER "));
    assert_eq!(lines[3], format!(".  4 {path}/spam/a_file.eml T_VOUCHER {sent}f,reuse=no,set=0"));
    assert_eq!(read("ham.log").lines().filter(|line| !line.starts_with('#')).count(), 3);
    let output = calspamd(&["mass-check", "--spam", SPAM, "--log", "no/such/folder"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("no/such/folder/spam.log"), "{}", err(&output));
}

#[test]
fn the_json_has_everything_of_the_tables() {
    let shown = json(&run(&corpus(), &["--json", "--misses", "--threshold", "6"]));
    assert_eq!(shown["messages"]["spam"], 5);
    assert_eq!(shown["messages"]["with_calendar"], 7);
    assert_eq!(shown["symbols"][0]["symbol"], "T_VOUCHER");
    assert_eq!(shown["symbols"][0]["spam"], 4);
    assert_eq!(shown["symbols"][0]["rank"], 1.0);
    assert_eq!(shown["thresholds"][0]["false_positives"], 1);
    assert_eq!(shown["misses"][0]["class"], "ham");
    assert_eq!(shown["misses"][0]["symbols"], serde_json::json!(["T_MEETING", "T_VOUCHER"]));
    assert_eq!(shown["unread"], serde_json::json!({}));
}

#[test]
fn what_cannot_be_read_is_named_and_counted() {
    let folder = corpus();
    let config = folder.write("c.toml", "[http]\nmax_message = \"1KiB\"\n");
    let large = folder.write("spam/large.eml", &format!("Subject: x\n\n{}", "x".repeat(2000)));
    let mails = [invitation("a"), invitation(&"b".repeat(2000)), invitation("c")];
    let mbox = folder.write("large.mbox", &mbox(&mails));
    std::os::unix::fs::symlink(folder.path(), folder.path().join("spam/around")).unwrap();
    let spam = folder.path().join("spam").display().to_string();
    let output = calspamd(&[
        "mass-check",
        "--config",
        &config,
        "--json",
        "--spam",
        &spam,
        "--spam",
        &mbox,
        "--ham",
        "no-such",
    ]);
    assert_eq!(output.status.code(), Some(1));
    let said = err(&output);
    assert!(said.contains(&format!("{large}: larger than 1024 bytes")), "{said}");
    assert!(said.contains("large.mbox.") && said.contains("no-such: "), "{said}");
    let shown = json(&out(&output));
    assert_eq!(shown["messages"]["spam"], 4, "{shown}");
    assert_eq!(shown["unread"].as_object().unwrap().len(), 2, "{shown}");
}

#[test]
fn the_fixtures_are_told_apart() {
    let shown = json(&ok(&["mass-check", "--spam", SPAM, "--ham", HAM, "--json"]));
    // What stands beside a message is read as a mail too, and nothing hits it.
    assert!(shown["messages"]["spam"].as_u64().unwrap() >= messages("spam").len() as u64);
    let spam = shown["thresholds"].as_array().unwrap();
    let spam = spam.iter().find(|summary| summary["threshold"] == 6.0).unwrap();
    assert_eq!(spam["false_positives"], 0, "{spam}");
}

#[test]
fn a_scan_reads_an_mbox() {
    let folder = corpus();
    let path = folder.path().join("spam.mbox").display().to_string();
    let shown = ok(&["scan", "--json", &path]);
    let lines: Vec<Value> = shown.lines().map(json).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0]["file"], format!("{path}.0"));
    assert_eq!(lines[2]["calendar"]["events"][0]["summary"], "hello");
}

/// Logs in which a good rule misses spam, and another makes false alarms.
fn logs() -> Folder {
    let folder = Folder::with("site.cf", RULES);
    let mut spam = String::new();
    let mut ham = String::from("# ham\n");
    for number in 0..60 {
        writeln!(spam, ".  4 s{number} T_VOUCHER,__HELPER time=1,set=0").unwrap();
        writeln!(ham, ".  0 h{number}  time=1,set=0").unwrap();
    }
    for number in 0..20 {
        writeln!(spam, "Y  6 t{number} T_VOUCHER,T_MEETING(2),GONE time=1,set=0").unwrap();
        writeln!(ham, ".  5 i{number} T_MEETING,T_PAST time=1,set=0").unwrap();
    }
    spam.push_str("what is this\n");
    folder.write("spam.log", &spam);
    folder.write("ham.log", &ham);
    folder
}

fn rescore(folder: &Folder, more: &[&str]) -> std::process::Output {
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (rules, spam, ham) = (path(""), path("spam.log"), path("ham.log"));
    let arguments =
        ["rescore", "--no-stock-rules", "--rules", &rules, "--spam-log", &spam, "--ham-log", &ham];
    calspamd(&[&arguments, more].concat())
}

#[test]
fn scores_are_proposed_and_written_only_when_asked() {
    let folder = logs();
    let output = rescore(&folder, &["--threshold", "5"]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let shown = out(&output);
    assert!(shown.lines().next().unwrap().ends_with("SYMBOL     WHY"), "{shown}");
    assert!(shown.contains("80       0  T_VOUCHER"), "{shown}");
    assert!(shown.contains("must not gain"), "{shown}");
    assert!(shown.contains("better on mail they were not learnt from"), "{shown}");
    let said = err(&output);
    assert!(said.contains("GONE") && !said.contains("__HELPER"), "{said}");
    assert!(said.contains("lines not understood: 1"), "{said}");
    assert_eq!(out(&rescore(&folder, &["--threshold", "5"])), shown, "the same every time");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3);

    let path = folder.path().join("zz-scores.cf");
    let written = ["--threshold", "5", "--write", path.to_str().unwrap()];
    assert_eq!(rescore(&folder, &written).status.code(), Some(0));
    let text = std::fs::read_to_string(&path).unwrap();
    let past = text.lines().find(|line| line.starts_with("score T_PAST ")).unwrap();
    let rules = folder.path().display().to_string();
    let listed = ok(&["rules", "list", "--no-stock-rules", "--rules", &rules]);
    let score = past.rsplit(' ').next().unwrap();
    assert!(listed.contains(&format!("T_PAST     {score:>5}")), "{text}{listed}");
    // What it changed before is in force now, so it is not lost.
    let again = rescore(&folder, &written);
    if again.status.code() == Some(0) {
        assert!(std::fs::read_to_string(&path).unwrap().contains("score T_PAST "));
    } else {
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        assert!(err(&again).contains("nothing is written"), "{}", err(&again));
    }
    assert!(!Path::new(&format!("{}.new", path.display())).exists());
}

#[test]
fn files_of_others_are_left_alone() {
    let folder = logs();
    let path = folder.path().join("site.cf").display().to_string();
    let output = rescore(&folder, &["--threshold", "5", "--write", &path]);
    assert_eq!(output.status.code(), Some(2), "{}", err(&output));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), RULES);
}

#[test]
fn what_rescore_cannot_use_is_told() {
    let folder = logs();
    let output = rescore(&folder, &["--keep", "T_VOUCHR"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(err(&output).contains("did you mean T_VOUCHER"), "{}", err(&output));
    let output = rescore(&folder, &["--folds", "90"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("80 spam in the logs, and at least 90"), "{}", err(&output));
    folder.write("ham.log", "Subject: no log\n");
    assert!(err(&rescore(&folder, &[])).contains("ham.log: this is no log"));
    std::fs::remove_file(folder.path().join("ham.log")).unwrap();
    assert_eq!(rescore(&folder, &[]).status.code(), Some(1));
}
