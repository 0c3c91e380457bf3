use super::{HOP, value};

const YES: Option<f64> = Some(1.0);
const NO: Option<f64> = Some(0.0);

#[track_caller]
fn check(call: &str, mail: &str, stated: &str, expected: Option<f64>) {
    assert_eq!(value(SETTINGS, call, mail, stated), expected, "{call} on {mail}, {stated}");
}

const SETTINGS: &str = "adsp_override strict.example.com\nadsp_override *.low.example.com \
                        custom_low\nwelcomelist_auth *@auth.example.com\nwelcomelist_from_dkim \
                        *@list.example.com signer.example.net\ndef_welcomelist_from_dkim \
                        *@def.example.com";

const SIGNED: &str =
    "DKIM-Signature: v=1; a=rsa-sha256; d=Example.com; s=s1; b=AAAA\nFrom: a@example.com";
const UNSIGNED: &str = "From: a@example.com";

#[test]
fn spf() {
    let pass = "spf=pass smtp.mailfrom=example.com";
    check("check_for_spf_pass()", UNSIGNED, "", None);
    check("check_for_spf_pass()", UNSIGNED, "dkim=pass header.d=example.com", None);
    check("check_for_spf_pass()", UNSIGNED, pass, YES);
    check("check_for_spf_fail()", UNSIGNED, pass, NO);
    check("check_for_spf_helo_pass()", UNSIGNED, pass, None);
    check("check_for_spf_helo_pass()", UNSIGNED, "spf=pass smtp.helo=example.com", YES);
    check("check_for_spf_fail()", UNSIGNED, "spf=hardfail smtp.mailfrom=example.com", YES);
    for result in ["neutral", "none", "softfail", "permerror", "temperror"] {
        let stated = format!("spf={result} smtp.mailfrom=example.com");
        check(&format!("check_for_spf_{result}()"), UNSIGNED, &stated, YES);
        let stated = format!("spf={result} smtp.helo=example.com");
        check(&format!("check_for_spf_helo_{result}()"), UNSIGNED, &stated, YES);
    }
    check("check_spf_skipped_noenvfrom()", UNSIGNED, "", YES);
    check("check_spf_skipped_noenvfrom()", "Return-Path: <a@example.com>", "", NO);
}

#[test]
fn dkim() {
    let pass = "dkim=pass header.d=example.com";
    check("check_dkim_signed()", SIGNED, "", YES);
    check("check_dkim_signed()", UNSIGNED, "", NO);
    check("check_dkim_signed('example.net','example.com')", SIGNED, "", YES);
    check("check_dkim_signed('example.net')", SIGNED, "", NO);
    check("check_dkim_valid()", SIGNED, "", None);
    check("check_dkim_valid()", UNSIGNED, "", NO);
    check("check_dkim_valid()", SIGNED, pass, YES);
    check("check_dkim_valid()", SIGNED, "dkim=fail header.d=example.com", NO);
    check("check_dkim_valid('*.com')", SIGNED, pass, YES);
    check("check_dkim_valid('ample.com')", SIGNED, pass, NO);
    check("check_dkim_valid_author_sig()", SIGNED, pass, YES);
    check("check_dkim_valid_author_sig()", SIGNED, "dkim=pass header.d=example.net", NO);
    let sender = format!("Return-Path: <b@example.com>\n{SIGNED}");
    check("check_dkim_valid_envelopefrom()", &sender, pass, YES);
    check("check_dkim_valid_envelopefrom()", &sender, "", None);
    check("check_dkim_valid_envelopefrom()", SIGNED, pass, NO);
    check("check_dkim_dependable()", SIGNED, "", None);
    check("check_dkim_dependable()", SIGNED, pass, YES);
    check("check_dkim_dependable()", UNSIGNED, "", YES);
    check("check_dkim_signsome()", SIGNED, pass, NO);
}

