//! Exact search: every row of a source is scored, and the best are kept.

mod many;

pub use many::{ScanQuery, Without, scan_many};

use crate::error::{Error, Result};
use crate::metric::{Metric, Scorer};
use crate::topk::{Hit, Place, TopK};
use crate::vector::{ElementType, Vector, unit_length};

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
    /// What its vectors are read as.
    fn element(&self) -> ElementType {
        ElementType::F32
    }
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
    /// Whether scores are dot products, and the first row that was kept has a vector of another length than 1.
    pub is_not_unit: bool,
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
    // One row is looked at, as that costs nothing. A column is nearly always of one kind.
    let mut is_unseen = scorer.metric() == Metric::Dot;
    while source.advance()? {
        let score = match source.score(scorer) {
            Ok(Some(score)) => score,
            Ok(None) => continue,
            Err(_) if rules.skip_bad => {
                counts.bad += 1;
                continue;
            }
            Err(error) if counts.rows > 0 || number > 0 => return Err(refused(source, scorer, error)),
            Err(error) => return Err(refused_first(source, scorer, "query", error)),
        };
        counts.rows += 1;
        if best.refuses(score) {
            continue;
        }
        let place = Place { score, source: number, row: source.row()? };
        if best.wants(&place) && rules.admit(scorer.metric(), &place) {
            if std::mem::take(&mut is_unseen) {
                counts.is_not_unit = source.vector()?.is_some_and(|vector| unit_length(&vector).is_err());
            }
            best.offer(Hit { place, note: source.note()? })?;
        }
    }
    Ok(counts)
}

/// The error if a row cannot be scored.
fn refused<S: VectorSource>(source: &S, scorer: &Scorer, error: Error) -> Error {
    let (wanted, element) = (scorer.query().len(), source.element());
    let error = match source.vector() {
        Ok(Some(row)) if row.len() != wanted => {
            Error::dimensions(wanted, "query", element.miscounted(wanted, row.len()))
        }
        _ => error,
    };
    error.within(source.describe())
}

/// The error if the first row of all cannot be scored. If only the lengths differ, the query is more likely wrong than the rows. But an
/// empty vector is wrong in any column, and one that is twice as long may have been stored as float64.
fn refused_first<S: VectorSource>(source: &S, scorer: &Scorer, asked: &str, error: Error) -> Error {
    let length = scorer.query().len();
    match source.vector() {
        Ok(Some(row)) if ![0, length, 2 * length].contains(&row.len()) => {
            let first = format!("first row that was read ({})", source.describe());
            let error = match scorer.metric() {
                Metric::Hamming => Error::expected(format_args!("{} dimensions as in the {first}", row.len()), length),
                _ => Error::dimensions(row.len(), &first, source.element().query_miscounted(row.len(), length)),
            };
            error.within(asked)
        }
        _ => refused(source, scorer, error),
    }
}
