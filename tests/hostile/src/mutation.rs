//! Documents that look real but for one or a few fields, as integrations get them wrong: a field is dropped, emptied, given
//! another type or another encoding.

use serde_json::{Value, json};

/// A generator of pseudo-random numbers (xorshift64*): the same seed gives the same document.
struct Draw(u64);

impl Draw {
    fn of(seed: u64) -> Self {
        Self(seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(bits).unwrap_or(0) % bound
    }
}

/// The document with one to three of its fields changed, as `seed` draws them. The field at the JSON pointer `keep`, and what
/// it lies in, stays.
pub fn mutated(mut document: Value, keep: &str, seed: u64) -> Value {
    let mut draw = Draw::of(seed);
    for _ in 0..=draw.below(3) {
        let mut places = Vec::new();
        pointers(&document, "", &mut places);
        places.retain(|place| !keep.starts_with(place.as_str()));
        if places.is_empty() {
            break;
        }
        let place = places[draw.below(places.len())].clone();
        let Some(value) = document.pointer_mut(&place) else { continue };
        match draw.below(4) {
            0 => remove(&mut document, &place),
            1 => *value = emptied(&mut draw),
            2 => *value = retyped(&value.clone(), &mut draw),
            _ => *value = reencoded(&value.clone(), &mut draw),
        }
    }
    document
}

/// The JSON pointer of every value within the document.
pub fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    let members: Vec<(String, &Value)> = match value {
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(index, item)| (index.to_string(), item)).collect(),
        _ => return,
    };
    for (name, value) in members {
        let pointer = format!("{at}/{name}");
        found.push(pointer.clone());
        pointers(value, &pointer, found);
    }
}

fn remove(document: &mut Value, pointer: &str) {
    let Some((parent, name)) = pointer.rsplit_once('/') else { return };
    match document.pointer_mut(parent) {
        Some(Value::Object(members)) => drop(members.remove(name)),
        Some(Value::Array(items)) => {
            drop(name.parse().ok().filter(|at| *at < items.len()).map(|at: usize| items.remove(at)));
        }
        _ => {}
    }
}

fn emptied(draw: &mut Draw) -> Value {
    let empty = [json!(null), json!(""), json!(" "), json!([]), json!({}), json!("n/a"), json!(0), json!("undefined")];
    empty[draw.below(empty.len())].clone()
}

/// The value as another type has it.
fn retyped(value: &Value, draw: &mut Draw) -> Value {
    let text = as_text(value);
    match draw.below(8) {
        0 => text.parse::<f64>().map_or_else(|_| json!(7), Value::from),
        1 => json!(text),
        2 => json!(true),
        3 => json!(false),
        4 => json!([value]),
        5 => json!({"value": value}),
        6 => json!(-1),
        _ => json!("1e400"),
    }
}

/// The value as a program writes it that does not know its encoding or country.
fn reencoded(value: &Value, draw: &mut Draw) -> Value {
    let text = as_text(value);
    let in_arabic = |sign: char| sign.to_digit(10).and_then(|digit| char::from_u32(0x660 + digit)).unwrap_or(sign);
    json!(match draw.below(8) {
        0 => text.bytes().map(char::from).collect::<String>(),
        1 => text.replace('.', ","),
        2 => text.chars().map(in_arabic).collect(),
        3 => text.replace(['-', ':'], "/"),
        4 => format!("{text}\u{FEFF}"),
        5 => text.to_uppercase(),
        6 => format!(" {text}\t"),
        _ => format!("{text}{}", "é".repeat(5_000)),
    })
}

fn as_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
