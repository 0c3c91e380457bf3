//! What the configuration says about the memory.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// Where the memory is.
#[derive(Clone, PartialEq, Eq)]
pub enum Place {
    /// A file in this directory.
    Embedded(PathBuf),
    /// A Redis or Valkey server; URL.
    Redis(String),
    /// This process.
    Memory,
    /// Nowhere: nothing has ever been seen.
    Nowhere,
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        match text {
            "memory" => return Ok(Self::Memory),
            "none" => return Ok(Self::Nowhere),
            _ => {}
        }
        if let Some(directory) = text.strip_prefix("embedded:").filter(|path| !path.is_empty()) {
            return Ok(Self::Embedded(directory.into()));
        }
        let is_redis = text.split_once("://").is_some_and(|(scheme, rest)| {
            let is_known = scheme.starts_with("redis") || scheme.starts_with("valkey");
            is_known && !rest.is_empty()
        });
        if is_redis {
            return Ok(Self::Redis(text.to_owned()));
        }
        Err(format!(
            "`{text}` is no store\nwrite \"embedded:DIRECTORY\", \"redis://HOST:PORT\", \
             \"memory\" or \"none\""
        ))
    }
}

impl fmt::Display for Place {
    /// Without the password of a URL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded(directory) => write!(f, "embedded:{}", directory.display()),
            Self::Redis(url) => {
                let Some((scheme, rest)) = url.split_once("://") else { return f.write_str(url) };
                let server = rest.rsplit_once('@').map_or(rest, |(_, server)| server);
                write!(f, "{scheme}://{server}")
            }
            Self::Memory => f.write_str("memory"),
            Self::Nowhere => f.write_str("none"),
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Place({self})")
    }
}

/// What a provenance record shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Provenance {
    /// Hashes: one can look up what one already knows.
    #[default]
    Hashed,
    /// Addresses and ids as they are.
    Full,
}

impl Provenance {
    /// Name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hashed => "hashed",
            Self::Full => "full",
        }
    }
}

/// How many are allowed in a window that slides: `100/1h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// So many; 0: any number.
    pub count: u64,
    /// In so many seconds.
    pub window: u64,
}

/// Longest window of a limit: a week.
const LONGEST: u64 = 7 * 86_400;

/// Highest limit; counting far beyond it takes room and says nothing more.
const HIGHEST: u64 = 10_000;

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is no limit\nwrite NUMBER/TIME, up to {HIGHEST}/7d, as in 100/1h; 0/1h \
                 allows any number"
            )
        };
        let (count, window) = text.trim().split_once('/').ok_or_else(wrong)?;
        let digits = window.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = window.split_at_checked(digits).ok_or_else(wrong)?;
        let factor = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return Err(wrong()),
        };
        let number = if number.is_empty() { Ok(1) } else { number.parse::<u64>() };
        let window = number.ok().and_then(|number| number.checked_mul(factor)).ok_or_else(wrong)?;
        let count = count.parse::<u64>().map_err(|_| wrong())?;
        if window == 0 || window > LONGEST || count > HIGHEST {
            return Err(wrong());
        }
        Ok(Self { count, window })
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(86_400, 'd'), (3_600, 'h'), (60, 'm'), (1, 's')];
        let fits = units.into_iter().find(|(length, _)| self.window.is_multiple_of(*length));
        let (length, unit) = fits.unwrap_or((1, 's'));
        write!(f, "{}/{}{unit}", self.count, self.window / length)
    }
}

/// What is allowed, by whom it is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rates {
    /// Invitations of an organizer.
    pub organizer: Limit,
    /// Invitations of an organizer's registered domain.
    pub domain: Limit,
    /// Invitations of an authenticated user.
    pub account: Limit,
    /// Invitations from an SMTP client.
    pub client: Limit,
    /// Strangers who invite a recipient.
    pub recipient: Limit,
}

impl Default for Rates {
    fn default() -> Self {
        let hourly = |count| Limit { count, window: 3_600 };
        Self {
            organizer: hourly(100),
            domain: hourly(1_000),
            account: hourly(100),
            client: hourly(2_000),
            recipient: hourly(20),
        }
    }
}

/// How long each sort of memory lasts after it was last renewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lifetimes {
    /// Events and UIDs.
    pub events: Duration,
    /// Who knows whom.
    pub contacts: Duration,
    /// Near-identical events.
    pub campaigns: Duration,
    /// Reports.
    pub reports: Duration,
    /// Provenance records.
    pub records: Duration,
}

const fn days(number: u64) -> Duration {
    Duration::from_hours(24 * number)
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self {
            events: days(400),
            contacts: days(730),
            campaigns: days(14),
            reports: days(180),
            records: days(90),
        }
    }
}

/// Settings of this stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where the memory is; none: a file in the state directory.
    pub store: Option<Place>,
    /// Directory of the service's state.
    pub state: PathBuf,
    /// File with the secret; none: `secret` in the state directory. Made where it is missing.
    pub secret_file: Option<PathBuf>,
    /// What provenance records show.
    pub provenance: Provenance,
    /// Whether scans are remembered.
    pub learn: bool,
    /// What is allowed.
    pub rates: Rates,
    /// Time that a scan waits for the memory.
    pub budget: Duration,
    /// Largest size of the memory, in bytes.
    pub max_size: u64,
    /// How long things are remembered.
    pub keep: Lifetimes,
    /// Time after which a report weighs half.
    pub half_life: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            store: None,
            state: "/var/lib/calspamd".into(),
            secret_file: None,
            provenance: Provenance::default(),
            learn: true,
            rates: Rates::default(),
            budget: Duration::from_millis(200),
            max_size: 1 << 30,
            keep: Lifetimes::default(),
            half_life: days(30),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_and_places_are_read_and_written() {
        for (text, count, window) in
            [("100/1h", 100, 3_600), ("5/90s", 5, 90), ("0/1d", 0, 86_400), ("7/7d", 7, LONGEST)]
        {
            let limit: Limit = text.parse().unwrap();
            assert_eq!(limit, Limit { count, window });
            assert_eq!(limit.to_string(), text);
        }
        assert_eq!("9/h".parse(), Ok(Limit { count: 9, window: 3_600 }));
        for text in ["", "1", "1/", "1/0s", "x/1h", "-1/1h", "1/8d", "1/1w", "10001/1h", "1/1hh"] {
            assert!(text.parse::<Limit>().is_err(), "{text}");
        }
        for (text, shown) in [
            ("memory", "memory"),
            ("none", "none"),
            ("embedded:/var/lib/x", "embedded:/var/lib/x"),
            ("redis://ann:hidden@192.0.2.1:6379/0", "redis://192.0.2.1:6379/0"),
            ("rediss://192.0.2.1", "rediss://192.0.2.1"),
        ] {
            let place: Place = text.parse().unwrap();
            assert_eq!(place.to_string(), shown);
            assert_eq!(format!("{place:?}"), format!("Place({shown})"));
        }
        for text in ["", "embedded:", "redis:", "redis://", "file:/x", "Memory"] {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
    }
}
