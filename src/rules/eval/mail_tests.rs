//! Calls of functions about text, parts, images, files and links of a mail.

use super::tests::asked;

/// Whether a rule (`body eval:…`) hits a mail.
fn hits(settings: &str, rule: &str, mail: &str) -> bool {
    let (kind, call) = rule.split_once(' ').unwrap();
    let value = asked(settings, &format!("{kind} X {call}"), mail, "");
    value.is_some_and(|value| value > 0.0)
}

#[track_caller]
fn check(rule: &str, mail: &str, expected: bool) {
    assert_eq!(hits("", rule, mail), expected, "{rule} on {mail:?}");
}

/// A mail with a body of this type.
fn mail(content_type: &str, body: &str) -> String {
    format!("From: a@a.example\nSubject: Hello there\nContent-Type: {content_type}\n\n{body}")
}

fn text(body: &str) -> String {
    mail("text/plain", body)
}

fn html(body: &str) -> String {
    mail("text/html", body)
}

/// A multipart of parts with their headers.
fn parts(kind: &str, parts: &[&str]) -> String {
    let parts = parts.iter().fold(String::new(), |all, part| all + "--b\n" + part + "\n");
    mail(&format!("multipart/{kind}; boundary=b"), &format!("{parts}--b--\n"))
}

/// A file in base64, which is written here in octets.
fn file(kind: &str, octets: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = format!("Content-Type: {kind}\nContent-Transfer-Encoding: base64\n\n");
    for piece in octets.chunks(3) {
        let bits = piece.iter().fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte));
        let bits = bits << (8 * (3 - piece.len()));
        for place in 0..4 {
            let digit = DIGITS[bits >> (18 - 6 * place) & 63];
            out.push(if place > piece.len() { '=' } else { char::from(digit) });
        }
    }
    out.push('\n');
    out
}

#[test]
fn lengths() {
    check("body eval:check_body_length('10')", &text("123456789\n"), true);
    check("body eval:check_body_length('9')", &text("123456789\n"), false);
    let signed = text("0123456789\n-- \nsigned by me\n");
    check("body eval:plaintext_body_length('11','11')", &signed, true);
    check("body eval:plaintext_body_length('12')", &signed, false);
    check("body eval:plaintext_sig_length('14','14')", &signed, true);
    check("body eval:plaintext_sig_length('15')", &signed, false);
    check("body eval:plaintext_body_sig_ratio('0.7','0.8')", &signed, true);
    check("body eval:plaintext_body_sig_ratio('1000000')", &text("no signature\n"), true);
    check("body eval:plaintext_sig_length('1')", &text("decoy\n-- \nx\n"), false);
}

#[test]
fn blank_lines_and_vertical_words() {
    let airy = text("a\n\n\n\n\n");
    check("body eval:check_blank_line_ratio('79','80','4')", &airy, true);
    check("body eval:check_blank_line_ratio('80','90','4')", &airy, false);
    check("body eval:check_blank_line_ratio('79','80','6')", &airy, false);
    check("body eval:tvd_vertical_words('0','99')", &text("v e r t i c a l\n"), false);
    check("body eval:tvd_vertical_words('70','100')", &text("v e r t i c a l\n"), true);
    check("body eval:tvd_vertical_words('0','10')", &text("Wordsandnothingelse\n"), true);
}

#[test]
fn stocks() {
    let offer = text("Symbol: ABCD\nCurrent Price: $1\nS_y_m: x\n");
    check("body eval:check_stock_info('3')", &offer, true);
    check("body eval:check_stock_info('4')", &offer, false);
    check("body eval:check_stock_info('1')", &text("Meeting: today\nPlace: here\n"), false);
    check("body eval:check_stock_info('1')", &text("Trading Date: 1\n"), true);
    check("body eval:check_stock_info('1')", &text("Next Trading Date: 1\n"), false);
    check("body eval:check_stock_info('1')", &text("5 Day Target: 1\n"), true);
    check("body eval:check_stock_info('0')", &html("x"), true);
}

