//! What a search looks for, and the bar. Every row that is not proposed has a key below the bar.
//!
//! A guess is the estimate of a row's key less a share of its error. The bar is the k-th greatest guess. It may turn out to be
//! too high, as guesses are not certain. Then the search looks once more, for what [`Aim::after`] says.

use crate::error::Result;
use crate::lock::lock;
use crate::metric::Metric;
use crate::resources::reserve::Reserve;
use crate::scan::Rules;
use crate::topk::Place;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

/// If there were not enough rows above the bar, the next sweep looks for so many times as many.
const WIDER: usize = 4;

/// What a search looks for, in keys.
#[derive(Debug, Clone, Copy)]
pub struct Aim {
    /// Rows whose keys are certainly below this do not matter.
    pub floor: f32,
    /// Rows whose keys are certainly above this do not matter.
    pub ceiling: f32,
    /// How many rows are wanted: the bar is the guess of this rank. `None` keeps it at the floor.
    pub reach: Option<usize>,
}

impl Aim {
    /// `key` gives the key of a score, rounded down. `floor` is the last of the rows that were found elsewhere, if they are as
    /// many as wanted.
    pub fn new(metric: Metric, rules: &Rules, floor: Option<Place>, reach: usize, key: impl Fn(f64) -> f32) -> Self {
        // The same formula turns a score into a distance and a distance into a score.
        let score = |distance| metric.distance(distance);
        let least = [
            rules.score.min.map(|(score, _)| score),
            rules.distance.max.map(|(distance, _)| score(distance)),
            floor.map(|floor| floor.score),
        ];
        let most = [
            rules.score.max.map(|(score, _)| score),
            rules.distance.min.map(|(distance, _)| score(distance)),
            rules.after.map(|after| after.score),
        ];
        let keys = |scores: [Option<f64>; 3]| scores.into_iter().flatten().map(&key);
        Self {
            floor: keys(least).fold(f32::NEG_INFINITY, f32::max),
            ceiling: keys(most).map(f32::next_up).fold(f32::INFINITY, f32::min),
            reach: Some(reach),
        }
    }

    /// The guess, if it counts. If the estimate is above the ceiling, the row is probably not wanted.
    #[inline]
    pub fn guess(&self, estimate: f32, guess: f32) -> Option<f32> {
        (guess.is_finite() && estimate <= self.ceiling).then_some(guess)
    }

    /// What to look for after a sweep with this bar. `last` is the key of the k-th verified row, if there are so many.
    ///
    /// `None` if all rows that matter were proposed. Otherwise the bar was too high: the next sweep looks for everything down
    /// to the k-th row, or for more rows if there were not enough.
    pub fn after(&self, bar: f32, last: Option<f32>) -> Option<Self> {
        let reached = last.map_or(self.floor, |last| last.max(self.floor));
        if reached >= bar || bar <= self.floor {
            return None;
        }
        Some(match (last, self.reach) {
            (None, Some(reach)) => Self { reach: Some(reach.saturating_mul(WIDER)), ..*self },
            _ => Self { floor: reached, reach: None, ..*self },
        })
    }
}

/// A finite number that can be ordered.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Ordered(f32);

impl Eq for Ordered {}

impl Ord for Ordered {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// The greatest guesses, at most as many as rows are wanted.
#[derive(Debug)]
pub struct Guesses {
    reach: usize,
    /// The lowest is on top.
    highest: BinaryHeap<Reverse<Ordered>>,
}

impl Guesses {
    /// None yet.
    pub fn new(reach: usize) -> Self {
        Self { reach, highest: BinaryHeap::new() }
    }

    /// Takes a guess, which must be finite. Gives the bar, the lowest of the greatest guesses, once they are as many as
    /// wanted.
    pub fn offer(&mut self, guess: f32) -> Result<Option<f32>> {
        if self.highest.len() < self.reach {
            self.highest.reserve_room(1)?;
            self.highest.push(Reverse(Ordered(guess)));
        } else if let Some(mut lowest) = self.highest.peek_mut()
            && guess > lowest.0.0
        {
            *lowest = Reverse(Ordered(guess));
        }
        let lowest = self.highest.peek().filter(|_| self.highest.len() == self.reach);
        Ok(lowest.map(|Reverse(Ordered(lowest))| *lowest))
    }

    /// The guesses, in any order.
    pub fn into_values(self) -> impl Iterator<Item = f32> {
        self.highest.into_iter().map(|Reverse(Ordered(guess))| guess)
    }
}

/// A bar that threads share. It is kept as a whole number that has the same order as the float.
#[derive(Debug)]
pub struct SharedBar(AtomicU32);

impl SharedBar {
    /// It begins at `bar`.
    pub fn new(bar: f32) -> Self {
        Self(AtomicU32::new(rank(bar)))
    }

