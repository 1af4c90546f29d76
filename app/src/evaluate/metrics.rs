//! Figures that tell how well a ranking finds fraud. Pure, and defined as the usual tools define them, so that figures
//! can be compared: ties count as ties, whatever order the rows came in.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;

/// One order that was measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measured {
    /// Unclamped sum of its reasons' points.
    pub(super) points: i32,
    /// Its risk score, 0 to 100.
    pub(super) score: u8,
    /// Whether it was fraud.
    pub(super) is_fraud: bool,
    /// Days since 1970, UTC.
    pub(super) day: i64,
    /// Number of the card or customer that it belongs to, where the mapping tells.
    pub(super) entity: Option<u32>,
}

/// What orders are ranked by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Rank {
    /// The unclamped sum of points: finer, and what the bands cannot show.
    Points,
    /// The risk score from 0 to 100.
    Score,
}

impl Rank {
    pub(super) fn of(self, measured: &Measured) -> i32 {
        match self {
            Self::Points => measured.points,
            Self::Score => i32::from(measured.score),
        }
    }
}

/// A place at which the ranking can be cut: everything of this rank and above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Step {
    rank: i32,
    fraud: u64,
    legitimate: u64,
}

/// A ranking, cut at each of its different ranks, highest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Curve {
    steps: Vec<Step>,
    fraud: u64,
    legitimate: u64,
}

/// Recall when at most a share of the legitimate orders may be flagged.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Recall {
    /// Share of the frauds that are flagged.
    pub(super) recall: f64,
    /// Share of the legitimate orders that are flagged with them; less than allowed where ranks are tied.
    pub(super) false_positive_rate: f64,
    /// Least rank that is flagged; none when nothing can be.
    pub(super) threshold: Option<i32>,
}

impl Curve {
    /// Cuts the ranking of what was measured.
    pub(super) fn of(ranked: impl Iterator<Item = (i32, bool)>) -> Self {
        let mut by_rank: BTreeMap<i32, (u64, u64)> = BTreeMap::new();
        for (rank, is_fraud) in ranked {
            let (fraud, legitimate) = by_rank.entry(rank).or_default();
            *(if is_fraud { fraud } else { legitimate }) += 1;
        }
        let mut curve = Self { steps: Vec::with_capacity(by_rank.len()), fraud: 0, legitimate: 0 };
        for (rank, (fraud, legitimate)) in by_rank.into_iter().rev() {
            curve.fraud += fraud;
            curve.legitimate += legitimate;
            curve.steps.push(Step { rank, fraud: curve.fraud, legitimate: curve.legitimate });
        }
        curve
    }

    /// Frauds among what was measured.
    pub(super) const fn fraud(&self) -> u64 {
        self.fraud
    }

    /// Orders that were measured.
    pub(super) const fn orders(&self) -> u64 {
        self.fraud + self.legitimate
    }

    /// Area under the ROC curve: the chance that a fraud ranks above a legitimate order, ties counting half. None
    /// without both kinds.
    pub(super) fn auc(&self) -> Option<f64> {
        let pairs = u128::from(self.fraud) * u128::from(self.legitimate);
        let mut won_twice = 0u128;
        let mut above = (0u64, 0u64);
        for step in &self.steps {
            let (fraud, legitimate) = (step.fraud - above.0, step.legitimate - above.1);
            let below = self.legitimate - step.legitimate;
            won_twice += u128::from(fraud) * (2 * u128::from(below) + u128::from(legitimate));
            above = (step.fraud, step.legitimate);
        }
        (pairs > 0).then(|| won_twice as f64 / (2 * pairs) as f64)
    }

    /// Standard error of the area, by Hanley and McNeil (1982): what to expect of another sample as large.
    pub(super) fn auc_error(&self) -> Option<f64> {
        let auc = self.auc()?;
        let (frauds, others) = (self.fraud as f64, self.legitimate as f64);
        let two_frauds = auc / (2.0 - auc) - auc * auc;
        let two_others = 2.0 * auc * auc / (1.0 + auc) - auc * auc;
        let spread = auc * (1.0 - auc) + (frauds - 1.0) * two_frauds + (others - 1.0) * two_others;
        Some((spread / (frauds * others)).max(0.0).sqrt())
    }