#[test]
fn alternatives() {
    let alternative = |text: &str, html: &str| {
        parts("alternative", &[&format!("\n{text}"), &format!("Content-Type: text/html\n\n{html}")])
    };
    let call = "body eval:multipart_alternative_difference('99','100')";
    check(call, &alternative("one two\n", "<p>three four"), true);
    check(call, &alternative("one two\n", "<p>two one"), false);
    check(call, &alternative("one two\n", "<img src=x>"), true);
    check(call, &parts("mixed", &["\na\n", "Content-Type: text/html\n\n<p>b\n"]), false);
    let invitation = ["Content-Type: text/html\n\n<p>b\n", "Content-Type: text/calendar\n\nx\n"];
    check(call, &parts("alternative", &invitation), false);
    let call = "body eval:multipart_alternative_difference_count('3','1')";
    check(call, &alternative("a b c d e f g\n", "<p>a b"), true);
    check(call, &alternative("a b c d e f\n", "<p>a b"), false);
    let call = "body eval:check_mime_multipart_ratio('0','0.01')";
    check(call, &alternative("", "<p>something"), true);
    check(call, &alternative("something\n", "<p>x"), false);
    let with =
        |kind: &str| parts("alternative", &["\na\n", &format!("Content-Type: {kind}\n\nx\n")]);
    check("body eval:check_ma_non_text()", &with("image/png"), true);
    check("body eval:check_ma_non_text()", &with("text/calendar"), false);
}

#[test]
fn mime() {
    check("body eval:check_for_mime_html()", &html("x"), true);
    check("body eval:check_for_mime_html_only()", &html("x"), true);
    check("body eval:check_for_mime_html()", &text("x"), false);
    let both = parts("mixed", &["\na\n", "Content-Type: text/html\n\n<p>b\n"]);
    check("body eval:check_for_mime_html()", &both, true);
    check("body eval:check_for_mime_html_only()", &both, false);
    let attached = parts("mixed", &["Content-Disposition: attachment\n\na\n"]);
    check("rawbody eval:check_for_mime('mime_attachment')", &attached, true);
    check("rawbody eval:check_for_mime('mime_attachment')", &both, false);
    check("rawbody eval:check_for_mime('no_such_thing')", &both, false);
    check("body eval:check_for_ascii_text_illegal()", &text("naïve\n"), true);
    check("body eval:check_for_ascii_text_illegal()", &text("plain\n"), false);
    let references = text("&#x4E2D;&#x4E2D;x\n");
    check("body eval:check_abundant_unicode_ratio(0.05)", &references, true);
    check("body eval:check_abundant_unicode_ratio(1)", &references, false);
    check("body eval:check_abundant_unicode_ratio(0.05)", &text("x &amp; y\n"), false);
    let long = parts("mixed", &[&file("application/zip", &[0; 60])]);
    check("body eval:check_base64_length('81','81')", &long, true);
    check("body eval:check_base64_length('82')", &long, false);
    let quoted = text("=41=42 no need\n")
        .replace("\n\n", "\nContent-Transfer-Encoding: quoted-printable\n\n");
    check("body eval:check_qp_ratio('0.13')", &quoted, true);
    check("body eval:check_qp_ratio('0.14')", &quoted, false);
}

#[test]
fn charsets() {
    let cyrillic = mail("text/plain; charset=koi8-r", "привет привет\n");
    let call = "body eval:check_for_faraway_charset()";
    assert!(hits("ok_locales en", call, &cyrillic));
    assert!(!hits("ok_locales en ru", call, &cyrillic));
    assert!(!hits("", call, &cyrillic));
    assert!(!hits("ok_locales en", call, &mail("text/plain; charset=koi8-r", "hello\n")));
    let call = "rawbody eval:check_for_mime('mime_faraway_charset')";
    assert!(hits("ok_locales en", call, &cyrillic));
    assert!(!hits("ok_locales all", call, &cyrillic));
    let page = html("<meta http-equiv=Content-Type content='text/html; charset=koi8-r'><p>x");
    assert!(hits("ok_locales en", "body eval:html_charset_faraway()", &page));
    assert!(!hits("", "body eval:html_charset_faraway()", &page));
}

#[test]
fn capitals() {
    let loud = text(&"LOUD words ".repeat(20));
    check("body eval:check_for_uppercase('25','50')", &loud, true);
    check("body eval:check_for_uppercase('50','75')", &loud, false);
    check("body eval:check_for_uppercase('25','100')", &text("SHORT AND LOUD\n"), false);
    let encoded = mail("text/plain; charset=iso-2022-jp", &"LOUD words ".repeat(20));
    check("body eval:check_for_uppercase('25','50')", &encoded, false);
}

