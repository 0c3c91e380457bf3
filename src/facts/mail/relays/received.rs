//! Reads one Received field.
//!
//! Comes in: the value of the field, unfolded and decoded. Goes out: a hop, or why there is
//! none. Not an error: a line that nobody understands is [`Line::Unparseable`], a sign of
//! forgery that rules score.

use memchr::memmem;

use super::Relay;
use super::address::{self, is_space};
use super::formats::{
    AUTHENTICATED, BEFORE_SENDMAIL, ENCLOSED, FAMILIES, FROM, Format, QMAIL, SENDMAIL, SHOUTED,
    SKIPPED, Says,
};
use super::shape::{Effort, Field, Found, Shape, is_edge};

/// What a Received field turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A hop; trust is not decided yet.
    Hop(Relay),
    /// Nothing to learn from: local delivery, no address told.
    Skipped,
    /// As [`Line::Skipped`], but the sender it tells belongs to the hop below.
    SenderOfNext(Option<String>),
    /// A mailbox was read: hops above are those of its owner.
    Fetched,
    /// Nobody knows.
    Unparseable,
}

/// What is known of a hop while its line is read.
#[derive(Debug, Default, Clone)]
struct Draft {
    ip: String,
    helo: String,
    rdns: String,
    by: String,
    id: String,
    ident: String,
    auth: String,
    sender: Option<String>,
    resolved: bool,
}

/// Reads the value of a Received field.
pub(super) fn read(value: &[u8], effort: &mut Effort) -> Line {
    let line = tidy(value);
    if !(starts_with(&line, b"from ") || starts_with(&line, b"(from ")) {
        return Line::Skipped;
    }
    if let Some(at) = find(&line, b"with local for")
        && is_edge(&line, at)
        && is_edge(&line, at + b"with local for".len())
    {
        return Line::Skipped;
    }
    if is_bare_handover(&line) {
        return Line::Skipped;
    }
    let mut line = without_date(line);
    if let Some(at) = find(&line, b")by ") {
        line.insert(at + 1, b' ');
    }
    let mut draft = Draft {
        id: id(&line),
        helo: helo(&line),
        by: word_after(&line, b" by ").map(text).unwrap_or_default(),
        auth: authenticated(&line, effort),
        ..Draft::default()
    };
    let (rest, formats) = if let Some(rest) = line.strip_prefix(b"from ") {
        return draft.from_line(rest, effort);
    } else if let Some(rest) = line.strip_prefix(b"FROM ") {
        (rest, &SHOUTED)
    } else if let Some(rest) = line.strip_prefix(b"(from ") {
        (rest, &ENCLOSED)
    } else {
        return draft.or_any_address(&line);
    };
    for format in formats.iter() {
        if let Some(found) = fits(format, rest, effort) {
            if format.says == Says::Skip {
                return Line::Skipped;
            }
            draft.take(&found, format.says);
            if draft.rdns == "unverified" {
                draft.rdns.clear();
            }
            return draft.finish();
        }
    }
    draft.or_any_address(rest)
}

impl Draft {
    fn from_line(mut self, rest: &[u8], effort: &mut Effort) -> Line {
        self.sender = sender(rest);
        if let Some(line) = self.webmail(rest) {
            return line;
        }
        if let Some(line) = self.family(rest, effort) {
            return line;
        }
        let steps: [&[Format]; 2] =
            if is_qmail_ldap(rest) { [&BEFORE_SENDMAIL, &[]] } else { [&BEFORE_SENDMAIL, &SENDMAIL] };
        for format in steps.into_iter().flatten().chain(FROM.iter()).chain(SKIPPED.iter()) {
            if format.says == Says::Hop && format.needs == [".hotmail.msn.com "] {
                if self.hotmail(rest) {
                    return self.finish();
                }
                continue;
            }
            let Some(found) = fits(format, rest, effort) else {
                continue;
            };
            match format.says {
                Says::Skip => return Line::Skipped,
                Says::Fetched => return Line::Fetched,
                Says::Scanner => return Line::SenderOfNext(self.sender.map(|s| clean_sender(&s))),
                Says::Qmail => {
                    let line = QMAIL.iter().find_map(|one| Some((fits(one, rest, effort)?, one)));
                    if let Some((found, one)) = line {
                        self.take(&found, one.says);
                    }
                    // qmail asks no DNS, whoever calls it does, or does not.
                    self.resolved = self.rdns != "unknown";
                    if !self.resolved {
                        self.rdns.clear();
                    }
                }
                says @ (Says::Hop
                | Says::Resolved
                | Says::SameName
                | Says::ResolvedSameName
                | Says::Exim
                | Says::NamedExim
                | Says::WithoutId
                | Says::XMail
                | Says::Postfix
                | Says::Sendmail
                | Says::Courier
                | Says::Obtuse) => self.take(&found, says),
            }
            return self.finish();
        }
        if self.helo.is_empty() {
            self.helo = guessed_helo(rest);
        }
        self.or_any_address(rest)
    }

