//! What a `header` rule looks at: a header field, part of one, or a pseudo header.
//!
//! As in SpamAssassin: a decoded value ends with a line feed, fields of one name follow each
//! other, a missing field is an empty text (or the `[if-unset: …]` one), header names know no
//! case and pseudo headers do.

use std::sync::Arc;

use crate::facts::Facts;
use crate::message::{Header, Message};

use super::pattern::Pattern;

/// Which text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Selector {
    /// The header as written in the rule.
    pub(super) name: String,
    source: Source,
    form: Form,
    pick: Pick,
    /// Text of a header that is not there.
    if_unset: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    /// Fields of that name.
    Field,
    /// `ALL`: every field with its name.
    All,
    /// `ToCc`
    ToCc,
    /// `MESSAGEID`: every kind of message id.
    MessageId,
    /// `EnvelopeFrom`
    EnvelopeFrom,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Form {
    Decoded,
    Raw,
    Address,
    Name,
    Host,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Pick {
    Every,
    First,
    Last,
}

/// What a `header` rule asks.
#[derive(Debug)]
pub(super) enum Ask {
    /// `exists:Name`
    Exists,
    /// `=~` and `!~`
    Match {
        /// `!~`
        negated: bool,
        /// The regex.
        pattern: Arc<Pattern>,
    },
}

/// Why a selector cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// SpamAssassin knows it, we do not yet.
    Unsupported(String),
    /// Nobody knows it.
    Unknown(String),
}

impl Selector {
    /// Reads `Subject:raw`, `From:addr`, `ALL`.
    pub(super) fn read(text: &str, if_unset: &str) -> Result<Self, Refused> {
        let mut pieces = text.split(':');
        let name = pieces.next().unwrap_or("").to_owned();
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Refused::Unknown(format!("`{text}` is not a header")));
        }
        let unsupported = name.starts_with("X-Spam-Relays-")
            || ["ALL-TRUSTED", "ALL-INTERNAL", "ALL-UNTRUSTED", "ALL-EXTERNAL"]
                .contains(&name.as_str());
        if unsupported {
            return Err(Refused::Unsupported(format!("header {name}")));
        }
        let source = match name.as_str() {
            "ALL" => Source::All,
            "ToCc" => Source::ToCc,
            "MESSAGEID" => Source::MessageId,
            "EnvelopeFrom" => Source::EnvelopeFrom,
            _ => Source::Field,
        };
        let (mut form, mut pick) = (Form::Decoded, Pick::Every);
        for modifier in pieces {
            match modifier {
                "raw" => form = Form::Raw,
                "addr" => form = Form::Address,
                "name" => form = Form::Name,
                "host" => form = Form::Host,
                "first" => pick = Pick::First,
                "last" => pick = Pick::Last,
                "domain" | "ip" | "revip" => {
                    return Err(Refused::Unsupported(format!("header …:{modifier}")));
                }
                other => {
                    return Err(Refused::Unknown(format!("unknown header modifier `{other}`")));
                }
            }
        }
        Ok(Self { name, source, form, pick, if_unset: if_unset.to_owned() })
    }

    /// True when the text comes from the SMTP envelope.
    pub(super) fn is_envelope(&self) -> bool {
        self.source == Source::EnvelopeFrom
    }

    /// True when the header is there, even if empty.
    pub(super) fn exists(&self, facts: &Facts<'_>) -> bool {
        self.found(facts).is_some()
    }

    /// The text a regex sees.
    pub(super) fn value(&self, facts: &Facts<'_>) -> Vec<u8> {
        self.found(facts).unwrap_or_else(|| self.if_unset.clone().into_bytes())
    }

    fn found(&self, facts: &Facts<'_>) -> Option<Vec<u8>> {
        let message = facts.message;
        match self.source {
            Source::All => (!message.headers.is_empty()).then(|| self.all(message)),
            Source::EnvelopeFrom => envelope_from(facts).map(String::into_bytes),
            Source::Field => self.fields(message, &[&self.name]),
            Source::ToCc => self.fields(message, &["To", "Cc"]),
            Source::MessageId => {
                self.fields(message, &["Message-Id", "Resent-Message-Id", "X-Message-Id"])
            }
        }
    }

    fn all(&self, message: &Message<'_>) -> Vec<u8> {
        let mut text = Vec::new();
        for header in &message.headers {
            text.extend_from_slice(header.name.as_bytes());
            text.push(b':');
            if self.form == Form::Raw {
                text.extend_from_slice(&header.raw);
            } else {
                text.push(b' ');
                text.extend_from_slice(header.decoded().as_bytes());
            }
            if !text.ends_with(b"\n") {
                text.push(b'\n');
            }
        }
        text
    }

    fn fields(&self, message: &Message<'_>, names: &[&str]) -> Option<Vec<u8>> {
        let fields: Vec<&Header<'_>> = names
            .iter()
            .flat_map(|name| {
                message.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name))
            })
            .collect();
        if fields.is_empty() {
            return None;
        }
        let mut texts: Vec<Vec<u8>> = Vec::new();
        for field in fields {
            match self.form {
                Form::Raw => texts.push(with_line_feed(field.raw.to_vec())),
                Form::Decoded => texts.push(with_line_feed(field.decoded().into_bytes())),
                Form::Address => texts.extend(mailboxes(field).map(|m| m.1.into_bytes())),
                Form::Name => texts.extend(mailboxes(field).map(|m| m.0.into_bytes())),
                Form::Host => texts.extend(mailboxes(field).map(|(_, address)| {
                    address.rsplit_once('@').map_or("", |(_, host)| host).as_bytes().to_vec()
                })),
            }
        }
        let picked: Vec<Vec<u8>> = match self.pick {
            Pick::Every => texts,
            Pick::First => texts.into_iter().take(1).collect(),
            Pick::Last => texts.pop().into_iter().collect(),
        };
        // Whole fields end with a line feed of their own; parts of them are joined by one.
        let whole = matches!(self.form, Form::Raw | Form::Decoded);
        Some(picked.join(if whole { &b""[..] } else { b"\n" }))
    }
}

