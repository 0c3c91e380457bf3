//! The Received formats that are understood, in the order in which they are tried.
//!
//! What is measured is SpamAssassin 4.0.1. Order matters: mail systems swap the places of
//! HELO and of the name found by DNS, and a general format would misread a special one that
//! comes later. A line stands without its `from `, its white space runs are single spaces.

use std::sync::LazyLock;

use super::shape::Shape;

/// What a fitting format says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Says {
    /// A hop.
    Hop,
    /// A hop whose system always asks DNS: no name means that there is none.
    Resolved,
    /// A hop whose HELO is told only where it differs from the name in DNS.
    SameName,
    /// Both of that.
    ResolvedSameName,
    /// The parenthesis may hold `helo=` and `ident=`.
    Exim,
    /// The same, and the first word is the name in DNS.
    NamedExim,
    /// A hop without an id of its own.
    WithoutId,
    /// `XMail`, which tells id and sender in its own way.
    XMail,
    /// Postfix, which writes `unknown`.
    Postfix,
    /// sendmail, which puts the IDENT answer before the name.
    Sendmail,
    /// Courier's `softdnserr` is no name.
    Courier,
    /// Obtuse smtpd writes `UNKNOWN` where it found no name.
    Obtuse,
    /// qmail: what counts are the formats behind this one.
    Qmail,
    /// No hop over the network, or one that tells nothing.
    Skip,
    /// Fetched from a mailbox.
    Fetched,
    /// qmail-scanner, which tells the sender of the hop below.
    Scanner,
}

/// A format.
pub(super) struct Format {
    /// Texts that stand somewhere in the line; all of them do.
    pub(super) needs: &'static [&'static str],
    pub(super) shape: Shape,
    pub(super) says: Says,
}

/// Formats that are tried only where a mark stands in the line; only the first mark counts.
pub(super) struct Family {
    pub(super) mark: &'static str,
    pub(super) formats: Vec<Format>,
}

type Row = (&'static [&'static str], &'static str, Says);

fn formats(rows: &[Row]) -> Vec<Format> {
    rows.iter()
        .map(|(needs, template, says)| Format { needs, shape: Shape::new(template), says: *says })
        .collect()
}

use Says::{
    Courier, Exim, Fetched, Hop, NamedExim, Obtuse, Postfix, Qmail, Resolved, ResolvedSameName,
    SameName, Scanner, Sendmail, Skip, WithoutId, XMail,
};

/// Families by the mark of their system.
pub(super) static FAMILIES: LazyLock<Vec<Family>> = LazyLock::new(|| {
    let family = |mark, rows: &[Row]| Family { mark, formats: formats(rows) };
    vec![
        family(
            " SMTPSVC",
            &[
                (&[], "{helo?} ([{ip}]{in?}) by {by} with Microsoft SMTPSVC", Hop),
                (&[], "mail pickup service by {w} with Microsoft SMTPSVC{end}", Skip),
            ],
        ),
        family("\0microsoft", &[(&[], "{helo} ({[|}{ip}«%{w?}»{]|}) by {by} ", WithoutId)]),
        family("[XMail ", &[(&[], "{helo} ({[|}{ip}{]|}:{d}) by {by}« ({w})» with [XMail", XMail)]),
        family(
            "(ecelerity",
            &[
                (&[], "([{ip}:{d}] helo={helo}) by {by} ", Hop),
                (&[], "{w} ([{ip}:{d}]) by {by} ", Hop),
            ],
        ),
        family(
            "Exim",
            &[
                (&["with local "], "{_}{edge}with local ", Skip),
                (&["with local-"], "{_}{edge}with local-{w} ", Skip),
                (&[], "[{ip}] ({sub}) by {by} ", Exim),
                (&[], "{rdns} ([{ip}]{sub}) by {by} ", NamedExim),
                (&[], "{rdns} [{ip}]«:{d}» by {by} ", SameName),
            ],
        ),
        family(
            " (Postfix) with",
            &[
                (&[], "{helo} ({rdns} [{ip}]) by {by} ", Postfix),
                (&[], "{helo} ({rdns}[{ip}]) by {by} ", Postfix),
            ],
        ),
        family("(Scalix SMTP Relay", &[(&[], "{helo} ({ |}{ip}) by {by}", Hop)]),
        family(" (Lotus Domino ", &[(&[], "{helo} ([{ip}]) by {by} (Lotus", Hop)]),
    ]
});

