//! Dates of header fields, read as tolerantly as SpamAssassin reads them.
//!
//! Comes in: text with a date somewhere in it. Goes out: seconds since 1970 UTC.
//! Not an error: days, hours and years that do not exist; they are moved to near ones.

/// Octets that are looked at.
const LENGTH: usize = 16 * 1024;

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// Names of time zones and their minutes east of Greenwich. Summer time is one hour more.
const ZONES: [(&str, i64); 52] = [
    ("UT", 0),
    ("UTC", 0),
    ("GMT", 0),
    ("NST", -210),
    ("NDT", -150),
    ("AST", -240),
    ("ADT", -180),
    ("EST", -300),
    ("EDT", -240),
    ("CST", -360),
    ("CDT", -300),
    ("MST", -420),
    ("MDT", -360),
    ("PST", -480),
    ("PDT", -420),
    ("AKST", -540),
    ("AKDT", -480),
    ("HST", -600),
    ("HAST", -600),
    ("HADT", -540),
    ("BRT", -180),
    ("BRST", -120),
    ("WET", 0),
    ("WEST", 60),
    ("BST", 60),
    ("IST", 60),
    ("CET", 60),
    ("CEST", 120),
    ("MET", 60),
    ("MEST", 120),
    ("MEZ", 60),
    ("MESZ", 120),
    ("EET", 120),
    ("EEST", 180),
    ("MSK", 180),
    ("MSD", 240),
    ("IDT", 180),
    ("AWST", 480),
    ("ACST", 570),
    ("ACDT", 630),
    ("AEST", 600),
    ("AEDT", 660),
    ("NZST", 720),
    ("NZDT", 780),
    ("JST", 540),
    ("KST", 540),
    ("HKT", 480),
    ("SGT", 480),
    ("PHT", 480),
    ("MSK-DST", 240),
    ("CET-DST", 120),
    ("EET-DST", 180),
];

/// The first date in a text; none when there is none.
pub(super) fn read(text: &str) -> Option<i64> {
    let text = text.get(..text.floor_char_boundary(LENGTH))?;
    let mut words: Vec<&str> = text
        .split(|c: char| c == ',' || c.is_ascii_whitespace())
        .filter(|word| !word.is_empty())
        .collect();
    let (year, month, day) = date(&mut words)?;
    let (hour, minute, second) = time(&mut words);
    let seconds = seconds_since_1970(year, month, day)?
        + hour.min(23) * 3600
        + minute.min(59) * 60
        + second.min(59);
    let east = zone(&words) * 60;
    // A time before 1970 is 1970.
    Some(if east > 0 { (seconds - east).max(0) } else { seconds - east })
}

fn number(word: &str) -> Option<i64> {
    let digits = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| word.parse().unwrap_or(i64::MAX))
}

fn month(word: &str) -> Option<i64> {
    let at = MONTHS.iter().position(|month| month.eq_ignore_ascii_case(word))?;
    i64::try_from(at + 1).ok()
}

/// Year, month and day; their words are taken out. A date with a year of four digits goes
/// before others, wherever it stands.
fn date(words: &mut Vec<&str>) -> Option<(i64, i64, i64)> {
    let plain = |words: &[&str], short: bool| -> Option<(usize, usize, (i64, i64, i64))> {
        words.windows(3).enumerate().find_map(|(at, window)| {
            let [day, name, year] = window else { return None };
            let fits = if short { (2..=3).contains(&year.len()) } else { year.len() == 4 };
            let (day, month, value) = (number(day)?, month(name)?, number(year)?);
            let year = match (year.len(), value) {
                (2, 0..50) => value + 2000,
                (2 | 3, _) => value + 1900,
                _ => value,
            };
            fits.then_some((at, 3, (year, month, day)))
        })
    };
    // As the C library writes it; the time that stands inside is lost with it.
    let ctime = |words: &[&str]| {
        words.windows(4).enumerate().find_map(|(at, window)| {
            let [name, day, time, year] = window else { return None };
            let clock = time.split(':').filter(|piece| number(piece).is_some()).count() == 3
                && time.split(':').count() == 3;
            let fits = clock && year.len() == 4;
            let found = (number(year)?, month(name)?, number(day)?);
            fits.then_some((at, 4, found))
        })
    };
    let found = plain(words, false).or_else(|| ctime(words)).or_else(|| plain(words, true));
    let (at, length, found) = found?;
    words.drain(at..at + length);
    Some(found)
}