fn with_line_feed(mut value: Vec<u8>) -> Vec<u8> {
    if value.ends_with(b"\r\n") {
        value.truncate(value.len() - 2);
    }
    if !value.ends_with(b"\n") {
        value.push(b'\n');
    }
    value
}

/// What the MTA says, or what it left in the message.
fn envelope_from(facts: &Facts<'_>) -> Option<String> {
    facts.envelope.sender.clone().or_else(|| {
        let path = facts
            .message
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case("Return-Path"))?;
        let text = String::from_utf8_lossy(&path.raw);
        Some(text.trim().trim_start_matches('<').trim_end_matches('>').to_owned())
    })
}

/// Names and addresses of a field, in order.
fn mailboxes(header: &Header<'_>) -> impl Iterator<Item = (String, String)> {
    let raw = String::from_utf8_lossy(&header.raw).into_owned();
    split_addresses(&raw).into_iter().map(|(name, address)| {
        let name = if name.contains("=?") {
            Header { name: "".into(), raw: name.into_bytes().into() }.decoded()
        } else {
            name
        };
        (name, address)
    })
}

/// Splits an address list at commas outside quotes, comments and angle brackets.
fn split_addresses(raw: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut name = String::new();
    let mut address = None::<String>;
    let mut comment = String::new();
    let (mut quoted, mut depth, mut escaped) = (false, 0_usize, false);
    for c in raw.chars().chain([',']) {
        match c {
            _ if escaped => {
                escaped = false;
                if depth > 0 { &mut comment } else { &mut name }.push(c);
            }
            '\\' if depth > 0 || address.is_none() => escaped = true,
            '"' if depth == 0 && address.as_ref().is_none_or(|a| a.ends_with('>')) => {
                quoted = !quoted;
            }
            '(' if !quoted => depth += 1,
            ')' if depth > 0 => depth -= 1,
            _ if depth > 0 => comment.push(c),
            '<' if !quoted && address.is_none() => address = Some(String::new()),
            '>' if address.as_ref().is_some_and(|a| !a.ends_with('>')) => {
                if let Some(address) = &mut address {
                    address.push('>');
                }
            }
            ',' if !quoted && address.as_ref().is_none_or(|a| a.ends_with('>')) => {
                push_mailbox(&mut found, &mut name, &mut address, &mut comment);
            }
            c => match &mut address {
                Some(address) if !address.ends_with('>') => address.push(c),
                Some(_) | None => name.push(c),
            },
        }
    }
    if quoted || depth > 0 {
        // Never closed: it stands for nothing, and must not swallow the end of the list.
        return split_addresses(&raw.replace(['"', '('], ""));
    }
    push_mailbox(&mut found, &mut name, &mut address, &mut comment);
    found
}