/// sendmail, as long as it is not qmail-ldap.
pub(super) static SENDMAIL: LazyLock<Vec<Format>> =
    LazyLock::new(|| formats(&[(&[], "{helo} ({rdns} [{ip}]{__}) by {by} (", Sendmail)]));

/// Two systems whose name the line of sendmail would misread.
pub(super) static BEFORE_SENDMAIL: LazyLock<Vec<Format>> =
    LazyLock::new(|| formats(&[(&["with HTTP"], "{ip} ([{addr}]) by {by}", Hop)]));

/// qmail with its patches, once the line as a whole looks like qmail.
pub(super) static QMAIL: LazyLock<Vec<Format>> = LazyLock::new(|| {
    formats(&[
        (
            &[],
            "{rdns} ({HELO|EHLO} {bare?:helo}) ({ident?}@{[|}{ip}{]|})« (envelope-sender <{w}>)» by {by}",
            Hop,
        ),
        (
            &[],
            "{rdns} ({HELO|EHLO} {bare?:helo}) ({[|}{ip}{]|})« (envelope-sender <{w}>)» by {by}",
            Hop,
        ),
        (&[], "{rdns} ({ident?}@{[|}{ip}{]|})« (envelope-sender <{w}>)» by {by}", SameName),
        (&[], "{rdns} ({[|}{ip}{]|})« (envelope-sender <{w}>)» by {by}", SameName),
    ])
});

