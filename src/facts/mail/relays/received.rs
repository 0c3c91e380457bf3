//! Reads one Received field.
//!
//! Comes in: the value of the field, unfolded and decoded. Goes out: a hop, or why there is
//! none. Not an error: a line that nobody understands is [`Line::Unparseable`], a sign of
//! forgery that rules score.

use super::Relay;
use super::address::{self, is_space};
use super::authenticated::authenticated;
use super::formats::{
    BEFORE_SENDMAIL, ENCLOSED, FAMILIES, FROM, Format, QMAIL, SENDMAIL, SHOUTED, SKIPPED, Says,
};
use super::lines::{
    between, find, guessed_helo, helo, id, is_bare_handover, is_microsoft, is_qmail_ldap, sender,
    starts_with, text, tidy, without_date, word_after,
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
        return draft.read_from(rest, effort);
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
    fn read_from(mut self, rest: &[u8], effort: &mut Effort) -> Line {
        self.sender = sender(rest);
        if let Some(line) = self.webmail(rest) {
            return line;
        }
        if let Some(line) = self.family(rest, effort) {
            return line;
        }
        let steps: [&[Format]; 2] = if is_qmail_ldap(rest) {
            [&BEFORE_SENDMAIL, &[]]
        } else {
            [&BEFORE_SENDMAIL, &SENDMAIL]
        };
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
            rest.get(..at)
                .is_some_and(|r| r.ends_with(b" (SquirrelMail") || r.ends_with(b" (NaSMail"))
        });
        if squirrel {
            let mut from = 0;
            while let Some(at) = find(rest.get(from..)?, b"by ").map(|at| at + from) {
                let by = word_after(rest.get(at..)?, b"by ").unwrap_or_default();
                let after = rest.get(at + 3 + by.len()..).unwrap_or_default();
                let ip = address::first_where(rest, |_, end| {
                    !matches!(rest.get(end), Some(b'.' | b'-'))
                        && (end + 10..=end + 80).contains(&at)
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
        if let Some(first) = words.next().filter(|word| !word.is_empty() && word.len() < rest.len())
        {
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
                        || port
                            .strip_prefix(b".")
                            .is_some_and(|p| p.iter().all(u8::is_ascii_digit)))
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
                if let Some(end) =
                    address::ends_at(rest, 0).find(|end| rest.get(*end) == Some(&b' '))
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
                    let split =
                        self.rdns.strip_prefix(prefix).and_then(|rest| rest.split_once('@'));
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
        return address::parse(ip).map_or_else(
            || ip.to_owned(),
            |parsed| match parsed {
                std::net::IpAddr::V4(four) => four.to_string(),
                std::net::IpAddr::V6(_) => ip.to_owned(),
            },
        );
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

pub(super) fn fits<'l>(format: &Format, line: &'l [u8], effort: &mut Effort) -> Option<Found<'l>> {
    let possible = format.needs.iter().all(|need| find(line, need.as_bytes()).is_some());
    if possible { format.shape.read(line, effort) } else { None }
}