    /// Web mail that writes the user's address somewhere in the line.
    fn webmail(&mut self, rest: &[u8]) -> Option<Line> {
        let user = b" authenticated user ";
        let squirrel = find(rest, user).is_some_and(|at| {
            rest.get(..at).is_some_and(|r| r.ends_with(b" (SquirrelMail") || r.ends_with(b" (NaSMail"))
        });
        if squirrel {
            let mut from = 0;
            while let Some(at) = find(rest.get(from..)?, b"by ").map(|at| at + from) {
                let by = word_after(rest.get(at..)?, b"by ").unwrap_or_default();
                let after = rest.get(at + 3 + by.len()..).unwrap_or_default();
                let ip = address::first_where(rest, |_, end| {
                    !matches!(rest.get(end), Some(b'.' | b'-')) && (end + 10..=end + 80).contains(&at)
                });
                if let Some(ip) = ip
                    && !by.is_empty()
                    && after.starts_with(b" with HTTP")
                {
                    (self.ip, self.by) = (text(ip), text(by));
                    return Some(std::mem::take(self).finish());
                }
                from = at + 3;
            }
        }
        if find(rest, b"aol.com").is_some()
            && let Some(end) = find(rest, b") with HTTP (WebMailUI)")
        {
            let shape = Shape::new("{ip} by {by} ({addr}) with HTTP (WebMailUI)");
            let start = rest.get(..end)?.iter().position(u8::is_ascii_hexdigit)?;
            let starts = (start..end).take(200);
            let found = starts
                .filter_map(|start| shape.read(rest.get(start..)?, &mut Effort::new()))
                .find(|found| found.get(Field::Ip).is_some())?;
            self.take(&found, Says::Hop);
            return Some(std::mem::take(self).finish());
        }
        None
    }

    /// Systems that are known by a mark. The first mark decides, even if nothing fits.
    fn family(&mut self, rest: &[u8], effort: &mut Effort) -> Option<Line> {
        let family = FAMILIES.iter().find(|family| match family.mark {
            "\0microsoft" => is_microsoft(rest),
            mark => find(rest, mark.as_bytes()).is_some(),
        })?;
        for format in &family.formats {
            if let Some(found) = fits(format, rest, effort) {
                if format.says == Says::Skip {
                    return Some(Line::Skipped);
                }
                self.take(&found, format.says);
                if format.says == Says::XMail {
                    if let Some(id) = between(rest, b" id <") {
                        self.id = text(id);
                    }
                    if let Some(sender) = between(rest, b" from <") {
                        self.sender = Some(text(sender));
                    }
                }
                return Some(std::mem::take(self).finish());
            }
        }
        (family.mark == "Exim").then(|| self.odd_exim(rest)).flatten()
    }

    /// Exim lets administrators write what they like: pick up what looks familiar.
    fn odd_exim(&mut self, rest: &[u8]) -> Option<Line> {
        let mut words = rest.split(|byte| *byte == b' ');
        if let Some(first) = words.next().filter(|word| !word.is_empty() && word.len() < rest.len()) {
            self.rdns = text(first);
        }
        let inner = || rest.split(|byte| *byte == b' ').skip(1);
        if let Some(helo) = inner()
            .filter_map(|word| word.strip_prefix(b"(")?.strip_suffix(b")"))
            .find(|word| !word.is_empty())
        {
            self.helo = text(helo);
        }
        if let Some(ip) = inner().find_map(|word| {
            let inside = word.strip_prefix(b"[")?.strip_suffix(b"]")?;
            let ip = address::first_where(inside, |start, end| {
                let port = inside.get(end..).unwrap_or_default();
                start == 0
                    && (port.is_empty()
                        || port.strip_prefix(b".").is_some_and(|p| p.iter().all(u8::is_ascii_digit)))
            })?;
            Some(text(ip))
        }) {
            self.ip = ip;
        }
        let by = word_after(rest, b"by ")?;
        self.by = text(by);
        (!self.ip.is_empty()).then(|| std::mem::take(self).finish())
    }

