//! Lists and settings that rule files bring along for their functions.
//!
//! Comes in: lines such as `freemail_domains`, `enlist_addrlist`, `welcomelist_from`,
//! `redirector_pattern`. Goes out: [`Settings`], asked by [`super::eval`]. The old names
//! (`whitelist_…`, `blacklist_…`) mean the same as the new ones.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::facts::mail::{Hints, Networks};

use super::Diagnostic;
use super::flow::Active;
use super::glob::Glob;
use super::load::{Compiler, Refusal};
use super::pattern::{Dialect, Found, Pattern};

/// Entries of one list, so that a file cannot fill the memory.
const ENTRIES: usize = 200_000;

/// Everything that rule files set.
#[derive(Debug, Default)]
pub(super) struct Settings {
    /// `freemail_domains`: domains where anybody gets an address.
    pub(super) freemail: Domains,
    /// `freemail_welcomelist`: addresses and domains that do not count.
    pub(super) freemail_welcome: BTreeSet<String>,
    /// `enlist_addrlist (NAME)`: addresses, by name.
    pub(super) addresses: BTreeMap<String, Vec<Glob>>,
    /// `enlist_uri_host (NAME)`: hosts, by name.
    pub(super) hosts: BTreeMap<String, Hosts>,
    /// `redirector_pattern`: regexes whose first group is where a link leads.
    pub(super) redirectors: Vec<Arc<Pattern>>,
    /// `url_shortener`, `url_shortener_get`: hosts of shorteners.
    pub(super) shorteners: BTreeSet<String>,
    /// `util_rb_2tld`, `util_rb_3tld`: suffixes under which anybody registers names.
    pub(super) suffixes: BTreeSet<String>,
    /// `welcomelist_from`, `def_welcomelist_auth` …: entries by directive, new names.
    pub(super) senders: BTreeMap<String, Vec<Sender>>,
    /// `ok_locales`: languages whose character sets are expected; empty: all.
    pub(super) locales: Vec<String>,
    /// `trusted_networks`, `internal_networks`, `msa_networks`.
    pub(super) networks: Networks,
    /// `uridnsbl_skip_domain`: domains that no list is asked about.
    pub(super) unasked: BTreeSet<String>,
    /// `welcomelist_bounce_relays`: hosts whose bounces are ours.
    pub(super) bounce_relays: Vec<Glob>,
    /// `adsp_override`: domains (`*.d` for those below) and what they say of unsigned mail,
    /// as functions are asked for it: `N U A D 1 2 3`.
    pub(super) signing: BTreeMap<String, char>,
    /// `fns_…`: addresses that are shown as names of senders.
    pub(super) from_names: FromNames,
}

/// How names of senders that are addresses are compared with the sender's address.
#[derive(Debug)]
pub(super) struct FromNames {
    /// `fns_check`: 0 any difference counts, 1 that of owners, 2 that of domains.
    pub(super) check: u8,
    /// `fns_extrachars`: characters that may stand around the address.
    pub(super) extra: usize,
    /// `fns_ignore_dkim`: domains whose signature excuses all.
    pub(super) signers: BTreeSet<String>,
    /// `fns_ignore_headers`: fields whose presence excuses all.
    pub(super) fields: BTreeSet<String>,
    /// `fns_add_addrlist (OWNER)`: addresses of one owner.
    pub(super) owners: BTreeMap<String, Vec<Glob>>,
}

impl Default for FromNames {
    fn default() -> Self {
        Self {
            check: 1,
            extra: 50,
            signers: BTreeSet::new(),
            fields: BTreeSet::new(),
            owners: BTreeMap::new(),
        }
    }
}

/// Domains, with `*` in some of them.
#[derive(Debug, Default)]
pub(super) struct Domains {
    plain: BTreeSet<String>,
    wild: Vec<Glob>,
}

impl Domains {
    fn add(&mut self, word: &str) {
        if word.contains(['*', '?']) {
            self.wild.push(Glob::new(word));
        } else {
            self.plain.insert(word.to_lowercase());
        }
    }

