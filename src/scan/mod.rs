//! Exact search: every row of a source is scored, the best are kept.

mod many;

pub use many::{Asking, Without, scan_many};

use crate::error::Result;
use crate::metric::{Metric, Scorer};
use crate::topk::{Hit, Place, TopK};
use crate::vector::Vector;

/// Rows with vectors, one after the other.
pub trait VectorSource {
    /// What a hit has to remember beside its row.
    type Note;
    /// Moves to the next row, the first one to begin with; false when there is none.
    fn advance(&mut self) -> Result<bool>;
    /// The present row's identity, which settles ties.
    fn row(&self) -> Result<i64>;
    /// The present row's vector, `None` where it has none.
    fn vector(&self) -> Result<Option<Vector<'_>>>;
    /// The note to keep with a hit.
    fn note(&self) -> Result<Self::Note>;
    /// Names the present row for messages.
    fn describe(&self) -> String;
}

/// Which rows count, and what happens to those that cannot be scored.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rules {
    /// Limits on the score.
    pub score: Range,
    /// Limits on the distance.
    pub distance: Range,
    /// Only rows that come later than this one in the results.
    pub after: Option<Place>,
    /// Pass over rows that cannot be scored, instead of failing.
    pub skip_bad: bool,
}

impl Rules {
    /// Whether a row at this place counts.
    pub fn admit(&self, metric: Metric, place: &Place) -> bool {
        self.after.is_none_or(|last| *place > last)
            && self.score.contains(place.score)
            && self.distance.contains(metric.distance(place.score))
    }
}

/// Limits on a number, each with whether the limit itself is within.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Range {
    /// Nothing below this.
    pub min: Option<(f64, bool)>,
    /// Nothing above this.
    pub max: Option<(f64, bool)>,
}

impl Range {
    fn contains(&self, x: f64) -> bool {
        let above = self.min.is_none_or(|(limit, within)| x > limit || within && x == limit);
        above && self.max.is_none_or(|(limit, within)| x < limit || within && x == limit)
    }
}

/// What a scan met.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows with a vector.
    pub rows: u64,
    /// Rows that could not be scored and were skipped.
    pub bad: u64,
}

/// Shows every row of `source` that the rules admit to `best`. `number` is the source's place among several.
pub fn scan<S: VectorSource>(
    source: &mut S,
    number: u32,
    scorer: &Scorer,
    rules: &Rules,
    best: &mut TopK<S::Note>,
) -> Result<Counts> {
    let mut counts = Counts::default();
    while source.advance()? {
        let score = match score(source, scorer) {
            Ok(Some(score)) => score,
            Ok(None) => continue,
            Err(_) if rules.skip_bad => {
                counts.bad += 1;
                continue;
            }
            Err(error) => return Err(error.within(source.describe())),
        };
        counts.rows += 1;
        if best.refuses(score) {
            continue;
        }
        let place = Place { score, source: number, row: source.row()? };
        if best.wants(&place) && rules.admit(scorer.metric(), &place) {
            best.offer(Hit { place, note: source.note()? })?;
        }
    }
    Ok(counts)
}

#[inline]
fn score<S: VectorSource>(source: &S, scorer: &Scorer) -> Result<Option<f64>> {
    match source.vector()? {
        Some(vector) => scorer.score(&vector).map(Some),
        None => Ok(None),
    }
}