    fn hotmail(&mut self, rest: &[u8]) -> bool {
        let mut from = 0;
        while let Some(at) = find(rest.get(from..).unwrap_or_default(), b"by ") {
            let word = word_after(rest.get(from + at..).unwrap_or_default(), b"by ");
            if let Some(by) = word.filter(|word| word.ends_with(b".hotmail.msn.com")) {
                self.by = text(by);
                if let Some(end) = address::ends_at(rest, 0).find(|end| rest.get(*end) == Some(&b' '))
                {
                    self.ip = text(rest.get(..end).unwrap_or_default());
                }
                return true;
            }
            from += at + 3;
        }
        false
    }

    /// The last resort: an address in brackets anywhere.
    fn or_any_address(mut self, rest: &[u8]) -> Line {
        if self.ip.is_empty() {
            let bracketed = address::first_where(rest, |start, end| {
                start > 0 && rest.get(start - 1) == Some(&b'[') && rest.get(end) == Some(&b']')
            });
            self.ip = bracketed.map(text).unwrap_or_default();
        }
        if self.ip.is_empty() || self.by.is_empty() { Line::Unparseable } else { self.finish() }
    }

    fn take(&mut self, found: &Found<'_>, says: Says) {
        for (field, slot) in [
            (Field::Ip, &mut self.ip),
            (Field::Helo, &mut self.helo),
            (Field::Rdns, &mut self.rdns),
            (Field::By, &mut self.by),
            (Field::Id, &mut self.id),
            (Field::Ident, &mut self.ident),
        ] {
            if let Some(octets) = found.get(field) {
                *slot = text(octets);
            }
        }
        match says {
            Says::Resolved => self.resolved = true,
            Says::SameName => self.helo.clone_from(&self.rdns),
            Says::ResolvedSameName => {
                self.resolved = true;
                self.helo.clone_from(&self.rdns);
            }
            Says::NamedExim => {
                self.helo.clone_from(&self.rdns);
                self.take_pairs(found);
            }
            Says::Exim => self.take_pairs(found),
            Says::WithoutId => self.id.clear(),
            Says::Postfix => {
                self.resolved = true;
                if self.rdns == "unknown" {
                    self.rdns.clear();
                }
            }
            Says::Sendmail => {
                self.resolved = true;
                for prefix in ["IDENT:", ""] {
                    let split = self.rdns.strip_prefix(prefix).and_then(|rest| rest.split_once('@'));
                    if let Some((ident, name)) = split {
                        (self.ident, self.rdns) = (ident.to_owned(), name.to_owned());
                    }
                }
            }
            Says::Courier => {
                self.resolved = self.rdns != "softdnserr";
                if !self.resolved {
                    self.rdns.clear();
                }
            }
            Says::Obtuse => {
                self.resolved = self.rdns != "UNKNOWN";
                if found.get(Field::Helo).is_none() {
                    self.helo.clear();
                }
            }
            Says::Hop | Says::XMail | Says::Qmail | Says::Skip | Says::Fetched | Says::Scanner => {}
        }
    }

    /// `helo=NAME ident=NAME` in a parenthesis.
    fn take_pairs(&mut self, found: &Found<'_>) {
        let mut inside = found.get(Field::Sub).unwrap_or_default().to_vec();
        if let Some(at) = find(&inside, b"helo=")
            && let Some(name) = word_after(inside.get(at..).unwrap_or_default(), b"helo=")
            && !name.is_empty()
        {
            self.helo = text(name);
            let end = at + b"helo=".len() + name.len();
            inside.drain(at..end);
        }
        if let Some(name) = word_after(&inside, b"ident=") {
            self.ident = text(name);
        }
    }

