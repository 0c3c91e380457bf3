//! `replace_tag` and its kin: words in angle brackets that stand for pieces of a regex.
//!
//! `<A>` in a rule named by `replace_rules` becomes the expression of tag A. `<inter W1>`
//! somewhere in the regex puts the expression W1 between tags that stand side by side;
//! `<pre …>` and `<post …>` put one before or after every tag. Expressions may hold tags
//! themselves.

use std::collections::{BTreeMap, BTreeSet};

/// Rounds of replacement; tags within tags need more than one.
const ROUNDS: usize = 6;
/// Octets a regex may grow to.
const LENGTH: usize = 256 * 1024;

/// All tags of the files.
#[derive(Debug)]
pub(super) struct Tags<'l> {
    expressions: BTreeMap<&'l str, &'l str>,
    before: BTreeMap<&'l str, &'l str>,
    between: BTreeMap<&'l str, &'l str>,
    after: BTreeMap<&'l str, &'l str>,
    rules: BTreeSet<&'l str>,
    open: &'l str,
    close: &'l str,
}

impl Default for Tags<'_> {
    fn default() -> Self {
        Self {
            expressions: BTreeMap::new(),
            before: BTreeMap::new(),
            between: BTreeMap::new(),
            after: BTreeMap::new(),
            rules: BTreeSet::new(),
            open: "<",
            close: ">",
        }
    }
}

/// The directives read here.
pub(super) const DIRECTIVES: [&str; 7] = [
    "replace_tag",
    "replace_pre",
    "replace_inter",
    "replace_post",
    "replace_rules",
    "replace_start",
    "replace_end",
];

impl<'l> Tags<'l> {
    /// Reads one line; false when it lacks something.
    pub(super) fn read(&mut self, key: &str, rest: &'l str) -> bool {
        let (name, expression) = match rest.split_once(char::is_whitespace) {
            Some((name, expression)) => (name, expression.trim()),
            None => (rest, ""),
        };
        let named = !expression.is_empty();
        match key {
            "replace_tag" if named => drop(self.expressions.insert(name, expression)),
            "replace_pre" if named => drop(self.before.insert(name, expression)),
            "replace_inter" if named => drop(self.between.insert(name, expression)),
            "replace_post" if named => drop(self.after.insert(name, expression)),
            "replace_rules" => self.rules.extend(rest.split_whitespace()),
            "replace_start" if !rest.is_empty() => self.open = rest,
            "replace_end" if !rest.is_empty() => self.close = rest,
            _ => return false,
        }
        true
    }

    /// True when the tags of a rule are to be replaced.
    pub(super) fn wants(&self, rule: &str) -> bool {
        self.rules.contains(rule)
    }

    /// A regex with its tags replaced.
    pub(super) fn replaced(&self, regex: &str) -> Result<String, String> {
        let mut text = regex.to_owned();
        for _ in 0..ROUNDS {
            let before = self.modifier(&mut text, "pre ", &self.before);
            let after = self.modifier(&mut text, "post ", &self.after);
            let between = self.modifier(&mut text, "inter ", &self.between);
            let (next, again) = self.round(&text, before, between, after);
            if next.len() > LENGTH {
                return Err(format!("the regex grows over {LENGTH} octets by its tags"));
            }
            text = next;
            if !again {
                break;
            }
        }
        Ok(text)
    }

    /// Takes the first `<inter NAME>` out; what it names is put between tags.
    fn modifier(
        &self,
        text: &mut String,
        word: &str,
        table: &BTreeMap<&'l str, &'l str>,
    ) -> Option<&'l str> {
        let opening = format!("{}{word}", self.open);
        let start = text.find(&opening)?;
        let name_at = start + opening.len();
        let length = text.get(name_at..)?.find(self.close)?;
        let name = text.get(name_at..name_at + length)?.to_owned();
        text.replace_range(start..name_at + length + self.close.len(), "");
        table.get(name.as_str()).copied()
    }

    /// One round; true when a replacement may hold tags.
    fn round(
        &self,
        text: &str,
        before: Option<&str>,
        between: Option<&str>,
        after: Option<&str>,
    ) -> (String, bool) {
        let mut out = String::with_capacity(text.len() * 4);
        let (mut rest, mut again, mut adjacent) = (text, false, false);
        while let Some((start, name, end)) = self.next_tag(rest) {
            let plain = rest.get(..start).unwrap_or("");
            out.push_str(plain);
            if adjacent && plain.is_empty() {
                out.push_str(between.unwrap_or(""));
            }
            adjacent = true;
            out.push_str(before.unwrap_or(""));
            match self.expressions.get(name) {
                Some(expression) => {
                    out.push_str(expression);
                    again |= self.next_tag(expression).is_some();
                }
                None => out.push_str(rest.get(start..end).unwrap_or("")),
            }
            out.push_str(after.unwrap_or(""));
            rest = rest.get(end..).unwrap_or("");
        }
        out.push_str(rest);
        (out, again)
    }

    /// Start, name and end of the next thing in brackets.
    fn next_tag<'t>(&self, text: &'t str) -> Option<(usize, &'t str, usize)> {
        let mut from = 0;
        loop {
            let start = from + text.get(from..)?.find(self.open)?;
            let inner = start + self.open.len();
            let length = text.get(inner..)?.find(self.close)?;
            let name = text.get(inner..inner + length)?;
            // `(?<name>…)` and `(?<!…` begin like a tag that holds another one.
            match name.rfind(self.open) {
                Some(again) if again > 0 || name.starts_with(self.open) => from = inner + again,
                Some(_) | None if name.is_empty() => from = inner,
                Some(_) | None => return Some((start, name, inner + length + self.close.len())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_replaced() {
        #[track_caller]
        fn check(tags: &Tags<'_>, regex: &str, expected: &str) {
            assert_eq!(tags.replaced(regex).unwrap(), expected, "{regex}");
        }
        let mut tags = Tags::default();
        for (key, rest) in [
            ("replace_tag", "A [a4@]"),
            ("replace_tag", "B (?:b|<A>)"),
            ("replace_tag", "C c"),
            ("replace_inter", "W \\W?"),
            ("replace_pre", "P \\b"),
            ("replace_post", "Q +"),
            ("replace_rules", "X Y"),
        ] {
            assert!(tags.read(key, rest));
        }
        assert!(!tags.read("replace_tag", "A"));
        assert!(tags.wants("Y") && !tags.wants("Z"));
        check(&tags, "/x<A>y/i", "/x[a4@]y/i");
        check(&tags, "/<A><C>/", "/[a4@]c/");
        check(&tags, "/<inter W><A><C>-<C>/", "/[a4@]\\W?c-c/");
        check(&tags, "/<pre P><post Q><A><C>/", "/\\b[a4@]+\\bc+/");
        check(&tags, "/<B>/", "/(?:b|[a4@])/");
        check(&tags, "/<unknown><A>/", "/<unknown>[a4@]/");
        check(&tags, "/(?<!x)<A>/", "/(?<!x)[a4@]/");
        check(&tags, "/<a href=<A>/", "/<a href=[a4@]/");
        check(&tags, "/a < b/", "/a < b/");
    }

    #[test]
    fn tags_of_tags_end() {
        let mut tags = Tags::default();
        tags.read("replace_tag", "A <A>");
        assert_eq!(tags.replaced("/<A>/").unwrap(), "/<A>/");
        tags.read("replace_tag", "A <A><A><A><A><A><A><A><A><A><A>");
        assert!(tags.replaced("/<A>/").is_err());
    }
}
