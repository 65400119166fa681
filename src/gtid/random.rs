//! Numbers for property tests: the same ones in every run, so that a failure is a failure again.

/// Marsaglia's xorshift64.
pub(super) struct Random(u64);

impl Random {
    /// `seed` must not be 0, which xorshift never leaves.
    pub(super) fn seeded(seed: u64) -> Self {
        assert_ne!(seed, 0);
        Random(seed)
    }

    /// A number in `0..limit`.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
