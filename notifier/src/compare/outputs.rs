//! What a shop answers: validation says whether a field may be asked for, not whether its value is what we can read.

use apollo_compiler::ast::Type;
use apollo_compiler::schema::FieldDefinition;

use super::{Comparison, ExecutableDocument, ExtendedType, Parsed, Schema, Selection, SelectionSet};

/// Deepest selection that is followed; our documents are far from it.
const DEEPEST: usize = 32;

impl Comparison<'_> {
    /// Walks over all that the operation selects.
    pub(super) fn answers(&mut self, document: &ExecutableDocument, operation: &Parsed) {
        self.selected(document, &operation.selection_set, DEEPEST);
    }

    fn selected(&mut self, document: &ExecutableDocument, set: &SelectionSet, depth: usize) {
        let Some(depth) = depth.checked_sub(1) else { return };
        for selection in &set.selections {
            match selection {
                Selection::Field(field) => {
                    // A field that is gone is told by validation.
                    if let Ok(served) = self.live.type_field(&set.ty, &field.name) {
                        let served = FieldDefinition::clone(served);
                        self.answer(&format!("{}.{}", set.ty, field.name), &field.definition, &served);
                    }
                    self.selected(document, &field.selection_set, depth);
                }
                Selection::InlineFragment(fragment) => self.selected(document, &fragment.selection_set, depth),
                Selection::FragmentSpread(spread) => {
                    if let Some(fragment) = document.fragments.get(&spread.fragment_name) {
                        self.selected(document, &fragment.selection_set, depth);
                    }
                }
            }
        }
    }

    fn answer(&mut self, place: &str, expected: &FieldDefinition, served: &FieldDefinition) {
        if let Some(deprecated) = served.directives.get("deprecated") {
            let reason = deprecated.specified_argument_by_name("reason").and_then(|reason| reason.as_str());
            let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
            self.remark(format!("`{place}` is deprecated{reason}"), "nothing yet, but it will go");
        }
        let (expected, served) = (&expected.ty, &served.ty);
        let shape = format!("`{place}` is `{served}`, expected `{expected}`");
        if self.differ_in_kind(expected, served) {
            self.serious(shape, "its answer cannot be read");
        } else if self.is_leaf(expected) && expected.inner_named_type() != served.inner_named_type() {
            self.remark(shape, "nothing, as long as its values are written in the same way");
        } else if !same_name(expected, served).is_assignable_to(expected) {
            self.remark(shape, "the reading of orders for which it is missing");
        }
        if let Some(ExtendedType::Enum(_)) = self.known.types.get(expected.inner_named_type()) {
            self.values_met(expected.inner_named_type(), served.inner_named_type());
        }
    }

    /// Whether one is written otherwise than the other: as a list, or a number instead of a text.
    pub(super) fn differ_in_kind(&self, expected: &Type, served: &Type) -> bool {
        if depth_of(expected) != depth_of(served) {
            return true;
        }
        let (expected, served) = (expected.inner_named_type(), served.inner_named_type());
        match (kind_of(self.known, expected), kind_of(self.live, served)) {
            // How a scalar of their own is written, only its documentation tells.
            (Kind::OwnScalar, Kind::Object) | (Kind::Object, Kind::OwnScalar) => true,
            (Kind::OwnScalar, _) | (_, Kind::OwnScalar) => false,
            (Kind::Number, Kind::Number) => expected == "Int" && served == "Float",
            (expected, served) => expected != served,
        }
    }

    fn is_leaf(&self, ty: &Type) -> bool {
        kind_of(self.known, ty.inner_named_type()) != Kind::Object
    }
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
    Truth,
    OwnScalar,
    Object,
}

fn kind_of(schema: &Schema, name: &str) -> Kind {
    match (name, schema.types.get(name)) {
        ("String" | "ID", _) | (_, Some(ExtendedType::Enum(_))) => Kind::Text,
        ("Int" | "Float", _) => Kind::Number,
        ("Boolean", _) => Kind::Truth,
        (_, Some(ExtendedType::Scalar(_)) | None) => Kind::OwnScalar,
        _ => Kind::Object,
    }
}

/// How many lists are around the value.
fn depth_of(ty: &Type) -> usize {
    match ty {
        Type::Named(_) | Type::NonNullNamed(_) => 0,
        Type::List(inner) | Type::NonNullList(inner) => 1 + depth_of(inner),
    }
}

/// The served type under the name that we expect, so that only what may be missing is compared.
fn same_name(expected: &Type, served: &Type) -> Type {
    let name = expected.inner_named_type().clone();
    fn renamed(ty: &Type, name: apollo_compiler::Name) -> Type {
        match ty {
            Type::Named(_) => Type::Named(name),
            Type::NonNullNamed(_) => Type::NonNullNamed(name),
            Type::List(inner) => Type::List(Box::new(renamed(inner, name))),
            Type::NonNullList(inner) => Type::NonNullList(Box::new(renamed(inner, name))),
        }
    }
    renamed(served, name)
}
