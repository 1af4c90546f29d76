//! What we send in variables: validation sees their types by name only, not what is inside.

use super::{BTreeSet, Comparison, ExtendedType, Parsed};

const REFUSED: &str = "the shop refuses what we send";

impl Comparison<'_> {
    /// Compares the input types of the operation's variables, and those inside them.
    pub(super) fn variables(&mut self, operation: &Parsed) {
        let mut waiting: Vec<String> =
            operation.variables.iter().map(|variable| variable.ty.inner_named_type().as_str().to_owned()).collect();
        let mut seen = BTreeSet::new();
        while let Some(name) = waiting.pop() {
            if seen.insert(name.clone()) {
                self.sent(&name, &mut waiting);
            }
        }
    }

    /// One type that is sent; the types of its fields are added to `waiting`.
    fn sent(&mut self, name: &str, waiting: &mut Vec<String>) {
        let (known, live) = (self.known, self.live);
        let (expected, served) = match (known.types.get(name), live.types.get(name)) {
            (Some(ExtendedType::Enum(_)), Some(ExtendedType::Enum(_))) => return self.values_sent(name),
            (Some(ExtendedType::InputObject(expected)), Some(ExtendedType::InputObject(served))) => (expected, served),
            // Scalars, and what validation tells.
            _ => return,
        };
        for (field, definition) in &expected.fields {
            let place = format!("{name}.{field}");
            let Some(served) = served.fields.get(field) else {
                self.serious(format!("there is no `{place}`"), REFUSED);
                continue;
            };
            let what = format!("`{place}` is `{}`, expected `{}`", served.ty, definition.ty);
            if self.differ_in_kind(&definition.ty, &served.ty) {
                self.serious(what, REFUSED);
                continue;
            }
            if served.is_required() && !definition.is_required() {
                self.remark(what, "every request that leaves it out");
            }
            waiting.push(definition.ty.inner_named_type().as_str().to_owned());
        }
        for (field, definition) in &served.fields {
            if definition.is_required() && !expected.fields.contains_key(field) {
                let what = format!("`{name}.{field}` is required, and not known here");
                self.serious(what, REFUSED);
            }
        }
    }
}
