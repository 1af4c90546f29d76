//! Tests of this module.

use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Json<'_> {
    Json::parse(text.as_bytes()).unwrap()
}

fn refusal(text: &str) -> String {
    Json::parse(text.as_bytes()).unwrap_err().to_string()
}

#[test]
fn a_document_is_read_with_its_numbers_as_written() {
    let document =
        parse(" {\"a\": [1.50, -0, 1e400, \"x\\u00e9\\n\", true, false, null, {}], \"\\u0062\": \"plain\"} ");
    assert_eq!(document.get("a").and_then(Json::as_array).unwrap()[0], Json::Number("1.50"));
    assert_eq!(document.get("a").and_then(Json::as_array).unwrap()[2], Json::Number("1e400"));
    assert_eq!(document.get("a").and_then(Json::as_array).unwrap()[3], Json::String("xé\n".into()));
    assert_eq!(document.get("b").and_then(Json::as_str), Some("plain"));
    assert_eq!(document.to_json_string(), "{\"a\":[1.50,-0,1e400,\"xé\\n\",true,false,null,{}],\"b\":\"plain\"}");
}

#[test]
fn scalars_are_documents() {
    assert_eq!(parse(" \"a\" "), Json::String("a".into()));
    assert_eq!(parse("\n-1.0\t"), Json::Number("-1.0"));
    assert_eq!([parse("null"), parse("true"), parse("false")], [Json::Null, Json::Bool(true), Json::Bool(false)]);
}

#[test]
fn what_is_not_one_json_document_is_refused() {
    for text in [
        "",
        " ",
        "{",
        "{\"a\":1,}",
        "[1,]",
        "[1 2]",
        "{\"a\" 1}",
        "{a:1}",
        "'a'",
        "01",
        "[01]",
        "+1",
        ".5",
        "[1.]",
        "1e",
        "NaN",
        "[NaN]",
        "tru",
        "[nul]",
        "{} {}",
        "[]x",
        "1 2",
        "\u{feff}{}",
        "\"\u{1}\"",
        "[\"\u{1}\"]",
        "\"a",
        "[\"\\x\"]",
        "\u{a0}{}",
        "{\"a\":{\"b\":}}",
        "{1:2}",
        "/**/{}",
    ] {
        assert!(Json::parse(text.as_bytes()).is_err(), "{text:?}");
    }
    assert!(matches!(Json::parse(b"{\"a\":\"\xff\"}"), Err(JsonError::Encoding(_))));
}

#[test]
fn a_syntax_error_tells_line_and_column() {
    assert!(
        refusal("{\n \"a\": {\n  \"b\": x}}").contains("line 3 column 8"),
        "{}",
        refusal("{\n \"a\": {\n  \"b\": x}}")
    );
}

#[test]
fn duplicate_keys_are_refused_at_any_level_and_spelling() {
    assert!(refusal("{\"a\":1,\"a\":1}").starts_with("/a:"));
    assert!(refusal("{\"x\":[{\"a\":1,\"\\u0061\":2}]}").starts_with("/x/0/a:"));
    let many: Vec<_> = (0..40).map(|at| format!("\"k{at}\":0")).collect();
    assert!(Json::parse(format!("{{{}}}", many.join(",")).as_bytes()).is_ok());
    assert!(refusal(&format!("{{{},\"k7\":0}}", many.join(","))).starts_with("/k7:"));
}

