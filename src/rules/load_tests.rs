use super::super::evaluate::tests::rule_set;
use super::super::{Files, RuleKind, load};
use super::*;

/// Diagnostics in short: `error x.cf:1:10+5 message (hint)`.
fn diagnostics(files: &[(&str, &str)]) -> Vec<String> {
    let rules = files
        .iter()
        .map(|(name, text)| File { name: (*name).to_owned(), text: (*text).to_owned() })
        .collect();
    let found = match load(&Files { rules, ..Files::default() }) {
        Ok(loaded) => loaded.diagnostics,
        Err(diagnostics) => diagnostics,
    };
    found
        .iter()
        .map(|d| {
            let hint = d.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
            let severity = d.severity.name();
            format!("{severity} {}:{}:{}+{} {}{hint}", d.file, d.line, d.column, d.width, d.message)
        })
        .filter(|text| !text.contains("has no description"))
        .collect()
}

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    assert_eq!(diagnostics(&[("x.cf", text)]), expected, "{text}");
}

#[test]
fn calendar_tests_are_checked_by_kind() {
    check(
        "calendar X summry =~ /a/",
        &["error x.cf:1:12+6 unknown fact `summry` (did you mean `summary`?)"],
    );
    check(
        "calendar X exists:sumary",
        &["error x.cf:1:19+6 unknown fact `sumary` (did you mean `summary`?)"],
    );
    check(
        "calendar X all( sumary ) == a",
        &["error x.cf:1:17+6 unknown fact `sumary` (did you mean `summary`?)"],
    );
    check(
        "calendar X attendees =~ /a/",
        &[
            "error x.cf:1:22+2 `=~` needs text, `attendees` is a number (numbers know == != < <= > >=)",
        ],
    );
    check(
        "calendar X attendees in brands.txt",
        &[
            "error x.cf:1:22+2 `in` needs text, `attendees` is a number (numbers know == != < <= > >=)",
        ],
    );
    check(
        "calendar X summary < 5",
        &[
            "error x.cf:1:20+1 `<` compares numbers, `summary` is text (text knows =~ !~ == != and in)",
        ],
    );
    check(
        "calendar X summary",
        &[
            "error x.cf:1:12+7 `summary` is text, not a yes or no (write `exists:summary` to ask whether there is one)",
        ],
    );
    check(
        "calendar X attendees > 48h",
        &[
            "error x.cf:1:24+3 `48h` is a duration, the fact is a number (numbers are written `50` or `0.5`)",
        ],
    );
    check(
        "calendar X attendees > many",
        &["error x.cf:1:24+4 `many` is not a number (numbers are written `50` or `0.5`)"],
    );
    check(
        "calendar X attendees > atendees",
        &["error x.cf:1:24+8 `atendees` is not a number (did you mean `attendees`?)"],
    );
    check(
        "calendar X attendees > summary",
        &["error x.cf:1:24+7 `attendees` is a number, `summary` is text (they cannot be compared)"],
    );
}