/// Everything else that begins with `from `.
pub(super) static FROM: LazyLock<Vec<Format>> = LazyLock::new(|| {
    formats(&[
        (&[], "{helo} ({rdns} [{ip}]) by {by} with {w} (", Resolved),
        (&["helo="], "{rdns} ([{ip}] helo={helo}) by {by} with ", Hop),
        (&["<unknown"], "{helo} (<unknown{w?}>[{ip}]) by {by} ", Hop),
        (&[], "{helo} ({dotted:rdns}[{ip}]) by {by} ", Resolved),
        (&["@["], "{helo} ({ident?}@[{ip}]{__}) by {by} (", Resolved),
        (&[".hotmail.msn.com "], "\0hotmail", Hop),
        (
            &["(qpsmtpd/"],
            "{rdns} ({HELO|EHLO} {helo?}) ({ip}) by {by} (qpsmtpd/{w}) with {ESMTP|SMTP}",
            Hop,
        ),
        (&["(LHLO "], "{rdns} (LHLO {helo?}) ({ip}) by {by} with LMTP", Hop),
        (&["LO "], "{rdns} ({HELO|EHLO} {helo?}) [{ip}] by {by} ({in}) with {ESMTP|SMTP}", Hop),
        (&["via smtpd"], "{helo} ([{ip}]) by {by} via smtpd (for {w}) with SMTP(", Hop),
        (
            &[" with "],
            "{w}« ({HELO|EHLO} {w?})» («{w}@»{[|}{addr}{]|})« (envelope-sender <{w}>)» by {w}« ({__})» with «{__} »{SMTP|QMQP}{! id }",
            Qmail,
        ),
        (&[" via HTTP"], "[{ip}] by {by} via HTTP{end}", Hop),
        (&["( ["], "{w} ( [{ip}]){_} by {by} ", Hop),
        (&[], "({helo} [{ip}]) by {by} ", Hop),
        (&[], "[{ip}] by {by} ", Hop),
        (&[], "({[|}{ip}{]|}) by {by} ", Hop),
        (&[], "{helo} [{ip}] by {by} [{addr}] with ", Resolved),
        (&["[("], "{helo} [({ip})] by {by} ({addr}) ", Hop),
        (&["(["], "{helo} ([{ip}]) by {by} (", Resolved),
        (&[], "{helo} ({rdns} [{ip}]){_} by {by}{edge}", Courier),
        (&["(["], "{helo} ([{ip}«{.|:}{d}»]){_} by {by} ", Resolved),
        (&["with POP3"], "", Fetched),
        (&["with IMAP"], "", Fetched),
        (
            &["LO "],
            "{rdns} ({HELO|EHLO} {in?:helo}) («{ident?}@»{[|}{ip}{]|}){__} by {by} ",
            Resolved,
        ),
        (&[], "{rdns} («{ident?}@»{[|}{ip}{]|}){__} by {by} ", ResolvedSameName),
        (&[" via smap "], "{rdns}({ip}) by {by} via smap ", Resolved),
        (&[" via smap "], "{rdns}({ip}, {HELO|EHLO} {helo?}) by {by} via smap ", Resolved),
        (&["LO "], "{rdns} ({HELO|EHLO} {helo?}) («{ident}@»{ip}{_}) by {by} with ", Resolved),
        (&["LO "], "[{ip}] («account {w} »{HELO|EHLO} {helo?}) by {by} (", Hop),
        (&[" (CommuniGate Pro"], "{rdns} ([{ip}] verified) by {by} (", ResolvedSameName),
        (&["SMTPL"], "{ip} by {by} (SMTPL{edge}", Hop),
        (&["InterScan"], "{ip} by {by} (InterScan{edge}", Hop),
        (&[" with BSMTP"], "{w} by {w} with BSMTP", Skip),
        (&["(Content Technologies "], "{w} ({w}) by {w} (Content Technologies ", Skip),
        (&["] ["], "{helo} ([{ip}] [{w}]) by {by} with ", Hop),
        (&[], "{ip} by {by} with ", Hop),
        (&[], "{helo} ({rdns}[{ip}]) by {by} ", Resolved),
        (&["LO "], "[{ip}]{w} ({HELO|EHLO} {helo?}) by {by} ", Hop),
        (&["LO "], "{ip} ({HELO|EHLO} {helo?}) by {by} ", Hop),
        (&[], "{helo} [{ip}] by {by} ", Hop),
        (&[], "{rdns}({ip}) by {by} ", Hop),
        (&[], "{ip} ({letter}{in}) by {by} with ", Hop),
        (&[], "[{ip}] ({in:sub}) by {by} ", Exim),
        (&[" via "], "{rdns}({ip})«, claiming to be \"{helo}\"» via {w} by {by},", Obtuse),
        (
            &[" with login)", ".yahoo.com with SMTP"],
            "{helo} ({w}@{ip} with login) by {by} with SMTP",
            Hop,
        ),
        (&["X-Originating-IP: "], "X-Originating-IP: {ip}{end}", Hop),
    ])
});

