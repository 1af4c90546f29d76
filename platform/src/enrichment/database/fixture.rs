//! Writes small databases in MaxMind's format (specification 2.0), for tests.

use std::net::IpAddr;

use ipnet::IpNet;

/// A value of the data section.
pub(crate) enum Value {
    Text(&'static str),
    Short(u16),
    Number(u32),
    Long(u64),
    Single(f32),
    Double(f64),
    Map(Vec<(&'static str, Value)>),
}

impl Value {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => {
                out.push(2 << 5 | u8::try_from(text.len()).unwrap());
                out.extend(text.as_bytes());
            }
            Self::Short(number) => {
                out.push(5 << 5 | 2);
                out.extend(number.to_be_bytes());
            }
            // Types above seven are written as what they have more.
            Self::Long(number) => {
                out.extend([8, 9 - 7]);
                out.extend(number.to_be_bytes());
            }
            Self::Single(single) => {
                out.extend([4, 15 - 7]);
                out.extend(single.to_be_bytes());
            }
            Self::Number(number) => {
                out.push(6 << 5 | 4);
                out.extend(number.to_be_bytes());
            }
            Self::Double(double) => {
                out.push(3 << 5 | 8);
                out.extend(double.to_be_bytes());
            }
            Self::Map(members) => {
                out.push(7 << 5 | u8::try_from(members.len()).unwrap());
                for (name, value) in members {
                    Self::Text(name).write(out);
                    value.write(out);
                }
            }
        }
    }
}

/// A country's record in the nested layout.
pub(crate) fn nested(code: &'static str) -> Value {
    Value::Map(vec![("country", Value::Map(vec![("iso_code", Value::Text(code))]))])
}

/// Half a node: a node, nothing, or the record of this number.
#[derive(Clone, Copy)]
enum Half {
    Node(usize),
    Nothing,
    Record(usize),
}

/// A database of these networks; of two that overlap the later one must be the narrower.
pub(crate) fn database(kind: &'static str, built_s: u32, records: &[(&str, Value)]) -> Vec<u8> {
    let mut nodes = vec![[Half::Nothing; 2]];
    let mut data = Vec::new();
    let mut offsets = Vec::new();
    for (number, (network, value)) in records.iter().enumerate() {
        offsets.push(data.len());
        value.write(&mut data);
        let network: IpNet = network.parse().unwrap();
        let (bits, length) = match network.network() {
            IpAddr::V4(v4) => (u128::from(u32::from(v4)), 96 + network.prefix_len()),
            IpAddr::V6(v6) => (u128::from(v6), network.prefix_len()),
        };
        insert(&mut nodes, bits, length, number);
    }
    let mut file = Vec::new();
    for half in nodes.iter().flatten() {
        let number = match half {
            Half::Node(node) => *node,
            Half::Nothing => nodes.len(),
            Half::Record(record) => nodes.len() + 16 + offsets[*record],
        };
        file.extend(&u32::try_from(number).unwrap().to_be_bytes()[1..]);
    }
    file.extend([0; 16]);
    file.extend(data);
    file.extend(b"\xab\xcd\xefMaxMind.com");
    let metadata = Value::Map(vec![
        ("binary_format_major_version", Value::Short(2)),
        ("binary_format_minor_version", Value::Short(0)),
        ("build_epoch", Value::Long(built_s.into())),
        ("database_type", Value::Text(kind)),
        ("description", Value::Map(vec![])),
        ("ip_version", Value::Short(6)),
        ("languages", Value::Map(vec![])),
        ("node_count", Value::Number(u32::try_from(nodes.len()).unwrap())),
        ("record_size", Value::Short(24)),
    ]);
    let mut written = Vec::new();
    metadata.write(&mut written);
    // The writer knows no arrays: the empty map of languages becomes an empty array.
    let languages = written.windows(10).position(|window| window == b"Ilanguages").unwrap() + 10;
    written.splice(languages..=languages, [0, 4]);
    file.extend(written);
    file
}

fn insert(nodes: &mut Vec<[Half; 2]>, bits: u128, length: u8, record: usize) {
    let mut node = 0;
    for depth in 0..length {
        let side = usize::from(bits >> (127 - depth) & 1 == 1);
        if depth + 1 == length {
            nodes[node][side] = Half::Record(record);
            return;
        }
        node = match nodes[node][side] {
            Half::Node(next) => next,
            half => {
                nodes.push([half; 2]);
                let next = nodes.len() - 1;
                nodes[node][side] = Half::Node(next);
                next
            }
        };
    }
}
