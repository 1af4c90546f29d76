//! The sets of rules that ship with the program. They are written in the language of rules, in the JSON files beside
//! this one; each set includes those before it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use touchstone_schema::json::{Json, Path};
use touchstone_schema::wire_enum;

use super::super::policy::read::{Faults, Place};
use super::Rule;
use super::parse::RuleReader;

wire_enum! {
    /// A set of rules that ships with the program.
    Preset {
        /// The five base rules of the signal catalogue.
        Base = "base",
        /// And rules for what the order itself tells.
        Medium = "medium",
        /// And rules on network, card and history.
        Advanced = "advanced",
        /// And rules for stores with a past of their own and people who review.
        Expert = "expert",
    }
}

impl Default for Preset {
    /// The base rules are on by default (signal catalogue, last paragraph).
    fn default() -> Self {
        Self::Base
    }
}

/// The rules that each preset adds to those before it.
static ADDED: LazyLock<Vec<(Preset, Vec<Rule>)>> =
    LazyLock::new(|| Preset::ALL.iter().map(|preset| (*preset, read(*preset, &mut Faults::default()))).collect());

const fn file(preset: Preset) -> &'static str {
    match preset {
        Preset::Base => include_str!("presets/base.json"),
        Preset::Medium => include_str!("presets/medium.json"),
        Preset::Advanced => include_str!("presets/advanced.json"),
        Preset::Expert => include_str!("presets/expert.json"),
    }
}

/// The rules of a preset's own file. That all of them are right is tested.
fn read(preset: Preset, faults: &mut Faults) -> Vec<Rule> {
    let no_keys = BTreeMap::new();
    match Json::parse_text(file(preset)) {
        Ok(json) => RuleReader::new(&no_keys).rules(Place::new(&json, &Path::Root), faults),
        Err(error) => {
            faults.add(&Path::Root, error.to_string());
            Vec::new()
        }
    }
}

/// Every rule of every preset, with the smallest preset that has it.
pub fn added() -> impl Iterator<Item = (Preset, &'static Rule)> {
    ADDED.iter().flat_map(|(preset, rules)| rules.iter().map(|rule| (*preset, rule)))
}

/// Every rule of every preset.
pub fn all() -> impl Iterator<Item = &'static Rule> {
    added().map(|(_, rule)| rule)
}

/// The rules that apply under a preset and a store's own: its own take the place of those of the same name.
pub(in crate::score) fn effective(preset: Preset, own: &[Rule]) -> impl Iterator<Item = &Rule> {
    let shipped = added().filter(move |(of, _)| *of <= preset).map(|(_, rule)| rule);
    shipped.filter(move |shipped| own.iter().all(|rule| rule.code() != shipped.code())).chain(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_right_and_adds_rules() {
        for preset in Preset::ALL {
            let mut faults = Faults::default();
            let rules = read(*preset, &mut faults);
            assert_eq!(faults.none_or(Some(())), Ok(()), "{preset}");
            assert!(rules.len() >= 5, "{preset}");
            assert!(rules.iter().all(|rule| rule.detail.is_some()), "{preset}");
        }
    }

    #[test]
    fn every_rule_has_a_code_of_its_own() {
        let mut codes: Vec<_> = all().map(Rule::code).collect();
        codes.sort();
        let count = codes.len();
        codes.dedup();
        assert_eq!(codes.len(), count);
    }

    #[test]
    fn a_preset_includes_the_ones_before_it() {
        let counts = [Preset::Base, Preset::Medium, Preset::Advanced, Preset::Expert]
            .map(|preset| effective(preset, &[]).count());
        assert!(counts.is_sorted() && counts[0] == 5, "{counts:?}");
    }
}
