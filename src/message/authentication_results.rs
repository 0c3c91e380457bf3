//! `Authentication-Results` (RFC 8601) as stated by the caller or by trusted hops.
//!
//! Comes in: the values that the caller vouches for, or else the top-level header fields
//! whose authserv-id the settings trust.
//! Goes out: one [`MethodResult`] per statement about SPF, DKIM, DMARC or ARC.
//! Not an error: statements about other methods (left out), a missing authserv-id in the
//! caller's values (Microsoft writes none), broken syntax (what can be read is read).

use super::{Envelope, Header, Settings, fields};

/// Octets of one value that are read.
const LONGEST_VALUE: usize = 64 * 1024;

/// Statements kept of one message.
const MOST_RESULTS: usize = 1_000;

/// One mechanism of message authentication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// SPF (RFC 7208).
    Spf,
    /// DKIM (RFC 6376).
    Dkim,
    /// DMARC (RFC 7489).
    Dmarc,
    /// ARC (RFC 8617).
    Arc,
}

/// One `method=result` statement with the identity it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MethodResult {
    /// Which mechanism.
    pub mechanism: Mechanism,
    /// `pass`, `fail`, `softfail`, `none`, `temperror` …, in lower case.
    pub result: String,
    /// Domain the result is about (`header.d`, `smtp.mailfrom`, `header.from`), lower case.
    pub domain: Option<String>,
    /// SPF: the result is about the HELO name, not about MAIL FROM.
    pub helo: bool,
    /// DMARC policy where stated: `none`, `quarantine`, `reject`.
    pub policy: Option<String>,
}

/// Everything trusted parties say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuthenticationResults {
    /// Statements in order of appearance.
    pub results: Vec<MethodResult>,
}