    /// True when the domain (lower case) is in the list. `*` stands for part of one label.
    pub(super) fn contains(&self, domain: &str) -> bool {
        self.plain.contains(domain) || self.wild.iter().any(|glob| glob.matches_labels(domain))
    }

    /// True when nothing is in the list.
    pub(super) fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.wild.is_empty()
    }
}

/// Hosts and what is excepted from them.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    /// True for listed hosts, false for excepted ones; what was said last counts.
    entries: BTreeMap<String, bool>,
}

impl Hosts {
    /// What is said of a host (lower case): listed, excepted or nothing.
    pub(super) fn verdict(&self, host: &str) -> Option<bool> {
        self.entries.get(host).copied()
    }
}

/// An entry of `welcomelist_…` and `blocklist_…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sender {
    /// The address.
    pub(super) address: Glob,
    /// What has to vouch for it: the relay's domain, the signing domain.
    pub(super) by: Vec<String>,
}

/// Directives of [`Settings::senders`] whose entries are all addresses.
const ADDRESSES: [&str; 9] = [
    "welcomelist_from",
    "def_welcomelist_auth",
    "welcomelist_auth",
    "welcomelist_from_spf",
    "def_welcomelist_from_spf",
    "welcomelist_to",
    "blocklist_from",
    "blocklist_to",
    "more_spam_to",
];

/// Directives whose entry is one address and who vouches for it.
const VOUCHED: [&str; 4] = [
    "welcomelist_from_rcvd",
    "def_welcomelist_from_rcvd",
    "welcomelist_from_dkim",
    "def_welcomelist_from_dkim",
];

/// Others of [`Settings::senders`]: subjects and the most welcome recipients.
const OTHERS: [&str; 4] =
    ["all_spam_to", "welcomelist_subject", "blocklist_subject", "welcomelist_allows_relays"];

/// Directives read here that are no lists of senders.
const PLAIN: [&str; 31] = [
    "freemail_domains",
    "freemail_welcomelist",
    "enlist_addrlist",
    "enlist_uri_host",
    "blocklist_uri_host",
    "welcomelist_uri_host",
    "delist_uri_host",
    "redirector_pattern",
    "url_shortener",
    "url_shortener_get",
    "clear_url_shortener",
    "util_rb_tld",
    "util_rb_2tld",
    "util_rb_3tld",
    "clear_util_rb",
    "ok_locales",
    "trusted_networks",
    "internal_networks",
    "msa_networks",
    "clear_trusted_networks",
    "clear_internal_networks",
    "clear_msa_networks",
    "uridnsbl_skip_domain",
    "welcomelist_bounce_relays",
    "adsp_override",
    "fns_check",
    "fns_extrachars",
    "fns_ignore_dkim",
    "fns_ignore_headers",
    "fns_add_addrlist",
    "fns_remove_addrlist",
];

/// The present name of a directive.
pub(super) fn present_name(key: &str) -> String {
    key.replace("whitelist", "welcomelist").replace("blacklist", "blocklist")
}

/// All directives read here, present names.
pub(super) fn directives() -> impl Iterator<Item = &'static str> {
    PLAIN.into_iter().chain(ADDRESSES).chain(VOUCHED).chain(OTHERS)
}

/// True for a directive read here.
pub(super) fn knows(key: &str) -> bool {
    let name = present_name(key);
    let entry = name.strip_prefix("un").filter(|name| name.contains("list_")).unwrap_or(&name);
    directives().any(|known| known == entry)
}

