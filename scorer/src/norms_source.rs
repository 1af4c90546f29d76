//! Where an order's norms come from: its store's newest orders before the day on which it was received.
//!
//! Guarantee: the store is asked once for each day of a tenant, whether its orders are enough for norms or not; all
//! other orders of that day cost a look into memory, which is bounded. Failure: as the store's; nothing is remembered.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::try_join_all;
use touchstone_platform::store::{Store, StoreError};
use touchstone_schema::limits::NORMS_ORDERS;
use touchstone_schema::tenant::Tenant;
use touchstone_schema::time::Timestamp;

use crate::score::norms::StoreNorms;

/// Most norms that are remembered, a few hundred bytes each; then those of the earliest day are forgotten.
const MOST_REMEMBERED: usize = 16_384;
/// Tenants that are read at a time, when a day begins for many at once: half of what an embedded store has connections for.
const READ_AT_A_TIME: usize = 2;

/// What was computed, by the midnight before.
type Remembered = BTreeMap<Timestamp, HashMap<Tenant, Arc<StoreNorms>>>;

/// The norms of the orders that were asked for, by their tenants and the midnights before them.
#[derive(Debug, Default)]
pub(crate) struct NormsByDay<'a>(HashMap<(&'a Tenant, Timestamp), Arc<StoreNorms>>);

impl NormsByDay<'_> {
    /// The norms of an order that was received then; none of one that was not asked for.
    pub(crate) fn of(&self, tenant: &Tenant, received_at: Timestamp) -> Arc<StoreNorms> {
        self.0.get(&(tenant, received_at.day())).cloned().unwrap_or_default()
    }
}

/// Norms for all loops of a process.
#[derive(Debug)]
pub(crate) struct NormsSource {
    store: Store,
    remembered: Mutex<Remembered>,
}

impl NormsSource {
    pub(crate) fn new(store: Store) -> Self {
        Self { store, remembered: Mutex::default() }
    }

    /// The norms of orders of these tenants, received at these times.
    pub(crate) async fn load<'a>(&self, orders: Vec<(&'a Tenant, Timestamp)>) -> Result<NormsByDay<'a>, StoreError> {
        let mut found = NormsByDay::default();
        let mut missing = Vec::new();
        {
            let remembered = self.remembered();
            for (tenant, received_at) in orders {
                let day = received_at.day();
                if found.0.contains_key(&(tenant, day)) {
                    continue;
                }
                let known = remembered.get(&day).and_then(|of_day| of_day.get(tenant)).cloned();
                if known.is_none() {
                    missing.push((tenant, day));
                }
                found.0.insert((tenant, day), known.unwrap_or_default());
            }
        }
        for some in missing.chunks(READ_AT_A_TIME) {
            let read = try_join_all(some.iter().map(|(tenant, day)| self.read(tenant, *day))).await?;
            for (&(tenant, day), norms) in some.iter().zip(read) {
                remember(&mut self.remembered(), tenant, day, &norms);
                found.0.insert((tenant, day), norms);
            }
        }
        Ok(found)
    }

    async fn read(&self, tenant: &Tenant, day: Timestamp) -> Result<Arc<StoreNorms>, StoreError> {
        let sizes = self.store.tenant(tenant).amounts_before(day, NORMS_ORDERS).await?;
        Ok(Arc::new(StoreNorms::of(sizes.iter().map(|size| (size.amount, size.quantity)))))
    }

    fn remembered(&self) -> MutexGuard<'_, Remembered> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn remember(remembered: &mut Remembered, tenant: &Tenant, day: Timestamp, norms: &Arc<StoreNorms>) {
    if remembered.values().map(HashMap::len).sum::<usize>() >= MOST_REMEMBERED {
        remembered.pop_first();
    }
    remembered.entry(day).or_default().insert(tenant.clone(), Arc::clone(norms));
}

#[cfg(test)]
mod tests {
    use touchstone_schema::ids::StoreId;
    use touchstone_schema::tenant::KeyMode;

    use super::*;

    const DAY: Timestamp = Timestamp::from_millis(1_777_852_800_000);

    #[test]
    fn of_too_many_norms_those_of_the_earliest_day_are_forgotten() {
        let tenant = |number: usize| {
            let mut random = [0; 10];
            random[..8].copy_from_slice(&number.to_be_bytes());
            Tenant { store_id: StoreId::mint(DAY, random), mode: KeyMode::Live }
        };
        let next = DAY + std::time::Duration::from_secs(86_400);
        let norms = Arc::default();
        let mut remembered = Remembered::new();
        remember(&mut remembered, &tenant(0), next, &norms);
        for number in 1..MOST_REMEMBERED {
            remember(&mut remembered, &tenant(number), DAY, &norms);
        }
        assert_eq!(remembered[&DAY].len(), MOST_REMEMBERED - 1);
        remember(&mut remembered, &tenant(1), next, &norms);
        assert_eq!((remembered.len(), remembered[&next].len()), (1, 2));
    }
}