    fn finish(self) -> Line {
        let mut rdns = self.rdns.trim_end_matches('.').to_owned();
        if rdns.eq_ignore_ascii_case("unknown") || rdns.starts_with('[') {
            rdns.clear();
        }
        let by = self.by.strip_suffix(';').unwrap_or(&self.by);
        let ip = marked(&bare_address(&self.ip));
        let rdns = marked(&rdns);
        Line::Hop(Relay {
            ip_private: address::is_private(&ip),
            no_reverse_dns: rdns.is_empty() && self.resolved,
            helo: marked(&self.helo),
            by: marked(by),
            ident: marked(&self.ident),
            envfrom: self.sender.map(|sender| clean_sender(&sender)),
            id: self.id,
            auth: self.auth,
            ip,
            rdns,
            ..Relay::default()
        })
    }
}

/// An address without prefix, brackets, zone and the way to write IPv4 as IPv6.
fn bare_address(ip: &str) -> String {
    let ip = match ip.get(..5) {
        Some(prefix) if prefix.eq_ignore_ascii_case("ipv6:") => ip.get(5..).unwrap_or_default(),
        Some(_) | None => ip,
    };
    let ip = ip.strip_prefix('[').unwrap_or(ip);
    let ip = ip.strip_suffix(']').unwrap_or(ip);
    let ip = ip.split_once('%').map_or(ip, |(ip, _)| ip);
    if ip.contains(':') && ip.contains('.') {
        return address::parse(ip).map_or_else(|| ip.to_owned(), |parsed| match parsed {
            std::net::IpAddr::V4(four) => four.to_string(),
            std::net::IpAddr::V6(_) => ip.to_owned(),
        });
    }
    ip.to_owned()
}

/// Octets that would break the text form of a hop are shown as `!`.
fn marked(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\0' | '#' | '[' | ']' | '(' | ')' | '<' | '>' | '|' => '!',
            c if c.is_ascii() && is_space(u8::try_from(c).unwrap_or(0)) => '!',
            c => c,
        })
        .collect()
}

pub(super) fn clean_sender(sender: &str) -> String {
    let sender = sender.trim_ascii_start().trim_start_matches('<');
    marked(sender.trim_ascii_end().trim_end_matches('>'))
}

fn fits<'l>(format: &Format, line: &'l [u8], effort: &mut Effort) -> Option<Found<'l>> {
    let possible = format.needs.iter().all(|need| find(line, need.as_bytes()).is_some());
    if possible { format.shape.read(line, effort) } else { None }
}

/// White space runs made one space, none at the ends, no semicolons at the end.
fn tidy(value: &[u8]) -> Vec<u8> {
    let mut line: Vec<u8> = Vec::with_capacity(value.len());
    for byte in value {
        if is_space(*byte) {
            if !line.ends_with(b" ") && !line.is_empty() {
                line.push(b' ');
            }
        } else {
            line.push(*byte);
        }
    }
    if line.ends_with(b" ") {
        line.pop();
    }
    while line.ends_with(b";") {
        line.pop();
        if line.ends_with(b" ") {
            line.pop();
        }
    }
    line
}

/// `from NAME by NAME;` tells no address.
fn is_bare_handover(line: &[u8]) -> bool {
    if !starts_with(line, b"from ") {
        return false;
    }
    let mut words = line.get(5..).unwrap_or_default().splitn(3, |byte| *byte == b' ');
    let (Some(name), Some(by), Some(rest)) = (words.next(), words.next(), words.next()) else {
        return false;
    };
    let end = rest.iter().position(|byte| matches!(byte, b' ' | b';')).unwrap_or(rest.len());
    let after = rest.get(end..).unwrap_or_default();
    let semicolon = after.starts_with(b";") || after.starts_with(b" ;");
    let numeric = name
        .strip_prefix(b"[")
        .and_then(|inside| inside.strip_suffix(b"]"))
        .is_some_and(|ip| !ip.is_empty() && ip.iter().all(|b| b.is_ascii_digit() || *b == b'.'));
    !name.is_empty() && by.eq_ignore_ascii_case(b"by") && end > 0 && semicolon && !numeric
}

