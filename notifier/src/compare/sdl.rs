//! From the answer of an introspection to a schema.
//!
//! What a shop tells is written as SDL and parsed. Names are checked on the way, so that nothing in the answer is
//! anything but a name. The schema need not be valid: only what we use of it has to fit.

use std::fmt::Write as _;

use apollo_compiler::Schema;
use apollo_compiler::validation::Valid;
use serde::Deserialize;
use serde_json::Value;

use super::CompareError;

/// Scalars that every schema has.
const BUILT_IN: [&str; 5] = ["Int", "Float", "String", "Boolean", "ID"];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Described {
    query_type: Root,
    mutation_type: Option<Root>,
    types: Vec<Type>,
}

#[derive(Deserialize)]
struct Root {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Type {
    kind: Kind,
    name: String,
    fields: Option<Vec<Field>>,
    input_fields: Option<Vec<Input>>,
    interfaces: Option<Vec<Reference>>,
    enum_values: Option<Vec<EnumValue>>,
    possible_types: Option<Vec<Reference>>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Kind {
    Scalar,
    Object,
    Interface,
    Union,
    Enum,
    InputObject,
    List,
    NonNull,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Field {
    name: String,
    #[serde(default)]
    args: Vec<Input>,
    #[serde(rename = "type")]
    ty: Reference,
    #[serde(default)]
    is_deprecated: bool,
    deprecation_reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    name: String,
    #[serde(rename = "type")]
    ty: Reference,
    default_value: Option<String>,
}

#[derive(Deserialize)]
struct EnumValue {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reference {
    kind: Kind,
    name: Option<String>,
    of_type: Option<Box<Reference>>,
}

/// The schema that an introspection tells of: the whole answer, its `data`, or what is in that.
pub(super) fn schema_of(introspection: &Value) -> Result<Valid<Schema>, CompareError> {
    let data = introspection.get("data").unwrap_or(introspection);
    let described = data.get("__schema").unwrap_or(data);
    let described = Described::deserialize(described).map_err(|error| unreadable(error.to_string()))?;
    let mut text = String::new();
    write_roots(&described, &mut text)?;
    for ty in &described.types {
        if !ty.name.starts_with("__") && !BUILT_IN.contains(&ty.name.as_str()) {
            write_type(ty, &mut text)?;
        }
    }
    let parsed = Schema::parse(text, "the shop's schema").map_err(|errors| {
        let first = errors.errors.iter().next().map(|first| first.error.to_string());
        unreadable(first.unwrap_or_default())
    })?;
    Ok(Valid::assume_valid(parsed))
}

fn unreadable(problem: String) -> CompareError {
    CompareError::Introspection(problem)
}

/// A name as GraphQL has them; nothing else gets into the text.
fn name(text: &str) -> Result<&str, CompareError> {
    let sound = text.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
        && text.bytes().next().is_some_and(|first| !first.is_ascii_digit());
    if sound { Ok(text) } else { Err(unreadable(format!("{text:.40?} is not a name"))) }
}

fn write_roots(described: &Described, text: &mut String) -> Result<(), CompareError> {
    text.push_str("schema { query: ");
    text.push_str(name(&described.query_type.name)?);
    if let Some(mutation) = &described.mutation_type {
        text.push_str(" mutation: ");
        text.push_str(name(&mutation.name)?);
    }
    text.push_str(" }\n");
    Ok(())
}

fn write_type(ty: &Type, text: &mut String) -> Result<(), CompareError> {
    let keyword = match ty.kind {
        Kind::Scalar => "scalar",
        Kind::Object => "type",
        Kind::Interface => "interface",
        Kind::Union => "union",
        Kind::Enum => "enum",
        Kind::InputObject => "input",
        Kind::List | Kind::NonNull => return Err(unreadable(format!("type {:.40?} is a wrapper", ty.name))),
    };
    text.push_str(keyword);
    text.push(' ');
    text.push_str(name(&ty.name)?);
    write_names(" implements ", " & ", ty.interfaces.as_deref(), text)?;
    match ty.kind {
        Kind::Union => write_names(" = ", " | ", ty.possible_types.as_deref(), text)?,
        Kind::Object | Kind::Interface => write_block(ty.fields.as_deref(), text, write_field)?,
        Kind::InputObject => write_block(ty.input_fields.as_deref(), text, write_input)?,
        Kind::Enum => write_block(ty.enum_values.as_deref(), text, |value, text| {
            text.push_str(name(&value.name)?);
            Ok(())
        })?,
        Kind::Scalar | Kind::List | Kind::NonNull => {}
    }
    text.push('\n');
    Ok(())
}

fn write_names(
    before: &str,
    between: &str,
    references: Option<&[Reference]>,
    text: &mut String,
) -> Result<(), CompareError> {
    for (index, reference) in references.unwrap_or_default().iter().enumerate() {
        text.push_str(if index == 0 { before } else { between });
        write_reference(reference, text)?;
    }
    Ok(())
}

/// An empty block is no SDL, so it is left out.
fn write_block<T>(
    members: Option<&[T]>,
    text: &mut String,
    write: impl Fn(&T, &mut String) -> Result<(), CompareError>,
) -> Result<(), CompareError> {
    let members = members.unwrap_or_default();
    if members.is_empty() {
        return Ok(());
    }
    text.push_str(" {\n");
    for member in members {
        write(member, text)?;
        text.push('\n');
    }
    text.push('}');
    Ok(())
}

fn write_field(field: &Field, text: &mut String) -> Result<(), CompareError> {
    text.push_str(name(&field.name)?);
    if !field.args.is_empty() {
        text.push('(');
        for argument in &field.args {
            write_input(argument, text)?;
            text.push(' ');
        }
        text.push(')');
    }
    text.push_str(": ");
    write_reference(&field.ty, text)?;
    if field.is_deprecated {
        // JSON strings are GraphQL strings.
        let reason = Value::from(field.deprecation_reason.as_deref().unwrap_or_default());
        let _ = write!(text, " @deprecated(reason: {reason})");
    }
    Ok(())
}

fn write_input(input: &Input, text: &mut String) -> Result<(), CompareError> {
    text.push_str(name(&input.name)?);
    text.push_str(": ");
    write_reference(&input.ty, text)?;
    if input.default_value.is_some() {
        // That there is a default makes it optional; which one it is makes no difference to us.
        text.push_str(" = null");
    }
    Ok(())
}

fn write_reference(reference: &Reference, text: &mut String) -> Result<(), CompareError> {
    let inner = || reference.of_type.as_deref().ok_or_else(|| unreadable("a type is wrapped too deep".to_owned()));
    match reference.kind {
        Kind::List => {
            text.push('[');
            write_reference(inner()?, text)?;
            text.push(']');
        }
        Kind::NonNull => {
            write_reference(inner()?, text)?;
            text.push('!');
        }
        _ => text.push_str(name(reference.name.as_deref().unwrap_or_default())?),
    }
    Ok(())
}
