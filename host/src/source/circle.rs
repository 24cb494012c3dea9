//! Noticing that a listing goes round in a circle, as it would for ever.

/// Tokens of a listing, of which one is kept: the first, the second, the fourth and so on, so that a circle of any length
/// comes back to one that is kept.
#[derive(Debug)]
pub struct Circle<T> {
    kept: Option<T>,
    seen_since: u64,
    keeps_after: u64,
}

impl<T> Default for Circle<T> {
    fn default() -> Self {
        Self { kept: None, seen_since: 0, keeps_after: 1 }
    }
}

impl<T: PartialEq + Clone> Circle<T> {
    /// Goes on to a token; whether it is the one that is kept.
    pub fn closes_at(&mut self, token: &T) -> bool {
        if self.kept.as_ref() == Some(token) {
            return true;
        }
        self.seen_since += 1;
        if self.seen_since == self.keeps_after {
            (self.kept, self.seen_since, self.keeps_after) =
                (Some(token.clone()), 0, self.keeps_after.saturating_mul(2));
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circles_of_any_length_are_noticed_and_what_goes_on_is_none() {
        let mut straight = Circle::default();
        assert!(!(0..10_000).any(|token| straight.closes_at(&token)));
        for (before, length) in [(0, 1), (0, 2), (3, 1), (5, 7), (100, 1_000)] {
            let mut circle = Circle::default();
            let tokens = (0..before).chain((0..length).cycle().map(|token| 1_000_000 + token));
            let noticed = tokens.take(10_000).position(|token| circle.closes_at(&token));
            assert!(noticed.is_some_and(|noticed| noticed <= 4 * (before + length)), "{before} {length}: {noticed:?}");
        }
    }
}