impl Settings {
    /// Asks for links with what the rule files know of them.
    pub(super) fn with_hints<T>(&self, ask: impl FnOnce(Hints<'_>) -> T) -> T {
        let target = |link: &[u8]| self.redirected(link);
        let is_suffix = |name: &str| self.suffixes.contains(name);
        ask(Hints { target: &target, is_suffix: &is_suffix })
    }

    /// Where a link leads, as the first fitting `redirector_pattern` says.
    fn redirected(&self, link: &[u8]) -> Option<Vec<u8>> {
        self.redirectors.iter().find_map(|pattern| {
            if !matches!(pattern.find(link), Found::At(..)) {
                return None;
            }
            pattern.groups(link).into_iter().find(|(name, _)| name.is_empty()).map(|(_, to)| to)
        })
    }

    /// Reads one line; [`knows`] is true for it.
    pub(super) fn read(&mut self, active: &Active<'_>) -> Result<(), Refusal> {
        let name = present_name(&active.key);
        let (line, rest) = (active.line, active.rest);
        if rest.text.is_empty() && !name.starts_with("clear_") {
            return Err(line.error(active.word, format!("nothing stands after `{name}`")).into());
        }
        let words = || rest.text.split_whitespace();
        let lower = || rest.text.split_whitespace().map(str::to_lowercase);
        match name.as_str() {
            "freemail_domains" => words().for_each(|word| self.freemail.add(word)),
            "freemail_welcomelist" => self.freemail_welcome.extend(lower()),
            "url_shortener" | "url_shortener_get" => self.shorteners.extend(lower()),
            "clear_url_shortener" => self.shorteners.clear(),
            "util_rb_2tld" | "util_rb_3tld" => self.suffixes.extend(lower()),
            // Top-level domains come from the public suffix list, which knows them all.
            "util_rb_tld" => {}
            "clear_util_rb" => self.suffixes.clear(),
            "ok_locales" => {
                self.locales =
                    if words().any(|word| word == "all") { Vec::new() } else { lower().collect() };
            }
            "clear_trusted_networks" => self.networks.clear_trusted(),
            "clear_internal_networks" => self.networks.clear_internal(),
            "clear_msa_networks" => self.networks.clear_msa(),
            "uridnsbl_skip_domain" => self.unasked.extend(lower()),
            "welcomelist_bounce_relays" => self.bounce_relays.extend(words().map(Glob::new)),
            "adsp_override" => {
                let (domain, practice) = rest.split_word();
                let practice = practice.text.to_lowercase();
                let Some(letter) = practice_letter(&practice) else {
                    let message = format!("`{practice}` is no signing practice");
                    return Err(line.error(rest, message).into());
                };
                let domain = domain.text.trim_start_matches('@').to_lowercase();
                self.signing.insert(domain, letter);
            }
            "fns_check" | "fns_extrachars" => {
                let number: usize = rest
                    .text
                    .trim()
                    .parse()
                    .map_err(|_| line.error(rest, format!("`{name}` needs a number")))?;
                if name == "fns_check" {
                    self.from_names.check = u8::try_from(number.min(2)).unwrap_or(2);
                } else {
                    self.from_names.extra = number;
                }
            }
            "fns_ignore_dkim" => self.from_names.signers.extend(lower()),
            "fns_ignore_headers" => {
                self.from_names.fields.extend(words().map(str::to_owned));
            }
            "fns_add_addrlist" | "fns_remove_addrlist" => {
                let (owner, entries) = list_name(active)?;
                let list = self.from_names.owners.entry(owner.to_lowercase()).or_default();
                let entries = entries.split_whitespace().map(Glob::new).take(ENTRIES);
                if name.starts_with("fns_add") {
                    list.extend(entries);
                } else {
                    let removed: Vec<Glob> = entries.collect();
                    list.retain(|known| !removed.contains(known));
                }
            }
            "trusted_networks" | "internal_networks" | "msa_networks" => {
                self.network(&name, active)?;
            }
            "enlist_addrlist" => {
                let (list, entries) = list_name(active)?;
                let list = self.addresses.entry(list).or_default();
                list.extend(entries.split_whitespace().map(Glob::new).take(ENTRIES));
            }
            "delist_uri_host" if !rest.text.starts_with('(') => {
                let lists: Vec<String> = self.hosts.keys().cloned().collect();
                for list in lists {
                    self.host_list(list, words(), true);
                }
            }
            "enlist_uri_host" | "delist_uri_host" => {
                let (list, entries) = list_name(active)?;
                let removed = name.starts_with("delist");
                self.host_list(list, entries.split_whitespace(), removed);
            }
            "blocklist_uri_host" => self.host_list("BLOCK".to_owned(), words(), false),
            "welcomelist_uri_host" => self.host_list("WELCOME".to_owned(), words(), false),
            "redirector_pattern" => {
                self.redirectors.push(Compiler::capturing(line, rest, Dialect::Bytes)?);
            }
            _ => self.sender(&name, rest.text),
        }
        Ok(())
    }

    fn host_list<'w>(&mut self, list: String, words: impl Iterator<Item = &'w str>, removed: bool) {
        let list = self.hosts.entry(list).or_default();
        for word in words.take(ENTRIES) {
            let word = word.to_lowercase();
            let (name, listed) =
                word.strip_prefix('!').map_or((word.as_str(), true), |w| (w, false));
            if removed {
                list.entries.remove(name);
            } else {
                list.entries.insert(name.to_owned(), listed);
            }
        }
    }

