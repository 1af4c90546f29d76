//! The one source of randomness: the operating system's.

/// Random bytes fit for secrets.
///
/// # Panics
/// When the operating system has no randomness to give, which leaves nothing safe to do.
#[expect(clippy::disallowed_methods, reason = "this is the place that the ban points to")]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0u8; N];
    getrandom::fill(&mut bytes).expect("the operating system provides randomness");
    bytes
}

/// A uniformly drawn fraction in `[0, 1)`, for jitter.
pub fn fraction() -> f64 {
    let bits = u64::from_le_bytes(bytes()) >> 11;
    bits as f64 / (1u64 << 53) as f64
}
