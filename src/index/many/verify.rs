//! True scores of the rows that a sweep proposes to many queries. A row is fetched once for all of them.
//!
//! The rows with the greatest bounds come first. Their true scores rule out most of the others, which then need not be fetched.

use super::request::BatchRequest;
use super::sweep::{BatchCandidate, BatchSweep, Method, Seeker, Shortlist};
use crate::error::Result;
use crate::index::bar::Aim;
use crate::index::proposer::{Proposal, Proposals};
use crate::index::request::{FetchedRow, Reason, RowSource, Stats};
use crate::index::verify::{Verdict, Verifier, vector_of};
use crate::resources::reserve;
use crate::topk::Place;
use std::sync::Arc;
use std::{iter, slice};

/// How far the queries are.
pub struct BatchState<Q> {
    /// The best rows of each query that has its answer.
    pub places: Vec<Option<Vec<Place>>>,
    /// The queries that have to sweep again.
    pub left: Vec<Seeker<Q>>,
}

impl<Q: Clone> BatchState<Q> {
    /// Verifies the rows that a sweep proposes. A reason says that the index does not belong to the rows any more.
    pub fn take<M: Method<MethodQuery = Q>, R: RowSource>(
        &mut self,
        (sweep, mut lists): (Arc<BatchSweep<M>>, Vec<Shortlist>),
        request: &BatchRequest<'_>,
        rows: &mut R,
        rows_in_all: u64,
        stats: &mut Stats,
    ) -> Result<Option<Reason>> {
        lists.iter_mut().for_each(|list| list.candidates.sort_unstable_by(|a, b| b.upper.total_cmp(&a.upper)));
        let asking = sweep.seekers.iter().zip(&lists).map(|(seeker, list)| Asking {
            aim: &seeker.aim,
            proposals: QueryProposals {
                query: &seeker.query,
                key: M::key,
                bar: list.bar,
                candidates: list.candidates.iter(),
            },
            verifier: Verifier::new(
                request.queries[seeker.number].scorer,
                request.rules,
                request.source,
                request.limit,
            ),
        });
        let mut asking = reserve::collect(asking)?;
        // Each round rules out more of what is left. A few larger rounds meet more rows that lie together.
        let sizes = iter::successors(Some(request.limit.div_ceil(2)), |most| Some(most.saturating_mul(2)));
        for most in iter::once(request.limit).chain(sizes) {
            let before = stats.fetched;
            if let Some(reason) = verify(&mut asking, most, rows, rows_in_all, stats)? {
                return Ok(Some(reason));
            }
            if stats.fetched == before {
                break;
            }
        }
        for (seeker, Asking { proposals, verifier, .. }) in sweep.seekers.iter().zip(asking) {
            match verifier.left(&seeker.aim, &proposals) {
                None => self.places[seeker.number] = Some(verifier.into_places()?),
                Some(aim) => self.left.push(Seeker { aim, ..seeker.clone() }),
            }
        }
        Ok(None)
    }
}

/// The rows that a sweep proposes for one query.
struct QueryProposals<'a, Q> {
    query: &'a Q,
    /// As the method has it.
    key: fn(&Q, f64) -> f32,
    bar: f32,
    candidates: slice::Iter<'a, BatchCandidate>,
}

impl<Q> Proposals for QueryProposals<'_, Q> {
    fn key(&self, score: f64) -> f32 {
        (self.key)(self.query, score)
    }

    fn bar(&self) -> f32 {
        self.bar
    }

    #[allow(clippy::neg_cmp_op_on_partial_ord, reason = "a candidate whose limit is NaN stays")]
    fn next(&mut self, least: f32, _: &mut Stats) -> Result<Option<Proposal>> {
        let next = self.candidates.by_ref().find(|candidate| !(candidate.upper < least));
        Ok(next.map(|candidate| Proposal { rowid: candidate.rowid, fingerprint: candidate.fingerprint }))
    }
}

/// A row that is proposed to one of the queries of a sweep. Flat, because there may be very many, and they are sorted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct BatchProposal {
    rowid: i64,
    fingerprint: u32,
    /// The place of the query among those of the sweep.
    query: u32,
}

/// A query of a sweep whose rows are verified.
struct Asking<'a, P> {
    aim: &'a Aim,
    proposals: P,
    verifier: Verifier<'a>,
}

/// Verifies at most so many of the rows that are proposed for each query, in the order of the rowids. A reason says that the
/// index does not belong to the rows any more.
fn verify<P: Proposals, R: RowSource>(
    asking: &mut [Asking<'_, P>],
    most: usize,
    rows: &mut R,
    rows_in_all: u64,
    stats: &mut Stats,
) -> Result<Option<Reason>> {
    let mut proposed: Vec<BatchProposal> = Vec::new();
    for (query, Asking { aim, proposals, verifier }) in (0..).zip(&mut *asking) {
        let least = verifier.least(aim, proposals);
        for _ in 0..most {
            let Some(Proposal { rowid, fingerprint }) = proposals.next(least, stats)? else { break };
            reserve::push(&mut proposed, BatchProposal { rowid, fingerprint, query })?;
        }
    }
    proposed.sort_unstable();
    let mut groups: Vec<&[BatchProposal]> = Vec::new();
    proposed.chunk_by(|a, b| a.rowid == b.rowid).try_for_each(|group| reserve::push(&mut groups, group))?;
    let rowids = reserve::collect(groups.iter().map(|group| group[0].rowid))?;
    stats.fetched += proposed.len() as u64;
    let mut reason = None;
    let mut refused = None;
    rows.fetch_all(&rowids, rows_in_all, &mut |at, row| {
        match verify_row(asking, groups[at], row, stats)? {
            Verdict::Fine => {}
            Verdict::Refused(error) => refused = Some((rowids[at], error)),
            Verdict::Stale(stale) => reason = Some(stale),
        }
        Ok(reason.is_none() && refused.is_none())
    })?;
    match refused {
        Some((rowid, error)) => Err(error.within(rows.describe(rowid))),
        None => Ok(reason),
    }
}

/// Scores a row for each query that it is proposed for.
fn verify_row<P>(
    asking: &mut [Asking<'_, P>],
    group: &[BatchProposal],
    row: FetchedRow<'_>,
    stats: &mut Stats,
) -> Result<Verdict> {
    let Some(&BatchProposal { rowid, .. }) = group.first() else { return Ok(Verdict::Fine) };
    let fingerprints = group.iter().map(|proposal| proposal.fingerprint);
    let vector = match vector_of(row, rowid, fingerprints, stats) {
        Ok(Some(vector)) => vector,
        Ok(None) => return Ok(Verdict::Fine),
        Err(reason) => return Ok(Verdict::Stale(reason)),
    };
    for proposal in group {
        let verifier = &mut asking[proposal.query as usize].verifier;
        let score = verifier.score(&vector);
        match verifier.take(rowid, score, || Ok(true), stats)? {
            Verdict::Fine => {}
            other => return Ok(other),
        }
    }
    Ok(Verdict::Fine)
}
