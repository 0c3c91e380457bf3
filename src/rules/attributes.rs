//! What lines say of a rule or a group besides its definition: score, words of `tflags`,
//! description, group, caps, and what its author expects of it.

use super::diagnostic::closest;
use super::line::{Line, Token};
use super::load::Loader;
use super::{Change, Flags, Said, foreign, meta};

/// Hits counted by `tflags multiple` without `maxhits`.
const MOST_HITS: u32 = 1_000;

/// What other lines say of a rule; they may come before it, after it, or without it.
#[derive(Debug, Default)]
pub(super) struct Attributes<'l> {
    /// Where the rule was mentioned first.
    pub(super) mentioned: Option<(&'l Line<'l>, Token<'l>)>,
    pub(super) score: Option<f64>,
    pub(super) description: Option<&'l str>,
    pub(super) group: Option<&'l str>,
    pub(super) source: Option<&'l str>,
    pub(super) flags: Flags,
    /// `tflags notice`: it is shown, although its score is 0.
    pub(super) notice: bool,
    /// `tflags nosubject`: a `body` rule leaves the Subject out.
    pub(super) without_subject: bool,
    /// Every line that was taken, with its place in load order.
    pub(super) history: Vec<(usize, Change)>,
    /// `tflags multiple maxhits=N`: the rule's value is the number of hits, at most so many.
    pub(super) most_hits: Option<u32>,
    /// `tflags range=2-5`: parts that a `mimeheader` rule looks at, from 1.
    pub(super) range: Option<(u32, u32)>,
    /// `tflags concat`: a `mimeheader` rule sees all parts' fields as one text.
    pub(super) joined: bool,
}

/// `test NAME ok|fail text`: what the author of a rule expects of it.
#[derive(Debug)]
pub(super) struct Expectation<'l> {
    pub(super) line: &'l Line<'l>,
    pub(super) name: Token<'l>,
    pub(super) hits: bool,
    pub(super) text: &'l str,
}

/// Cap of a group, with the place it was set.
#[derive(Debug)]
pub(super) struct Cap<'l> {
    pub(super) line: &'l Line<'l>,
    pub(super) name: Token<'l>,
    pub(super) min: f64,
    pub(super) max: f64,
}

impl<'l> Loader<'l> {
    /// `NAME ok|fail text`
    pub(super) fn expectation(&mut self, line: &'l Line<'l>, rest: Token<'l>) {
        let Some((name, text)) = self.name(line, rest) else { return };
        let (verdict, text) = text.split_word();
        match verdict.text {
            "ok" | "fail" => {
                let hits = verdict.text == "ok";
                self.expectations.push(Expectation { line, name, hits, text: text.text });
            }
            other => {
                let error = line.error(verdict, format!("`{other}` is neither `ok` nor `fail`"));
                self.error(error);
            }
        }
    }