impl AuthenticationResults {
    /// Gathers what the caller says, or, when the caller says nothing, what trusted hops
    /// say. `None` when there is no statement.
    pub(super) fn gather(
        envelope: &Envelope,
        headers: &[Header<'_>],
        settings: &Settings,
    ) -> Option<Self> {
        let mut results = Vec::new();
        if envelope.authentication_results.is_empty() {
            if settings.trusted_authserv_ids.is_empty() {
                return None;
            }
            for raw in fields::values(headers, "authentication-results") {
                let statement = Statement::read(raw);
                let trusted = statement.authserv_id.as_deref().is_some_and(|id| {
                    settings
                        .trusted_authserv_ids
                        .iter()
                        .any(|trusted| trusted.eq_ignore_ascii_case(id))
                });
                if trusted {
                    results.extend(statement.results);
                }
            }
        } else {
            for value in &envelope.authentication_results {
                results.extend(Statement::read(value.as_bytes()).results);
            }
        }
        results.truncate(MOST_RESULTS);
        (!results.is_empty()).then_some(Self { results })
    }

    /// The best result of a mechanism: `pass` if anything passes, otherwise the first.
    pub fn result(&self, mechanism: Mechanism) -> Option<&str> {
        let mut of_mechanism = self.of(mechanism);
        let first = of_mechanism.next()?;
        let best = std::iter::once(first)
            .chain(of_mechanism)
            .find(|result| result.passes())
            .unwrap_or(first);
        Some(&best.result)
    }

    /// Domains for which DKIM, SPF or DMARC passes, in order of appearance.
    pub fn passing_domains(&self) -> impl Iterator<Item = &str> {
        self.results
            .iter()
            .filter(|result| result.passes() && result.mechanism != Mechanism::Arc)
            .filter_map(|result| result.domain.as_deref())
    }

    /// The DMARC policy of the sender's domain, where stated.
    pub fn dmarc_policy(&self) -> Option<&str> {
        self.of(Mechanism::Dmarc).find_map(|result| result.policy.as_deref())
    }

    /// Statements about one mechanism, in order of appearance.
    pub fn of(&self, mechanism: Mechanism) -> impl Iterator<Item = &MethodResult> {
        self.results.iter().filter(move |result| result.mechanism == mechanism)
    }
}

impl MethodResult {
    /// True when the result is `pass`.
    pub fn passes(&self) -> bool {
        self.result == "pass"
    }
}

/// One value, read.
#[derive(Debug, Default)]
struct Statement {
    authserv_id: Option<String>,
    results: Vec<MethodResult>,
}

impl Statement {
    fn read(raw: &[u8]) -> Self {
        let text = String::from_utf8_lossy(raw.get(..LONGEST_VALUE).unwrap_or(raw));
        let mut statement = Self::default();
        for (ordinal, words) in sections(&text).iter().enumerate() {
            match words.first() {
                // Without `=` the first word of the first section is the authserv-id; a
                // version number may follow.
                Some(Word::Plain(id)) if ordinal == 0 => {
                    statement.authserv_id = Some(id.clone());
                }
                _ => statement.results.extend(read_result(words)),
            }
        }
        statement
    }
}

/// A piece of a section.
#[derive(Debug, PartialEq, Eq)]
enum Word {
    /// A word that is no `key=value`.
    Plain(String),
    /// `key=value`, the key in lower case, quotes removed from the value.
    Pair(String, String),
    /// The text of a comment.
    Comment(String),
}

/// Reads `method=result` and the properties behind it.
fn read_result(words: &[Word]) -> Option<MethodResult> {
    let mut pairs = words.iter().filter_map(|word| match word {
        Word::Pair(key, value) => Some((key.as_str(), value.as_str())),
        Word::Plain(_) | Word::Comment(_) => None,
    });
    let (method, result) = pairs.next()?;
    // `dkim/1=pass`: the method may have a version.
    let method = method.split_once('/').map_or(method, |(name, _)| name);
    let mechanism = match method.trim() {
        "spf" => Mechanism::Spf,
        "dkim" => Mechanism::Dkim,
        "dmarc" => Mechanism::Dmarc,
        "arc" => Mechanism::Arc,
        _ => return None,
    };
    let mut properties: Vec<(&str, &str)> = pairs.collect();
    // The published policy stands in a comment: `dmarc=fail (p=REJECT sp=NONE)`.
    properties.extend(words.iter().filter_map(policy_in_comment));
    let keys: &[&str] = match mechanism {
        Mechanism::Spf => &["smtp.mailfrom", "smtp.mfrom", "smtp.helo"],
        Mechanism::Dkim | Mechanism::Arc => &["header.d", "header.i"],
        Mechanism::Dmarc => &["header.from"],
    };
    let domain = values_of(&properties, keys).find_map(domain);
    let stated = |keys: &[&str]| values_of(&properties, keys).next().is_some();
    let helo = mechanism == Mechanism::Spf
        && stated(&["smtp.helo"])
        && !stated(&["smtp.mailfrom", "smtp.mfrom"]);
    let policy = values_of(&properties, &["policy.dmarc", "policy.p", "p"])
        .map(str::to_ascii_lowercase)
        .find(|policy| ["none", "quarantine", "reject"].contains(&policy.as_str()))
        .filter(|_| mechanism == Mechanism::Dmarc);
    Some(MethodResult { mechanism, result: result.to_ascii_lowercase(), domain, helo, policy })
}

/// Values of the first key that is there, then of the second, and so on.
fn values_of<'w>(properties: &[(&str, &'w str)], keys: &[&str]) -> impl Iterator<Item = &'w str> {
    keys.iter().flat_map(|wanted| {
        properties.iter().filter(move |(key, _)| key == wanted).map(|(_, value)| *value)
    })
}

fn policy_in_comment(word: &Word) -> Option<(&str, &str)> {
    let Word::Comment(comment) = word else {
        return None;
    };
    comment
        .split(|c: char| c.is_whitespace() || ",;".contains(c))
        .filter_map(|piece| piece.split_once('='))
        .find(|(key, _)| key.eq_ignore_ascii_case("p"))
        .map(|(_, policy)| ("p", policy))
}

/// The domain of an address, of `@domain` or of a bare domain. Microsoft writes `none` where
/// there is no signature.
fn domain(value: &str) -> Option<String> {
    let value = value.rsplit_once('@').map_or(value, |(_, domain)| domain);
    let value = value.trim_matches(|c: char| c.is_whitespace() || "<>.\"".contains(c));
    (!value.is_empty() && !value.eq_ignore_ascii_case("none")).then(|| value.to_lowercase())
}