#[test]
fn the_form_of_calendar_tests_is_checked() {
    check(
        "calendar X attendees = 5",
        &[
            "error x.cf:1:22+1 `=` is not an operator (equality is written `==`, a regex match `=~`)",
        ],
    );
    check(
        "calendar X attendees over 5",
        &[
            "error x.cf:1:22+4 `over` is not an operator (operators are =~ !~ == != < <= > >= and in)",
        ],
    );
    check("calendar X attendees >", &["error x.cf:1:22+1 nothing stands after `>`"]);
    check("calendar X summary in", &["error x.cf:1:20+2 nothing stands after `in`"]);
    check(
        "calendar X summary in brands.txt",
        &["error x.cf:1:23+10 there is no list `brands.txt`"],
    );
    check(
        "calendar X any(summary) == a",
        &["error x.cf:1:12+3 unknown `any(…)` (write `all(…)` or `message(…)`)"],
    );
    check("calendar X all(summary == a", &["error x.cf:1:15+1 this `(` is never closed"]);
    check(
        "calendar X summary == two words",
        &["error x.cf:1:23+9 several words need quotes (write `\"two words\"`)"],
    );
    check(
        "calendar X summary == \"two",
        &["error x.cf:1:23+4 the string has no closing `\"` (a `#` in a rule is written `\\#`)"],
    );
    check("calendar X summary == \"a\" b", &["error x.cf:1:27+1 unexpected `b`"]);
    check(
        "calendar X summary == \"\"",
        &[
            "error x.cf:1:23+2 no value is empty (write `exists:summary` and turn it around in a meta)",
        ],
    );
    check(
        "calendar X summary == /a/",
        &[
            "error x.cf:1:23+3 a regex needs `=~` or `!~` (put a text that starts with `/` in quotes)",
        ],
    );
    check(
        "calendar X message(summary) == summary",
        &["error x.cf:1:29+10 `message(…)` can be compared with facts of the message only"],
    );
    check("calendar X attendees>50", &[]);
    check("calendar X summary == \"a \\\"b\\\"\"", &[]);
    check("calendar X summary != summary", &[]);
}

#[test]
fn regexes_are_checked() {
    check(
        "calendar X summary =~ /(a/",
        &[
            "error x.cf:1:23+4 bad regex: unclosed group (signs that stand for themselves are written with a backslash: `\\(`)",
        ],
    );
    check(
        "body X /a[/i",
        &[
            "error x.cf:1:8+5 bad regex: unclosed character class (signs that stand for themselves are written with a backslash: `\\(`)",
        ],
    );
    check("uri X m{a", &["error x.cf:1:7+3 the regex has no closing `}`"]);
    check(
        "body X /a#b/",
        &["error x.cf:1:8+2 the regex has no closing `/` (a `#` in a rule is written `\\#`)"],
    );
    check("body X /a/z", &["error x.cf:1:8+4 unknown regex flag `z`"]);
    check("body X hello", &["error x.cf:1:8+5 a regex is written `/…/` or `m{…}`"]);
    check(
        "header X Subject /a/",
        &["error x.cf:1:18+3 `/a/` is not an operator (header rules know =~ and !~)"],
    );
    check(
        "header X From:adr =~ /a/",
        &[
            "error x.cf:1:10+8 unknown header modifier `adr` (modifiers are :raw :addr :name :host :domain :ip :revip :first :last)",
        ],
    );
}

#[test]
fn names_and_numbers_are_checked() {
    check(
        "body 9X /a/",
        &[
            "error x.cf:1:6+2 `9X` is not a name for a rule (a name is made of letters, digits and `_`, starts with no digit and has at most 100 of them)",
        ],
    );
    check(
        "body",
        &[
            "error x.cf:1:5+1 the name of a rule is missing (a name is made of letters, digits and `_`, starts with no digit and has at most 100 of them)",
        ],
    );
    check("body X", &["error x.cf:1:6+1 nothing stands after `X`"]);
    check(
        "body X /a/\nbody X /b/",
        &[
            "warning x.cf:2:6+1 `X` is defined twice in this file (this one counts, not the one at x.cf:1)",
        ],
    );
    check(
        "body X /a/\nbody X /b/\ngroup X content",
        &["error x.cf:2:6+1 `X` is defined twice in this file (the first definition is at x.cf:1)"],
    );
    check("body X /a/\nscore X high", &["error x.cf:2:9+4 `high` is not a number"]);
    check("body X /a/\nscore X 1 2", &["error x.cf:2:9+3 a score is one number or four"]);
    check(
        "body X /a/\nscore X (1)",
        &["warning x.cf:2:9+3 there is no score yet that this could be added to"],
    );
    check("body X /a/\npriority X first", &["error x.cf:2:12+5 `first` is not a number"]);
    check("body X /a/\ngroup X a b", &["error x.cf:2:9+3 `a b` is not a group name"]);
    check(
        "group_cap g 1",
        &[
            "error x.cf:1:11+3 a cap needs a group, the lowest and the highest sum (for example `group_cap content -2 8`)",
        ],
    );
    check(
        "group_cap g 2 1",
        &[
            "error x.cf:1:11+5 a cap needs a group, the lowest and the highest sum (for example `group_cap content -2 8`)",
        ],
    );
    check(
        "group_cap content -1 1\ngroup X contnt\nbody X /a/",
        &["warning x.cf:1:11+7 no rule is in the group `content` (did you mean `contnt`?)"],
    );
    check(
        "body X /a/\ntflags X nce",
        &["warning x.cf:2:10+3 unknown flag `nce` (did you mean `nice`?)"],
    );
    check("body X /a/\ntflags X net nice noautolearn publish maxhits=3", &[]);
}

