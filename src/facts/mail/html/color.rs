//! Colours of HTML and style sheets, and whether two of them can be told apart.
//!
//! Comes in: a colour as written. Goes out: a [`Color`].
//! Not an error: what is no colour; that it is none is worth knowing.

use std::fmt::Write as _;

/// A colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Color {
    /// Red, green and blue.
    Rgb(u32),
    /// A mark for a hexadecimal colour with no digit behind it.
    Empty,
    /// The word `transparent`.
    Transparent,
    /// No colour at all.
    Invalid,
}

impl Color {
    pub(super) const BLACK: Self = Self::Rgb(0);
    pub(super) const WHITE: Self = Self::Rgb(0xff_ffff);

    /// Reads a name, `#rgb`, `#rrggbb` or `rgb(…)`; short and long digits are mended.
    pub(super) fn read(text: &str) -> Self {
        let text = text.trim().to_ascii_lowercase();
        if let Ok(at) = NAMES.binary_search_by(|(name, _)| (*name).cmp(&text)) {
            return NAMES.get(at).map_or(Self::Invalid, |(_, value)| Self::Rgb(*value));
        }
        if let Some(color) = function(&text) {
            return color;
        }
        let Some(digits) = text.strip_prefix('#') else { return Self::Invalid };
        if !digits.bytes().all(|byte| byte == b'#' || matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Self::Invalid;
        }
        Self::from_digits(digits.chars().filter(|c| *c != '#').collect())
    }

    /// Reads hexadecimal digits, as many as there are.
    fn from_digits(mut digits: String) -> Self {
        digits.truncate(if digits.len() >= 6 { 6 } else { 3 });
        while !digits.len().is_multiple_of(3) {
            digits.push('0');
        }
        if digits.len() == 3 {
            digits = digits.chars().flat_map(|digit| [digit, digit]).collect();
        }
        u32::from_str_radix(&digits, 16).map_or(Self::Empty, Self::Rgb)
    }

    /// Reads the numbers of `rgb(…)` in a style: whatever is neither digit nor comma is left
    /// out, and large numbers are 255.
    pub(super) fn read_numbers(text: &str) -> Self {
        let kept: String = text.chars().filter(|c| c.is_ascii_digit() || *c == ',').collect();
        let mut numbers = kept.split(',').map(|number| match number {
            "" => 0,
            digits => digits.parse().map_or(255, |value: u32| value.min(255)),
        });
        let mut next = || numbers.next().unwrap_or(0);
        Self::Rgb(next() << 16 | next() << 8 | next())
    }

    /// True when text of this colour can hardly be seen on that ground.
    pub(super) fn is_lost_on(self, ground: Self) -> bool {
        if self == ground {
            return true;
        }
        let (Self::Rgb(text), Self::Rgb(ground)) = (self, ground) else { return false };
        let apart = |shift: u32, weight: f64| {
            let channel = |color: u32| f64::from(color >> shift & 0xff);
            (weight * (channel(text) - channel(ground))).powi(2)
        };
        // How bright the eye takes red, green and blue to be.
        let distance = (apart(16, 0.2126) + apart(8, 0.7152) + apart(0, 0.0722)).sqrt();
        distance < 12.0
    }
}

/// `rgb(1, 2, 3)` and `rgb(1%, 2%, 3%)`.
fn function(text: &str) -> Option<Color> {
    let at = text.find("rgb(")?;
    let inside = text.get(at + 4..)?.split_once(')')?.0;
    let plain = |c: char| c.is_ascii_digit() || matches!(c, '%' | ',' | ' ');
    if !inside.chars().all(plain) {
        return None;
    }
    let mut digits = String::new();
    let mut numbers = 0;
    for number in inside.split(',') {
        let number = number.trim();
        let value: u32 = match number.strip_suffix('%') {
            Some(share) => share.parse::<u32>().ok()?.saturating_mul(255) / 100,
            None => number.parse().ok()?,
        };
        write!(digits, "{value:02x}").ok()?;
        numbers += 1;
    }
    (numbers == 3).then(|| Color::from_digits(digits))
}

