//! How text looks at each point of a document: colours, size, hidden or not.
//!
//! Comes in: the tags that change it. Goes out: whether text can be read there, and the
//! sizes seen.
//! Not an error: tags that are not closed or never opened. Style sheets are not read; which
//! attributes count for which element is what SpamAssassin looks at.

use super::color::Color;
use super::tokens::Attributes;

/// Elements that change how text looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    Body,
    Font,
    Table,
    Row,
    Cell,
    Big,
    Small,
    Basefont,
    Marquee,
    Span,
    Paragraph,
    Division,
    Anchor,
}

const ELEMENTS: usize = 13;

impl Element {
    pub(super) fn find(tag: &str) -> Option<Self> {
        Some(match tag {
            "body" => Self::Body,
            "font" => Self::Font,
            "table" => Self::Table,
            "tr" => Self::Row,
            "td" | "th" => Self::Cell,
            "big" => Self::Big,
            "small" => Self::Small,
            "basefont" => Self::Basefont,
            "marquee" => Self::Marquee,
            "span" => Self::Span,
            "p" => Self::Paragraph,
            "div" => Self::Division,
            "a" => Self::Anchor,
            _ => return None,
        })
    }

    /// Attributes that count: text colour, font size, style, and others that only make the
    /// sizes be looked at.
    const fn attributes(self) -> &'static [Attribute] {
        use Attribute::{Color, Other, Size, Style};
        match self {
            Self::Body => &[
                Color("text"),
                Other("bgcolor"),
                Other("link"),
                Other("alink"),
                Other("vlink"),
                Other("background"),
            ],
            Self::Font | Self::Basefont => &[Color("color"), Other("face"), Size],
            Self::Marquee => &[Other("bgcolor"), Other("background")],
            Self::Table | Self::Cell | Self::Row => &[Other("bgcolor"), Style],
            Self::Span | Self::Paragraph | Self::Division | Self::Anchor => &[Style],
            Self::Big | Self::Small => &[],
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Attribute {
    Color(&'static str),
    Size,
    Style,
    Other(&'static str),
}

/// How text looks.
#[derive(Debug, Clone, Copy)]
struct Look {
    /// The element that made it so; none at the bottom.
    element: Option<Element>,
    text: Color,
    ground: Color,
    size: i64,
    no_display: bool,
    hidden: bool,
}

/// Why text cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// Hardly another colour than the ground.
    LowContrast,
    /// A colour is none.
    InvalidColor,
    /// Too small, or not displayed.
    Hidden,
}

/// The looks of the elements that are open.
#[derive(Debug)]
pub(super) struct Looks {
    open: Vec<Look>,
    /// How many of each element are open.
    counts: [usize; ELEMENTS],
    basefont: i64,
    pub(super) smallest: i64,
    pub(super) largest: i64,
}

const MEDIUM: i64 = 3;

const DEFAULT: Look = Look {
    element: None,
    text: Color::BLACK,
    ground: Color::WHITE,
    size: MEDIUM,
    no_display: false,
    hidden: false,
};

impl Looks {
    pub(super) fn new() -> Self {
        Self {
            open: Vec::new(),
            counts: [0; ELEMENTS],
            basefont: MEDIUM,
            smallest: MEDIUM,
            largest: MEDIUM,
        }
    }

    fn current(&self) -> Look {
        self.open.last().copied().unwrap_or(DEFAULT)
    }

    pub(super) fn start(&mut self, element: Element, attributes: &Attributes<'_>) {
        if element == Element::Basefont
            && let Some(size) = attributes.get("size")
            && let Some((sign, number)) = size_number(&size)
            && sign.is_none()
        {
            self.basefont = number;
            return;
        }
        self.close_cells(element);
        let outer = self.current();
        let mut look = Look { element: Some(element), ..outer };
        match element {
            Element::Big => look.size = look.size.saturating_add(1),
            Element::Small => look.size = look.size.saturating_sub(1),
            Element::Body
            | Element::Font
            | Element::Table
            | Element::Row
            | Element::Cell
            | Element::Basefont
            | Element::Marquee
            | Element::Span
            | Element::Paragraph
            | Element::Division
            | Element::Anchor => {
                for attribute in element.attributes() {
                    self.apply(*attribute, attributes, &mut look, outer);
                }
            }
        }
        if let Some(count) = self.counts.get_mut(element as usize) {
            *count += 1;
        }
        self.open.push(look);
    }

    fn apply(
        &mut self,
        attribute: Attribute,
        attributes: &Attributes<'_>,
        look: &mut Look,
        outer: Look,
    ) {
        let name = match attribute {
            Attribute::Color(name) | Attribute::Other(name) => name,
            Attribute::Size => "size",
            Attribute::Style => "style",
        };
        let value = match attribute {
            Attribute::Other(_) if attributes.has(name) => None,
            Attribute::Other(_) => return,
            Attribute::Color(_) | Attribute::Size | Attribute::Style => {
                match attributes.get(name) {
                    Some(value) => Some(value),
                    None => return,
                }
            }
        };
        match (attribute, value) {
            (Attribute::Color(_), Some(value)) => look.text = Color::read(&value),
            (Attribute::Size, Some(value)) => {
                if let Some((sign, number)) = size_number(&value) {
                    look.size = match sign {
                        Some('+') => self.basefont.saturating_add(number),
                        Some(_) => self.basefont.saturating_sub(number),
                        None => number,
                    };
                }
            }
            (Attribute::Style, Some(value)) => look.read_style(&value, outer),
            (Attribute::Color(_) | Attribute::Size | Attribute::Style, None)
            | (Attribute::Other(_), _) => {}
        }
        if look.size > self.largest {
            self.largest = look.size;
        } else if look.size < self.smallest {
            self.smallest = look.size;
        }
    }

    pub(super) fn end(&mut self, element: Element) {
        // Browsers go on with the look of the body behind its end tag.
        if element == Element::Body || !self.is_open(element) {
            return;
        }
        while self.is_open(element) {
            let last = self.current().element;
            self.pop();
            if last == Some(element) {
                break;
            }
        }
    }

    /// A cell or row that begins closes the cells and rows before it.
    fn close_cells(&mut self, element: Element) {
        let closes = |open: Option<Element>| {
            let by_both = matches!(open, Some(Element::Font | Element::Cell));
            (element == Element::Cell && by_both)
                || (element == Element::Row && (by_both || open == Some(Element::Row)))
        };
        if self.is_open(element) {
            while closes(self.current().element) {
                self.pop();
            }
        }
    }

    fn is_open(&self, element: Element) -> bool {
        self.counts.get(element as usize).is_some_and(|count| *count > 0)
    }

    fn pop(&mut self) {
        if let Some(element) = self.open.pop().and_then(|look| look.element)
            && let Some(count) = self.counts.get_mut(element as usize)
        {
            *count = count.saturating_sub(1);
        }
    }

    /// Why text that stands here cannot be read, if so.
    pub(super) fn unreadable(&self) -> Option<Unreadable> {
        let look = self.current();
        if look.text.is_lost_on(look.ground) {
            Some(Unreadable::LowContrast)
        } else if look.text == Color::Invalid || look.ground == Color::Invalid {
            Some(Unreadable::InvalidColor)
        } else if look.size <= 1 || look.no_display || look.hidden {
            Some(Unreadable::Hidden)
        } else {
            None
        }
    }
}

impl Look {
    fn read_style(&mut self, style: &str, outer: Self) {
        for declaration in style.split(';') {
            self.read_declaration(declaration.trim_start());
        }
        if self.ground == Color::Transparent {
            self.ground = outer.ground;
        }
        if self.text == Color::Transparent {
            self.text = self.ground;
        }
    }

    fn read_declaration(&mut self, declaration: &str) {
        let Some((property, value)) = declaration.split_once(':') else { return };
        let trimmed = value.trim();
        if property.eq_ignore_ascii_case("color")
            || property.eq_ignore_ascii_case("background-color")
        {
            if value.is_empty() || trimmed.contains('\n') {
                return;
            }
            let is_text = property.len() == "color".len();
            if let Some(color) = style_color(&trimmed.to_ascii_lowercase()) {
                *if is_text { &mut self.text } else { &mut self.ground } = color;
            }
        } else if property == "background" {
            if let Some(color) = background_color(&trimmed.to_ascii_lowercase()) {
                self.ground = color;
            }
        } else {
            match property.trim_end() {
                "display" if !trimmed.is_empty() => {
                    self.no_display = trimmed.eq_ignore_ascii_case("none");
                }
                "visibility" if !trimmed.is_empty() => {
                    self.hidden = trimmed.eq_ignore_ascii_case("hidden");
                }
                _ => {}
            }
        }
    }
}

/// The colour of a declaration's value; none where it leaves the colour alone.
fn style_color(value: &str) -> Option<Color> {
    let value = match value.strip_suffix("important").map(str::trim_end) {
        Some(rest) => rest.strip_suffix('!').map_or(value, str::trim_end),
        None => value,
    };
    if value.contains("rgb") {
        return Some(Color::read_numbers(value));
    }
    match value {
        "inherit" => None,
        "transparent" => Some(Color::Transparent),
        _ => Some(Color::read(value)),
    }
}

/// The first colour of the lowest layer of a `background`.
fn background_color(value: &str) -> Option<Color> {
    // Layers are parted by commas, values by spaces, neither inside brackets and quotes.
    let (mut inside, mut bracket) = (None, false);
    let (mut found, mut start, mut any) = (None, 0, false);
    let mut last_layer = None;
    let take = |piece: &str, found: &mut Option<Color>, any: &mut bool| {
        if piece.is_empty() {
            return;
        }
        *any = true;
        if found.is_none() {
            *found = Some(Color::read(piece)).filter(|color| *color != Color::Invalid);
        }
    };
    for (at, c) in value.char_indices() {
        match (inside, c) {
            (Some(quote), _) if c == quote => inside = None,
            (None, '"' | '\'') => inside = Some(c),
            (None, ')') if bracket => {
                bracket = false;
                take(value.get(start..=at).unwrap_or_default(), &mut found, &mut any);
                start = at + 1;
            }
            (None, '(') if !bracket => bracket = true,
            (None, ' ' | ',') if !bracket => {
                take(value.get(start..at).unwrap_or_default(), &mut found, &mut any);
                start = at + 1;
                if c == ',' {
                    last_layer = Some(found.take());
                    any = false;
                }
            }
            _ => {}
        }
    }
    take(value.get(start..).unwrap_or_default(), &mut found, &mut any);
    if any { found } else { last_layer.flatten() }
}

/// Sign and number at the start of a size.
fn size_number(text: &str) -> Option<(Option<char>, i64)> {
    let text = text.trim_start();
    let sign = text.chars().next().filter(|c| matches!(c, '+' | '-'));
    let digits = text.get(usize::from(sign.is_some())..)?;
    let length = digits.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
    let digits = digits.get(..length).filter(|digits| !digits.is_empty())?;
    Some((sign, digits.parse().unwrap_or(i64::MAX)))
}
