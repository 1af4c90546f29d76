//! The shapes. Each has about as many bytes as a request may have, all of them spent on one weakness.

use std::fmt::Write as _;

use crate::BYTES;

/// A hostile document.
#[derive(Debug)]
pub struct Shape {
    /// What it is.
    pub name: String,
    /// The document.
    pub text: String,
}

/// What an acceptable document of a surface has, so that hostile ones are read to their end.
#[derive(Debug, Clone, Copy)]
pub struct Form {
    /// The members that it needs, with commas between them, its list left out: `"order_id":"1","amount":1`.
    pub members: &'static str,
    /// The name of its list of articles.
    pub list: &'static str,
    /// An acceptable element of the list.
    pub item: &'static str,
}

/// Room that is left for the members of the form.
const MARGIN: usize = 4_096;
const ROOM: usize = BYTES - MARGIN;
/// A number that passes for a Visa number.
const CARD: &str = "4222222222222";

/// Every shape, as a document of the form.
pub fn documents(form: Form) -> Vec<Shape> {
    let one = |name: &str, member: String| Shape { name: name.to_owned(), text: with_list(form, &member) };
    let listed = |name: &str, items: String| Shape {
        name: name.to_owned(),
        text: format!("{{{},\"{}\":[{items}]}}", form.members, form.list),
    };
    let cards = |room: usize| repeated(CARD, ",", room);
    vec![
        one("card numbers under a long name", format!("\"{}\":[{}]", "x".repeat(ROOM / 2), cards(ROOM / 2))),
        one("card numbers under long names of payments", nested("payment", 4, ROOM / 8, &cards(ROOM / 2))),
        one("card numbers under long names of words", nested("a_", 4, ROOM / 8, &cards(ROOM / 2))),
        one("card numbers of identifiers", members(|n| format!("\"{n:x}_id\":{CARD}"))),
        one("card numbers of articles", members(|n| format!("\"{n:x}Sku\":\"{CARD}\""))),
        one("card numbers in a text", text(&repeated(CARD, " ", ROOM))),
        one("digits and blanks", text(&"4 ".repeat(ROOM / 2))),
        one("digits and dashes of three bytes", text(&"4\u{2013}".repeat(ROOM / 4))),
        one("pairs of digits", text(&"42 22 ".repeat(ROOM / 6))),
        one("one run of digits", text(&"4".repeat(ROOM))),
        one("runs of digits a letter apart", text(&"422222222222x".repeat(ROOM / 13))),
        one("keys that are card numbers", members(|n| format!("\"{}\":0", card(n)))),
        one("keys that are equal when masked", equal_when_masked()),
        one("members of one object", members(|n| format!("\"{n:x}\":0"))),
        one("members of a payment", format!("\"payment\":{{{}}}", repeated_by(|n| format!("\"{n:x}\":0"), ROOM))),
        one("annotations", format!("\"metadata\":{{{}}}", repeated_by(|n| format!("\"{n:x}\":\"v\""), ROOM))),
        one(
            "annotations that are faults",
            format!("\"metadata\":{{{}}}", first(1_000, |n| format!("\"{n:x}{}\":[]", "k".repeat(200)))),
        ),
        one("a key twice at the end", format!("{},\"0\":0", members(|n| format!("\"{n:x}\":0")))),
        one("objects of keys with one ending", format!("\"o\":[{}]", repeated(&alike(64), ",", ROOM))),
        one("keys with one beginning", members(|n| format!("\"{}{n:0>6}{}\":0", "p".repeat(500), "s".repeat(500)))),
        one("nested as deep as may be", format!("\"o\":[{}]", repeated(&deep(28), ",", ROOM))),
        one("nested too deep", format!("\"o\":{}", "[".repeat(ROOM))),
        one("escapes", text(&"\\u0034\\n\\\"".repeat(ROOM / 10))),
        one("short texts with escapes", format!("\"o\":[{}]", repeated("\"\\n\"", ",", ROOM))),
        one("numbers with large exponents", format!("\"o\":[{}]", repeated("1e99999,4e12", ",", ROOM))),
        one("a number of many digits", format!("\"o\":{}", "4".repeat(ROOM))),
        one("an exponent of many digits", format!("\"o\":1e{}", "9".repeat(ROOM))),
        one("a fraction of many digits", format!("\"o\":0.{}4", "0".repeat(ROOM))),
        one("elements of an unknown list", format!("\"o\":[{}]", repeated("0", ",", ROOM))),
        one("blanks", " ".repeat(ROOM) + "\"o\":0"),
        one("no end", format!("\"o\":[{}", repeated("[0],{\"a\":0}", ",", ROOM))),
        listed("elements of the list", repeated("{}", ",", ROOM)),
        listed("elements that are faults", first(1_000, |_| "{\"quantity\":[],\"price\":{},\"qty\":[]}".to_owned())),
        listed("elements with many members", first(900, |_| format!("{{{}}}", first(30, |n| format!("\"{n:x}\":0"))))),
        listed("acceptable elements", first(1_000, |_| form.item.to_owned())),
    ]
}

