//! Exact search: every row of a source is scored, and the best are kept.

mod many;

pub use many::{ScanQuery, Without, scan_many};

use crate::error::Result;
use crate::metric::{Metric, Scorer};
use crate::topk::{Hit, Place, TopK};
use crate::vector::Vector;

/// Gives rows with vectors, one after the other.
pub trait VectorSource {
    /// What must be kept with a hit, besides its row number.
    type Note;
    /// Moves to the next row. The first call moves to the first row. False if there are no more.
    fn advance(&mut self) -> Result<bool>;
    /// The number of the present row. It decides the order of rows with equal scores.
    fn row(&self) -> Result<i64>;
    /// The vector of the present row; `None` if it has none.
    fn vector(&self) -> Result<Option<Vector<'_>>>;
    /// The score of the present row; `None` if it has no vector.
    #[inline]
    fn score(&self, scorer: &Scorer) -> Result<Option<f64>> {
        self.vector()?.map(|vector| scorer.score(&vector)).transpose()
    }
    /// The note to keep with a hit.
    fn note(&self) -> Result<Self::Note>;
    /// The name of the present row, for messages.
    fn describe(&self) -> String;
}

/// Which rows count, and what happens to rows that cannot be scored.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rules {
    /// Limits on the score.
    pub score: Range,
    /// Limits on the distance.
    pub distance: Range,
    /// If set, only rows that come after this one in the results.
    pub after: Option<Place>,
    /// Leave out rows that cannot be scored. Otherwise they are an error.
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

/// Limits on a number. Each says whether the limit itself is allowed.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Range {
    /// The lower limit.
    pub min: Option<(f64, bool)>,
    /// The upper limit.
    pub max: Option<(f64, bool)>,
}

impl Range {
    fn contains(&self, x: f64) -> bool {
        let above = self.min.is_none_or(|(limit, within)| x > limit || within && x == limit);
        above && self.max.is_none_or(|(limit, within)| x < limit || within && x == limit)
    }
}

/// How many rows a scan has met.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ScanCounts {
    /// Rows with a vector.
    pub rows: u64,
    /// Rows that could not be scored and were left out.
    pub bad: u64,
}

/// Scores every row of `source`, and gives those that the rules admit to `best`. `number` is the position of the source
/// in the user's list.
pub fn scan<S: VectorSource>(
    source: &mut S,
    number: u32,
    scorer: &Scorer,
    rules: &Rules,
    best: &mut TopK<S::Note>,
) -> Result<ScanCounts> {
    let mut counts = ScanCounts::default();
    while source.advance()? {
        let score = match source.score(scorer) {
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
