//! Any header fields are a request: lines of `Name: value`, the first line a query string.

#![no_main]

use calspamd::protocol::rspamd;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let query = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
    let query = rspamd::query(&query);
    let headers: Vec<(String, &[u8])> = lines
        .map(|line| {
            let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
            let (name, value) = line.split_at(colon);
            (String::from_utf8_lossy(name).into_owned(), value.get(1..).unwrap_or_default())
        })
        .collect();
    let headers = headers.iter().map(|(name, value)| (name.as_str(), *value));
    let (request, _) = rspamd::request(headers, &query, 1_795_000_000);
    if let Some(score) = request.upstream.score {
        assert!(score.is_finite());
    }
});