#[test]
fn metas_are_checked() {
    check("body A /a/\nmeta X A && (A || A", &["error x.cf:2:13+1 this `(` is never closed"]);
    check(
        "body A /a/\nmeta X A & A",
        &["error x.cf:2:10+1 unexpected `&` (logic is written `&&` and `||`)"],
    );
    check(
        "body ABC /a/\nmeta X ABD",
        &["warning x.cf:2:8+3 there is no rule `ABD`, it counts as 0 (did you mean `ABC`?)"],
    );
    check(
        "meta A B\nmeta B C + 1\nmeta C A || D\nmeta D C",
        &["error x.cf:1:6+1 `meta` rules go round in a circle: `A` -> `B` -> `C` -> `A`"],
    );
    check("meta A A", &["error x.cf:1:6+1 `meta` rules go round in a circle: `A` -> `A`"]);
    check("body __A /a/", &["warning x.cf:1:6+3 no meta uses `__A`, it can never count"]);
    let chain: Vec<String> = (1..70).map(|n| format!("meta M{n:02} M{:02}", n - 1)).collect();
    check(
        &format!("body M00 /a/\n{}", chain.join("\n")),
        &["error x.cf:65:6+3 more than 64 metas stand on each other"],
    );
}

#[test]
fn what_is_not_supported_is_said_once() {
    check(
        "header A eval:check_bayes('0.1', '0.2')\nheader B eval:check_bayes('0.2', '0.3')\n\
         body C eval:check_bodi_8bits()\nreport hello\nreport world\nbod F /a/\nscore A 1\n\
         describe ZZ x\nmeta M A || C",
        &[
            "warning x.cf:1:1+6 `header eval:check_bayes` is skipped, 2 lines: \
             there is no statistical classifier here",
            "warning x.cf:3:1+4 `body eval:check_bodi_8bits` is skipped, 1 line: \
             nobody knows this function; did you mean `check_body_8bits`?",
            "warning x.cf:4:1+6 `report` is skipped, 2 lines: \
             it is about what SpamAssassin writes into mails",
            "warning x.cf:6:1+3 unknown directive `bod` (did you mean `body`?)",
            "warning x.cf:8:10+2 there is no rule `ZZ`",
            "warning x.cf:9:8+1 `A` was skipped and counts as 0",
            "warning x.cf:9:13+1 `C` was skipped and counts as 0",
        ],
    );
}

