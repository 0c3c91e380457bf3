//! What both programs have in common: arguments `URL KEY|- zstd|plain FILE`, and what is printed.

use rspamd_client::{Config, EnvelopeData, RspamdLearnReply, RspamdScanReply};

pub type Outcome = Result<(), Box<dyn std::error::Error>>;

pub fn arguments() -> Result<(Config, Vec<u8>), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, key, packed, file] = arguments.as_slice() else {
        return Err("usage: URL KEY|- zstd|plain FILE".into());
    };
    let config = Config::builder().base_url(url.clone()).zstd(packed == "zstd");
    let config = if key == "-" {
        config.build()
    } else {
        config.encryption_key(key.clone()).build()
    };
    Ok((config, std::fs::read(file)?))
}

pub fn envelope() -> EnvelopeData {
    EnvelopeData::builder()
        .from("ann@sender.example".to_owned())
        .rcpt(vec!["bob@rcpt.example".to_owned(), "eve@rcpt.example".to_owned()])
        .ip("192.0.2.1".to_owned())
        .helo("mail.sender.example".to_owned())
        .build()
}

pub fn print(scanned: &RspamdScanReply, learned: &[RspamdLearnReply]) {
    let mut symbols: Vec<_> = scanned.symbols.values().map(|one| (&one.name, one.score)).collect();
    symbols.sort_by(|a, b| a.0.cmp(b.0));
    println!(
        "{}",
        serde_json::json!({
            "action": scanned.action,
            "score": scanned.score,
            "required_score": scanned.required_score,
            "message_id": scanned.message_id,
            "symbols": symbols,
            "learned": learned.iter().map(|reply| reply.success).collect::<Vec<_>>(),
        })
    );
}
