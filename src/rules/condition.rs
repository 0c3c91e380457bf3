//! The questions of `if` and `ifplugin` lines: which SpamAssassin does this file talk to?
//!
//! We answer as SpamAssassin 4.0.1 with the plug-ins whose rules we can run, so that files
//! written for several versions take the branch that was written for that one.

use super::domain::flag;
use super::line::Token;
use super::test::Comparison;

/// The version we answer for: `4.000001` is 4.0.1.
pub(super) const VERSION: f64 = 4.000_001;

/// The Perl that SpamAssassin 4.0.1 runs on in Debian 12; rules ask for regex features by it.
const PERL_VERSION: f64 = 5.036;

/// Deepest nesting of parentheses and signs.
const DEPTH: usize = 50;

/// Plug-ins whose rules and functions we run, without `Mail::SpamAssassin::Plugin::`.
const PLUGINS: [&str; 28] = [
    "ASN",
    "AskDNS",
    "AutoLearnThreshold",
    "BodyEval",
    "Check",
    "DKIM",
    "DMARC",
    "DNSEval",
    "DecodeShortURLs",
    "FreeMail",
    "FromNameSpoof",
    "HTMLEval",
    "HTTPSMismatch",
    "HashBL",
    "HeaderEval",
    "ImageInfo",
    "MIMEEval",
    "MIMEHeader",
    "PDFInfo",
    "RelayEval",
    "ReplaceTags",
    "SPF",
    "URIDNSBL",
    "URIDetail",
    "URIEval",
    "VBounce",
    "WLBLEval",
    "WelcomeListSubject",
];

/// Features of `Mail::SpamAssassin::Conf` that files ask for and we have.
const FEATURES: [&str; 14] = [
    "compat_welcomelist_blocklist",
    "feature_bug6558_free",
    "feature_capture_rules",
    "feature_dns_block_rule",
    "feature_dns_local_ports_permit_avoid",
    "feature_dns_query_restriction",
    "feature_edit_distance",
    "feature_header_address_parser",
    "feature_local_tests_only",
    "feature_originating_ip_headers",
    "feature_registryboundaries",
    "feature_subjprefix",
    "feature_welcomelist_blocklist",
    "perl_min_version_5010000",
];

/// What came after 4.0.1 says so by a function of its own.
const LATER: [&str; 1] = ["has_short_url_redir"];

/// Answers `EXPR`. Names nobody knows are false, as they are for SpamAssassin.
pub(super) fn holds(text: Token<'_>) -> Result<bool, (Token<'_>, String)> {
    let mut parser = Parser { rest: text.trimmed(), depth: 0 };
    let value = parser.or()?;
    let next = parser.next();
    if next.text.is_empty() { Ok(value != 0.0) } else { Err(unexpected(next)) }
}

/// Answers `ifplugin CLASS`.
pub(super) fn plugin(class: &str) -> bool {
    class.strip_prefix("Mail::SpamAssassin::Plugin::").is_some_and(|name| PLUGINS.contains(&name))
}

/// Answers `can(CLASS::function)` and `has(CLASS::function)`: a plug-in we have, we have with
/// all that version 4.0.1 of it can do.
fn can(name: &str) -> bool {
    if let Some(feature) = name.strip_prefix("Mail::SpamAssassin::Conf::") {
        return FEATURES.contains(&feature);
    }
    name.rsplit_once("::")
        .is_some_and(|(class, function)| plugin(class) && !LATER.contains(&function))
}

fn unexpected(token: Token<'_>) -> (Token<'_>, String) {
    let message = if token.text.is_empty() {
        "the condition ends too early".to_owned()
    } else {
        format!("unexpected `{}` in a condition", token.text)
    };
    (token, message)
}

struct Parser<'l> {
    rest: Token<'l>,
    depth: usize,
}

type Parsed<'l> = Result<f64, (Token<'l>, String)>;