/// Takes `; Tue, 23 May 2006 13:06:35 -0400` off the end.
fn without_date(mut line: Vec<u8>) -> Vec<u8> {
    if let Some(start) = date_start(&line) {
        line.truncate(start);
    }
    line
}

fn date_start(line: &[u8]) -> Option<usize> {
    let last = |end: usize| -> Option<(&[u8], usize)> {
        let head = line.get(..end)?;
        let space = head.iter().rposition(|byte| *byte == b' ')?;
        Some((head.get(space + 1..)?, space))
    };
    let digits = |word: &[u8]| !word.is_empty() && word.iter().all(u8::is_ascii_digit);
    let (_, zone) = last(line.len()).filter(|(word, _)| !word.is_empty())?;
    let (time, at_time) = last(zone)?;
    let parts: Vec<&[u8]> = time.split(|byte| *byte == b':').collect();
    if !(2..=3).contains(&parts.len()) || !parts.iter().all(|part| digits(part)) {
        return None;
    }
    let (year, at_year) = last(at_time)?;
    let (month, at_month) = last(at_year)?;
    let head = line.get(..at_month)?;
    let day = head.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    if !digits(year) || !is_month(month) || day == 0 {
        return None;
    }
    let mut start = head.len() - day;
    let weekday = line.get(..start)?.strip_suffix(b", ").and_then(|head| {
        let name = head.get(head.len().checked_sub(3)?..)?;
        let days = [b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun"];
        let before = head.len().checked_sub(4).and_then(|index| head.get(index));
        (days.iter().any(|day| *day == name) && matches!(before, Some(b' ' | b';')))
            .then_some(head.len() - 3)
    });
    start = weekday.unwrap_or(start);
    let head = line.get(..start)?;
    let gap = head.iter().rev().take_while(|byte| matches!(byte, b' ' | b';')).count();
    (gap > 0).then_some(start - gap)
}

fn is_month(word: &[u8]) -> bool {
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        .iter()
        .any(|month| month.as_bytes() == word)
}

/// The id, three octets at least.
fn id(line: &[u8]) -> String {
    memmem::find_iter(line, b" id ")
        .filter_map(|at| {
            let rest = line.get(at + 4..)?;
            let rest = rest.strip_prefix(b"<").unwrap_or(rest);
            let end = rest.iter().position(|b| matches!(b, b' ' | b'<' | b'>' | b';'));
            rest.get(..end.unwrap_or(rest.len())).filter(|id| id.len() >= 3)
        })
        .next()
        .map(text)
        .unwrap_or_default()
}

/// `helo=NAME`, else `HELO NAME` or `EHLO NAME`.
fn helo(line: &[u8]) -> String {
    let name = |at: usize, length: usize| {
        let rest = line.get(at + length..).filter(|_| is_edge(line, at))?;
        let end = rest.iter().position(|b| !is_helo(*b)).unwrap_or(rest.len());
        rest.get(..end).filter(|name| !name.is_empty())
    };
    let small = memmem::find_iter(line, b"helo=").find_map(|at| name(at, 5));
    small
        .or_else(|| {
            memmem::find_iter(line, b"LO ")
                .filter_map(|at| at.checked_sub(2))
                .filter(|at| {
                    let rest = line.get(*at..).unwrap_or_default();
                    rest.starts_with(b"HELO ") || rest.starts_with(b"EHLO ")
                })
                .find_map(|at| name(at, 5))
        })
        .map(text)
        .unwrap_or_default()
}

const fn is_helo(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.' | b'^' | b'+' | b'_' | b'&' | b':' | b'=' | b'?' | b'!' | b'@' | b'%'
                | b'*' | b'$' | b'\\' | b'/'
        )
}

/// The first word, up to its last octet that no name has.
fn guessed_helo(rest: &[u8]) -> String {
    let end = rest.iter().position(|byte| *byte == b' ').unwrap_or(rest.len());
    let name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    let last = (1..=end).rev().find(|at| rest.get(*at).is_some_and(|byte| !name(*byte)));
    last.and_then(|at| rest.get(..at)).map(text).unwrap_or_default()
}