fn push_mailbox(
    found: &mut Vec<(String, String)>,
    name: &mut String,
    address: &mut Option<String>,
    comment: &mut String,
) {
    let words = std::mem::take(name).split_whitespace().collect::<Vec<_>>().join(" ");
    let comment = std::mem::take(comment);
    let mailbox = match address.take() {
        Some(address) => (words, address.trim_end_matches([',', '>']).trim().to_owned()),
        // `a@b.example (Name)` is the older way to write a name.
        None => (comment.trim().to_owned(), words),
    };
    if !(mailbox.0.is_empty() && mailbox.1.is_empty()) {
        found.push(mailbox);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::Reading;
    use crate::facts::Links;
    use crate::message::Envelope;

    #[track_caller]
    fn check(selector: &str, headers: &[(&str, &str)], expected: Option<&str>) {
        let message = Message {
            headers: headers
                .iter()
                .map(|(name, raw)| Header { name: (*name).into(), raw: raw.as_bytes().into() })
                .collect(),
            ..Message::default()
        };
        let (reading, envelope) = (Reading::default(), Envelope::default());
        let facts =
            super::super::evaluate::tests::facts(&message, &reading, &envelope, Links::default());
        let selector = Selector::read(selector, "unset").unwrap();
        assert_eq!(selector.exists(&facts), expected.is_some());
        assert_eq!(
            String::from_utf8(selector.value(&facts)).unwrap(),
            expected.unwrap_or("unset"),
            "{selector:?}"
        );
    }

    #[test]
    fn values_as_a_regex_sees_them() {
        let received = [("Received", " one\r\n"), ("X", " \r\n"), ("received", " two\r\n\tx\r\n")];
        check("Received:raw", &received, Some(" one\n two\r\n\tx\n"));
        check("RECEIVED:raw:first", &received, Some(" one\n"));
        check("Received:raw:last", &received, Some(" two\r\n\tx\n"));
        check("X:raw", &received, Some(" \n"));
        check("Subject", &received, None);
        let mail = [
            ("To", " \"Doe, J\" <j@a.example>, b@b.example\r\n"),
            ("Cc", " c@c.example (Cee)\r\n"),
            ("Message-ID", " <1@a>\r\n"),
            ("Return-Path", " <r@a.example>\r\n"),
        ];
        check("To:addr", &mail, Some("j@a.example\nb@b.example"));
        check("To:addr:last", &mail, Some("b@b.example"));
        check("To:name", &mail, Some("Doe, J\n"));
        check("ToCc:addr", &mail, Some("j@a.example\nb@b.example\nc@c.example"));
        check("ToCc:host", &mail, Some("a.example\nb.example\nc.example"));
        check("Cc:name", &mail, Some("Cee"));
        check("MESSAGEID:raw", &mail, Some(" <1@a>\n"));
        check("EnvelopeFrom", &mail, Some("r@a.example"));
        check("tocc", &mail, None);
    }

    #[test]
    fn broken_address_lists_lose_nothing() {
        #[track_caller]
        fn check(raw: &str, expected: &[(&str, &str)]) {
            let found = split_addresses(raw);
            let found: Vec<_> = found.iter().map(|(n, a)| (n.as_str(), a.as_str())).collect();
            assert_eq!(found, expected, "{raw}");
        }
        check("", &[]);
        check(" , ,", &[]);
        check("<>", &[]);
        check("A <a@b", &[("A", "a@b")]);
        check("\"A <a@b>, c@d", &[("A", "a@b"), ("", "c@d")]);
        check("A \\\"B\\\" <a@b>", &[("A \"B\"", "a@b")]);
        check("\"A \\\"B\\\"\" <a@b>", &[("A \"B\"", "a@b")]);
        check("((x)", &[("", "x)")]);
    }

    #[test]
    fn what_cannot_be_selected() {
        #[track_caller]
        fn check(text: &str, expected: &Refused) {
            assert_eq!(&Selector::read(text, "").unwrap_err(), expected);
        }
        let unsupported = |text: &str| Refused::Unsupported(text.to_owned());
        let unknown = |text: &str| Refused::Unknown(text.to_owned());
        check("X-Spam-Relays-External", &unsupported("header X-Spam-Relays-External"));
        check("From:domain", &unsupported("header …:domain"));
        check("From:adr", &unknown("unknown header modifier `adr`"));
        check(":addr", &unknown("`:addr` is not a header"));
    }
}
