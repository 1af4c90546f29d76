//! A set of a bounded number of hashes that lives on the stack: scoring counts different values all the time.

/// Which of at most `SLOTS` hashes were seen. Hashes are never zero.
pub(super) struct Seen<const SLOTS: usize> {
    slots: [u64; SLOTS],
    count: usize,
}

impl<const SLOTS: usize> Seen<SLOTS> {
    pub(super) const fn new() -> Self {
        assert!(SLOTS.is_power_of_two());
        Self { slots: [0; SLOTS], count: 0 }
    }

    /// Adds a hash. A full set takes no more.
    pub(super) fn insert(&mut self, hash: u64) {
        let hash = hash.max(1);
        let start = scattered(hash, SLOTS);
        for step in 0..SLOTS {
            let slot = &mut self.slots[(start + step) & (SLOTS - 1)];
            if *slot == hash {
                return;
            }
            if *slot == 0 {
                *slot = hash;
                self.count += 1;
                return;
            }
        }
    }

    /// How many different hashes were added.
    pub(super) const fn len(&self) -> usize {
        self.count
    }
}

/// A place among `slots`, a power of two, by the upper bits of a product (Knuth's multiplicative hashing).
pub(super) const fn scattered(hash: u64, slots: usize) -> usize {
    (hash.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize & (slots - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_hashes_count_once_and_a_full_set_takes_no_more() {
        let mut seen = Seen::<8>::new();
        [7, 7, 8, 8, 7].into_iter().for_each(|hash| seen.insert(hash));
        assert_eq!(seen.len(), 2);
        (1..=100).for_each(|hash| seen.insert(hash));
        assert_eq!(seen.len(), 8);
    }
}