#[test]
fn signing_practices() {
    let strict = "From: a@strict.example.com";
    check("check_dkim_adsp('D')", strict, "", YES);
    check("check_dkim_adsp('A')", strict, "", NO);
    check("check_dkim_signall()", strict, "", NO);
    check("check_dkim_adsp('*')", strict, "", YES);
    check("check_dkim_adsp('D','example.net')", strict, "", NO);
    check("check_dkim_adsp('D','*.example.com')", strict, "", YES);
    let signed = format!("DKIM-Signature: d=strict.example.com; b=A\n{strict}");
    check("check_dkim_adsp('D')", &signed, "", None);
    check("check_dkim_adsp('D')", &signed, "dkim=pass header.d=strict.example.com", NO);
    check("check_dkim_adsp('D')", &signed, "dkim=fail header.d=strict.example.com", YES);
    check("check_dkim_adsp('1')", "From: a@x.low.example.com", "", YES);
    check("check_dkim_adsp('1')", "From: a@low.example.com", "", NO);
    // Others publish their practice in DNS, which nobody asks here.
    check("check_dkim_adsp('A')", UNSIGNED, "", None);
    check("check_dkim_adsp('3')", UNSIGNED, "", NO);
}

#[test]
fn dmarc_and_arc() {
    let fail = "dmarc=fail (p=REJECT) header.from=example.com";
    check("check_dmarc_pass()", UNSIGNED, "", None);
    check("check_dmarc_pass()", UNSIGNED, "dmarc=pass header.from=example.com", YES);
    check("check_dmarc_missing()", UNSIGNED, "dmarc=none header.from=example.com", YES);
    check("check_dmarc_missing()", UNSIGNED, fail, NO);
    check("check_dmarc_reject()", UNSIGNED, fail, YES);
    check("check_dmarc_quarantine()", UNSIGNED, fail, NO);
    check("check_dmarc_none()", UNSIGNED, "dmarc=fail (p=NONE)", YES);
    check("check_dmarc_reject()", UNSIGNED, "dmarc=fail", None);
    check("check_dmarc_pass()", UNSIGNED, "dmarc=temperror", None);
    let sealed = "ARC-Seal: i=1; d=example.net; b=A";
    check("check_arc_signed()", sealed, "", YES);
    check("check_arc_signed()", UNSIGNED, "", NO);
    check("check_arc_valid()", sealed, "", None);
    check("check_arc_valid()", UNSIGNED, "", NO);
    check("check_arc_valid()", sealed, "arc=pass", YES);
    check("check_arc_valid()", sealed, "arc=fail", NO);
}

#[test]
fn welcome_senders() {
    let spf = "check_for_spf_welcomelist_from()";
    let sender = |address: &str| format!("Return-Path: <{address}>\n{HOP}");
    let direct = sender("a@auth.example.com");
    check(spf, &direct, "spf=pass smtp.mailfrom=auth.example.com", YES);
    check(spf, &direct, "spf=fail smtp.mailfrom=auth.example.com", NO);
    check(spf, &direct, "", None);
    check(spf, &sender("a@example.com"), "", NO);
    check("check_for_def_spf_welcomelist_from()", &direct, "spf=pass", NO);
    let dkim = "check_for_dkim_welcomelist_from()";
    let signed = |author: &str| format!("DKIM-Signature: d=x.example; b=A\nFrom: {author}");
    let author = signed("a@auth.example.com");
    check(dkim, &author, "dkim=pass header.d=auth.example.com", YES);
    check(dkim, &author, "dkim=pass header.d=example.com", NO);
    check(dkim, &author, "", None);
    check(dkim, "From: a@auth.example.com", "", NO);
    let list = signed("a@list.example.com");
    check(dkim, &list, "dkim=pass header.d=signer.example.net", YES);
    check(dkim, &list, "dkim=pass header.d=list.example.com", NO);
    check(dkim, &signed("a@example.com"), "", NO);
    let default = signed("a@def.example.com");
    check(
        "check_for_def_dkim_welcomelist_from()",
        &default,
        "dkim=pass header.d=def.example.com",
        YES,
    );
    check(dkim, &default, "dkim=pass header.d=def.example.com", NO);
}
