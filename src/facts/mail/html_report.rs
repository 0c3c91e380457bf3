//! What was counted while rendering HTML, for `html_…` functions of rules.
//!
//! Comes in: counts of each HTML part. Goes out: answers to the eval functions of
//! SpamAssassin's `HTMLEval` plugin, by the names that rules use.
//! Not an error: names nobody knows; the answer is no.
//!
//! A function is true when it is true of any one HTML part of the mail.

use std::collections::HashMap;

use super::texts::HtmlLink;

/// Flags of [`HtmlPart`]: text that hardly differs from its ground; text with a colour that
/// is none; a font name that is none; a form that sends mail; an `object` or `embed`; a link
/// that was too long to be kept whole.
pub const FLAGS: [&str; 6] = [
    "font_low_contrast",
    "font_invalid_color",
    "font_face_bad",
    "form_action_mailto",
    "embeds",
    "uri_truncated",
];

/// What was counted, part by part.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HtmlReport {
    /// The HTML parts in order.
    pub parts: Vec<HtmlPart>,
}

/// What was counted in one HTML part.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HtmlPart {
    /// Index in `Message::parts`.
    pub part: usize,
    /// Tags seen, in lower case, and how many of each were not closed.
    pub inside: HashMap<String, i64>,
    /// Characters of the HTML.
    pub length: usize,
    /// Characters of the rendered text.
    pub rendered_length: usize,
    /// Characters of the rendered text that are no white space.
    pub non_space_length: usize,
    /// Share of the HTML that is not text: octets of the part less characters of the
    /// rendered text, to octets of the part.
    pub ratio: f64,
    /// Square pixels of the images that say how large they are.
    pub image_area: f64,
    /// Largest font size; 3 is what text has of itself.
    pub max_size: i64,
    /// Smallest font size.
    pub min_size: i64,
    /// Tags, start and end tags both.
    pub tags: usize,
    /// Tags of elements that HTML knows.
    pub elements: usize,
    /// Tags, each name counted while it is new.
    pub tags_seen: usize,
    /// Tags of elements that HTML knows, each name counted while it is new.
    pub elements_seen: usize,
    /// End tags of elements that were not open.
    pub closed_extra: usize,
    /// Tags that stand inside words.
    pub obfuscation: usize,
    /// Ways in which tags cut words in two short pieces: pairs of lengths.
    pub backhair: usize,
    /// Flags that are set, by the names that rules use: see [`FLAGS`].
    flags: Vec<&'static str>,
    /// An `iframe` with a link.
    pub iframe_src: bool,
    /// Comments with their marks.
    pub comments: Vec<String>,
    /// Text of links; `<img>` and a line break for each image in one.
    pub anchors: Vec<String>,
    /// Text of `title` elements.
    pub titles: Vec<String>,
    /// Text of `script` elements.
    pub scripts: Vec<String>,
    /// Charsets that `meta` elements declare.
    pub charsets: Vec<String>,
}

impl HtmlReport {
    /// `html_tag_exists(tag)`: a start or end tag of this name was seen.
    pub fn html_tag_exists(&self, tag: &str) -> bool {
        self.parts.iter().any(|part| part.inside.contains_key(tag))
    }

    /// `html_test(name)`: a flag is set, a number is not zero, a list of texts is there.
    pub fn html_test(&self, name: &str) -> bool {
        self.parts.iter().any(|part| part.test(name))
    }

    /// `html_range(name, min, max)`: a number is above `min` and at most `max`; an infinite
    /// `max` is what rules write as `inf`.
    pub fn html_range(&self, name: &str, min: f64, max: f64) -> bool {
        self.numbers(name).any(|value| value > min && value <= max)
    }

    /// `html_eval(name, comparison)`: a number stands in this relation to another, as in
    /// `< 384`. A comparison that cannot be read is never true.
    pub fn html_eval(&self, name: &str, comparison: &str) -> bool {
        let Some(comparison) = Comparison::read(comparison) else { return false };
        self.numbers(name).any(|value| comparison.holds(value))
    }

