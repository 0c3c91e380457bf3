//! The ways without the plug-in: Rspamd's own scanners, configured as in `deploy/rspamd`.

use calspamd::server::spamd::Settings;

use super::program::{Rspamd, Site, version};
use crate::spamd::{Spamd, abusive, good};
use crate::support::{self, repository};

/// An Rspamd without the plug-in and with a scanner of `deploy/rspamd`, which asks this service.
fn scanning(spamd: &Spamd, file: &str) -> Rspamd {
    let text = std::fs::read_to_string(repository("deploy/rspamd").join(file)).unwrap();
    let mut site = Site::asking(spamd.service.address);
    site.add("calspamd.conf", "enabled = false;");
    let text = text
        .replace("11783", &spamd.address.port().to_string())
        .replace("11380", &spamd.service.address.port().to_string());
    site.add("external_services.conf", &text);
    Rspamd::start(&site)
}

#[test]
fn the_scanner_spamassassin_reads_scores_and_symbols() {
    let spamd = Spamd::start(Settings::default());
    let rspamd = scanning(&spamd, "external_services-spamassassin.conf");
    let answer = rspamd.check(abusive().as_bytes(), "Queue-Id: S1\r\n");
    let said = spamd.service.post("/checkv2", "Log: no\r\n", &abusive()).json();
    let symbol = &answer["symbols"]["CALSPAMD"];
    let (arrived, score) =
        (symbol["score"].as_f64().unwrap_or_default(), said["score"].as_f64().unwrap());
    // spamd's protocol has one decimal.
    assert!((arrived - score).abs() < 0.06, "{arrived} of {score}: {answer:#}\n{}", rspamd.log());
    assert!(symbol["options"].to_string().contains("CAL_UNC_PATH"), "{answer:#}");
    let answer = rspamd.check(good().as_bytes(), "Queue-Id: S2\r\n");
    let score = answer["symbols"]["CALSPAMD"]["score"].as_f64().unwrap_or_default();
    assert!(score < 6.0, "{answer:#}");
    let letter = "From: ann@sender.example\r\nSubject: x\r\n\r\nnothing of calendars\r\n";
    let answer = rspamd.check(letter.as_bytes(), "Queue-Id: S3\r\n");
    assert!(answer["symbols"].get("CALSPAMD").is_none(), "{answer:#}");
}

#[test]
fn the_scanner_expurgate_reads_the_verdict() {
    if version() < (4, 1) {
        println!("Rspamd {:?} has no scanner expurgate: `make test-rspamd4` tests it", version());
        return;
    }
    let spamd = Spamd::start(Settings::default());
    let rspamd = scanning(&spamd, "external_services-expurgate.conf");
    let letter = "From: ann@sender.example\r\nSubject: x\r\n\r\nnothing of calendars\r\n";
    let plain = support::mail("Lunch", &support::calendar("REQUEST", &["SUMMARY:Lunch"]));
    for (mail, symbol, score) in [
        (abusive(), "CALSPAMD_SPAM", 12.0),
        (plain, "CALSPAMD_CLEAN", 0.0),
        (letter.to_owned(), "CALSPAMD_NONE", 0.0),
    ] {
        let answer = rspamd.check(mail.as_bytes(), "Queue-Id: S4\r\n");
        let arrived = answer["symbols"][symbol]["score"].as_f64();
        assert_eq!(arrived, Some(score), "{symbol}: {answer:#}\n{}", rspamd.log());
        assert!(answer["symbols"].get("CALSPAMD_FAIL").is_none(), "{answer:#}");
    }
}