#[test]
fn definitions_of_all_kinds() {
    check(
        "rawbody A /a/\nfull B /b/\nmimeheader C Content-Type:raw =~ /c/ [if-unset: none]\n\
         uri_detail D type =~ /^a$/ text !~ /e f/i\nurirhssub E zone.example. A 127.0.0.2\n\
         body E eval:check_uridnsbl('E')\naskdns F _SENDERDOMAIN_.zone.example A /^127/\n\
         header G eval:check_rbl('x-lastexternal', 'zone.example.')\n\
         meta H rules_matching(?) > 1\ntest A ok cat\ntest B fail cat\n\
         tflags A multiple maxhits=4\ntflags C range=2-3 concat",
        &[],
    );
    check(
        "uri_detail A typ =~ /a/",
        &["error x.cf:1:14+3 `typ` is nothing that a link has (did you mean `type`?)"],
    );
    check(
        "uri_detail A type = /a/",
        &["error x.cf:1:19+1 `=` is not an operator (`uri_detail` rules know =~ and !~)"],
    );
    check(
        "mimeheader A X:addr =~ /a/",
        &["error x.cf:1:14+6 unknown header modifier `addr` (`mimeheader` rules know :raw)"],
    );
    check(
        "urirhssub E zone.example. A",
        &["error x.cf:1:13+15 `urirhssub` needs a zone, A or TXT, and an answer"],
    );
    check(
        "urirhsbl E zone.example. MX",
        &["error x.cf:1:12+16 `MX` is not a record that lists answer with (A or TXT)"],
    );
    check(
        "body E eval:check_uridnsbl('F')",
        &["warning x.cf:1:6+1 no list is defined for `F` \
         (for example `urirhssub F zone.example. A 127.0.0.2`)"],
    );
    check("header A eval:check_rbl('x')", &["error x.cf:1:15+9 `check_rbl` lacks an argument"]);
    check(
        "header A eval:check_rbl('x', 'y'",
        &[
            "error x.cf:1:24+9 the arguments have no closing `)` (a call is written `eval:name('one', 2)`)",
        ],
    );
    check(
        "header A eval:check_rbl('x, y)",
        &["error x.cf:1:25+5 an argument has no closing quote"],
    );
    check(
        "body A /cat/\ntest A ok dog\ntest A fail cat\ntest A maybe cat",
        &[
            "warning x.cf:2:6+1 `A` does not hit the text of its test",
            "warning x.cf:3:6+1 `A` hits the text of its test",
            "error x.cf:4:8+5 `maybe` is neither `ok` nor `fail`",
        ],
    );
    check(
        "body A /a/\ntflags A maxhits=x range=a",
        &[
            "error x.cf:2:10+9 `maxhits=x` has no number",
            "error x.cf:2:20+7 `range=a` is not a range of parts (for example `range=1-3` or `range=2-`)",
        ],
    );
    check("replace_tag A", &["error x.cf:1:13+1 `replace_tag` needs a name and an expression"]);
    check(
        "enlist_uri_host NAME a.example",
        &["error x.cf:1:17+14 `enlist_uri_host` needs the name of a list (for example `(BANKS)`)"],
    );
    check("freemail_domains", &["error x.cf:1:1+16 nothing stands after `freemail_domains`"]);
    check(
        "whitelist_from *@a.example\nunblacklist_from b@c.example\nenlist_addrlist (X) a@b c@d",
        &[],
    );
}

#[test]
fn later_files_override() {
    let found = diagnostics(&[
        ("a.cf", "body X /a/\nscore X 3\ndescribe X one"),
        ("b.cf", "# site\nuri X /b/\nscore X (0.5)"),
    ]);
    assert_eq!(found, ["warning b.cf:2:5+1 `X` overrides a.cf:1"]);
}

#[test]
fn a_missing_description_is_noticed() {
    let file = File { name: "x.cf".into(), text: "body X /a/\nbody Y /b/\ndescribe Y b".into() };
    let loaded = load(&Files { rules: vec![file], ..Files::default() }).unwrap();
    let shown: Vec<String> = loaded.diagnostics.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "warning: `X` has no description\n --> x.cf:1:6\n  |\n1 | body X /a/\n  |      ^\n  = hint: add `describe X …`"
        ]
    );
}

