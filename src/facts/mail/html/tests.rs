//! Rendering, case by case.

use super::*;

fn page(html: &str) -> Page {
    render(0, html, !html.is_ascii(), html.len())
}

#[track_caller]
fn check(html: &str, expected: &str) {
    assert_eq!(page(html).text, expected, "{html:?}");
}

#[test]
fn white_space() {
    check("a  \n b", "a b");
    check("a <br> b", "a\nb");
    check("a<br/>b<br />c", "a\nb\nc");
    check("<p>a</p><p> b", "\n\na\n\n\n\nb");
    check("<li>a<td>b</td>", " a b ");
    check("a<b> b</b>c", "a bc");
    check("a&nbsp;&nbsp;b", "a b");
    check("a&#160;b", "a\u{a0}b");
    check("<div>a</div>b", "\na\nb");
}

#[test]
fn what_is_text() {
    check("<title>t</title>x", "\n\nt\n\nx");
    check("<style>s</style><script>s</script>x", "x");
    check("<img alt=a><input value=v>x", "x");
    check("a<!-- b -->c", "ac");
    check("<span style='display:none'>h</span>v", "hv");
    check("<textarea>a<b></textarea>", "a<b>");
    check("1 < 2 &lt; 3", "1 < 2 < 3");
}

#[track_caller]
fn check_links(html: &str, expected: &[(&str, &str, &str)]) {
    let page = page(html);
    let found: Vec<_> =
        page.links.iter().map(|link| (&*link.element, &*link.url, &*link.text)).collect();
    assert_eq!(found, expected, "{html:?}");
}

#[test]
fn links() {
    check_links(
        "<a href=' http://a.example/?x=1&amp;y '>A <b>b</b><img src=i.png></a>",
        &[("a", "http://a.example/?x=1&y", "A b<img>\n"), ("img", "i.png", "")],
    );
    check_links("<a href=''>x</a><a>y</a><a name=z>z</a>", &[]);
    check_links(
        "<base href='http://a.example/b/c.html'><a href=d>e</a><a href=mailto:f@g.example>h",
        &[
            ("base", "http://a.example/b/c.html", ""),
            ("a", "http://a.example/b/d", "e"),
            ("a", "mailto:f@g.example", "h"),
        ],
    );
    check_links(
        "<body background=x.png><form action=y></form><iframe src=z></iframe>\
         <meta http-equiv=refresh content='0;url=w'>",
        &[("body", "x.png", ""), ("form", "y", ""), ("iframe", "z", ""), ("meta", "w", "")],
    );
    check_links(
        "<area href=a><link href=b><bgsound src=c><embed src=d>",
        &[("area", "a", ""), ("link", "b", ""), ("bgsound", "c", ""), ("embed", "d", "")],
    );
    check_links("<a x/href=a>b</a>", &[("a", "a", "b")]);
}

#[test]
fn counts() {
    let report =
        page("<!doctype html><html><foo>a<b>b</b></i></foo><img width=10 height=50%>").report;
    assert_eq!((report.tags, report.elements), (8, 6));
    assert_eq!((report.tags_seen, report.elements_seen), (5, 4));
    assert_eq!(report.closed_extra, 1);
    assert_eq!(report.inside.get("html"), Some(&1));
    assert_eq!((report.obfuscation, report.backhair), (1, 1));
    assert!((report.image_area - 3000.0).abs() < 0.1);
}

#[track_caller]
fn check_unreadable(html: &str, low_contrast: bool, invalid: bool) {
    let report = page(html).report;
    assert_eq!(
        (report.has_flag("font_low_contrast"), report.has_flag("font_invalid_color")),
        (low_contrast, invalid),
        "{html}"
    );
}

#[test]
fn unreadable_text() {
    check_unreadable("<font color=white>x</font>", true, false);
    check_unreadable("<font color=white> </font>", false, false);
    check_unreadable("<font color=#fefefe>x</font>", true, false);
    check_unreadable("<font color=white></font>x", false, false);
    check_unreadable("<p style='color:blurb'>x</p>", false, true);
    check_unreadable("<p style='background: url(x) #000'>x</p>", true, false);
    check_unreadable("<p style='color: transparent'>x</p>", true, false);
    check_unreadable("<td style='color:#fff'><td>x", false, false);
}

#[test]
fn sizes() {
    let report = page("<font size=+4><font size=1>").report;
    assert_eq!((report.max_size, report.min_size), (7, 1));
    let report = page("<basefont size=5><font size=-1>").report;
    assert_eq!((report.max_size, report.min_size), (4, 3));
}

#[test]
fn deep_and_broken_is_quick() {
    for piece in ["<span style='color:red'>", "<td><font>", "<a href=x>", "</b>", "<p>a"] {
        page(&piece.repeat(50_000));
    }
}