    pub(super) fn attribute(
        &mut self,
        line: &'l Line<'l>,
        rest: Token<'l>,
        set: impl FnOnce(&mut Self, &Line<'_>, &mut Attributes<'l>, Token<'l>),
    ) {
        let Some((name, text)) = self.name(line, rest) else {
            return;
        };
        let mut attributes = self.attributes.remove(name.text).unwrap_or_default();
        attributes.mentioned.get_or_insert((line, name));
        set(self, line, &mut attributes, text);
        self.attributes.insert(name.text, attributes);
    }

    /// One number, or four of which the second counts: network tests and no Bayes, which is
    /// what this service has. A number in parentheses is added to the score so far.
    pub(super) fn score(
        &mut self,
        line: &Line<'_>,
        attributes: &mut Attributes<'l>,
        text: Token<'l>,
    ) {
        let words: Vec<&str> = text.text.split_whitespace().collect();
        let word = match words.as_slice() {
            [word] | [_, word, _, _] => *word,
            _ => {
                let error = line.error(text, "a score is one number or four");
                return self.error(error);
            }
        };
        let relative = word.strip_prefix('(').and_then(|word| word.strip_suffix(')'));
        let number = |word: &str| word.parse::<f64>().ok().filter(|number| number.is_finite());
        let bad = words.iter().find(|word| {
            let word = word.strip_prefix('(').and_then(|w| w.strip_suffix(')')).unwrap_or(word);
            number(word).is_none()
        });
        if let Some(bad) = bad {
            let at = text.text.find(bad).unwrap_or(0);
            let token = text.part(at, at + bad.len());
            return self.error(line.error(token, format!("`{bad}` is not a number")));
        }
        let Some(value) = number(relative.unwrap_or(word)) else {
            return;
        };
        let score = match (relative, attributes.score) {
            (None, _) => value,
            (Some(_), Some(score)) => score + value,
            (Some(_), None) => {
                let message = "there is no score yet that this could be added to";
                self.error(line.warning(text, message));
                value
            }
        };
        attributes.score = Some(score);
        attributes.history.push((self.position, Change::new(line, Said::Score(score))));
    }

    /// The last line wins, as in SpamAssassin.
    pub(super) fn flags(
        &mut self,
        line: &Line<'_>,
        attributes: &mut Attributes<'l>,
        text: Token<'l>,
    ) {
        attributes.flags = Flags::default();
        (attributes.without_subject, attributes.notice) = (false, false);
        (attributes.most_hits, attributes.range, attributes.joined) = (None, None, false);
        let mut multiple = false;
        let mut most = MOST_HITS;
        let mut rest = text;
        while !rest.text.is_empty() {
            let (word, after) = rest.split_word();
            rest = after;
            match word.text {
                "known" => attributes.flags.known = true,
                "forged" => attributes.flags.forged = true,
                "active" => attributes.flags.active = true,
                "nice" => attributes.flags.nice = true,
                "notice" => attributes.notice = true,
                "nosubject" => attributes.without_subject = true,
                "multiple" => multiple = true,
                "concat" => attributes.joined = true,
                flag if foreign::FLAGS.contains(&flag) => {}
                flag if flag.starts_with("maxhits=") => {
                    match flag.trim_start_matches("maxhits=").parse() {
                        Ok(number) if number > 0 => most = number,
                        Ok(_) | Err(_) => {
                            self.error(line.error(word, format!("`{flag}` has no number")));
                        }
                    }
                }
                flag if flag.starts_with("range=") => {
                    attributes.range = range(flag.trim_start_matches("range="));
                    if attributes.range.is_none() {
                        let error = line.error(word, format!("`{flag}` is not a range of parts"));
                        self.error(error.with_hint("for example `range=1-3` or `range=2-`"));
                    }
                }
                flag => {
                    let ours =
                        ["known", "forged", "active", "nice", "notice", "nosubject", "multiple"];
                    let guess = closest(flag, ours.iter().chain(foreign::FLAGS).copied());
                    let message = format!("unknown flag `{flag}`");
                    self.error(line.warning(word, message).with_guess(guess));
                }
            }
        }
        attributes.most_hits = multiple.then_some(most);
    }

    pub(super) fn group_cap(&mut self, line: &'l Line<'l>, rest: Token<'l>) {
        let (name, text) = rest.split_word();
        let numbers: Vec<f64> = text
            .text
            .split_whitespace()
            .filter_map(|word| word.parse::<f64>().ok().filter(|number| number.is_finite()))
            .collect();
        let [min, max] = *numbers.as_slice() else {
            let error = line.error(rest, "a cap needs a group, the lowest and the highest sum");
            return self.error(error.with_hint("for example `group_cap content -2 8`"));
        };
        if text.text.split_whitespace().count() != 2 || min > max || !meta::is_name(name.text) {
            let error = line.error(rest, "a cap needs a group, the lowest and the highest sum");
            return self.error(error.with_hint("for example `group_cap content -2 8`"));
        }
        if let Some(earlier) = self.caps.get(name.text)
            && earlier.line.file_index == line.file_index
        {
            let message = format!("the cap of `{}` is set twice in this file", name.text);
            let hint = format!("first at {}:{}", earlier.line.file, earlier.line.number);
            return self.error(line.error(name, message).with_hint(hint));
        }
        self.caps.insert(name.text, Cap { line, name, min, max });
    }
}

/// `2`, `2-`, `-5`, `2-5`
fn range(text: &str) -> Option<(u32, u32)> {
    match text.split_once('-') {
        None => text.parse().ok().map(|only| (only, only)),
        Some((from, to)) => {
            let from = if from.is_empty() { 0 } else { from.parse().ok()? };
            let to = if to.is_empty() { u32::MAX } else { to.parse().ok()? };
            Some((from, to))
        }
    }
}