#[test]
fn scores_and_flags() {
    #[track_caller]
    fn check(rules: &str, name: &str, score: f64, nice: bool) {
        let set = rule_set(rules, true);
        let symbol = set.get(name).unwrap();
        assert!((symbol.score - score).abs() < 1e-9, "{rules}: {}", symbol.score);
        assert_eq!(symbol.flags.nice, nice, "{rules}");
    }
    check("body X /a/", "X", 1.0, false);
    check("body T_X /a/", "T_X", 0.01, false);
    check("body X /a/\ntflags X nice", "X", -1.0, true);
    check("body T_X /a/\ntflags T_X nice", "T_X", -0.01, true);
    check("body X /a/\ntflags X nice\nscore X -2", "X", -2.0, true);
    check("score X -2\nbody X /a/", "X", -2.0, true);
    check("body X /a/\nscore X 1 2 3 4", "X", 2.0, false);
    check("body X /a/\nscore X 2\nscore X (1.5)", "X", 3.5, false);
    check("body X /a/\nscore X 0", "X", 0.0, false);
    check("body __X /a/\nscore __X 5\nmeta Y __X", "__X", 0.0, false);
    check("body X /a/\nSCORE X 3", "X", 3.0, false);
}

fn shared<T: Send + Sync>(_: &T) {}

#[test]
fn a_set_answers_without_scanning() {
    let set = rule_set(
        "calendar B summary =~ /a/ # why\ncalendar __A attendees > 3\nmeta C __A\nbody D /a/\nscore D 0\n\
         group_cap g -1 2\ngroup B g\ncalendar __E exists:summary",
        true,
    );
    let names: Vec<&str> = set.symbols().map(|symbol| &*symbol.name).collect();
    assert_eq!(names, ["B", "C", "D"]);
    assert_eq!((set.len(), set.is_empty()), (5, false));
    let b = set.get("B").unwrap();
    assert_eq!((b.kind, &*b.file, b.line), (RuleKind::Calendar, "x.cf", 1));
    assert_eq!(&*b.definition, "calendar B summary =~ /a/");
    assert!(set.get("__A").is_some_and(super::super::Symbol::is_helper));
    assert!(set.get("Z").is_none());
    assert_eq!(set.group_caps().len(), 1);
    assert_eq!(set.facts_read().len(), 2);
    assert_eq!(format!("{set:?}"), "RuleSet { rules: 5, .. }");
    shared(&set);
}

#[test]
fn it_is_known_whether_mail_without_calendar_can_hit() {
    #[track_caller]
    fn check(rules: &str, expected: bool) {
        assert_eq!(rule_set(rules, true).can_hit_without_calendar(), expected, "{rules}");
    }
    check("", false);
    check("calendar X summary !~ /a/", false);
    check("calendar X exists:summary", false);
    check("calendar X message(summary) != a", false);
    check("body X /a/", true);
    check("body X /a/\nscore X 0", false);
    check("header __H exists:X\ncalendar __C exists:summary\nmeta X __H && __C", false);
    check("header __H exists:X\ncalendar __C exists:summary\nmeta X __H && !__C", true);
    check("header __H exists:X\ncalendar __C exists:summary\nmeta X __H + __C >= 2", false);
    check("calendar __C exists:summary\nmeta X !__C", true);
    check("calendar __C exists:summary\nmeta __D !__C\nmeta X __D && __C", false);
}

#[test]
fn hostile_files_do_no_harm() {
    for text in [
        "\u{0}",
        "calendar",
        "calendar X",
        "calendar X (",
        "calendar X all(",
        "calendar X all()",
        "calendar X exists:",
        "calendar X summary ==\"",
        "header X",
        "header X :",
        "header X =~",
        "header X a =~",
        "header X a =~ /",
        "meta X",
        "meta X (",
        "meta é é",
        "score",
        "score X (",
        "group_cap",
        "tflags X",
        "é é é",
        "body X m",
        "body X mé",
        "body X mééé",
        "uri X qr",
        "body X /\\",
        "body X /[\\",
        "body X /(?",
        "body X /(?<",
        "body X /\\x{/",
        "body X /\\p/",
        "body X /\\c/",
        "body X /[a-\\w]/",
        "body X /(?i/",
        "body X /(?^)/",
        "body X /{/",
    ] {
        diagnostics(&[("x.cf", text)]);
    }
}