    /// Average precision: precision at each cut, weighed by the recall that it adds; not interpolated.
    pub(super) fn average_precision(&self) -> Option<f64> {
        let mut found = 0;
        let mut sum = 0.0;
        for step in &self.steps {
            sum += (step.fraud - found) as f64 * step.fraud as f64 / (step.fraud + step.legitimate) as f64;
            found = step.fraud;
        }
        (self.fraud > 0).then(|| sum / self.fraud as f64)
    }

    /// The best recall at a cut that flags at most this share of the legitimate orders.
    pub(super) fn recall_at(&self, false_positive_rate: f64) -> Option<Recall> {
        if self.fraud == 0 || self.legitimate == 0 {
            return None;
        }
        let allowed =
            self.steps.partition_point(|step| step.legitimate as f64 <= false_positive_rate * self.legitimate as f64);
        let last = allowed.checked_sub(1).and_then(|index| self.steps.get(index));
        let (fraud, legitimate) = last.map_or((0, 0), |step| (step.fraud, step.legitimate));
        Some(Recall {
            recall: fraud as f64 / self.fraud as f64,
            false_positive_rate: legitimate as f64 / self.legitimate as f64,
            threshold: last.map(|step| step.rank),
        })
    }

    /// Points of the ROC curve: share of legitimate orders flagged, share of frauds flagged.
    pub(super) fn roc(&self) -> Vec<(f64, f64)> {
        let cut = |step: &Step| (ratio(step.legitimate, self.legitimate), ratio(step.fraud, self.fraud));
        std::iter::once((0.0, 0.0)).chain(self.steps.iter().map(cut)).collect()
    }

    /// Points of the precision-recall curve: recall, precision.
    pub(super) fn precision_recall(&self) -> Vec<(f64, f64)> {
        let cut = |step: &Step| (ratio(step.fraud, self.fraud), ratio(step.fraud, step.fraud + step.legitimate));
        self.steps.iter().map(cut).collect()
    }
}

pub(super) fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// What a team finds that looks at the top of every day.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct TopOfDay {
    /// Days with anything to look at.
    pub(super) days: usize,
    /// Most that are looked at on a day.
    pub(super) looked_at: usize,
    /// Mean over the days of the share that was fraud.
    pub(super) precision: f64,
    /// What a perfect ranking would reach on the same days.
    pub(super) attainable: f64,
}

/// The top `looked_at` orders of each day; of the same rank, those that came first.
pub(super) fn top_orders(measured: &[Measured], rank: Rank, looked_at: usize) -> Option<TopOfDay> {
    let mut days: BTreeMap<i64, Vec<(i32, bool)>> = BTreeMap::new();
    for order in measured {
        days.entry(order.day).or_default().push((rank.of(order), order.is_fraud));
    }
    mean_over_days(days.into_values().map(|day| found_in_top(day, looked_at)), looked_at)
}

/// The top `looked_at` cards or customers of each day, by their highest rank of that day. One that was found to be
/// defrauded is blocked, so it is not looked at on a later day (Fraud Detection Handbook, "card precision top-k"). None
/// where the mapping names no entity.
pub(super) fn top_entities(measured: &[Measured], rank: Rank, looked_at: usize) -> Option<TopOfDay> {
    let mut days: BTreeMap<i64, Vec<(u32, i32, bool)>> = BTreeMap::new();
    for order in measured {
        days.entry(order.day).or_default().push((order.entity?, rank.of(order), order.is_fraud));
    }
    let mut found: HashSet<u32> = HashSet::new();
    let results = days.into_values().map(|orders| {
        let mut place: BTreeMap<u32, usize> = BTreeMap::new();
        let mut day: Vec<(u32, i32, bool)> = Vec::new();
        for (entity, rank, is_fraud) in orders.into_iter().filter(|(entity, ..)| !found.contains(entity)) {
            let at = *place.entry(entity).or_insert_with(|| {
                day.push((entity, rank, is_fraud));
                day.len() - 1
            });
            day[at].1 = day[at].1.max(rank);
            day[at].2 |= is_fraud;
        }
        let result = found_in_top(day.iter().map(|(_, rank, is_fraud)| (*rank, *is_fraud)).collect(), looked_at);
        day.sort_by_key(|(_, rank, _)| std::cmp::Reverse(*rank));
        found.extend(day.iter().take(looked_at).filter(|(.., is_fraud)| *is_fraud).map(|(entity, ..)| *entity));
        result
    });
    mean_over_days(results, looked_at)
}

