//! Values as they are written in the file. A message may carry a hint behind a line end.

use std::fmt;
use std::marker::PhantomData;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error as _, Unexpected, Visitor};

use super::{Format, Level};
use crate::reputation::Provenance;
use crate::server::{Address, Rate};
use crate::verdict::Policy;

/// A length of time: `3s`, `500ms`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Time(pub(super) Duration);

const TIMES: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        number_with_unit(text, &TIMES).map(|n| Self(Duration::from_millis(n))).ok_or_else(|| {
            format!("`{text}` is no duration\nwrite a number with ms, s, m, h or d: 500ms, 3s")
        })
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        write_with_unit(f, milliseconds, &TIMES)
    }
}

/// A resolver: `192.0.2.53`, `127.0.0.1:5300`, `[2001:db8::53]:53`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Server(pub(super) SocketAddr);

impl FromStr for Server {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let with_port = text.parse::<SocketAddr>().ok();
        let server = with_port.or_else(|| Some(SocketAddr::new(text.parse::<IpAddr>().ok()?, 53)));
        server.map(Self).ok_or_else(|| {
            format!("`{text}` is no resolver\nwrite an IP address, or IP:PORT: 127.0.0.1:53")
        })
    }
}

/// A number of bytes: `50MiB`, `10KB`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size(pub(super) usize);

const SIZES: [(&str, u64); 7] = [
    ("B", 1),
    ("KB", 1_000),
    ("KiB", 1 << 10),
    ("MB", 1_000_000),
    ("MiB", 1 << 20),
    ("GB", 1_000_000_000),
    ("GiB", 1 << 30),
];

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bytes = number_with_unit(text, &SIZES).and_then(|bytes| usize::try_from(bytes).ok());
        bytes.map(Self).ok_or_else(|| {
            format!(
                "`{text}` is no size\nwrite a number with B, KB, MB, GB, KiB, MiB or GiB: 50MiB"
            )
        })
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_with_unit(f, u64::try_from(self.0).unwrap_or(u64::MAX), &SIZES)
    }
}

/// Reads `3s`; nothing is what a setting of zero would mean, so zero is refused too.
fn number_with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor).filter(|number| *number > 0)
}

/// Writes a number with the largest unit that divides it.
fn write_with_unit(f: &mut fmt::Formatter<'_>, number: u64, units: &[(&str, u64)]) -> fmt::Result {
    let fitting = units.iter().filter(|(_, factor)| number.is_multiple_of(*factor));
    match fitting.max_by_key(|(_, factor)| *factor) {
        Some((unit, factor)) if number > 0 => write!(f, "{}{unit}", number / factor),
        _ => write!(f, "{number}{}", units.first().map_or("", |(unit, _)| unit)),
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Written::new("a duration such as \"3s\""))
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Written::new("a size such as \"50MiB\""))
    }
}

/// Reads a string by [`FromStr`]; a bare number is a number of the smallest unit only for
/// sizes, where everybody knows which one that is.
struct Written<T> {
    expecting: &'static str,
    value: PhantomData<T>,
}

impl<T> Written<T> {
    fn new(expecting: &'static str) -> Self {
        Self { expecting, value: PhantomData }
    }
}

impl<T: FromStr<Err: fmt::Display>> Visitor<'_> for Written<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expecting)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<T, E> {
        let bytes = format!("{number}B");
        bytes.parse().map_err(|_| E::invalid_type(Unexpected::Signed(number), &self))
    }
}

/// A threshold: a number, or `false` for an action that is switched off.
#[derive(Debug, Clone, Copy)]
pub(super) struct Threshold(pub(super) Option<f64>);

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            // The form with a point, so that it stays a float for whoever reads it.
            Some(limit) => write!(f, "{limit:?}"),
            None => f.write_str("false"),
        }
    }
}

impl<'de> Deserialize<'de> for Threshold {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberOrFalse;