#[test]
fn oddities() {
    #[track_caller]
    fn odd(flag: &str, mail: &str, expected: bool) {
        check(&format!("header eval:check_msg_parse_flags('{flag}')"), mail, expected);
    }
    odd("missing_head_body_separator", "Subject: x\n--b\nx\n", true);
    odd("missing_head_body_separator", "Subject: x\n\n--b\nx\n", false);
    odd("truncated_header", &format!("X: {}\n\n", "x".repeat(8_191)), true);
    odd("truncated_header", &format!("X: {}\n\n", "x".repeat(8_190)), false);
    odd("missing_mime_headers", &parts("mixed", &["\na\n"]), true);
    odd("missing_mime_headers", &parts("mixed", &["A: b\n\na\n"]), false);
    odd("missing_mime_head_body_separator", &parts("mixed", &["A: b\nbad\n"]), true);
    odd("missing_mime_head_body_separator", &parts("mixed", &["A: b\n\na\n"]), false);
    odd("mime_epilogue_exists", &format!("{}more\n", parts("mixed", &["A: b\n\na\n"])), true);
    odd("mime_epilogue_exists", &format!("{}.\n", parts("mixed", &["A: b\n\na\n"])), false);
    odd("no_such_flag", &text("x"), false);
    let unclosed = parts("mixed", &["A: b\n\na\n"]).replace("--b--", "");
    check("rawbody eval:check_for_mime('mime_missing_boundary')", &unclosed, true);
    let closed = parts("mixed", &["A: b\n\na\n"]);
    check("rawbody eval:check_for_mime('mime_missing_boundary')", &closed, false);
    odd("mimepart_limit_exceeded", &parts("mixed", &["A: b\n\na\n"; 1_001]), true);
    odd("mimepart_limit_exceeded", &parts("mixed", &["A: b\n\na\n"; 998]), false);
}

#[test]
fn images() {
    let gif = file("image/gif; name=\"cat.gif\"", b"GIF89a\x7f\0\x08\x01\0\0\0");
    let cat = parts("mixed", &["A: b\n\nsome words\n", &gif]);
    check("body eval:image_count('gif',1,1)", &cat, true);
    check("body eval:image_count('all',2)", &cat, false);
    check("body eval:image_count('png',1)", &cat, false);
    check("body eval:image_size_exact('gif','264','127')", &cat, true);
    check("body eval:image_size_exact('gif','127','264')", &cat, false);
    check("body eval:image_size_range('all',264,100)", &cat, true);
    check("body eval:image_size_range('all',100,100,263)", &cat, false);
    check("body eval:pixel_coverage('all',33528,33528)", &cat, true);
    check("body eval:pixel_coverage('all',33529)", &cat, false);
    check("body eval:image_named('cat.gif')", &cat, true);
    check("body eval:image_named('dog.gif')", &cat, false);
    check("body eval:image_name_regex('/^c.t/')", &cat, true);
    check("body eval:image_name_regex('/dog/')", &cat, false);
    check("body eval:image_to_text_ratio('all','0','0.008')", &cat, true);
    check("body eval:image_to_text_ratio('all','0','0.0001')", &cat, false);
    check("rawbody eval:image_to_text_ratio('all','0.0003','0.0004')", &cat, true);
}

#[test]
fn pdfs() {
    let pdf = b"%PDF-1.4\n/Author(Jo)\n/Encrypt 1 0 R\n/Image\n630 0 0 149 0 0 cm\n";
    let pdf = file("application/octet-stream; name=Offer.PDF", pdf);
    let offer = parts("mixed", &["A: b\n\n\n", &pdf]);
    let other = parts("mixed", &["A: b\n\nwords and more\n", &pdf.replace("Offer.PDF", "x.bin")]);
    for call in [
        "pdf_count(1,1)",
        "pdf_image_count(1,1)",
        "pdf_pixel_coverage(93870,93870)",
        "pdf_image_size_exact(149,630)",
        "pdf_image_size_range(100,450,240,800)",
        "pdf_image_to_text_ratio(0.000,0.005)",
        "pdf_named('Offer.PDF')",
        "pdf_name_regex('/^offer/i')",
        "pdf_match_details('author','/^Jo$/')",
        "pdf_is_encrypted()",
        "pdf_is_empty_body(2)",
        "pdf_match_fuzzy_md5('1A75331DA6CEC84BDF2B8FA2E3E65ACF')",
    ] {
        if !call.contains("md5") {
            check(&format!("body eval:{call}"), &offer, true);
        }
        check(&format!("body eval:{call}"), &other, false);
    }
    check("body eval:pdf_match_details('title','/./')", &offer, false);
    check("body eval:pdf_image_size_range(150,450)", &offer, false);
    check("body eval:pdf_match_md5('00')", &offer, false);
}

