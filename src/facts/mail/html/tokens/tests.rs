//! Tokens, case by case.

use std::fmt::Write as _;

use super::*;

#[derive(Default)]
struct Log(String);

impl Sink for Log {
    fn start(&mut self, name: &str, attributes: &Attributes<'_>) {
        write!(self.0, "S{name}").unwrap();
        for (attribute, _) in &attributes.0 {
            write!(self.0, " {attribute}={}", attributes.get(attribute).unwrap()).unwrap();
        }
        self.0 += "|";
    }
    fn end(&mut self, name: &str) {
        write!(self.0, "E{name}|").unwrap();
    }
    fn text(&mut self, text: &str, literal: bool) {
        write!(self.0, "{}{text}|", if literal { "L" } else { "T" }).unwrap();
    }
    fn comment(&mut self, text: &str) {
        write!(self.0, "C{text}|").unwrap();
    }
    fn doctype(&mut self) {
        self.0 += "D|";
    }
}

#[track_caller]
fn check(html: &str, expected: &str) {
    let mut log = Log::default();
    Tokenizer::new(html, &mut log).run();
    assert_eq!(log.0, expected, "{html:?}");
}

#[test]
fn text_comes_in_pieces() {
    check("hello wor", "Thello|T wor|");
    check("a < b <3 c <b>d</b foo> e", "Ta |T< b |T<3 c |Sb|Td|Eb|T e|");
    check("x<", "Tx|C<|");
    check("x <3", "Tx |T<3|");
    check("<1>x", "T<1>x|");
    check("", "");
}

#[test]
fn tags() {
    check("<A HREF='x' b=\"c\"d>", "Sa HREF=x b=c d=d|");
    check("<img src=x/>y", "Simg src=x/|Ty|");
    check("<a b= c>d", "Sa b=c|Td|");
    check("<a b=>d", "Sa b=|Td|");
    check("<b<i>c", "Sb<i|Tc|");
    check("</ x>w</>v", "C</ x>|Tw|C</>|Tv|");
    check("</a b=\">\">c", "Ea|Tc|");
    check("<a href=\"x>y text", "C<a href=\"x>y text|");
    check("z</a", "Tz|C</a|");
}

#[test]
fn literal_elements() {
    check("<style>a<b></style>x", "Sstyle|La<b>|Estyle|Tx|");
    check("<script>a", "Sscript|La|Escript|");
    check("<!-- <script>a&amp;", "C<!-- <script>|Ta&amp;|");
    check("<b x><!-- ><style>a", "Sb x=x|C<!-- >|Sstyle|Estyle|La|");
    check("<title>a", "Stitle|Ta|Etitle|");
    check("<title>a<b>c</title >d", "Stitle|Ta<b>c|Etitle|Td|");
    check("<title>e<b>f", "Stitle|Te|Etitle|Sb|Tf|");
    check("<textarea>a<b>c", "Stextarea|Ta<b>c|");
    check("<plaintext>a</plaintext>", "Splaintext|La</plaintext>|");
}

#[test]
fn comments_and_declarations() {
    check("<!-- a -- b --  > c", "C<!-- a -- b --  >|Tc|".replace("|Tc", "|T c").as_str());
    check("a<!-- b <i>c", "Ta|C<!-- b <i>|Tc|");
    check("<!--->x-->y", "C<!--->x-->|Ty|");
    check("<!doctype html><?xml x?>q<!foo>r<!>s", "D|Tq|C<!foo>|Tr|C<!>|Ts|");
    check("<![CDATA[ x <b> ]]>y", "L x <b> |Ty|");
    check("<![if !mso]>z<![endif]>", "C<![if !mso]>|Tz|C<![endif]>|");
    check("<![ignore[<b>]]>z", "Tz|");
}

#[test]
fn stays_linear() {
    for piece in ["<title>", "<!--", "<!-- -", "<a b", "<textarea>", "</", "<![a", "< ", "--  "] {
        let mut log = Log::default();
        Tokenizer::new(&piece.repeat(100_000), &mut log).run();
        let mut log = Log::default();
        Tokenizer::new(&format!("<!--{}", piece.repeat(100_000)), &mut log).run();
    }
}
