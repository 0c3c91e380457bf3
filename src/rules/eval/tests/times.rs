use super::{HOP, check};

#[track_caller]
fn shifted(date: &str, least: &str, most: &str, expected: bool) {
    let call = format!("check_for_shifted_date('{least}','{most}')");
    check(&call, &format!("{HOP}\nDate: {date}"), expected);
}

#[test]
fn dates_beside_hops() {
    shifted("Sun, 15 Nov 2026 15:00:03 +0000", "3", "6", true);
    shifted("Sun, 15 Nov 2026 15:00:02 +0000", "3", "6", false);
    shifted("Sun, 15 Nov 2026 09:00:03 +0000", "-6", "-3", false);
    shifted("Sun, 15 Nov 2026 09:00:02 +0000", "-6", "-3", true);
    shifted("Sun, 15 Nov 2026 16:00:03 +0100", "3", "6", true);
    shifted("Sun, 15 Nov 2026 15:00:03 PST", "undef", "-6", false);
    shifted("nonsense", "undef", "0", false);
    // Nobody tells when the mail went anywhere.
    check("check_for_shifted_date('1','undef')", "Date: Sun, 15 Nov 2036 15:00:03 +0000", false);
    // The nearest hop counts, and the Date of who sent it on.
    let two = format!("{HOP}\n{}", HOP.replace("12:00:03", "18:00:03"));
    let mail = format!("{two}\nDate: Sun, 15 Nov 2026 17:00:03 +0000");
    check("check_for_shifted_date('-1','0')", &mail, true);
    let resent = format!("{mail}\nResent-Date: Sun, 15 Nov 2026 12:30:03 +0000");
    check("check_for_shifted_date('0','1')", &resent, true);
}

#[test]
fn how_long_ago() {
    check("received_within_months('undef','1')", HOP, true);
    check("received_within_months('1','undef')", HOP, false);
    let old = HOP.replace("2026", "2024");
    check("received_within_months('12','undef')", &old, true);
    let fetched = format!(
        "Received: from pop.example.org [192.0.2.1] by localhost with POP3 (fetchmail-6.3.1); Sun, \
         15 Nov 2026 10:00:03 +0000\n{old}"
    );
    check("received_within_months('undef','1')", &fetched, true);
}

#[test]
fn times_in_message_ids() {
    // 0x02d8a4b5 is what Outlook makes of the time of the hop.
    let ticks = 1_794_744_003.0 * 0.002_328_306_436_538_7 + 27_111_902.832_984_9;
    let id = |off: f64| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a test")]
        let ticks = (ticks + off) as u32;
        format!("{HOP}\nMessage-ID: <000a{ticks:08x}$12345678$90abcdef@host>")
    };
    check("check_outlook_message_id()", &id(0.0), false);
    check("check_outlook_message_id()", &id(240.0), false);
    check("check_outlook_message_id()", &id(260.0), true);
    check("check_outlook_message_id()", &format!("{HOP}\nMessage-ID: <1@host>"), false);
}
