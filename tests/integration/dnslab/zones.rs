//! What the zones of the lab say, read from the same files that rbldnsd reads. It knows nothing
//! of calspamd: what a name must give is worked out here a second time.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

/// One file of entries.
pub(super) struct Dataset {
    /// First label of the zone: `zen`.
    pub(super) zone: String,
    /// Networks: the narrowest counts, and not each of them.
    trie: bool,
    pub(super) entries: Vec<Entry>,
}

pub(super) struct Entry {
    pub(super) what: What,
    excluded: bool,
    answer: Ipv4Addr,
    /// The comment on or above its line: whom a digest stands for.
    pub(super) comment: String,
}

#[derive(Clone)]
pub(super) enum What {
    /// Bits, IPv4 as IPv6 has it, and the length of the prefix.
    Net(u128, u32),
    /// A name, and whether all below it are meant.
    Name(String, bool),
}

impl What {
    fn read(text: &str) -> Self {
        let (base, length) = text.split_once('/').map_or((text, None), |(b, l)| (b, Some(l)));
        let length = |most: u32| length.map_or(most, |text| text.parse().unwrap());
        if let Ok(four) = base.parse::<Ipv4Addr>() {
            return Self::Net(four.to_ipv6_mapped().to_bits(), 96 + length(32));
        }
        if let Ok(six) = base.parse::<Ipv6Addr>() {
            return Self::Net(six.to_bits(), length(128));
        }
        match text.strip_prefix('.') {
            Some(name) => Self::Name(name.to_owned(), true),
            None => Self::Name(text.to_owned(), false),
        }
    }

    /// How closely it fits; none when it does not.
    fn fits(&self, asked: &Asked) -> Option<usize> {
        match (self, asked) {
            (Self::Net(bits, length), Asked::Ip(ip)) => {
                let differ = (bits ^ of(*ip)).checked_shr(128 - length).unwrap_or(0);
                (differ == 0).then_some(*length as usize)
            }
            (Self::Name(name, below), Asked::Name(asked)) => {
                let is_below = asked.strip_suffix(name.as_str()).is_some_and(|r| r.ends_with('.'));
                (name == asked || (*below && is_below)).then_some(name.len())
            }
            (Self::Net(..), Asked::Name(_)) | (Self::Name(..), Asked::Ip(_)) => None,
        }
    }
}

/// What a zone is asked for.
pub(super) enum Asked {
    Ip(IpAddr),
    Name(String),
}

fn of(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(four) => four.to_ipv6_mapped().to_bits(),
        IpAddr::V6(six) => six.to_bits(),
    }
}

/// An address as people write it.
pub(super) fn ip(bits: u128) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from_bits(bits)).to_canonical()
}

/// All datasets, as the script that starts rbldnsd names them: `zen.$D:ip4set:zen-sbl.ip4`.
pub(super) fn read(lab: &Path) -> Vec<Dataset> {
    let script = std::fs::read_to_string(lab.join("start.sh")).unwrap();
    let words = script.split_whitespace().filter_map(|word| {
        let (zone, rest) = word.split_once(".$D:")?;
        let (kind, file) = rest.split_once(':')?;
        let text = std::fs::read_to_string(lab.join("zones").join(file)).unwrap();
        let (zone, trie) = (zone.to_owned(), kind.ends_with("trie"));
        Some(Dataset { zone, trie, entries: entries(&text) })
    });
    words.collect()
}

fn entries(text: &str) -> Vec<Entry> {
    let answer = |value: &str| value.split(':').nth(1).unwrap().parse::<Ipv4Addr>().unwrap();
    let mut usual = Ipv4Addr::new(127, 0, 0, 2);
    let mut above = "";
    let mut entries = Vec::new();
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix('#') {
            above = comment.trim();
        } else if line.starts_with(':') && !line.starts_with("::") {
            usual = answer(line);
        } else if !line.starts_with('$') && !line.is_empty() {
            let (line, beside) = line.split_once(" #").unwrap_or((line, above));
            let (entry, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            let value = value.trim();
            entries.push(Entry {
                what: What::read(entry.trim_start_matches('!')),
                excluded: entry.starts_with('!'),
                answer: if value.starts_with(':') { answer(value) } else { usual },
                comment: beside.trim().to_owned(),
            });
        }
    }
    entries
}

/// What a zone answers.
pub(super) fn answers(datasets: &[Dataset], zone: &str, asked: &Asked) -> Vec<Ipv4Addr> {
    let mut found = Vec::new();
    for dataset in datasets.iter().filter(|dataset| dataset.zone == zone) {
        let fitting = dataset.entries.iter().filter_map(|e| Some((e.what.fits(asked)?, e)));
        let mut fitting: Vec<(usize, &Entry)> = fitting.collect();
        fitting.sort_by_key(|(closeness, _)| *closeness);
        if dataset.trie {
            let narrowest = fitting.pop();
            fitting.clear();
            fitting.extend(narrowest);
        }
        if fitting.iter().all(|(_, entry)| !entry.excluded) {
            found.extend(fitting.iter().map(|(_, entry)| entry.answer));
        }
    }
    found
}
