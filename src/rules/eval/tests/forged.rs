use super::{HOP, check};

const HOTMAIL: &str =
    "Received: from hotmail.com (f1.law8.hotmail.com [203.0.113.5]) by x with ESMTP";

#[test]
fn hotmail() {
    let (forged, missing) =
        ("check_for_forged_hotmail_received_headers()", "check_for_no_hotmail_received_headers()");
    let sender = "From: a@hotmail.com";
    check(missing, &format!("{HOP}\n{sender}"), true);
    check(forged, &format!("{HOP}\n{sender}"), false);
    check(missing, &format!("{HOP}\nFrom: a@shotmail.com"), false);
    let own = format!("{HOTMAIL}\n{sender}\nX-Originating-Ip: [203.0.113.9]");
    check(missing, &own, false);
    check(forged, &own, false);
    check(forged, &format!("{HOTMAIL}\n{sender}"), true);
    check(missing, sender, false);
}

#[test]
fn others() {
    let hop = |field: &str| format!("Received: {field}\n");
    let gmail = "check_for_forged_gmail_received_headers()";
    check(gmail, "From: a@gmail.com", true);
    check(gmail, "From: a@gmail.com\nX-Received: by 10.1.2.3 with SMTP id a1", false);
    check(gmail, "From: a@notgmail.com", false);
    let long = "x".repeat(59);
    let opaque =
        format!("From: a@gmail.com\nX-Gm-Message-State: {long}\nX-Google-Smtp-Source: {long}");
    check(gmail, &opaque, false);
    let short = opaque.replace(&long, &"x".repeat(58));
    check(gmail, &short, true);
    let yahoo = "check_for_forged_yahoo_received_headers()";
    check(yahoo, &format!("{HOP}\nFrom: a@yahoo.com"), true);
    let web = hop("from [203.0.113.9] by web12.mail.abc.yahoo.com via HTTP");
    check(yahoo, &format!("{HOP}\n{web}From: a@yahoo.com"), false);
    let named = HOP.replace("mail.example.com", "mta1.yahoo.com");
    check(yahoo, &format!("{named}\nFrom: a@yahoo.com"), false);
    let juno = "check_for_forged_juno_received_headers()";
    let own = hop("from x.juno.com (x.juno.com [203.0.113.9]) by mx.example.org with ESMTP");
    let mail = format!("{own}From: a@juno.com\nX-Originating-IP: 203.0.113.9\nX-Mailer: Juno 5");
    check(juno, &mail, false);
    check(juno, &mail.replace("Juno 5", "Other"), true);
    check(juno, &mail.replace("juno.com [", "june.com [").replace("x.juno", "x.june"), true);
    let eudora = "check_for_forged_eudoramail_received_headers()";
    check(eudora, &format!("{HOP}\nFrom: a@eudoramail.com"), true);
    let own = hop("from Unknown/Local ([?]) by shared1-mail.whowhere.com; Thu Nov 29");
    let mail = format!("{own}From: a@eudoramail.com\nX-Sender-Ip: 203.0.113.9");
    check(eudora, &mail, false);
    let gateway = "check_for_forged_gw05_received_headers()";
    let first = hop("from a.example.com by gw05 with ESMTP; Thu, 21 Jun 2001 02:28:32 -0400");
    check(gateway, &format!("{HOP}\n{first}"), true);
    check(gateway, &first, false);
    check(gateway, &format!("{HOP}\n{}", first.replace("gw05", "gw05.org")), false);
    let aol = "check_for_fake_aol_relay_in_rcvd()";
    check(aol, &hop("from x by rly-xw01.mx.aol.com with QMQP"), true);
    check(aol, HOP, false);
}

#[test]
fn msn_groups() {
    let call = "check_for_msn_groups_headers()";
    let mail = "Received: from mail pickup service by p05.groups.msn.com with Microsoft \
                SMTPSVC\nTo: \"M\" <notifications@groups.msn.com>\nMessage-Id: \
                <T1@p05.groups.msn.com>";
    check(call, mail, true);
    check(call, &mail.replace("T1@p05", "T1@p06"), false);
    check(call, &mail.replace("notifications@", "other@"), false);
}

#[test]
fn hops_that_were_removed() {
    let call = "gated_through_received_hdr_remover()";
    check(call, "From: a@example.com", true);
    check(call, HOP, false);
    let list = "Received: (qmail 1 invoked from network); 15 Nov 2026 12:00:00 -0000\nMailing-List: \
                contact list-help@example.com; run by ezmlm\nDelivered-To: mailing list \
                list@example.com";
    check(call, list, true);
    check(call, &list.replace("run by ezmlm", "run by me"), false);
    let id = "check_messageid_not_usable()";
    let leave = |to: &str| format!("{HOP}\nList-Unsubscribe: <mailto:{to}>");
    check(id, &leave("leave-x@example.com"), true);
    check(id, &leave("list-unsubscribe@example.com"), true);
    check(id, &leave("stop@example.com"), false);
}