/// Hour, minute and second; the word is taken out.
fn time(words: &mut Vec<&str>) -> (i64, i64, i64) {
    let read = |word: &str| -> Option<(i64, i64, i64)> {
        let mut pieces = word.split(':');
        let (hour, minute) = (pieces.next()?, pieces.next()?);
        let second = pieces.next();
        let fits = (1..=2).contains(&hour.len())
            && minute.len() == 2
            && second.is_none_or(|second| second.len() == 2)
            && pieces.next().is_none();
        let second = second.map_or(Some(0), number)?;
        let found = (number(hour)?, number(minute)?, second);
        fits.then_some(found)
    };
    let found = words.iter().enumerate().find_map(|(at, word)| Some((at, read(word)?)));
    let Some((at, found)) = found else { return (0, 0, 0) };
    words.remove(at);
    found
}

/// Minutes east of Greenwich.
fn zone(words: &[&str]) -> i64 {
    let numeric = words.iter().find_map(|word| {
        let (sign, digits) = match word.as_bytes().first()? {
            b'+' => (1, word.get(1..)?),
            b'-' => (-1, word.get(1..)?),
            _ => return None,
        };
        let value = number(digits).filter(|_| digits.len() == 4)?;
        Some(sign * (value / 100 * 60 + value % 100))
    });
    numeric.or_else(|| named_zone(words)).unwrap_or(0)
}

/// The first name of two to four capitals, if it is a zone's.
fn named_zone(words: &[&str]) -> Option<i64> {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    words.iter().find_map(|word| {
        let mut pieces = word.split(|c| !part(c));
        let name = pieces.find(|piece| {
            (2..=4).contains(&piece.len()) && piece.bytes().all(|b| b.is_ascii_uppercase())
        })?;
        let summer = format!("{name}-DST");
        let name = if word.contains(&summer) { summer } else { name.to_owned() };
        let zone = ZONES.iter().find(|(known, _)| *known == name);
        Some(zone.map_or(0, |(_, minutes)| *minutes))
    })
}

fn seconds_since_1970(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leap),
        _ => 31,
    };
    let (mut year, mut month, mut day) = (year, month, day);
    if day > length {
        // A day too late is the first of the next month.
        (month, day) = (month + 1, 1);
        if month > 12 {
            (year, month) = (year + 1, 1);
        }
    }
    let year = i32::try_from(year.clamp(1970, 2037)).ok()?;
    let (month, day) = (u32::try_from(month).ok()?, u32::try_from(day).ok()?);
    let date = chrono::NaiveDate::from_ymd_opt(year, month, day)?;
    Some(date.and_hms_opt(0, 0, 0)?.and_utc().timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        #[track_caller]
        fn check(text: &str, expected: Option<i64>) {
            assert_eq!(read(text), expected, "{text}");
        }
        let day = 1_700_006_400; // 15 Nov 2023
        check("Wed, 15 Nov 2023 00:00:00 +0000", Some(day));
        check("Wed, 15 nov 2023 01:00:00 +0100 (CET)", Some(day));
        check("15 Nov 2023 1:02", Some(day + 3720));
        check("15 Nov 23 01:00:00 CET", Some(day));
        check("15 Nov 2023 00:00:00 (EST)", Some(day + 5 * 3600));
        check("15 Nov 2023 00:00:00 XYZ EST", Some(day));
        check("15 Nov 2023 99:99:99 +0000", Some(day + 86_399));
        check("Wed Nov 15 10:00:00 2023", Some(day));
        check("Wed, 15 Nov 1823 00:00:00 +0000", Some(27_475_200));
        check("31 Dec 2023", Some(day + 46 * 86_400));
        check("32 Dec 2023", Some(day + 47 * 86_400));
        check("0 Dec 2023", None);
        check("1 Jan 1970 00:00:00 +0100", Some(0));
        check("1 Jan 123 00:00:00", Some(1_672_531_200));
        check("2023-11-15", None);
        check("", None);
    }
}