    fn sender(&mut self, name: &str, text: &str) {
        let (removed, name) = match name.strip_prefix("un") {
            Some(name) if name.contains("list_") => (true, name),
            Some(_) | None => (false, name),
        };
        let mut words = text.split_whitespace();
        let entries: Vec<Sender> =
            if VOUCHED.contains(&name) && !(removed && name.ends_with("_rcvd")) {
                let address = Glob::new(words.next().unwrap_or(""));
                vec![Sender { address, by: words.map(str::to_lowercase).collect() }]
            } else if name.ends_with("_subject") {
                // It may stand anywhere in the subject.
                vec![Sender { address: Glob::new(&format!("*{text}*")), by: Vec::new() }]
            } else {
                words.map(|word| Sender { address: Glob::new(word), by: Vec::new() }).collect()
            };
        if !removed {
            let list = self.senders.entry(name.to_owned()).or_default();
            if list.len() < ENTRIES {
                list.extend(entries);
            }
            return;
        }
        // What is taken from a list is taken from the list that the distributor fills, too.
        for name in [name.to_owned(), format!("def_{name}")] {
            let Some(list) = self.senders.get_mut(&name) else { continue };
            let by_signer = name.ends_with("_dkim");
            list.retain(|known| {
                entries.iter().all(|entry| {
                    entry.address != known.address || (by_signer && entry.by != known.by)
                })
            });
        }
    }

    fn network(&mut self, name: &str, active: &Active<'_>) -> Result<(), Refusal> {
        let mut rest = active.rest;
        while !rest.text.is_empty() {
            let (word, after) = rest.split_word();
            rest = after;
            let added = match name {
                "trusted_networks" => self.networks.add_trusted(word.text),
                "internal_networks" => self.networks.add_internal(word.text),
                _ => self.networks.add_msa(word.text),
            };
            added.map_err(|message| active.line.error(word, message))?;
        }
        Ok(())
    }
}

/// The letter that functions are asked for; none for a practice that nobody knows.
fn practice_letter(practice: &str) -> Option<char> {
    match practice {
        "" | "discardable" => Some('D'),
        "nxdomain" => Some('N'),
        "unknown" => Some('U'),
        "all" => Some('A'),
        "custom_low" => Some('1'),
        "custom_med" => Some('2'),
        "custom_high" => Some('3'),
        _ => None,
    }
}

/// `(NAME) entries…`
fn list_name<'l>(active: &Active<'l>) -> Result<(String, &'l str), Refusal> {
    let bad = || -> Diagnostic {
        let message = format!("`{}` needs the name of a list", active.key);
        active.line.error(active.rest, message).with_hint("for example `(BANKS)`")
    };
    let rest = active.rest.text.strip_prefix('(').ok_or_else(bad)?;
    let (name, entries) = rest.split_once(')').ok_or_else(bad)?;
    let name = name.trim();
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Err(bad().into());
    }
    Ok((name.to_owned(), entries))
}