#[test]
fn nul_characters_and_broken_escapes_are_refused() {
    assert!(refusal("{\"a\":\"x\\u0000\"}").starts_with("/a: expected text without NUL"));
    assert!(refusal("{\"a\":{\"\\u0000\":1}}").starts_with("/a: expected text without NUL"));
    assert!(refusal("[\"\\u0000\"]").starts_with("/0:"));
    assert!(matches!(Json::parse(b"\"\\u0000\""), Err(JsonError::Nul { .. })));
    for text in ["[\"\\ud800\"]", "[\"\\udc00x\"]", "[[\"\\ud800\\u0041\"]]", "{\"a\":{\"\\ud800\":1}}", "\"\\ud800\""]
    {
        assert!(Json::parse(text.as_bytes()).is_err(), "{text}");
    }
    assert_eq!(parse("\"\\ud83d\\ude00\""), Json::String("😀".into()));
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(Json::parse(nested(limits::JSON_DEPTH).as_bytes()).is_ok());
    assert!(matches!(Json::parse(nested(limits::JSON_DEPTH + 1).as_bytes()), Err(JsonError::TooDeep { .. })));
    assert!(Json::parse(nested(limits::BODY_BYTES / 2).as_bytes()).is_err());
    assert!(Json::parse("[".repeat(limits::BODY_BYTES).as_bytes()).is_err());
    assert!(Json::parse("{\"a\":".repeat(limits::BODY_BYTES / 5).as_bytes()).is_err());
}

#[test]
fn pointers_are_escaped_bounded_and_free_of_card_numbers() {
    let root = Path::Root;
    assert_eq!(root.pointer(), "");
    let odd = root.key("a/b~c");
    assert_eq!(odd.index(3).pointer(), "/a~1b~0c/3");
    assert!(root.key(&"é".repeat(1000)).pointer().len() <= 512);
    assert_eq!(root.key("4111111111111111").pointer(), "/************1111");
}

#[test]
fn one_document_has_one_hash_however_it_is_written() {
    let hash = |text: &str| parse(text).canonical_hash();
    let plain = hash("{\"a\":10,\"b\":[\"é\",{\"c\":null,\"d\":0.5}]}");
    assert_eq!(plain.len(), 64);
    assert_eq!(plain, hash(" {\"b\" : [\"\\u00e9\", {\"d\":5e-1, \"c\":null}], \"a\" : 1.0e1 } "));
    for other in [
        "{\"a\":11,\"b\":[\"é\",{\"c\":null,\"d\":0.5}]}",
        "{\"a\":\"10\",\"b\":[\"é\",{\"c\":null,\"d\":0.5}]}",
        "{\"a\":10,\"b\":[{\"c\":null,\"d\":0.5},\"é\"]}",
        "{\"a\":10,\"b\":[\"é\",{\"d\":0.5}]}",
    ] {
        assert_ne!(plain, hash(other), "{other}");
    }
}

#[test]
fn the_hash_is_of_sorted_members_in_one_spelling() {
    let text = "{ \"\u{e9}\":false, \"billing_b\":3.0, \"billing_addressee\":2, \"ab\":[10,-0.0,null,true,{}], \
                \"billing_address\":1, \"a\":\"x\\\"\\\\\\n\\u0001\u{e9}\\/\", \"\":-1.5 }";
    // SHA-256 of {"":-15e-1,"a":"x\"\\\n\u0001é/","ab":[1e1,0,null,true,{}],"billing_address":1e0,…,"é":false}: stored
    // hashes are compared with those of later releases.
    let hash = "507af516c8e5b7172d7571d6f12c696170ea46f9460c7d00014b6df63c2a695e";
    assert_eq!(parse(text).canonical_hash(), hash);
}

#[test]
fn what_ends_a_text_is_found_wherever_it_stands() {
    for (at, end) in (0..40).flat_map(|at| ["\"", "\\", "\u{1}", "\0", "\u{1f}"].map(|end| (at, end))) {
        for plain in ["a", "\u{7f}", "\u{a2}", "!", "#"] {
            let (before, after) = (plain.repeat(at), "\u{e9}\"\\\u{1}".repeat(5));
            assert_eq!(read::plain_length(format!("{before}{end}{after}").as_bytes()), before.len());
            assert_eq!(read::plain_length(before.as_bytes()), before.len());
        }
    }
}

/// Any document of a few levels.
fn document() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        (-1e9..1e9).prop_map(|number: f64| number.into()),
        "[^\0]*".prop_map(Into::into),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::Array),
            prop::collection::btree_map("[^\0]{0,6}", inner, 0..20)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