/// The sender that some systems note.
fn sender(line: &[u8]) -> Option<String> {
    let lower = line.to_ascii_lowercase();
    let marks = ["return-path: ", "return-path:", "return-path ", "envelope-sender ", "envelope-sender=",
        "envelope-from ", "envelope-from="];
    let mut found: Option<(usize, &[u8])> = None;
    for mark in marks {
        for at in memmem::find_iter(&lower, mark) {
            if found.is_some_and(|(first, _)| first <= at) {
                break;
            }
            let start = at + mark.len();
            let word = line.get(start..)?;
            let end = word.iter().position(|byte| *byte == b' ').unwrap_or(word.len());
            // The word ends where the last letter or digit of it does.
            if let Some(end) = (1..=end).rev().find(|end| is_edge(line, start + end)) {
                found = Some((at, word.get(..end)?));
                break;
            }
        }
    }
    found.map(|(_, sender)| text(sender))
}

/// How the sender has proved who it is; empty when it has not.
fn authenticated(line: &[u8], effort: &mut Effort) -> String {
    let by = find(line, b" by ").is_some();
    if by && let Some(protocol) = protocol(line) {
        return text(protocol);
    }
    if let Some(transport) = gmail(line) {
        return transport;
    }
    let mut told = None;
    for (name, format) in AUTHENTICATED.iter() {
        if let Some(found) = fits(format, line, effort) {
            let how = found.get(Field::Auth).map(text).unwrap_or_default();
            told = Some(match *name {
                "" => how,
                "GMX" => {
                    format!("GMX ({how} / {})", found.get(Field::By).map(text).unwrap_or_default())
                }
                "Postfix" if how != "Postfix" => format!("Postfix ({how})"),
                name => name.to_owned(),
            });
            break;
        }
    }
    if let Some(told) = told {
        return told;
    }
    let communigate = ["HTTP", "SMTP", "XIMSS", "IMAP"]
        .iter()
        .any(|how| find(line, format!("CommuniGate Pro {how}").as_bytes()).is_some());
    if communigate && find(line, b" (account ").is_some() {
        return "Communigate".to_owned();
    }
    let dav = b" with Microsoft Exchange Server HTTP-DAV";
    if find(line, dav).is_some_and(|at| is_edge(line, at + dav.len())) {
        return "HTTP-DAV".to_owned();
    }
    if by && let Some(via) = via_http(line) {
        return text(via);
    }
    String::new()
}

/// The protocols of RFC 3848 and RFC 6531 that say so, and those of web mail.
fn protocol(line: &[u8]) -> Option<&[u8]> {
    let lower = line.to_ascii_lowercase();
    memmem::find_iter(&lower, b" with ").find_map(|at| {
        let word = line.get(at + 6..)?;
        let end = word.iter().position(|b| matches!(b, b' ' | b';')).unwrap_or(word.len());
        let word = word.get(..end)?;
        [
            "ESMTPA", "ESMTPSA", "LMTPA", "LMTPSA", "UTF8SMTPA", "UTF8SMTPSA", "UTF8LMTPA",
            "UTF8LMTPSA", "ASMTP", "HTTP", "HTTPS", "HTTPU",
        ]
        .iter()
        .any(|name| name.as_bytes().eq_ignore_ascii_case(word))
        .then_some(word)
    })
}

/// Gmail does not say ESMTPSA, but its ids of submissions look different.
fn gmail(line: &[u8]) -> Option<String> {
    let mark = b" by mx.google.com with ESMTPS id ";
    let submitted = memmem::find_iter(line, mark)
        .any(|at| line.get(at + mark.len()..).is_some_and(is_gmail_id));
    if !submitted {
        return None;
    }
    memmem::find_iter(line, b"(version=").find_map(|at| {
        let rest = line.get(at + b"(version=".len()..)?;
        let version = rest.split(|byte| *byte == b' ').next().filter(|v| !v.is_empty())?;
        let cipher = rest.get(version.len()..)?.strip_prefix(b" cipher=")?;
        let end = cipher.iter().position(|byte| *byte == b')').filter(|end| *end > 0)?;
        let cipher = cipher.get(..end)?;
        Some(format!("GMail - transport={} cipher={}", text(version), text(cipher)))
    })
}

