//! What can be wrong with the input. A defect is data, never an error.

use std::fmt;

macro_rules! defect_kinds {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// The closed list of defects; the name is used in answers, metrics and rules.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum DefectKind {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl DefectKind {
            /// Every kind, for metrics and documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Name in answers, metrics and the `defect` fact.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// One line of meaning.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc,)+),)+ }
            }
        }
    };
}

defect_kinds! {
    /// The message has no bytes.
    EmptyMessage = "empty-message",
    /// No header field could be read.
    NoHeaders = "no-headers",
    /// A multipart has no closing boundary, or the message ends inside a part.
    Truncated = "truncated",
    /// Base64 or quoted-printable could not be decoded cleanly.
    BadEncoding = "bad-encoding",
    /// The declared charset is unknown or wrong.
    BadCharset = "bad-charset",
    /// Text that should be UTF-8 is not.
    InvalidUtf8 = "invalid-utf8",
    /// NUL or other control characters in calendar text.
    ControlCharacters = "control-characters",
    /// A calendar part holds nothing but white space.
    EmptyCalendar = "empty-calendar",
    /// A part that claims to be a calendar holds none.
    NotCalendar = "not-calendar",
    /// The declared type and the file name of a part disagree.
    TypeMismatch = "type-mismatch",
    /// The `method` parameter differs from the METHOD property (RFC 6047 §2.4).
    MethodMismatch = "method-mismatch",
    /// An xCal part: recognised, its events are not read.
    XCal = "xcal",
    /// A component is not closed.
    Unclosed = "unclosed",
    /// END names another component than the open one, or there is none open.
    EndMismatch = "end-mismatch",
    /// A line that is no content line (no colon, or an impossible name).
    GarbageLine = "garbage-line",
    /// A parameter that may stand once is repeated.
    RepeatedParameter = "repeated-parameter",
    /// A property that may stand once is repeated with another value.
    DuplicateProperty = "duplicate-property",
    /// Something other than white space before BEGIN:VCALENDAR or after END:VCALENDAR.
    TrailingData = "trailing-data",
    /// A property's value is not of its type (a date that is none, a bad RRULE).
    BadValue = "bad-value",
    /// Calendar text over the limit: the rest was not read.
    LimitText = "limit:text",
    /// More MIME parts than are looked at.
    LimitParts = "limit:parts",
    /// More header fields than are kept.
    LimitHeaders = "limit:headers",
    /// Messages nested deeper than followed.
    LimitDepth = "limit:depth",
    /// More components than are read.
    LimitComponents = "limit:components",
    /// Components nested deeper than read.
    LimitNesting = "limit:nesting",
    /// A content line over the limit: cut.
    LimitLine = "limit:line",
    /// More attendees than are read.
    LimitAttendees = "limit:attendees",
    /// More links than are read.
    LimitUrls = "limit:urls",
    /// More or larger inline attachments and pictures than are read.
    LimitAttachments = "limit:attachments",
    /// A recurrence rule too costly to expand.
    LimitRecurrence = "limit:recurrence",
    /// A rule's regex hit its limit of steps on this input; the place is the rule.
    LimitRegex = "limit:regex",
    /// The scan ran out of its time budget.
    LimitTime = "limit:time",
}

impl DefectKind {
    /// True when part of the input was not read, so that the answer is partial.
    pub fn is_limit(self) -> bool {
        self.name().starts_with("limit:")
    }
}

impl DefectKind {
    /// True for a recoverable error of iCalendar's syntax.
    pub fn is_syntax(self) -> bool {
        matches!(
            self,
            Self::BadValue
                | Self::EndMismatch
                | Self::GarbageLine
                | Self::RepeatedParameter
                | Self::Unclosed
        )
    }
}

impl fmt::Display for DefectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One thing wrong with the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defect {
    /// What.
    pub kind: DefectKind,
    /// Where: `part[2]`, `VEVENT[0].DTSTART`, empty for the whole message.
    pub place: String,
    /// A short remark in words; never more than a few words of the input.
    pub detail: String,
}

impl Defect {
    /// Makes a defect.
    pub fn new(kind: DefectKind, place: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { kind, place: place.into(), detail: detail.into() }
    }
}