/// The same document with its members in reverse and blanks between.
fn reversed(value: &Json<'_>) -> String {
    match value {
        Json::Array(items) => format!("[ {} ]", items.iter().map(reversed).collect::<Vec<_>>().join(" ,\n")),
        Json::Object(members) => {
            let members = members
                .iter()
                .rev()
                .map(|(key, member)| format!("{} :\t{}", serde_json::to_string(key).unwrap(), reversed(member)));
            format!("{{ {} }}", members.collect::<Vec<_>>().join(" , "))
        }
        plain => plain.to_json_string(),
    }
}

/// Signs that matter to JSON, and some that must not.
fn sign() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "\"", "\\", "{", "}", "[", "]", ":", ",", " ", "\n", "\u{b}", "\u{a0}", "\u{1}", "-", "+", ".", "e", "0", "7",
        "t", "null", "\\u", "\\ud800", "\\x", "\u{feff}",
    ])
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Json::parse(&bytes);
    }

    #[test]
    fn no_json_like_text_panics(text in "[\\[\\]{}:,\"\\\\u0-9a-f.eE+ -]{0,80}") {
        invariants::document(text.as_bytes());
    }

    #[test]
    fn what_is_json_is_decided_as_by_serde(value in document(), at in any::<prop::sample::Index>(), sign in sign()) {
        let text = value.to_string();
        invariants::document(text.as_bytes());
        let at = text.floor_char_boundary(at.index(text.len() + 1));
        invariants::document(format!("{}{sign}{}", &text[..at], &text[at..]).as_bytes());
        invariants::document(&text.as_bytes()[..at]);
        invariants::document(format!("{}{sign}{}", &text[..at], text[at..].chars().skip(1).collect::<String>()).as_bytes());
    }

    #[test]
    fn numbers_are_decided_as_by_serde(text in "[-+]?[0-9]{0,3}[.]?[0-9]{0,2}([eE][-+]?[0-9]{0,2})?") {
        invariants::document(text.as_bytes());
        invariants::document(format!("[{text}]").as_bytes());
    }

    #[test]
    fn every_repeated_key_is_found(keys in prop::collection::vec("[ab]{0,3}", 0..100)) {
        let members: Vec<_> = keys.iter().map(|key| format!("\"{key}\":0")).collect();
        let distinct: std::collections::HashSet<_> = keys.iter().collect();
        let text = format!("{{{}}}", members.join(","));
        prop_assert_eq!(Json::parse(text.as_bytes()).is_ok(), distinct.len() == keys.len());
    }

    #[test]
    fn members_are_hashed_in_the_order_of_their_keys(keys in prop::collection::btree_set("[a-c\u{e9}]{0,12}", 0..30)) {
        // Written in order and in reverse it is one hash, and that of the text that has them in order.
        let sorted: Vec<_> = keys.iter().map(|key| format!("\"{key}\":\"v\"")).collect();
        let reversed: Vec<_> = sorted.iter().rev().cloned().collect();
        let sorted = format!("{{{}}}", sorted.join(","));
        let expected = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(sorted.as_bytes()));
        prop_assert_eq!(&parse(&sorted).canonical_hash(), &expected);
        prop_assert_eq!(&parse(&format!("{{{}}}", reversed.join(","))).canonical_hash(), &expected);
    }

    #[test]
    fn what_is_written_is_read_again(value in document()) {
        let text = value.to_string();
        let document = Json::parse(text.as_bytes()).unwrap();
        let written = document.to_json_string();
        prop_assert_eq!(&Json::parse(written.as_bytes()).unwrap(), &document);
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        prop_assert_eq!(read(&written), read(&text));
    }

    #[test]
    fn the_hash_ignores_order_and_blanks(value in document()) {
        let text = value.to_string();
        let document = Json::parse(text.as_bytes()).unwrap();
        let other = reversed(&document);
        prop_assert_eq!(Json::parse(other.as_bytes()).unwrap().canonical_hash(), document.canonical_hash());
    }
}