/// Lines from which nothing can be learnt, tried when nothing else fits.
pub(super) static SKIPPED: LazyLock<Vec<Format>> = LazyLock::new(|| {
    formats(&[
        (&["@"], "{w} ({at}@{local}) by {w} (", Skip),
        (&[" with local-"], "{w} {w} by {w} with local-{e|}smtp ", Skip),
        (&[], "127.0.0.1 (AVG SMTP {w} [{w}])", Skip),
        (&["@"], "{w}@{w} by {w} ", Skip),
        (&[], "Unknown/Local (", Skip),
        (&[], "{local} («{w}@»{local}{)|[}", Skip),
        (&[], "{w} («{w}@»{local}) ", Skip),
        (&["@"], "{w} ({w}@{w} [{local}]) ", Skip),
        (&["(AUTH: "], "(AUTH: {w}) by {w} with ", Skip),
        (&[], "localhost (localhost [[UNIX: localhost]]) by ", Skip),
        (&["Novell_GroupWise"], "{dotless} by {w} with Novell_GroupWise", Skip),
        (&["with qmail-scanner"], "{w} by {w} ({upto100}) with qmail-scanner", Scanner),
        (&[], "{w} by {w} with local", Skip),
        (
            &["([unix socket])"],
            "{w} ([unix socket]) by {w} (Cyrus v«{d}».«{d}».«{d}») with LMTPA",
            Skip,
        ),
        (&[], "{w} by {w} {with|via|for|(}", Skip),
        (&[], "{w} {with|via|for} {w} by{edge}", Skip),
        (&["(unverified)"], "{w} (unverified) by{edge}", Skip),
        (&["(unknown)"], "{w} (unknown) by {w} (SG) with {edge}", Skip),
        (&["[local]"], "{w} ({w} [local]) by {w} (OpenSMTPD) with {edge}", Skip),
        (&["(LSMTP for"], "", Skip),
        (&["MailEnable"], "([{local}]) with MailEnable ", Skip),
        (&["Thrift"], "facebook.com ({in}) by facebook.com with Thrift id {w}{end}", Skip),
        (&["HTTPREST"], "{w} named {w} by gmailapi.google.com with HTTPREST{end}", Skip),
        (&[" id "], "{w} id {w}{end}", Skip),
        (&["(Jetsend"], "[<{_} (Jetsend", Skip),
    ])
});

/// Lines that begin with `FROM `: simta and Rockliffe.
pub(super) static SHOUTED: LazyLock<Vec<Format>> = LazyLock::new(|| {
    formats(&[(
        &[],
        "{helo} ({rdns} [{ip}]) BY {by} «({in}) WITH SMTP »ID {<|}{lazy:id}{>|}« FOR <{angle}>»{end}",
        Resolved,
    )])
});

/// Lines that begin with `(from `.
pub(super) static ENCLOSED: LazyLock<Vec<Format>> = LazyLock::new(|| {
    formats(&[
        (&["(NAVGW "], "{helo?} [{ip}]) by {by} (NAVGW {_}) with ", Hop),
        (&["@localhost)"], "{w}@localhost) by {w} ", Skip),
        (&["(jqueuemail)"], "{at}@{in}) by {w}(jqueuemail) id {w}", Skip),
    ])
});

/// Lines that say that the sender has proved who it is; `auth` is how, where it is kept. The
/// text in front stands where nothing is kept.
pub(super) static AUTHENTICATED: LazyLock<Vec<(&'static str, Format)>> = LazyLock::new(|| {
    let rows: [(&str, Row); 6] = [
        (
            "",
            (
                &["(AUTH: "],
                "from {_}{])|)]} (AUTH: {auth:LOGIN|PLAIN|DIGEST-MD5|CRAM-MD5} {w}«, {_}») by ",
                Hop,
            ),
        ),
        (
            "Sendmail",
            (&["authenticated"], "from {_}]« ({in?})») {_}({_}authenticated{_}){_} by", Hop),
        ),
        ("Sendmail", (&["authenticated"], "from {_})] {_}({_}authenticated{_}){_} by", Hop)),
        (
            "GMX",
            (
                &["] by mail.gmx."],
                "{_}from {w?} ({HELO|EHLO} {w?}) [{addr}] by {by:mail.gmx.net|mail.gmx.com} ({in}) with {auth:ESMTP|SMTP}",
                Hop,
            ),
        ),
        (
            "CriticalPath",
            (
                &[" (authenticated as "],
                "{_}) by {_}({d}.{d}.{d}«.{d}») (authenticated as {_}) id ",
                Hop,
            ),
        ),
        (
            "Postfix",
            (
                &[") (Authenticated sender: "],
                "{_}) (Authenticated sender: {w}) by {w} ({in:auth}) with ",
                Hop,
            ),
        ),
    ];
    rows.into_iter()
        .map(|(name, (needs, template, says))| {
            (name, Format { needs, shape: Shape::new(template), says })
        })
        .collect()
});
