use proptest::prelude::*;

use super::*;

fn fault(text: &str) -> (FaultKind, String) {
    let fault = check(text, 32).expect_err(text);
    (fault.kind, fault.pointer)
}

#[test]
fn accepts_what_is_json() {
    for good in [
        "null",
        " [1, -0.5e3, \"a\\u00e9\\ud83d\\ude00\"] ",
        "{}",
        "[]",
        "\"\"",
        r#"{"a":{"a":1},"b":[{"a":2},{"a":3}]}"#,
        "1e308",
        "123456789012345678901234567890",
        "0",
        "-0",
    ] {
        check(good, 32).expect(good);
        serde_json::from_str::<serde_json::Value>(good).expect(good);
    }
}

#[test]
fn refuses_syntax_errors_with_the_place() {
    for bad in [
        "",
        " ",
        "{",
        "[1,]",
        "{\"a\":1,}",
        "{a:1}",
        "nul",
        "01",
        "1.",
        "+1",
        "-",
        "\"\t\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"",
        "1 2",
        "NaN",
        "\u{feff}1",
        "'a'",
        "[1 2]",
        "{\"a\" 1}",
    ] {
        assert!(matches!(fault(bad).0, FaultKind::Json(_)), "{bad}");
        assert!(serde_json::from_str::<serde_json::Value>(bad).is_err(), "{bad}");
    }
    assert_eq!(fault(r#"{"a":[0,{"b/c~":tru}]}"#).1, "/a/1/b~1c~0");
}

#[test]
fn refuses_what_other_languages_cannot_read() {
    assert_eq!(fault(r#"{"a":{"x":1,"y":2,"\u0078":3}}"#), (FaultKind::Json("the key stands twice in this object"), "/a/x".into()));
    assert_eq!(fault(r#"["\ud800"]"#), (FaultKind::Json("a lone surrogate"), "/0".into()));
    assert_eq!(fault(r#"["\udc00"]"#).1, "/0");
    assert_eq!(fault(r#"["\ud800\u0041"]"#).1, "/0");
    assert_eq!(fault(r#"{"a":1e999}"#), (FaultKind::Json("the number has no finite value"), "/a".into()));
    assert_eq!(fault(&format!("[{}]", "9".repeat(400))).1, "/0");
}

#[test]
fn many_keys_are_checked_for_twins_too() {
    let keys = |twin: &str| format!("{{{}{twin}}}", (0..200).map(|n| format!("\"k{n}\":{{\"k{n}\":{n}}},")).collect::<String>());
    check(&keys("\"last\":1"), 32).unwrap();
    assert_eq!(fault(&keys("\"k3\":1")).1, "/k3");
    assert_eq!(fault(&keys("\"k199\":1")).1, "/k199");
}

#[test]
fn depth_counts_containers_and_scalars_alike() {
    let nested = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
    check(&nested(32), 32).unwrap();
    assert_eq!(check(&nested(33), 32).unwrap_err().kind, FaultKind::TooDeep);
    assert_eq!(check(&nested(500_000), 32).unwrap_err().kind, FaultKind::TooDeep);
}

#[test]
fn members_are_visited_in_order_with_their_text() {
    let mut seen = Vec::new();
    members(r#" { "a" : [1, 2] , "\u0062":"x"} "#, 32, |key, raw| seen.push((key.to_owned(), raw.as_str().to_owned()))).unwrap();
    assert_eq!(seen, [("a".into(), "[1, 2]".into()), ("b".into(), "\"x\"".to_owned())]);
    assert_eq!(members("[1]", 32, |_, _| {}).unwrap_err().kind, FaultKind::NotAnObject);
    assert!(matches!(members("[1", 32, |_, _| {}).unwrap_err().kind, FaultKind::Json(_)));
}

proptest! {
    /// On any text: no panic, and never more permissive than serde_json.
    #[test]
    fn is_never_more_permissive_than_serde_json(text in "[\\[\\]{}\",:0-9eE+.\\-\\\\u a-fntrlsd]{0,40}") {
        if check(&text, 32).is_ok() {
            prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
        }
    }

    /// On texts that serde_json wrote: accepted.
    #[test]
    fn accepts_every_string_that_serde_json_writes(text in ".{0,80}") {
        let json = serde_json::json!({ text.clone(): [text] }).to_string();
        prop_assert!(check(&json, 32).is_ok(), "{}", json);
    }
}