/// `u14sm1234567abc.3.2024.01.02.03.04.05`
fn is_gmail_id(text: &[u8]) -> bool {
    let word = text.split(|byte| *byte == b' ').next().unwrap_or_default();
    let mut parts = word.split(|byte| *byte == b'.');
    let digits = |part: Option<&[u8]>, least: usize, most: usize| {
        part.is_some_and(|p| (least..=most).contains(&p.len()) && p.iter().all(u8::is_ascii_digit))
    };
    let head = parts.next().is_some_and(|head| {
        let sm = memmem::find(head, b"sm").unwrap_or(0);
        let tail = head.get(sm + 2..).unwrap_or_default();
        let number = tail.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let letters = tail.get(number..).unwrap_or_default();
        (1..=4).contains(&sm)
            && (2..=9).contains(&number)
            && letters.len() == 3
            && letters.iter().all(u8::is_ascii_lowercase)
    });
    let mut ok = head && digits(parts.next(), 1, 3) && digits(parts.next(), 4, 4);
    for index in 0..5 {
        let part = parts.next().map(|part| if index == 4 { part.get(..2).unwrap_or(part) } else { part });
        ok = ok && digits(part, 2, 2) && part.is_some_and(|p| p.first().is_some_and(|b| *b < b'7'));
    }
    ok
}

fn via_http(line: &[u8]) -> Option<&[u8]> {
    let lower = line.to_ascii_lowercase();
    memmem::find_iter(&lower, b"(via http").find_map(|at| {
        let how = line.get(at + 5..)?;
        let end = how.iter().take(6).position(|byte| *byte == b')')?;
        let fits = matches!(how.get(end + 1), None | Some(b' ' | b';'));
        how.get(..end).filter(|_| fits)
    })
}

/// A line of Microsoft's servers that ends with the version.
fn is_microsoft(line: &[u8]) -> bool {
    [&b" with Microsoft SMTP Server "[..], b" with mapi id "].into_iter().any(|mark| {
        memmem::find_iter(line, mark).any(|at| {
            let rest = line.get(at + mark.len()..).unwrap_or_default();
            let rest = match rest.strip_prefix(b"(") {
                Some(inside) => inside
                    .iter()
                    .position(|byte| *byte == b')')
                    .and_then(|end| inside.get(end + 1..)?.strip_prefix(b" "))
                    .unwrap_or_default(),
                None => rest,
            };
            let version = rest.split(|byte| *byte == b' ').next().unwrap_or_default();
            let parts: Vec<&[u8]> = version.split(|byte| *byte == b'.').collect();
            parts.len() == 4 && parts.iter().all(|p| !p.is_empty() && p.iter().all(u8::is_ascii_digit))
        })
    })
}

/// qmail-ldap looks like sendmail, but is not.
fn is_qmail_ldap(line: &[u8]) -> bool {
    memmem::find_iter(line, b" (qmail-").any(|at| {
        let head = line.get(..at).unwrap_or_default();
        let word = head.iter().rposition(|byte| *byte == b' ').unwrap_or(0);
        let version = line.get(at + b" (qmail-".len()..).unwrap_or_default();
        let end = version.iter().position(|byte| *byte == b' ').unwrap_or(version.len());
        let closed = version.get(..end).is_some_and(|v| v.len() > 1 && v.ends_with(b")"));
        head.get(..word).is_some_and(|head| head.ends_with(b" by"))
            && closed
            && version.get(end..).is_some_and(|rest| rest.starts_with(b" with "))
    })
}

/// What stands between a mark and the `>` that ends its word.
fn between<'l>(line: &'l [u8], mark: &[u8]) -> Option<&'l [u8]> {
    let word = word_after(line, mark)?;
    let end = word.iter().rposition(|byte| *byte == b'>')?;
    word.get(..end).filter(|word| !word.is_empty())
}

/// The word behind the first mark; it may be empty.
fn word_after<'l>(line: &'l [u8], mark: &[u8]) -> Option<&'l [u8]> {
    let rest = line.get(find(line, mark)? + mark.len()..)?;
    let end = rest.iter().position(|byte| is_space(*byte)).unwrap_or(rest.len());
    rest.get(..end)
}

fn find(line: &[u8], part: &[u8]) -> Option<usize> {
    memmem::find(line, part)
}

fn starts_with(line: &[u8], start: &[u8]) -> bool {
    line.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start))
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

