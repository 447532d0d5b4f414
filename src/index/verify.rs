//! True scores of proposed rows: a row is fetched, compared with what proposed it, scored, and kept if it is among the best.

use super::bar::Aim;
use super::proposer::{Proposal, Proposals};
use super::request::{FetchedRow, Reason, RowSource, Stats};
use crate::codec::fingerprint;
use crate::error::{Error, Result};
use crate::metric::Scorer;
use crate::scan::Rules;
use crate::topk::{Hit, Place, TopK};
use crate::vector::Vector;

/// A row that was fetched, and the bits of its score; `None` where the row was gone.
pub type ScoreBits = (i64, Option<u64>);

/// What a search fetched, for one that is asked the same later.
#[derive(Default)]
pub struct FetchedScores {
    /// In their order.
    pub scores: Vec<ScoreBits>,
    /// A row could not be scored.
    pub has_bad: bool,
}

/// The best verified rows of one query.
pub struct Verifier<'a> {
    scorer: &'a Scorer,
    rules: &'a Rules,
    source: u32,
    best: TopK<()>,
    /// Where it notes what it fetches, if anybody wants to know.
    fetches: Option<&'a mut FetchedScores>,
}

/// What came of a fetched row.
pub enum Verdict {
    /// Nothing is wrong with it.
    Fine,
    /// It could not be scored, and may not be skipped.
    Refused(Error),
    /// It shows that the index does not belong to the rows any more.
    Stale(Reason),
}

impl<'a> Verifier<'a> {
    /// No rows yet.
    pub fn new(scorer: &'a Scorer, rules: &'a Rules, source: u32, limit: usize) -> Self {
        Self { scorer, rules, source, best: TopK::new(limit), fetches: None }
    }

    /// The same, which notes what it fetches.
    pub fn noting(self, fetches: Option<&'a mut FetchedScores>) -> Self {
        Self { fetches, ..self }
    }

    /// Fetches a row and takes it in. A reason says that the index does not belong to the rows any more.
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
        let Some(fetches) = &mut self.fetches else { return };
        match score {
            Some(Err(_)) => fetches.has_bad = true,
            Some(Ok(score)) => fetches.scores.push((rowid, Some(score.to_bits()))),
            None => fetches.scores.push((rowid, None)),
        }
    }

    /// The true score.
    pub fn score(&self, vector: &Vector<'_>) -> Result<f64> {
        self.scorer.score(vector)
    }

    /// Takes in a row with this score. `takes_part` is asked only where it matters.
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
                    self.best.offer(Hit { place, note: () });
                }
            }
            Err(_) if !takes_part()? => {}
            Err(_) if self.rules.skip_bad => stats.bad += 1,
            Err(error) => return Ok(Verdict::Refused(error)),
        }
        Ok(Verdict::Fine)
    }

    /// The key of the last of the best, if they are as many as wanted.
    pub fn last<P: Proposals>(&self, proposals: &P) -> Option<f32> {
        self.best.last().map(|last| proposals.key(last.score))
    }

    /// What is left to look for, now that the rows proposed for this aim are verified.
    pub fn left<P: Proposals>(&self, aim: &Aim, proposals: &P) -> Option<Aim> {
        aim.after(proposals.bar(), self.last(proposals))
    }

    /// The best, best first.
    pub fn into_places(self) -> Vec<Place> {
        self.best.into_sorted().into_iter().map(|hit| hit.place).collect()
    }
}

/// The vector of a fetched row, if it is the one that was proposed; `None` where the row is gone.
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
