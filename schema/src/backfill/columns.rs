//! The columns of a header as the tree that their paths make, so that neither a header nor a record costs more than its
//! own length.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use crate::json::Json;

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

/// The members of an object, in the order of their first columns.
#[derive(Debug, Clone, Default)]
pub(super) struct Columns {
    members: Vec<(String, Node)>,
    places: HashMap<String, usize>,
}

/// What stands at a place.
#[derive(Debug, Clone)]
enum Node {
    /// The value of the column with this number.
    Value(usize),
    Object(Columns),
    List(BTreeMap<usize, Node>),
}

impl Columns {
    /// Adds a column. False: another column has the place, or a part of it, or they disagree on whether something is a list.
    pub(super) fn add(&mut self, path: &[Step], column: usize) -> bool {
        let Some((Step::Key(key), rest)) = path.split_first() else { return false };
        if let Some(place) = self.places.get(key) {
            return self.members[*place].1.add(rest, column);
        }
        self.places.insert(key.clone(), self.members.len());
        self.members.push((key.clone(), Node::along(rest, column)));
        true
    }

    /// Elements that all lists together have, those without a column before others included.
    pub(super) fn elements(&self) -> usize {
        self.members.iter().map(|(_, node)| node.elements()).sum()
    }

    /// The object of a record's values, each of which is taken; none when it has none of them.
    pub(super) fn object<'a>(&self, values: &mut [Cow<'a, str>]) -> Option<Json<'a>> {
        let members = self.members.iter().filter_map(|(key, node)| Some((Cow::Owned(key.clone()), node.json(values)?)));
        let members: Vec<_> = members.collect();
        (!members.is_empty()).then_some(Json::Object(members))
    }
}

impl Node {
    /// What a path that nothing shares leads to.
    fn along(path: &[Step], column: usize) -> Self {
        match path.split_first() {
            None => Self::Value(column),
            Some((Step::Key(key), rest)) => Self::Object(Columns {
                members: vec![(key.clone(), Self::along(rest, column))],
                places: HashMap::from([(key.clone(), 0)]),
            }),
            Some((Step::Index(index), rest)) => Self::List(BTreeMap::from([(*index, Self::along(rest, column))])),
        }
    }

    fn add(&mut self, path: &[Step], column: usize) -> bool {
        match (self, path.split_first()) {
            (Self::Object(columns), Some((Step::Key(_), _))) => columns.add(path, column),
            (Self::List(elements), Some((Step::Index(index), rest))) => match elements.get_mut(index) {
                Some(element) => element.add(rest, column),
                None => {
                    elements.insert(*index, Self::along(rest, column));
                    true
                }
            },
            _ => false,
        }
    }

    fn elements(&self) -> usize {
        match self {
            Self::Value(_) => 0,
            Self::Object(columns) => columns.elements(),
            Self::List(elements) => {
                let own = elements.last_key_value().map_or(0, |(last, _)| last + 1);
                own + elements.values().map(Self::elements).sum::<usize>()
            }
        }
    }

    fn json<'a>(&self, values: &mut [Cow<'a, str>]) -> Option<Json<'a>> {
        match self {
            Self::Value(column) => {
                let value = values.get_mut(*column).map(std::mem::take)?;
                (!value.trim().is_empty()).then_some(Json::String(value))
            }
            Self::Object(columns) => columns.object(values),
            Self::List(elements) => {
                let mut items = Vec::new();
                for (index, element) in elements {
                    if let Some(json) = element.json(values) {
                        items.resize(*index, element.empty());
                        items.push(json);
                    }
                }
                (!items.is_empty()).then_some(Json::Array(items))
            }
        }
    }

    /// What stands for an element of which a record says nothing, before one of which it does.
    const fn empty<'a>(&self) -> Json<'a> {
        match self {
            Self::Value(_) => Json::Null,
            Self::Object(_) => Json::Object(Vec::new()),
            Self::List(_) => Json::Array(Vec::new()),
        }
    }
}