/// Files of past orders of one header and one row, hostile as CSV. The header is the first line.
pub fn csv_rows(members: &[(&str, &str)]) -> Vec<Shape> {
    let (names, values): (Vec<&str>, Vec<&str>) = members.iter().copied().unzip();
    let file = |name: &str, columns: Vec<String>, row: Vec<String>| Shape {
        name: name.to_owned(),
        text: format!("{},{}\n{},{}", names.join(","), columns.join(","), values.join(","), row.join(",")),
    };
    let columns = |count: usize, name: fn(usize) -> String| (0..count).map(name).collect::<Vec<_>>();
    let same = |count: usize, value: &str| vec![value.to_owned(); count];
    vec![
        file("columns of one section", columns(1_900, |n| format!("extra.{n}x")), same(1_900, "1")),
        file("columns of one long beginning", columns(1_000, |n| format!("{}{n}", "a.".repeat(29))), same(1_000, "1")),
        file("columns of one list", columns(1_000, |n| format!("extra.{n}.a")), same(1_000, "1")),
        file("card numbers in columns", columns(1_900, |n| format!("extra{n}")), same(1_900, CARD)),
        file("quotes", columns(1, |_| "note".to_owned()), vec![format!("\"{}\"", "\"\"".repeat(ROOM / 2))]),
        file("digits and blanks", columns(1, |_| "note".to_owned()), vec!["4 ".repeat(ROOM / 2)]),
        file("more values than columns", columns(1, |_| "note".to_owned()), same(ROOM / 2, "1")),
    ]
}

/// An ordinary document of about so many bytes, which must be more than a few hundred.
pub(crate) fn ordinary(bytes: usize) -> String {
    let order = r#"{"order_id":"A-100234","amount":129.9,"currency":"EUR","customer":{"email":"ann@example.com","first_name":"Ann"},"line_items":[{"sku":"TS-1","name":"T-shirt","quantity":2,"price":"64.95"}],"ip_address":"192.0.2.7"}"#;
    format!("[{}]", repeated(order, ",", bytes.max(order.len() + 1)))
}

fn with_list(form: Form, member: &str) -> String {
    format!("{{{},\"{}\":[{}],{member}}}", form.members, form.list, form.item)
}

fn text(content: &str) -> String {
    format!("\"note\":\"{content}\"")
}

/// As many of a piece as there is room for.
fn repeated(piece: &str, between: &str, room: usize) -> String {
    let count = room / (piece.len() + between.len());
    vec![piece; count.max(1)].join(between)
}

/// Numbered pieces with commas between them, as many as there is room for.
fn repeated_by(piece: impl Fn(usize) -> String, room: usize) -> String {
    let mut all = piece(0);
    for number in 1.. {
        let next = piece(number);
        if all.len() + next.len() + 1 > room {
            break;
        }
        let _ = write!(all, ",{next}");
    }
    all
}

fn members(piece: impl Fn(usize) -> String) -> String {
    format!("\"o\":{{{}}}", repeated_by(piece, ROOM))
}

/// The first so many numbered pieces.
fn first(count: usize, piece: impl Fn(usize) -> String) -> String {
    (0..count).map(piece).collect::<Vec<_>>().join(",")
}

/// Objects within each other, with names of so many bytes, around a list.
fn nested(word: &str, depth: usize, name_bytes: usize, content: &str) -> String {
    let name = word.repeat(name_bytes / word.len());
    let open = format!("{{\"{name}\":").repeat(depth - 1);
    format!("\"{name}\":{open}[{content}]{}", "}".repeat(depth - 1))
}

/// Lists within each other.
fn deep(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

/// An object of keys that end alike and are equally long.
fn alike(count: usize) -> String {
    format!("{{{}}}", first(count, |n| format!("\"{n:0>3}z\":0")))
}

/// A number that passes for a Visa number and ends with 0000: masked, all of them are one text.
fn card(number: usize) -> String {
    let head = format!("4{number:0>7}");
    // The ninth digit makes the Luhn sum of thirteen digits whole: it is not doubled.
    let sum: u32 = head.bytes().enumerate().map(|(place, digit)| luhn(u32::from(digit - b'0'), place)).sum();
    format!("{head}{}0000", (10 - sum % 10) % 10)
}

fn luhn(digit: u32, place: usize) -> u32 {
    let value = if place % 2 == 1 { digit * 2 } else { digit };
    if value > 9 { value - 9 } else { value }
}

/// Keys that masking makes equal, and those that it would number them as.
fn equal_when_masked() -> String {
    members(|n| if n % 2 == 0 { format!("\"{}\":0", card(n)) } else { format!("\"*********0000 #{n}\":0") })
}
