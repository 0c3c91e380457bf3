//! The blocking client: a scan, and a report of each kind.

mod shared;

use rspamd_client::RspamdSyncClient;

fn main() -> shared::Outcome {
    let (config, mail) = shared::arguments()?;
    let client = RspamdSyncClient::new(config)?;
    let scanned = client.scan(&mail, shared::envelope())?;
    let spam = client.learn_spam(&mail, shared::envelope())?;
    let ham = client.learn_ham(&mail, shared::envelope())?;
    shared::print(&scanned, &[spam, ham]);
    Ok(())
}