/// Cuts a value into its sections (between `;`) and these into words.
fn sections(text: &str) -> Vec<Vec<Word>> {
    let mut reader = Reader { sections: vec![Vec::new()], ..Reader::default() };
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '(' => {
                let comment = read_comment(&mut characters);
                reader.end_word(characters.peek());
                reader.push(Word::Comment(comment));
            }
            '"' => {
                while let Some(inside) = characters.next() {
                    match inside {
                        '"' => break,
                        '\\' => reader.word.extend(characters.next()),
                        _ => reader.word.push(inside),
                    }
                }
            }
            '=' if reader.key.is_none() => {
                reader.end_key();
            }
            ';' => {
                reader.end_section();
            }
            _ if character.is_whitespace() => {
                while characters.next_if(|c| c.is_whitespace()).is_some() {}
                reader.end_word(characters.peek());
            }
            _ => reader.word.push(character),
        }
    }
    reader.end_section();
    reader.sections
}

/// Reads to the end of a comment, comments inside it included.
fn read_comment(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> String {
    let mut comment = String::new();
    let mut depth = 1_usize;
    while let Some(character) = characters.next() {
        match character {
            '\\' => comment.extend(characters.next()),
            '(' => depth += 1,
            ')' => {
                depth -= 1;
                if depth == 0 {
                    break;
                }
            }
            _ => comment.push(character),
        }
    }
    comment
}

#[derive(Default)]
struct Reader {
    sections: Vec<Vec<Word>>,
    key: Option<String>,
    word: String,
}

impl Reader {
    fn push(&mut self, word: Word) {
        if let Some(section) = self.sections.last_mut() {
            section.push(word);
        }
    }

    fn end_key(&mut self) {
        let key = std::mem::take(&mut self.word);
        self.key = Some(key.trim().to_ascii_lowercase());
    }

    /// Ends a word at white space or a comment, unless an `=` follows or its value does.
    fn end_word(&mut self, next: Option<&char>) {
        if self.word.is_empty() || (self.key.is_none() && next == Some(&'=')) {
            return;
        }
        self.finish_word();
    }

    fn finish_word(&mut self) {
        let word = std::mem::take(&mut self.word);
        match self.key.take() {
            Some(key) => self.push(Word::Pair(key, word)),
            None if !word.is_empty() => self.push(Word::Plain(word)),
            None => {}
        }
    }

    fn end_section(&mut self) {
        self.finish_word();
        self.sections.push(Vec::new());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn describe(results: &[MethodResult]) -> Vec<String> {
        results
            .iter()
            .map(|result| {
                format!(
                    "{:?} {} {} {}",
                    result.mechanism,
                    result.result,
                    result.domain.as_deref().unwrap_or("-"),
                    result.policy.as_deref().unwrap_or("-"),
                )
            })
            .collect()
    }

    fn check(value: &str, authserv_id: Option<&str>, expected: &[&str]) {
        let statement = Statement::read(value.as_bytes());
        assert_eq!(statement.authserv_id.as_deref(), authserv_id, "{value:?}");
        assert_eq!(describe(&statement.results), expected, "{value:?}");
    }

    #[test]
    fn statements() {
        let id = Some("mx.example.org");
        check("", None, &[]);
        check(";;;", None, &[]);
        check(" mx.example.org; none\r\n", id, &[]);
        check("mx.example.org 1 ; none", id, &[]);
        check(
            "mx.example.org;\r\n spf=pass smtp.mailfrom=bounce@News.Example.com;\r\n\tdkim=pass \
             header.d=example.com header.s=s1",
            id,
            &["Spf pass news.example.com -", "Dkim pass example.com -"],
        );
        check(
            "mx.example.org; dkim=pass header.i=@Example.com; dkim=fail (bad; sig (x)) \
             header.d=list.example; dkim=none",
            id,
            &["Dkim pass example.com -", "Dkim fail list.example -", "Dkim none - -"],
        );
        check(
            "mx.example.org; dmarc=fail (p=REJECT sp=NONE dis=NONE) header.from=bank.example",
            id,
            &["Dmarc fail bank.example reject"],
        );
        check(
            "mx.example.org; dmarc=pass policy.dmarc=quarantine header.from=\"a.example\"",
            id,
            &["Dmarc pass a.example quarantine"],
        );
        check(
            "mx.example.org (our own) 1; SPF = SoftFail (x=y) smtp.mailfrom = a.example.",
            id,
            &["Spf softfail a.example -"],
        );
        check(
            "\"mx.example.org\"; arc/1=pass (i=2 spf=pass); iprev=pass policy.iprev=192.0.2.1; \
             auth=pass smtp.auth=x",
            id,
            &["Arc pass - -"],
        );
        check(
            "mx.example.org; spf=none smtp.mailfrom=<> smtp.helo=host.example",
            id,
            &["Spf none host.example -"],
        );
        check(
            "mx.example.org; dkim=pass reason=\"a; b\" header.d=c.example",
            id,
            &["Dkim pass c.example -"],
        );
        check("mx.example.org; (((( dkim=pass", id, &[]);
        check("mx.example.org; dkim=\"", id, &["Dkim  - -"]);
    }

    #[test]
    fn identities_of_spf() {
        #[track_caller]
        fn check(value: &str, expected: bool) {
            let results = Statement::read(value.as_bytes()).results;
            assert_eq!(results.iter().map(|r| r.helo).collect::<Vec<_>>(), [expected], "{value}");
        }
        check("x; spf=pass smtp.helo=a.example", true);
        check("x; spf=pass smtp.mailfrom=<> smtp.helo=a.example", false);
        check("x; spf=pass", false);
        check("x; dkim=pass smtp.helo=a.example", false);
    }

    #[test]
    fn microsoft() {
        check(
            "spf=fail (sender IP is 192.0.2.7)\r\n smtp.mailfrom=contoso.example; dkim=none \
             (message not signed)\r\n header.d=none;dmarc=fail (p=reject sp=reject pct=100) \
             action=oreject\r\n header.from=contoso.example;compauth=fail reason=000",
            None,
            &["Spf fail contoso.example -", "Dkim none - -", "Dmarc fail contoso.example reject"],
        );
    }

    fn gather(caller: &[&str], header: &str, trusted: &[&str]) -> Option<Vec<String>> {
        let envelope = Envelope {
            authentication_results: caller.iter().map(ToString::to_string).collect(),
            ..Envelope::default()
        };
        let settings = Settings {
            trusted_authserv_ids: trusted.iter().map(ToString::to_string).collect(),
            ..Settings::default()
        };
        let headers =
            [Header { name: "AUTHENTICATION-results".into(), raw: header.as_bytes().into() }];
        AuthenticationResults::gather(&envelope, &headers, &settings)
            .map(|found| describe(&found.results))
    }

    #[test]
    fn sources() {
        let pass = Some(vec!["Spf pass a.example -".to_owned()]);
        let header = "mx.example; spf=pass smtp.mailfrom=a.example";
        assert_eq!(gather(&[], header, &[]), None);
        assert_eq!(gather(&[], header, &["other.example"]), None);
        assert_eq!(gather(&[], header, &["MX.Example"]), pass);
        assert_eq!(gather(&["x; spf=pass smtp.mailfrom=a.example"], "", &[]), pass);
        assert_eq!(gather(&["x; none"], header, &["mx.example"]), None);
        assert_eq!(gather(&[], "spf=pass smtp.mailfrom=a.example", &["spf"]), None);
    }

    #[test]
    fn answers() {
        let results = Statement::read(
            b"x; dkim=fail header.d=a.example; dkim=pass header.d=b.example; spf=softfail \
              smtp.mailfrom=c.example; dmarc=pass (p=NONE) header.from=d.example; arc=pass",
        )
        .results;
        let results = AuthenticationResults { results };
        assert_eq!(results.result(Mechanism::Dkim), Some("pass"));
        assert_eq!(results.result(Mechanism::Spf), Some("softfail"));
        assert_eq!(AuthenticationResults::default().result(Mechanism::Arc), None);
        let domains: Vec<&str> = results.passing_domains().collect();
        assert_eq!(domains, ["b.example", "d.example"]);
        assert_eq!(results.dmarc_policy(), Some("none"));
    }
}