    /// `html_tag_balance(tag, comparison)`: the number of elements left open, of a tag that
    /// was seen, stands in this relation to another, as in `!= 0`.
    pub fn html_tag_balance(&self, tag: &str, comparison: &str) -> bool {
        let Some(comparison) = Comparison::read(comparison) else { return false };
        #[expect(clippy::cast_precision_loss, reason = "tags of one mail")]
        let open = |part: &HtmlPart| part.inside.get(tag).map(|open| *open as f64);
        tag.bytes().all(|byte| byte.is_ascii_alphanumeric())
            && self.parts.iter().filter_map(open).any(|open| comparison.holds(open))
    }

    /// `html_image_only(min, max)`: HTML with an image whose length in characters is above
    /// `min` and at most `max`.
    pub fn html_image_only(&self, min: f64, max: f64) -> bool {
        self.parts.iter().any(|part| {
            let length = count(part.length);
            part.inside.contains_key("img") && length > min && length <= max
        })
    }

    /// `html_image_ratio(min, max)`: characters of text to square pixels of images, above
    /// `min` and at most `max`; no image, no ratio.
    pub fn html_image_ratio(&self, min: f64, max: f64) -> bool {
        self.parts.iter().any(|part| {
            let ratio = count(part.non_space_length) / part.image_area;
            part.image_area > 0.0 && ratio > min && ratio <= max
        })
    }

    /// `html_title_subject_ratio(ratio)`: a title is more than so many times as long as the
    /// Subject, whose length is given with the line end SpamAssassin counts; without a
    /// Subject it never is.
    pub fn html_title_subject_ratio(&self, ratio: f64, subject_length: usize) -> bool {
        subject_length > 0
            && self.parts.iter().any(|part| {
                let titles = part.titles.iter().filter(|title| !matches!(title.as_str(), "" | "0"));
                let longest = titles.map(|title| title.chars().count()).max().unwrap_or(0);
                count(longest) / count(subject_length) > ratio
            })
    }

    /// The texts that `html_text_match(name, regex)` and `html_text_not_match` look at:
    /// `comment`, `anchor`, `title` or `script`; none for other names.
    pub fn html_texts<'r>(&'r self, name: &str) -> impl Iterator<Item = &'r str> + use<'r> {
        let pick: fn(&HtmlPart) -> &[String] = match name {
            "comment" => |part| &part.comments,
            "anchor" => |part| &part.anchors,
            "title" => |part| &part.titles,
            "script" => |part| &part.scripts,
            _ => |_| &[],
        };
        self.parts.iter().flat_map(pick).map(String::as_str)
    }

    /// What `html_charset_faraway()` judges: the charsets declared by each part that
    /// declares any. Bad are parts where no fewer are foreign than are not.
    pub fn html_charsets(&self) -> impl Iterator<Item = &[String]> {
        self.parts.iter().map(|part| part.charsets.as_slice()).filter(|found| !found.is_empty())
    }

    /// `check_iframe_src()`: an `iframe` has a link.
    pub fn check_iframe_src(&self) -> bool {
        self.parts.iter().any(|part| part.iframe_src)
    }

    fn numbers(&self, name: &str) -> impl Iterator<Item = f64> {
        self.parts.iter().filter_map(move |part| part.number(name))
    }
}

impl HtmlPart {
    /// Nothing counted yet.
    pub(super) fn new(part: usize) -> Self {
        Self { part, ..Self::default() }
    }

    /// A number by the name that rules use; `None` when there is nothing to tell.
    pub fn number(&self, name: &str) -> Option<f64> {
        let share = |some: usize, of: usize| (of > 0).then(|| count(some) / count(of));
        let known = |some: usize| (some > 0).then_some(some);
        #[expect(clippy::cast_precision_loss, reason = "font sizes that large look the same")]
        let size = |size: i64| Some(size as f64);
        match name {
            "length" => Some(count(self.length)),
            "html_length" => Some(count(self.rendered_length)),
            "non_space_len" => Some(count(self.non_space_length)),
            "ratio" => Some(self.ratio),
            "image_area" => Some(self.image_area),
            "max_size" => size(self.max_size),
            "min_size" => size(self.min_size),
            "backhair_count" => known(self.backhair).map(count),
            "bad_tag_ratio" => {
                share(self.tags - self.elements, self.tags).filter(|_| self.elements > 0)
            }
            "non_element_ratio" => share(self.tags_seen - self.elements_seen, self.tags_seen)
                .filter(|_| self.elements_seen > 0),
            "closed_extra_ratio" => share(self.closed_extra, self.tags),
            "obfuscation_ratio" => share(known(self.obfuscation)?, self.tags),
            _ => (name == "html" || self.has_flag(name)).then_some(1.0),
        }
    }

