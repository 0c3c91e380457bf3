//! Questions to DNS lists, as rule files define them with SpamAssassin's directives.
//!
//! Comes in: `urirhsbl`, `urirhssub`, `uridnsbl` … lines, `askdns` rules and the arguments of
//! `check_rbl…` functions. Goes out: a [`Lookup`] a rule, data that says whom to ask what.
//! Where nobody asks DNS, a rule with a lookup counts as 0, as in SpamAssassin with
//! `local_tests_only`.

use super::line::{Line, Token};
use super::load::{Compiler, Refusal};
use super::pattern::Dialect;
use crate::lists::Subjects;

/// The names of a link that a list is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UriNames {
    /// The registered domain (`urirhsbl`, `urirhssub`).
    Registered,
    /// The addresses of the host (`uridnsbl`, `uridnssub`): of its name servers and, with
    /// `tflags … a`, of itself.
    Addresses,
    /// The name servers of the registered domain (`urinsrhsbl`, `urinsrhssub`).
    NameServers,
    /// The same by their full names (`urifullnsrhsbl`, `urifullnsrhssub`).
    FullNameServers,
}

impl UriNames {
    fn of(directive: &str) -> Option<(Self, bool)> {
        Some(match directive {
            "urirhsbl" => (Self::Registered, false),
            "urirhssub" => (Self::Registered, true),
            "uridnsbl" => (Self::Addresses, false),
            "uridnssub" => (Self::Addresses, true),
            "urinsrhsbl" => (Self::NameServers, false),
            "urinsrhssub" => (Self::NameServers, true),
            "urifullnsrhsbl" => (Self::FullNameServers, false),
            "urifullnsrhssub" => (Self::FullNameServers, true),
            _ => return None,
        })
    }
}

/// The record a list answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record {
    /// `A`
    A,
    /// `TXT`
    Txt,
    /// Any other that `askdns` may ask for.
    Other,
}

/// Whom to ask about what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// Names of links.
    Uri {
        /// Which names.
        names: UriNames,
        /// Zone without the final dot.
        zone: String,
        /// What is asked for.
        record: Record,
        /// The answers that count: a mask, an address or a range; none: any answer.
        answer: Option<String>,
    },
    /// Addresses of hops (`check_rbl`, `check_rbl_txt`) or of senders' domains.
    Hop {
        /// The function's name.
        function: &'static str,
        /// The set's name with its suffix: which hops (`zen-lastexternal`).
        set: String,
        /// Zone without the final dot; none for `check_rbl_sub`, which shares the set's.
        zone: Option<String>,
        /// The answers that count; none: any.
        answer: Option<String>,
    },
    /// `check_uridnsbl('RULE')`: what a `uri…` line of that name defines.
    Defined {
        /// The name.
        rule: String,
    },
    /// `check_dnslist('LIST', 'SUBJECTS', 'CODES')`.
    List {
        /// The list, as a `dnslist` line calls it.
        list: String,
        /// Of which names.
        subjects: Subjects,
        /// The answers that count; none: any.
        answer: Option<String>,
    },
    /// `check_dnslist_silence()`: some list has not answered.
    Silence,
    /// `askdns`: a name made from tags.
    Ask {
        /// The name, with `_TAG_`s in it.
        name: String,
        /// What is asked for.
        record: Record,
        /// The regex or value that counts, as written.
        answer: Option<String>,
    },
}

/// `NAME zone TYPE [answer]` of a `uri…bl` or `uri…sub` line, without the name.
pub(super) fn uri(directive: &str, line: &Line<'_>, text: Token<'_>) -> Result<Lookup, Refusal> {
    let Some((names, with_answer)) = UriNames::of(directive) else {
        return Err(Refusal::unsupported(directive, "nobody knows what it asks"));
    };
    let words: Vec<&str> = text.text.split_whitespace().collect();
    let (zone, record, answer) = match (words.as_slice(), with_answer) {
        ([zone, record], false) => (*zone, *record, None),
        ([zone, record, answer], true) => (*zone, *record, Some((*answer).to_owned())),
        _ => {
            let form =
                if with_answer { "a zone, A or TXT, and an answer" } else { "a zone and A or TXT" };
            return Err(line.error(text, format!("`{directive}` needs {form}")).into());
        }
    };
    let record = match record.to_ascii_uppercase().as_str() {
        "A" => Record::A,
        "TXT" => Record::Txt,
        _ => {
            let message = format!("`{record}` is not a record that lists answer with");
            return Err(line.error(text, message).with_hint("A or TXT").into());
        }
    };
    Ok(Lookup::Uri { names, zone: zone_name(zone), record, answer })
}

/// `_TAG_.zone [TYPE [/re/ or value]]` of an `askdns` line.
pub(super) fn ask(
    compiler: &mut Compiler<'_>,
    line: &Line<'_>,
    text: Token<'_>,
) -> Result<Lookup, Refusal> {
    let (name, rest) = text.split_word();
    let (record, answer) = rest.split_word();
    let record = match record.text.to_ascii_uppercase().as_str() {
        "" | "A" => Record::A,
        "TXT" => Record::Txt,
        _ => Record::Other,
    };
    if answer.text.starts_with(['/', 'm']) {
        compiler.pattern(line, answer, Dialect::Bytes)?;
    }
    let answer = (!answer.text.is_empty()).then(|| answer.text.to_owned());
    Ok(Lookup::Ask { name: zone_name(name.text), record, answer })
}

/// A function that asks lists, with its arguments; none when one is missing.
pub(super) fn called(function: &'static str, arguments: &[String]) -> Option<Lookup> {
    let argument = |index: usize| arguments.get(index).cloned();
    match function {
        "check_dnslist" => Some(Lookup::List {
            list: argument(0)?,
            subjects: Subjects::parse(&argument(1)?).ok()?,
            answer: argument(2),
        }),
        "check_dnslist_silence" => Some(Lookup::Silence),
        "check_hashbl_emails" => Some(Lookup::Hop {
            function,
            set: String::new(),
            zone: Some(zone_name(&argument(0)?)),
            answer: argument(3),
        }),
        // The list itself is defined by a directive of its own.
        "check_uridnsbl" => Some(Lookup::Defined { rule: argument(0)? }),
        "check_rbl_sub" => Some(Lookup::Hop {
            function,
            set: argument(0)?,
            zone: None,
            answer: Some(argument(1)?),
        }),
        "check_dns_sender" => {
            Some(Lookup::Hop { function, set: String::new(), zone: None, answer: None })
        }
        _ => {
            let (set, zone) = if function.starts_with("check_hashbl") {
                (String::new(), argument(0)?)
            } else {
                (argument(0)?, argument(1)?)
            };
            let zone = Some(zone_name(&zone));
            Some(Lookup::Hop { function, set, zone, answer: argument(2) })
        }
    }
}

fn zone_name(text: &str) -> String {
    text.trim_end_matches('.').to_owned()
}
