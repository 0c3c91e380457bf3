//! Functions about the Date field and the times of hops.

use super::{Argument, Context, Does, Function, Phrase, clock, flag};
use crate::rules::domain::Known;

pub(super) const FUNCTIONS: &[Function] = &[
    Function { name: "check_for_shifted_date", does: Does::Runs(shifted_date) },
    Function { name: "received_within_months", does: Does::Runs(received_within_months) },
    Function { name: "check_outlook_message_id", does: Does::Runs(outlook_message_id) },
];

/// Seconds of an average month.
const MONTH: f64 = 2_629_746.0;

/// What the fields tell of time.
#[derive(Default)]
struct Times {
    /// Of the Date field, or of the one of who sent the mail on.
    date: Option<i64>,
    /// Of the hops, the last one first; those of fetchmail left out.
    hops: Vec<i64>,
    /// When fetchmail got the mail.
    fetched: Option<i64>,
}

impl Times {
    fn read(context: &Context<'_, '_, '_>) -> Self {
        let date = ["Resent-Date", "Date"]
            .iter()
            .flat_map(|name| context.list(name))
            .find_map(|text| clock::read(&text));
        let mut times = Self { date, ..Self::default() };
        times.read_hops(&context.list("Received"), context.facts.now);
        times
    }

    fn read_hops(&mut self, fields: &[String], now: i64) {
        let mut fields: Vec<&str> =
            fields.iter().map(String::as_str).filter(|field| !field.trim().is_empty()).collect();
        // fetchmail writes one field above those of the mail, and a local delivery one more.
        let delivered = fields.first().is_some_and(|field| is_local_delivery(field));
        let fetched = fields.get(usize::from(delivered)).is_some_and(|field| is_fetchmail(field));
        let local: Vec<&str> =
            if fetched { fields.drain(..=usize::from(delivered)).collect() } else { Vec::new() };
        self.fetched =
            local.iter().filter_map(|hop| time_of(hop)).filter(|time| *time <= now).max();
        self.hops = fields.iter().filter_map(|hop| time_of(hop)).collect();
    }

    /// Seconds that the Date field is ahead of the hop nearest to it.
    fn ahead(&self) -> i64 {
        let Some(date) = self.date else { return 0 };
        let mut ahead: Vec<i64> = self.hops.iter().map(|hop| date - hop).collect();
        // The first hop often has the very time of the mail, and says nothing then.
        if ahead.len() > 1 && ahead.last() == Some(&0) {
            ahead.pop();
        }
        ahead.into_iter().min_by_key(|seconds| seconds.abs()).unwrap_or(0)
    }

    /// When the mail was sent, most likely: the middle of all that is told, the later one
    /// of two.
    fn sent(&self) -> i64 {
        let mut times: Vec<i64> = self.date.into_iter().collect();
        times.extend(self.hops.first());
        times.extend(self.fetched);
        if let Some(date) = self.date.filter(|_| !self.hops.is_empty()) {
            times.push(date - self.ahead());
        }
        times.sort_unstable_by(|a, b| b.cmp(a));
        times.get(times.len().saturating_sub(1) / 2).copied().unwrap_or(0)
    }
}

fn is_local_delivery(field: &str) -> bool {
    static UID: Phrase = Phrase::new("qmail {n} invoked by uid {n}");
    let from_here = field.match_indices("from ").any(|(at, word)| {
        let starts = field.get(..at).is_some_and(|before| !before.ends_with(char::is_alphanumeric));
        let rest = field.get(at + word.len()..).unwrap_or_default();
        let mut words = rest.split(' ');
        starts
            && (rest.starts_with("localhost ")
                || words.by_ref().skip(1).take(2).any(|word| word.contains("127.0.0.1")))
    });
    from_here || UID.is_in(field)
}

fn is_fetchmail(field: &str) -> bool {
    static FETCHMAIL: Phrase = Phrase::new("|by localhost with + (fetchmail-{n}");
    FETCHMAIL.is_in(field)
}

/// The time that a hop tells.
fn time_of(hop: &str) -> Option<i64> {
    let words: Vec<&str> = hop.split(' ').collect();
    let all_digits = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
    words.windows(5).enumerate().find_map(|(at, window)| {
        let [day, month, year, time, zone] = window else { return None };
        // One character may stand in front of the day, but white space in front of that.
        let mut characters = day.chars();
        let day_fits = all_digits(day) || {
            characters.next();
            all_digits(characters.as_str())
        };
        let fits = at > 0
            && day_fits
            && month.chars().count() == 3
            && all_digits(year)
            && time.split(':').count() == 3
            && time.split(':').all(all_digits)
            && !zone.is_empty();
        let date = || clock::read(&[" ", day, month, year, time, zone].join(" "));
        fits.then(date)
    })?
}

/// Bounds written as numbers or `undef`: at least the first, less than the second.
pub(super) fn within(value: f64, unit: f64, arguments: &[Argument]) -> bool {
    let bound = |index: usize| {
        let argument = arguments.get(index).filter(|argument| argument.text != "undef");
        argument.map(|argument| argument.number() * unit)
    };
    bound(0).is_none_or(|least| value >= least) && bound(1).is_none_or(|most| value < most)
}

#[expect(clippy::cast_precision_loss, reason = "times are far below 2^53")]
fn number(seconds: i64) -> f64 {
    seconds as f64
}

/// `(least, most)`: the Date field is that many hours ahead of the hops.
fn shifted_date(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    let ahead = Times::read(context).ahead();
    flag(within(number(ahead), 3600.0, arguments))
}

/// `(least, most)`: the mail was received that many months ago.
fn received_within_months(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    let ago = context.facts.now - Times::read(context).sent();
    flag(within(number(ago), MONTH, arguments))
}

/// A Message-ID as Outlook makes it, with a time in it that neither the Date field nor the
/// hops have.
fn outlook_message_id(context: &mut Context<'_, '_, '_>, _: &[Argument]) -> Known {
    let id = context.text("MESSAGEID");
    let Some(ticks) = outlook_ticks(&id) else { return flag(false) };
    let differs = |text: &str| {
        let seconds = number(clock::read(text).unwrap_or(0));
        // The id holds the upper half of a count of 100 ns since 1601.
        let expected = (seconds * 0.002_328_306_436_538_7 + 27_111_902.832_984_9).trunc();
        (ticks - expected).abs() >= 250.0
    };
    flag(differs(&context.text("Date")) && differs(&context.text("Received")))
}

fn outlook_ticks(id: &str) -> Option<f64> {
    let (left, _) = id.strip_prefix('<')?.split_once('@')?;
    let mut pieces = left.split('$');
    let (first, second, third) = (pieces.next()?, pieces.next()?, pieces.next()?);
    let hex = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let fits = hex(first, 12) && hex(second, 8) && hex(third, 8) && pieces.next().is_none();
    let ticks = u32::from_str_radix(first.get(4..)?, 16).ok()?;
    fits.then_some(f64::from(ticks))
}