/// The names of CSS 3, in order.
const NAMES: [(&str, u32); 147] = [
    ("aliceblue", 0xf0_f8ff),
    ("antiquewhite", 0xfa_ebd7),
    ("aqua", 0x00_ffff),
    ("aquamarine", 0x7f_ffd4),
    ("azure", 0xf0_ffff),
    ("beige", 0xf5_f5dc),
    ("bisque", 0xff_e4c4),
    ("black", 0x00_0000),
    ("blanchedalmond", 0xff_ebcd),
    ("blue", 0x00_00ff),
    ("blueviolet", 0x8a_2be2),
    ("brown", 0xa5_2a2a),
    ("burlywood", 0xde_b887),
    ("cadetblue", 0x5f_9ea0),
    ("chartreuse", 0x7f_ff00),
    ("chocolate", 0xd2_691e),
    ("coral", 0xff_7f50),
    ("cornflowerblue", 0x64_95ed),
    ("cornsilk", 0xff_f8dc),
    ("crimson", 0xdc_143c),
    ("cyan", 0x00_ffff),
    ("darkblue", 0x00_008b),
    ("darkcyan", 0x00_8b8b),
    ("darkgoldenrod", 0xb8_860b),
    ("darkgray", 0xa9_a9a9),
    ("darkgreen", 0x00_6400),
    ("darkgrey", 0xa9_a9a9),
    ("darkkhaki", 0xbd_b76b),
    ("darkmagenta", 0x8b_008b),
    ("darkolivegreen", 0x55_6b2f),
    ("darkorange", 0xff_8c00),
    ("darkorchid", 0x99_32cc),
    ("darkred", 0x8b_0000),
    ("darksalmon", 0xe9_967a),
    ("darkseagreen", 0x8f_bc8f),
    ("darkslateblue", 0x48_3d8b),
    ("darkslategray", 0x2f_4f4f),
    ("darkslategrey", 0x2f_4f4f),
    ("darkturquoise", 0x00_ced1),
    ("darkviolet", 0x94_00d3),
    ("deeppink", 0xff_1493),
    ("deepskyblue", 0x00_bfff),
    ("dimgray", 0x69_6969),
    ("dimgrey", 0x69_6969),
    ("dodgerblue", 0x1e_90ff),
    ("firebrick", 0xb2_2222),
    ("floralwhite", 0xff_faf0),
    ("forestgreen", 0x22_8b22),
    ("fuchsia", 0xff_00ff),
    ("gainsboro", 0xdc_dcdc),
    ("ghostwhite", 0xf8_f8ff),
    ("gold", 0xff_d700),
    ("goldenrod", 0xda_a520),
    ("gray", 0x80_8080),
    ("green", 0x00_8000),
    ("greenyellow", 0xad_ff2f),
    ("grey", 0x80_8080),
    ("honeydew", 0xf0_fff0),
    ("hotpink", 0xff_69b4),
    ("indianred", 0xcd_5c5c),
    ("indigo", 0x4b_0082),
    ("ivory", 0xff_fff0),
    ("khaki", 0xf0_e68c),
    ("lavender", 0xe6_e6fa),
    ("lavenderblush", 0xff_f0f5),
    ("lawngreen", 0x7c_fc00),
    ("lemonchiffon", 0xff_facd),
    ("lightblue", 0xad_d8e6),
    ("lightcoral", 0xf0_8080),
    ("lightcyan", 0xe0_ffff),
    ("lightgoldenrodyellow", 0xfa_fad2),
    ("lightgray", 0xd3_d3d3),
    ("lightgreen", 0x90_ee90),
    ("lightgrey", 0xd3_d3d3),
    ("lightpink", 0xff_b6c1),
    ("lightsalmon", 0xff_a07a),
    ("lightseagreen", 0x20_b2aa),
    ("lightskyblue", 0x87_cefa),
    ("lightslategray", 0x77_8899),
    ("lightslategrey", 0x77_8899),
    ("lightsteelblue", 0xb0_c4de),
    ("lightyellow", 0xff_ffe0),
    ("lime", 0x00_ff00),
    ("limegreen", 0x32_cd32),
    ("linen", 0xfa_f0e6),
    ("magenta", 0xff_00ff),
    ("maroon", 0x80_0000),
    ("mediumaquamarine", 0x66_cdaa),
    ("mediumblue", 0x00_00cd),
    ("mediumorchid", 0xba_55d3),
    ("mediumpurple", 0x93_70db),
    ("mediumseagreen", 0x3c_b371),
    ("mediumslateblue", 0x7b_68ee),
    ("mediumspringgreen", 0x00_fa9a),
    ("mediumturquoise", 0x48_d1cc),
    ("mediumvioletred", 0xc7_1585),
    ("midnightblue", 0x19_1970),
    ("mintcream", 0xf5_fffa),
    ("mistyrose", 0xff_e4e1),
    ("moccasin", 0xff_e4b5),
    ("navajowhite", 0xff_dead),
    ("navy", 0x00_0080),
    ("oldlace", 0xfd_f5e6),
    ("olive", 0x80_8000),
    ("olivedrab", 0x6b_8e23),
    ("orange", 0xff_a500),
    ("orangered", 0xff_4500),
    ("orchid", 0xda_70d6),
    ("palegoldenrod", 0xee_e8aa),
    ("palegreen", 0x98_fb98),
    ("paleturquoise", 0xaf_eeee),
    ("palevioletred", 0xdb_7093),
    ("papayawhip", 0xff_efd5),
    ("peachpuff", 0xff_dab9),
    ("peru", 0xcd_853f),
    ("pink", 0xff_c0cb),
    ("plum", 0xdd_a0dd),
    ("powderblue", 0xb0_e0e6),
    ("purple", 0x80_0080),
    ("red", 0xff_0000),
    ("rosybrown", 0xbc_8f8f),
    ("royalblue", 0x41_69e1),
    ("saddlebrown", 0x8b_4513),
    ("salmon", 0xfa_8072),
    ("sandybrown", 0xf4_a460),
    ("seagreen", 0x2e_8b57),
    ("seashell", 0xff_f5ee),
    ("sienna", 0xa0_522d),
    ("silver", 0xc0_c0c0),
    ("skyblue", 0x87_ceeb),
    ("slateblue", 0x6a_5acd),
    ("slategray", 0x70_8090),
    ("slategrey", 0x70_8090),
    ("snow", 0xff_fafa),
    ("springgreen", 0x00_ff7f),
    ("steelblue", 0x46_82b4),
    ("tan", 0xd2_b48c),
    ("teal", 0x00_8080),
    ("thistle", 0xd8_bfd8),
    ("tomato", 0xff_6347),
    ("turquoise", 0x40_e0d0),
    ("violet", 0xee_82ee),
    ("wheat", 0xf5_deb3),
    ("white", 0xff_ffff),
    ("whitesmoke", 0xf5_f5f5),
    ("yellow", 0xff_ff00),
    ("yellowgreen", 0x9a_cd32),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Color) {
        assert_eq!(Color::read(text), expected, "{text}");
    }

    #[test]
    fn colors() {
        check(" Red ", Color::Rgb(0xff_0000));
        check("#00FF7f", Color::Rgb(0x00_ff7f));
        check("#f00", Color::Rgb(0xff_0000));
        check("#f001", Color::Rgb(0xff_0000));
        check("#f", Color::Rgb(0xff_0000));
        check("#12345678", Color::Rgb(0x12_3456));
        check("#", Color::Empty);
        check("rgb(1, 2,255)", Color::Rgb(0x01_02ff));
        check("rgb(100%,0%,50%)", Color::Rgb(0xff_007f));
        check("abc", Color::Invalid);
        check("", Color::Invalid);
        check("reddish", Color::Invalid);
        assert_eq!(Color::read_numbers("rgba(1, 2, 300, .5)"), Color::Rgb(0x01_02ff));
        assert_eq!(Color::read_numbers("rgb(7)"), Color::Rgb(0x07_0000));
    }

    #[test]
    fn contrast() {
        assert!(Color::WHITE.is_lost_on(Color::WHITE));
        assert!(Color::Rgb(0xff_fff0).is_lost_on(Color::WHITE));
        assert!(Color::Invalid.is_lost_on(Color::Invalid));
        assert!(!Color::Invalid.is_lost_on(Color::WHITE));
        assert!(!Color::BLACK.is_lost_on(Color::WHITE));
    }

    #[test]
    fn names_are_in_order() {
        assert!(NAMES.is_sorted_by(|a, b| a.0 < b.0));
    }
}