    /// Where it is now.
    pub fn get(&self) -> f32 {
        unrank(self.0.load(Ordering::Relaxed))
    }

    /// Raises it to `bar` if it is lower, and gives where it is then.
    pub fn raise(&self, bar: f32) -> f32 {
        bar.max(unrank(self.0.fetch_max(rank(bar), Ordering::Relaxed)))
    }
}

fn rank(x: f32) -> u32 {
    let bits = x.to_bits();
    if x.is_sign_negative() { !bits } else { bits | 0x8000_0000 }
}

fn unrank(rank: u32) -> f32 {
    f32::from_bits(if rank & 0x8000_0000 == 0 { !rank } else { rank & 0x7FFF_FFFF })
}

/// Guesses that threads share. Otherwise each thread would have to find out for itself where the bar is.
#[derive(Debug)]
pub struct SharedGuesses {
    /// `None` if the bar stays at the floor.
    guesses: Option<Mutex<Guesses>>,
    bar: SharedBar,
}

impl SharedGuesses {
    /// None yet; the bar is at the floor.
    pub fn new(aim: &Aim) -> Self {
        let guesses = aim.reach.map(|reach| Mutex::new(Guesses::new(reach)));
        Self { guesses, bar: SharedBar::new(aim.floor) }
    }

    /// Where the bar is now.
    pub fn bar(&self) -> f32 {
        self.bar.get()
    }

    /// Takes a guess, which must be finite, and gives where the bar is then.
    pub fn offer(&self, guess: f32) -> Result<f32> {
        let guesses = self.guesses.as_ref().map(lock);
        let bar = guesses.map_or(Ok(None), |mut guesses| guesses.offer(guess))?;
        Ok(bar.map_or_else(|| self.bar(), |bar| self.bar.raise(bar)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const AIM: Aim = Aim { floor: -1.0, ceiling: 2.0, reach: Some(3) };

    #[test]
    fn the_bar_is_the_lowest_of_the_greatest_guesses() {
        let mut guesses = Guesses::new(3);
        let bars = [0.5, -2.0, 0.1, 0.3, -3.0, 0.7].map(|guess| guesses.offer(guess).unwrap());
        assert_eq!(bars, [None, None, Some(-2.0), Some(0.1), Some(0.1), Some(0.3)]);
        let mut left: Vec<f32> = guesses.into_values().collect();
        left.sort_by(f32::total_cmp);
        assert_eq!(left, [0.3, 0.5, 0.7]);
    }

    #[test]
    fn a_shared_bar_only_rises() {
        let bars = [f32::NEG_INFINITY, -1e30, -1.0, -1e-40, -0.0, 0.0, 1e-40, 2.5, 1e30, f32::INFINITY];
        for (at, low) in bars.into_iter().enumerate() {
            for high in &bars[at..] {
                for [first, second] in [[low, *high], [*high, low]] {
                    let bar = SharedBar::new(first);
                    assert_eq!((bar.raise(second), bar.get()), (*high, *high), "{first}, {second}");
                }
            }
        }
    }

    #[test]
    fn guesses_of_threads_raise_one_bar() {
        let shared = SharedGuesses::new(&AIM);
        assert_eq!([-4.0, 0.5, -2.0, 1.0].map(|guess| shared.offer(guess).unwrap()), [-1.0, -1.0, -1.0, -1.0]);
        assert_eq!((shared.offer(0.25).unwrap(), shared.bar()), (0.25, 0.25));
        let without = SharedGuesses::new(&Aim { reach: None, ..AIM });
        assert_eq!([1.0; 4].map(|guess| without.offer(guess).unwrap()), [-1.0; 4]);
    }

    #[test]
    fn a_bar_that_was_too_high_is_followed_by_a_wider_aim() {
        let after = |bar, last| AIM.after(bar, last).map(|aim| (aim.floor, aim.reach));
        assert_eq!(after(0.5, Some(0.5)), None, "the k-th row is above the bar");
        assert_eq!(after(0.5, Some(0.25)), Some((0.25, None)), "rows between it and the bar may be missing");
        assert_eq!(after(0.5, None), Some((-1.0, Some(12))), "there are not enough rows");
        assert_eq!(after(-1.0, None), None, "the bar never rose");
        assert_eq!(Aim { reach: None, ..AIM }.after(-1.0, Some(-3.0)).map(|aim| aim.floor), None);
    }

    #[test]
    fn a_guess_counts_below_the_ceiling_alone() {
        assert_eq!(AIM.guess(2.0, 1.5), Some(1.5));
        assert_eq!([AIM.guess(2.1, 1.5), AIM.guess(0.0, f32::INFINITY), AIM.guess(0.0, f32::NAN)], [None; 3]);
    }
}
