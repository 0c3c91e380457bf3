//! The small pieces of mark-up: attributes, elements that are read literally, characters.
//!
//! Comes in: names and values as written. Goes out: answers to small questions.
//! Not an error: anything.

use std::borrow::Cow;

/// Attributes of one tag: names as written, values with references still in them.
#[derive(Debug, Default)]
pub(in super::super) struct Attributes<'h>(pub(super) Vec<(&'h str, Option<&'h str>)>);

impl<'h> Attributes<'h> {
    /// The value of the first attribute of this name, references decoded. An attribute
    /// without a value has its name for a value.
    pub(in super::super) fn get(&self, name: &str) -> Option<Cow<'h, str>> {
        let (found, value) = self.0.iter().find(|(found, _)| found.eq_ignore_ascii_case(name))?;
        Some(decoded(found, *value))
    }

    /// True when there is such an attribute.
    pub(in super::super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(found, _)| found.eq_ignore_ascii_case(name))
    }

    /// The first attribute whose name has this in it, behind a letter or digit.
    pub(in super::super) fn containing(&self, tail: &str) -> Option<Cow<'h, str>> {
        let (name, value) = self.0.iter().find(|(name, _)| {
            let lower = name.to_ascii_lowercase();
            lower.match_indices(tail).any(|(at, _)| {
                let before = lower.get(..at).unwrap_or_default();
                before.ends_with(|c: char| c.is_alphanumeric() || c == '_')
            })
        })?;
        Some(decoded(name, *value))
    }
}

fn decoded<'h>(name: &'h str, value: Option<&'h str>) -> Cow<'h, str> {
    value.map_or(Cow::Borrowed(name), super::super::entities::decode_attribute)
}

/// Elements whose content is text up to their end tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Literal {
    Script,
    Style,
    Xmp,
    Iframe,
    Plaintext,
    Title,
    Textarea,
}

impl Literal {
    const ALL: [Self; 7] = [
        Self::Script,
        Self::Style,
        Self::Xmp,
        Self::Iframe,
        Self::Plaintext,
        Self::Title,
        Self::Textarea,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Script => "script",
            Self::Style => "style",
            Self::Xmp => "xmp",
            Self::Iframe => "iframe",
            Self::Plaintext => "plaintext",
            Self::Title => "title",
            Self::Textarea => "textarea",
        }
    }

    /// True where references stay as they are.
    pub(super) const fn is_cdata(self) -> bool {
        match self {
            Self::Script | Self::Style | Self::Xmp | Self::Iframe | Self::Plaintext => true,
            Self::Title | Self::Textarea => false,
        }
    }

    pub(super) fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| name.eq_ignore_ascii_case(known.name()))
    }
}

pub(super) fn lower(name: &str) -> Cow<'_, str> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

pub(super) fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

pub(super) fn starts_name(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || matches!(byte, b'_' | b':')
}

pub(super) fn is_in_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':' | b'.' | b'-')
}