impl<'l> Parser<'l> {
    fn peek(&self) -> Token<'l> {
        let rest = self.rest.trimmed();
        let word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | ':');
        let two = ["&&", "||", "<=", ">=", "==", "!="];
        let length = two
            .iter()
            .find(|sign| rest.text.starts_with(**sign))
            .map(|sign| sign.len())
            .or_else(|| rest.text.find(|c| !word(c)).filter(|end| *end > 0))
            .or_else(|| rest.text.chars().next().filter(|c| !word(*c)).map(char::len_utf8))
            .unwrap_or(rest.text.len());
        rest.part(0, length)
    }

    fn next(&mut self) -> Token<'l> {
        let token = self.peek();
        let length = (token.at + token.text.len()).saturating_sub(self.rest.at);
        self.rest = self.rest.from(length);
        token
    }

    fn or(&mut self) -> Parsed<'l> {
        let mut value = self.and()?;
        while self.peek().text == "||" {
            self.next();
            let other = self.and()?;
            value = flag(value != 0.0 || other != 0.0);
        }
        Ok(value)
    }

    fn and(&mut self) -> Parsed<'l> {
        let mut value = self.comparison()?;
        while self.peek().text == "&&" {
            self.next();
            let other = self.comparison()?;
            value = flag(value != 0.0 && other != 0.0);
        }
        Ok(value)
    }

    fn comparison(&mut self) -> Parsed<'l> {
        let left = self.sum()?;
        let Some(comparison) = Comparison::read(self.peek().text) else { return Ok(left) };
        self.next();
        let right = self.sum()?;
        Ok(flag(comparison.holds(left, right)))
    }

    fn sum(&mut self) -> Parsed<'l> {
        let mut value = self.unary()?;
        loop {
            let sign = self.peek().text;
            if !matches!(sign, "+" | "-" | "*" | "/") {
                return Ok(value);
            }
            self.next();
            let other = self.unary()?;
            value = match sign {
                "+" => value + other,
                "-" => value - other,
                "*" => value * other,
                _ if other == 0.0 => 0.0,
                _ => value / other,
            };
        }
    }

    fn unary(&mut self) -> Parsed<'l> {
        self.depth += 1;
        let token = self.next();
        if self.depth > DEPTH {
            return Err((token, format!("the condition is nested deeper than {DEPTH} levels")));
        }
        let value = match token.text {
            "!" => flag(self.unary()? == 0.0),
            "-" => -self.unary()?,
            "(" => {
                let value = self.or()?;
                self.close()?;
                value
            }
            "version" => VERSION,
            "perl_version" => PERL_VERSION,
            "local_tests_only" => 0.0,
            "plugin" => flag(plugin(self.argument()?)),
            "can" | "has" => flag(can(self.argument()?)),
            text => text.parse().map_err(|_| unexpected(token))?,
        };
        self.depth -= 1;
        Ok(value)
    }

    fn argument(&mut self) -> Result<&'l str, (Token<'l>, String)> {
        let open = self.next();
        if open.text != "(" {
            return Err(unexpected(open));
        }
        let name = self.next();
        self.close()?;
        Ok(name.text)
    }

    fn close(&mut self) -> Result<(), (Token<'l>, String)> {
        let token = self.next();
        if token.text == ")" { Ok(()) } else { Err(unexpected(token)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions() {
        #[track_caller]
        fn check(text: &str, expected: Result<bool, &str>) {
            let found = holds(Token { at: 0, text }).map_err(|(_, message)| message);
            assert_eq!(found, expected.map_err(str::to_owned), "{text}");
        }
        check("version >= 4.000000", Ok(true));
        check("(version >= 3.004002)", Ok(true));
        check("!((version >= 3.000000))", Ok(false));
        check("version < 4.000000 || perl_version >= 5.010", Ok(true));
        check("(version > 4 && local_tests_only)", Ok(false));
        check("plugin(Mail::SpamAssassin::Plugin::BodyEval)", Ok(true));
        check("!plugin ( Mail::SpamAssassin::Plugin::Nobody )", Ok(true));
        check("can(Mail::SpamAssassin::Conf::feature_bug6558_free)", Ok(true));
        check("has(Mail::SpamAssassin::Conf::feature_of_tomorrow)", Ok(false));
        check("can(Mail::SpamAssassin::Plugin::BodyEval::has_check_body_length)", Ok(true));
        check("can(Mail::SpamAssassin::Plugin::Nobody::has_it)", Ok(false));
        check("1 + 2 * 2 == 6", Ok(true));
        check("1 - -1 != 2", Ok(false));
        check("4 / 0", Ok(false));
        check("", Err("the condition ends too early"));
        check("(version", Err("the condition ends too early"));
        check("version >= ", Err("the condition ends too early"));
        check("versoin >= 3", Err("unexpected `versoin` in a condition"));
        check("version 3", Err("unexpected `3` in a condition"));
        check("plugin Foo", Err("unexpected `Foo` in a condition"));
        let deep = "(".repeat(60);
        check(&deep, Err("the condition is nested deeper than 50 levels"));
    }
}