    /// True when a flag of this name is set.
    pub fn has_flag(&self, name: &str) -> bool {
        self.flags.contains(&name)
    }

    pub(super) fn set_flag(&mut self, name: &'static str) {
        debug_assert!(FLAGS.contains(&name), "{name}");
        if !self.flags.contains(&name) {
            self.flags.push(name);
        }
    }

    fn test(&self, name: &str) -> bool {
        match name {
            "comment" => !self.comments.is_empty(),
            "anchor" => !self.anchors.is_empty(),
            "title" => !self.titles.is_empty(),
            "script" => !self.scripts.is_empty(),
            "charsets" => !self.charsets.is_empty(),
            "inside" => !self.inside.is_empty(),
            _ => self.number(name).is_some_and(|value| value != 0.0),
        }
    }

    /// Notes a link that was found while reading.
    pub(super) fn note_link(&mut self, link: &HtmlLink) {
        self.iframe_src |= link.element == "iframe";
    }
}

fn count(number: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a mail is smaller than that")]
    let number = number as f64;
    number
}

/// What an operator does.
type Operator = fn(&f64, &f64) -> bool;

/// An operator and a number.
struct Comparison {
    operator: Operator,
    number: f64,
}

impl Comparison {
    fn read(text: &str) -> Option<Self> {
        const OPERATORS: [(&str, Operator); 6] = [
            ("<=", f64::le),
            (">=", f64::ge),
            ("==", f64::eq),
            ("!=", f64::ne),
            ("<", f64::lt),
            (">", f64::gt),
        ];
        let text = text.trim();
        OPERATORS.into_iter().find_map(|(mark, operator)| {
            let number = text.strip_prefix(mark)?.trim().parse::<i32>().ok()?;
            Some(Self { operator, number: f64::from(number) })
        })
    }

    fn holds(&self, value: f64) -> bool {
        (self.operator)(&value, &self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> HtmlReport {
        let mut part = HtmlPart {
            length: 400,
            non_space_length: 50,
            image_area: 10_000.0,
            max_size: 6,
            min_size: 3,
            tags: 10,
            elements: 8,
            titles: vec!["A title of twenty-one".into()],
            ..HtmlPart::default()
        };
        part.inside.insert("img".into(), 2);
        part.inside.insert("body".into(), 0);
        part.set_flag("embeds");
        HtmlReport { parts: vec![HtmlPart::default(), part] }
    }

    #[test]
    fn tags() {
        let report = report();
        assert!(report.html_tag_exists("body") && !report.html_tag_exists("bgsound"));
        assert!(report.html_tag_balance("img", "!= 0") && report.html_tag_balance("img", " > 1"));
        assert!(!report.html_tag_balance("body", "!= 0"));
        assert!(!report.html_tag_balance("table", "== 0"));
        assert!(!report.html_tag_balance("img", "2"));
    }

    #[test]
    fn numbers() {
        let report = report();
        assert!(report.html_test("embeds") && report.html_test("html"));
        assert!(!report.html_test("font_face_bad") && !report.html_test("nonsense"));
        assert!(report.html_range("max_size", 5.0, 6.0));
        assert!(!report.html_range("max_size", 6.0, f64::INFINITY));
        assert!(report.html_range("bad_tag_ratio", 0.1, 0.2));
        assert!(!report.html_range("obfuscation_ratio", -1.0, 1.0));
        assert!(report.html_eval("length", "< 384") && report.html_eval("length", ">=400"));
        assert!(!report.html_eval("length", "== 399"));
        assert!(!report.html_eval("nonsense", "== 0"));
    }

    #[test]
    fn images_and_titles() {
        let report = report();
        assert!(report.html_image_only(0.0, 400.0) && !report.html_image_only(400.0, 800.0));
        assert!(report.html_image_ratio(0.004, 0.006) && !report.html_image_ratio(0.0, 0.004));
        assert!(report.html_title_subject_ratio(3.5, 5));
        assert!(!report.html_title_subject_ratio(3.5, 6));
        assert!(!report.html_title_subject_ratio(0.0, 0));
        assert_eq!(report.html_texts("title").count(), 1);
        assert_eq!(report.html_texts("comment").count(), 0);
        assert_eq!(report.html_charsets().count(), 0);
    }
}
