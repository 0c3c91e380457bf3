//! The client that does not block and keeps its connections: two scans, and a report of each kind.

mod shared;

use rspamd_client::RspamdAsyncClient;

#[tokio::main(flavor = "current_thread")]
async fn main() -> shared::Outcome {
    let (config, mail) = shared::arguments()?;
    let client = RspamdAsyncClient::new(config)?;
    client.scan(&mail, shared::envelope()).await?;
    let scanned = client.scan(&mail, shared::envelope()).await?;
    let spam = client.learn_spam(&mail, shared::envelope()).await?;
    let ham = client.learn_ham(&mail, shared::envelope()).await?;
    shared::print(&scanned, &[spam, ham]);
    Ok(())
}