/// Shares of fraud in the top of one day: found, and attainable.
fn found_in_top(mut day: Vec<(i32, bool)>, looked_at: usize) -> (f64, f64) {
    let frauds = day.iter().filter(|(_, is_fraud)| *is_fraud).count();
    day.sort_by_key(|(rank, _)| std::cmp::Reverse(*rank)); // stable: of the same rank the first stays first
    let seen = day.len().min(looked_at);
    let found = day.iter().take(seen).filter(|(_, is_fraud)| *is_fraud).count();
    (ratio(found as u64, seen as u64), ratio(frauds.min(seen) as u64, seen as u64))
}

fn mean_over_days(days: impl Iterator<Item = (f64, f64)>, looked_at: usize) -> Option<TopOfDay> {
    let (mut count, mut found, mut attainable) = (0usize, 0.0, 0.0);
    for (of_day, best_of_day) in days {
        count += 1;
        found += of_day;
        attainable += best_of_day;
    }
    let mean = |sum: f64| sum / count as f64;
    (count > 0).then(|| TopOfDay { days: count, looked_at, precision: mean(found), attainable: mean(attainable) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The example of scikit-learn's reference, and one with ties.
    const PLAIN: [(i32, bool); 4] = [(10, false), (40, false), (35, true), (80, true)];
    const TIED: [(i32, bool); 6] = [(5, true), (5, false), (5, false), (3, true), (3, false), (0, false)];

    fn curve(ranked: &[(i32, bool)]) -> Curve {
        Curve::of(ranked.iter().copied())
    }

    fn close(value: Option<f64>, expected: f64) -> bool {
        value.is_some_and(|value| (value - expected).abs() < 1e-12)
    }

    #[test]
    fn areas_are_those_computed_by_hand() {
        assert!(close(curve(&PLAIN).auc(), 0.75));
        assert!(close(curve(&PLAIN).average_precision(), 0.5 + 0.5 * 2.0 / 3.0));
        // Pairs won of 8: the fraud at 5 wins 2 and ties 2, the one at 3 wins 1 and ties 1.
        assert!(close(curve(&TIED).auc(), 4.5 / 8.0));
        assert!(close(curve(&TIED).average_precision(), 0.5 / 3.0 + 0.5 * 2.0 / 5.0));
    }

    #[test]
    fn without_both_kinds_there_are_no_figures() {
        for ranked in [&[][..], &[(1, true)], &[(1, false)]] {
            let curve = curve(ranked);
            assert_eq!((curve.auc(), curve.recall_at(0.5)), (None, None), "{ranked:?}");
        }
        assert_eq!(curve(&[(1, false)]).average_precision(), None);
    }

    #[test]
    fn recall_is_that_of_a_cut_which_can_be_made() {
        let at = |share| curve(&TIED).recall_at(share).map(|at| (at.recall, at.false_positive_rate, at.threshold));
        assert_eq!(at(0.49), Some((0.0, 0.0, None)));
        assert_eq!(at(0.5), Some((0.5, 0.5, Some(5))));
        assert_eq!(at(0.75), Some((1.0, 0.75, Some(3))));
        assert_eq!(at(1.0), Some((1.0, 1.0, Some(0))));
    }

    #[test]
    fn curves_begin_and_end_where_they_must() {
        let roc = curve(&TIED).roc();
        assert_eq!((roc.first(), roc.last()), (Some(&(0.0, 0.0)), Some(&(1.0, 1.0))));
        assert_eq!(curve(&TIED).precision_recall(), [(0.5, 1.0 / 3.0), (1.0, 2.0 / 5.0), (1.0, 2.0 / 6.0)]);
    }

    #[test]
    fn the_error_shrinks_with_the_sample() {
        let of = |times: usize| curve(&PLAIN.repeat(times)).auc_error().expect("both kinds");
        assert!(of(1) > 3.0 * of(10) && of(10) > 3.0 * of(100), "{} {} {}", of(1), of(10), of(100));
    }

    fn order(day: i64, entity: u32, points: i32, is_fraud: bool) -> Measured {
        Measured { points, score: 0, is_fraud, day, entity: Some(entity) }
    }

    #[test]
    fn a_day_is_judged_by_its_top() {
        let measured = [
            order(1, 1, 9, false),
            order(1, 2, 8, true),
            order(1, 3, 7, true),
            order(2, 1, 5, true),
            order(2, 2, 5, false),
            order(2, 3, 5, false),
        ];
        let top = top_orders(&measured, Rank::Points, 2).expect("two days");
        assert_eq!((top.days, top.precision, top.attainable), (2, 0.5, 0.75));
    }

    #[test]
    fn an_entity_counts_once_a_day_and_is_blocked_once_found() {
        let measured = [
            order(1, 1, 9, false),
            order(1, 1, 2, true), // fraud of the entity that its other order put first
            order(1, 2, 8, false),
            order(1, 3, 1, true),
            order(2, 1, 9, true), // found yesterday
            order(2, 3, 5, true),
            order(2, 4, 4, false),
        ];
        let top = top_entities(&measured, Rank::Points, 2).expect("two days");
        assert_eq!((top.days, top.precision, top.attainable), (2, 0.5, 0.75));
        let no_entity = [Measured { entity: None, ..order(1, 1, 1, true) }];
        assert_eq!(top_entities(&no_entity, Rank::Points, 2), None);
    }

    proptest! {
        #[test]
        fn the_area_is_the_share_of_pairs_that_are_ranked_right(
            ranked in prop::collection::vec((-5i32..5, any::<bool>()), 1..60),
        ) {
            let (mut won, mut pairs) = (0.0, 0.0);
            for (fraud, _) in ranked.iter().filter(|(_, is_fraud)| *is_fraud) {
                for (other, _) in ranked.iter().filter(|(_, is_fraud)| !*is_fraud) {
                    pairs += 1.0;
                    won += match fraud.cmp(other) {
                        std::cmp::Ordering::Greater => 1.0,
                        std::cmp::Ordering::Equal => 0.5,
                        std::cmp::Ordering::Less => 0.0,
                    };
                }
            }
            match curve(&ranked).auc() {
                None => prop_assert_eq!(pairs, 0.0),
                Some(auc) => prop_assert!((auc - won / pairs).abs() < 1e-9),
            }
        }

        #[test]
        fn average_precision_is_the_sum_over_frauds_of_precision_at_their_rank(
            ranked in prop::collection::vec((-5i32..5, any::<bool>()), 1..60),
        ) {
            let frauds: Vec<i32> = ranked.iter().filter(|(_, is_fraud)| *is_fraud).map(|(rank, _)| *rank).collect();
            let precision = |rank: i32| {
                let flagged = ranked.iter().filter(|(other, _)| *other >= rank);
                flagged.clone().filter(|(_, is_fraud)| *is_fraud).count() as f64 / flagged.count() as f64
            };
            let expected = frauds.iter().map(|rank| precision(*rank)).sum::<f64>() / frauds.len() as f64;
            match curve(&ranked).average_precision() {
                None => prop_assert!(frauds.is_empty()),
                Some(average) => prop_assert!((average - expected).abs() < 1e-9),
            }
        }
    }
}