        impl Visitor<'_> for NumberOrFalse {
            type Value = Threshold;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number or false")
            }

            fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Threshold, E> {
                if number.is_finite() { Ok(Threshold(Some(number))) } else { Err(refused(number)) }
            }

            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Threshold, E> {
                let small = i32::try_from(number).map_err(|_| refused(number))?;
                Ok(Threshold(Some(f64::from(small))))
            }

            fn visit_bool<E: serde::de::Error>(self, on: bool) -> Result<Threshold, E> {
                if on { Err(refused(on)) } else { Ok(Threshold(None)) }
            }
        }

        fn refused<E: serde::de::Error>(value: impl fmt::Display) -> E {
            E::custom(format!(
                "`{value}` is no threshold\nwrite a number, or false to switch the action off"
            ))
        }

        deserializer.deserialize_any(NumberOrFalse)
    }
}

/// A score of a symbol: any number, but infinity is none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Score(pub(super) f64);

impl<'de> Deserialize<'de> for Score {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let score = f64::deserialize(deserializer)?;
        if score.is_finite() {
            Ok(Self(score))
        } else {
            Err(D::Error::custom(format!("`{score}` is no score")))
        }
    }
}

/// Requests of one client: `100/1s`; `0/1s` allows any number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Requests(pub(super) Option<Rate>);

impl FromStr for Requests {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = || {
            let (count, window) = text.split_once('/')?;
            Some(Rate { count: count.parse().ok()?, window: window.parse::<Time>().ok()?.0 })
        };
        let rate = read().ok_or_else(|| {
            format!("`{text}` is no limit\nwrite NUMBER/TIME, as in 100/1s; 0/1s allows any number")
        })?;
        Ok(Self((rate.count > 0).then_some(rate)))
    }
}

impl fmt::Display for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(Rate { count, window }) => write!(f, "{count}/{}", Time(window)),
            None => f.write_str("0/1s"),
        }
    }
}

/// Something read by its own [`FromStr`].
#[derive(Debug, Clone)]
pub(super) struct Parsed<T>(pub(super) T);

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for Parsed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map(Parsed).map_err(D::Error::custom)
    }
}

/// Where to listen, or `none`.
#[derive(Debug, Clone)]
pub(super) struct Listen(pub(super) Option<Address>);

impl FromStr for Listen {
    type Err = <Address as FromStr>::Err;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "none" {
            Ok(Self(None))
        } else {
            text.parse().map(|address| Self(Some(address)))
        }
    }
}

/// One word of a few.
#[derive(Debug, Clone, Copy)]
pub(super) struct Word<T>(pub(super) T);

/// What can be one of few words.
pub(super) trait Words: Sized + Copy {
    /// Names and what they mean.
    fn words() -> Vec<(&'static str, Self)>;
}

impl Words for Level {
    fn words() -> Vec<(&'static str, Self)> {
        Self::ALL.map(|level| (level.name(), level)).to_vec()
    }
}

impl Words for Format {
    fn words() -> Vec<(&'static str, Self)> {
        Self::ALL.map(|format| (format.name(), format)).to_vec()
    }
}

impl Words for Policy {
    fn words() -> Vec<(&'static str, Self)> {
        [Self::All, Self::Known, Self::Never].map(|policy| (policy.name(), policy)).to_vec()
    }
}

impl Words for Provenance {
    fn words() -> Vec<(&'static str, Self)> {
        [Self::Hashed, Self::Full].map(|word| (word.name(), word)).to_vec()
    }
}

impl<'de, T: Words> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let words = T::words();
        if let Some((_, value)) = words.iter().find(|(name, _)| *name == text) {
            return Ok(Self(*value));
        }
        let mut names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
        let last = names.pop().unwrap_or_default();
        let names = names.join(", ");
        let message = format!("`{text}` is not known here\nwrite {names} or {last}");
        Err(D::Error::custom(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes() {
        for (text, milliseconds) in
            [("3s", 3_000), ("500ms", 500), ("2m", 120_000), ("1d", 86_400_000)]
        {
            let time: Time = text.parse().unwrap();
            assert_eq!(time.0.as_millis(), milliseconds);
            assert_eq!(time.to_string(), text);
        }
        for (text, bytes) in [("50MiB", 52_428_800), ("10KB", 10_000), ("7B", 7), ("1GiB", 1 << 30)]
        {
            let size: Size = text.parse().unwrap();
            assert_eq!(size.0, bytes);
            assert_eq!(size.to_string(), text);
        }
        for text in ["", "3", "s", "3 s", "-3s", "0s", "3S", "99999999999999999999s", "3½s"] {
            assert!(text.parse::<Time>().is_err(), "{text}");
        }
    }
}
