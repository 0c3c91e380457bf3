//! Who sent the mail, by the SMTP envelope or by what mail systems left of it.
//!
//! Comes in: the message, its hops, and what the caller knows. Goes out: the address, empty
//! for `<>`. Not an error: no trace of it; then nobody knows.

use crate::message::{Envelope, Message};

use super::{Relays, addresses, fields};

/// `EnvelopeFrom`: MAIL FROM. The caller knows best, then the hop that gave us the mail, then
/// the fields that mail systems add on delivery; those are not believed below a Received
/// field, where they tell of an earlier journey.
pub fn sender(message: &Message<'_>, envelope: &Envelope, relays: &Relays) -> Option<Vec<u8>> {
    if let Some(sender) = &envelope.sender {
        return Some(sender.clone().into_bytes());
    }
    let hop = relays.untrusted().next().or_else(|| relays.trusted().next_back());
    let told = hop.and_then(|hop| hop.envfrom.as_ref());
    if let Some(sender) = told.filter(|s| s.is_empty() || s.find('@').is_some_and(|at| at > 0)) {
        return Some(sender.clone().into_bytes());
    }
    // fetchmail makes MAIL FROM of the X-Sender that list software sets.
    let listed = first_address(message, "X-Sender").is_some_and(|sender| sender.contains(&b'@'));
    let fetched = || {
        fields::named(message, "Received")
            .any(|header| memchr::memmem::find(&header.raw, b"(fetchmail").is_some())
    };
    if listed && fetched() {
        return None;
    }
    for name in ["X-Envelope-From", "Envelope-Sender", "Return-Path"] {
        let Some(address) = first_address(message, name) else {
            continue;
        };
        if !is_below_received(message, name) {
            return Some(address);
        }
        if name == "X-Envelope-From" {
            return None;
        }
    }
    None
}

/// The first address of the first field of that name; `None` where it has none.
fn first_address(message: &Message<'_>, name: &str) -> Option<Vec<u8>> {
    let header = fields::named(message, name).next()?;
    addresses::read(&fields::raw(header)).into_iter().find_map(|mailbox| mailbox.address)
}

/// True when any field of that name stands below a Received field.
fn is_below_received(message: &Message<'_>, name: &str) -> bool {
    message
        .headers
        .iter()
        .skip_while(|header| !header.name.eq_ignore_ascii_case("Received"))
        .any(|header| header.name.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::mail::{Mail, Networks};
    use crate::message::Header;

    #[track_caller]
    fn check(fields: &[(&'static str, &str)], mail_from: Option<&str>, expected: Option<&str>) {
        let message = Message {
            headers: fields
                .iter()
                .map(|(name, value)| Header { name: (*name).into(), raw: value.as_bytes().into() })
                .collect(),
            ..Message::default()
        };
        let envelope = Envelope { sender: mail_from.map(str::to_owned), ..Envelope::default() };
        let mail = Mail::new(&message, &envelope);
        let found = sender(&message, &envelope, mail.relays(&Networks::default()));
        assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{fields:?}");
    }

    #[test]
    fn senders() {
        let hop = "from h (r.example [192.0.2.1]) by m (Postfix) with ESMTP id 123";
        let path = ("Return-Path", " <r@a.example>\r\n");
        check(&[path], None, Some("r@a.example"));
        check(&[path], Some(""), Some(""));
        check(&[path], Some("s@b.example"), Some("s@b.example"));
        check(&[path, ("Received", hop)], None, Some("r@a.example"));
        check(&[("Received", hop), path], None, None);
        check(&[("Return-Path", " <>\r\n")], None, None);
        check(&[("X-Envelope-From", "x@a.example"), path], None, Some("x@a.example"));
        check(&[path, ("Received", hop), ("X-Envelope-From", "x@a.example")], None, None);
        check(
            &[path, ("Received", hop), ("Envelope-Sender", "x@a.example")],
            None,
            Some("r@a.example"),
        );
        let told = "from [192.0.2.1] (helo=h) by m (Exim 4) (envelope-from <e@a.example>) id 123";
        check(&[path, ("Received", told)], None, Some("e@a.example"));
        let fetched = "from h ([192.0.2.1]) by m with IMAP (fetchmail-6)";
        check(&[path, ("Received", fetched), ("X-Sender", "l@a.example")], None, None);
        check(&[], None, None);
    }
}
