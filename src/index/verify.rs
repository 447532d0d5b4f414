//! True scores of proposed rows. A row is fetched, its fingerprint is compared, it is scored, and it is kept if it is among the
//! best so far.

use super::bar::Aim;
use super::proposer::{Proposal, Proposals};
use super::request::{FetchedRow, Reason, RowSource, Stats};
use crate::codec::fingerprint;
use crate::error::{Error, Result};
use crate::metric::Scorer;
use crate::resources::reserve;
use crate::scan::Rules;
use crate::topk::{Hit, Place, TopK};
use crate::vector::Vector;

/// A row that was fetched.
#[derive(Debug, Clone, Copy)]
pub struct FetchedScore {
    pub rowid: i64,
    /// The bits of its score; `None` if there was no such row.
    pub bits: Option<u64>,
}

/// All rows that a search fetched. If the same is asked later, they are fetched again and compared with this.
pub struct FetchedScores {
    /// In the order in which they were fetched.
    pub scores: Vec<FetchedScore>,
    /// How many are noted at most. What is longer is not kept, so it need not take memory now.
    most: usize,
    /// Every row is noted. It is not so if one could not be scored, or if there were too many.
    pub is_complete: bool,
}

impl FetchedScores {
    /// None yet.
    pub fn new(most: usize) -> Self {
        Self { scores: Vec::new(), most, is_complete: true }
    }

    fn note(&mut self, rowid: i64, score: Option<&Result<f64>>) {
        let bits = score.and_then(|score| score.as_ref().ok()).map(|score| score.to_bits());
        self.is_complete &= !matches!(score, Some(Err(_))) && self.scores.len() < self.most;
        if self.is_complete {
            self.scores.push(FetchedScore { rowid, bits });
        }
    }
}

/// The best verified rows of one query.
pub struct Verifier<'a> {
    scorer: &'a Scorer,
    rules: &'a Rules,
    source: u32,
    best: TopK<()>,
    /// Where fetched rows are noted, if somebody needs them later.
    fetches: Option<&'a mut FetchedScores>,
}

/// What came of a fetched row.
pub enum Verdict {
    /// Nothing is wrong with it.
    Fine,
    /// It could not be scored, and such rows may not be skipped.
    Refused(Error),
    /// It shows that the index does not belong to the rows any more.
    Stale(Reason),
}

impl<'a> Verifier<'a> {
    /// No rows yet.
    pub fn new(scorer: &'a Scorer, rules: &'a Rules, source: u32, limit: usize) -> Self {
        Self { scorer, rules, source, best: TopK::new(limit), fetches: None }
    }

    /// The same, and fetched rows are noted here.
    pub fn noting(self, fetches: Option<&'a mut FetchedScores>) -> Self {
        Self { fetches, ..self }
    }

    /// Fetches a row and verifies it. A reason says that the index does not belong to the rows any more.
    pub fn fetch<R: RowSource>(
        &mut self,
        proposal: &Proposal,
        rows: &mut R,
        stats: &mut Stats,
    ) -> Result<Option<Reason>> {
        stats.fetched += 1;
        let rowid = proposal.rowid;
        let score = match vector_of(rows.fetch(rowid)?, rowid, [proposal.fingerprint], stats) {
            Ok(Some(vector)) => self.score(&vector),
            Ok(None) => {
                self.note(rowid, None);
                return Ok(None);
            }
            Err(reason) => return Ok(Some(reason)),
        };
        self.note(rowid, Some(&score));
        match self.take(rowid, score, || rows.takes_part(), stats)? {
            Verdict::Fine => Ok(None),
            Verdict::Stale(reason) => Ok(Some(reason)),
            Verdict::Refused(error) => Err(error.within(rows.describe(rowid))),
        }
    }

    fn note(&mut self, rowid: i64, score: Option<&Result<f64>>) {
        if let Some(fetches) = &mut self.fetches {
            fetches.note(rowid, score);
        }
    }

    /// The true score of a vector.
    pub fn score(&self, vector: &Vector<'_>) -> Result<f64> {
        self.scorer.score(vector)
    }

    /// Keeps a row if it is among the best so far. `takes_part` is asked only if the answer matters.
    pub fn take(
        &mut self,
        rowid: i64,
        score: Result<f64>,
        takes_part: impl FnOnce() -> Result<bool>,
        stats: &mut Stats,
    ) -> Result<Verdict> {
        match score {
            Ok(score) => {
                let place = Place { score, source: self.source, row: rowid };
                let counts = self.best.wants(&place) && self.rules.admit(self.scorer.metric(), &place);
                if counts && takes_part()? {
                    self.best.offer(Hit { place, note: () })?;
                }
            }
            Err(_) if !takes_part()? => {}
            Err(_) if self.rules.skip_bad => stats.bad += 1,
            Err(error) => return Ok(Verdict::Refused(error)),
        }
        Ok(Verdict::Fine)
    }

    /// The key of the last of the best, if there are as many as wanted.
    fn last<P: Proposals>(&self, proposals: &P) -> Option<f32> {
        self.best.last().map(|last| proposals.key(last.score))
    }

    /// Rows whose keys are below this are certainly not among the best.
    pub fn least<P: Proposals>(&self, aim: &Aim, proposals: &P) -> f32 {
        self.last(proposals).map_or(aim.floor, |last| last.max(aim.floor))
    }

    /// What is still to be looked for, after all rows that were proposed for this aim are verified.
    pub fn left<P: Proposals>(&self, aim: &Aim, proposals: &P) -> Option<Aim> {
        aim.after(proposals.bar(), self.last(proposals))
    }

    /// The best, best first.
    pub fn into_places(self) -> Result<Vec<Place>> {
        reserve::collect(self.best.into_sorted().into_iter().map(|hit| hit.place))
    }
}

/// The vector of a fetched row, if its fingerprint is the one that was proposed; `None` if there is no such row.
pub fn vector_of<'a>(
    row: FetchedRow<'a>,
    rowid: i64,
    proposed: impl IntoIterator<Item = u32>,
    stats: &mut Stats,
) -> std::result::Result<Option<Vector<'a>>, Reason> {
    match row {
        FetchedRow::Gone => {
            stats.ghosts += 1;
            Ok(None)
        }
        FetchedRow::Doubtful => Err(Reason::Missing(rowid)),
        FetchedRow::Vector(vector) => {
            let own = fingerprint(&vector);
            let is_same = proposed.into_iter().all(|fingerprint| fingerprint == own);
            if is_same { Ok(Some(vector)) } else { Err(Reason::Changed(rowid)) }
        }
    }
}