#[test]
fn html_parts() {
    let page =
        html("<html><title>A long title, longer than that</title><body><!-- x --><img src=a>");
    for (call, expected) in [
        ("html_test('html')", true),
        ("html_test('embeds')", false),
        ("html_tag_exists('img')", true),
        ("html_tag_exists('bgsound')", false),
        ("html_tag_balance('body', '!= 0')", true),
        ("html_tag_balance('title', '!= 0')", false),
        ("html_image_only('0','400')", true),
        ("html_image_only('400','800')", false),
        ("html_image_ratio('0','1')", false),
        ("html_eval('length', '< 384')", true),
        ("html_eval('length', '> 384')", false),
        ("html_range('length', '0', 'inf')", true),
        ("html_range('length', '0', '10')", false),
        ("html_text_match('comment', '<!.*?>')", true),
        ("html_text_match('title', '.{31}')", false),
        ("html_text_not_match('title', 'short')", true),
        ("html_text_not_match('title', 'long')", false),
        ("html_title_subject_ratio('2')", true),
        ("html_title_subject_ratio('3.5')", false),
        ("check_iframe_src()", false),
    ] {
        check(&format!("body eval:{call}"), &page, expected);
    }
    check("body eval:check_iframe_src()", &html("<iframe src='http://a.example/'>"), true);
}

#[test]
fn links() {
    let shown = |target: &str, text: &str| html(&format!("<a href='{target}'>{text}</a>"));
    let elsewhere = shown("http://shop.com/", "https://bank.com/");
    check("body eval:check_https_http_mismatch('1','10')", &elsewhere, true);
    check("body eval:check_https_http_mismatch('2','10')", &elsewhere, false);
    check(
        "body eval:check_https_http_mismatch()",
        &shown("http://bank.com", "https://bank.com"),
        false,
    );
    let address = shown("http://192.0.2.7/", "https://bank.com/");
    check("body eval:check_https_ip_mismatch()", &address, true);
    check("body eval:check_https_ip_mismatch()", &elsewhere, false);
    let inner = text("http://shop.com/?http://bank.com/\n");
    check("body eval:check_for_http_redirector()", &inner, true);
    check("body eval:check_for_http_redirector()", &text("http://shop.com/?bank.com\n"), false);
    let long = |octets: usize| shown(&format!("http://shop.com/{}", "x".repeat(octets)), "x");
    check("body eval:check_uri_truncated()", &long(9_000), true);
    check("body eval:check_uri_truncated()", &long(900), false);
    let short = text("see https://short.com/abc\n");
    assert!(hits("url_shortener short.com", "body eval:short_url()", &short));
    assert!(!hits("url_shortener t.co", "body eval:short_url()", &short));
}

#[test]
fn redirectors_of_rule_files() {
    let pattern = "redirector_pattern m'^https?://go\\.com/\\?to=(.*?)&'";
    let mail = text("http://go.com/?to=shop.com/y&x=1\n");
    assert!(hits(pattern, "uri /^shop/", &mail));
    assert!(!hits("", "uri /^shop/", &mail));
    assert!(hits(pattern, "uri_detail domain =~ /^shop/", &mail));
    assert!(!hits("", "uri_detail domain =~ /^shop/", &mail));
}

#[test]
fn links_in_pdf_files() {
    let pdf = b"%PDF-1.4\n/S /URI /URI (http://shop.com/x)\n";
    let mail = parts("mixed", &["A: b\n\nx\n", &file("application/pdf", pdf)]);
    assert!(hits("", "uri /shop/", &mail));
    assert!(!hits("", "uri /bank/", &mail));
}
