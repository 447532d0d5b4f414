//! True scores of what a sweep of many queries proposes, each row fetched once for all queries that want it.

use super::request::BatchRequest;
use super::sweep::{BatchCandidate, BatchSweep, Method, Seeker, Shortlist};
use crate::error::Result;
use crate::index::proposer::{Proposal, Proposals};
use crate::index::request::{FetchedRow, Reason, RowSource, Stats};
use crate::index::verify::{Verdict, Verifier, vector_of};
use crate::topk::Place;
use std::slice;
use std::sync::Arc;

/// The best rows of each query so far, and the queries that have to sweep again.
pub struct BatchState<Q> {
    pub places: Vec<Option<Vec<Place>>>,
    pub left: Vec<Seeker<Q>>,
}

impl<Q: Clone> BatchState<Q> {
    /// Verifies what a sweep proposes, and takes it in.
    pub fn take<M: Method<Query = Q>, R: RowSource>(
        &mut self,
        (sweep, found): (Arc<BatchSweep<M>>, Vec<Shortlist>),
        request: &BatchRequest<'_>,
        rows: &mut R,
        rows_in_all: u64,
        stats: &mut Stats,
    ) -> Result<Option<Reason>> {
        let proposals = sweep.seekers.iter().zip(&found).map(|(seeker, found)| QueryProposals {
            query: &seeker.query,
            key: M::key,
            bar: found.bar,
            candidates: found.candidates.iter(),
        });
        let mut proposals: Vec<_> = proposals.collect();
        let verifier = |seeker: &Seeker<Q>| {
            Verifier::new(request.queries[seeker.number].scorer, request.rules, request.source, request.limit)
        };
        let mut verifiers: Vec<_> = sweep.seekers.iter().map(verifier).collect();
        if let Some(reason) = verify(&mut verifiers, &mut proposals, rows, rows_in_all, stats)? {
            return Ok(Some(reason));
        }
        for ((seeker, proposals), verifier) in sweep.seekers.iter().zip(&proposals).zip(verifiers) {
            match verifier.left(&seeker.aim, proposals) {
                None => self.places[seeker.number] = Some(verifier.into_places()),
                Some(aim) => self.left.push(Seeker { aim, ..seeker.clone() }),
            }
        }
        Ok(None)
    }
}

/// What a sweep proposes for one query.
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

    #[allow(clippy::neg_cmp_op_on_partial_ord, reason = "a limit that is no number stays")]
    fn next(&mut self, least: f32, _: &mut Stats) -> Result<Option<Proposal>> {
        let next = self.candidates.by_ref().find(|candidate| !(candidate.upper < least));
        Ok(next.map(|candidate| candidate.proposal))
    }
}

/// Verifies everything that is proposed, in the order of the rowids. A reason says that the index does not belong to the
/// rows any more.
fn verify<P: Proposals, R: RowSource>(
    verifiers: &mut [Verifier<'_>],
    proposals: &mut [P],
    rows: &mut R,
    rows_in_all: u64,
    stats: &mut Stats,
) -> Result<Option<Reason>> {
    let mut asked: Vec<(Proposal, u32)> = Vec::new();
    for (number, proposals) in (0..).zip(proposals) {
        while let Some(proposal) = proposals.next(f32::NEG_INFINITY, stats)? {
            asked.push((proposal, number));
        }
    }
    asked.sort_unstable();
    let groups: Vec<&[(Proposal, u32)]> = asked.chunk_by(|(a, _), (b, _)| a.rowid == b.rowid).collect();
    let rowids: Vec<i64> = groups.iter().map(|group| group[0].0.rowid).collect();
    stats.fetched += asked.len() as u64;
    let mut reason = None;
    let mut refused = None;
    rows.fetch_all(&rowids, rows_in_all, &mut |at, row| {
        match verify_row(verifiers, groups[at], row, stats)? {
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
fn verify_row(
    verifiers: &mut [Verifier<'_>],
    group: &[(Proposal, u32)],
    row: FetchedRow<'_>,
    stats: &mut Stats,
) -> Result<Verdict> {
    let Some((Proposal { rowid, .. }, _)) = group.first() else { return Ok(Verdict::Fine) };
    let proposed = group.iter().map(|(proposal, _)| proposal.fingerprint);
    let vector = match vector_of(row, *rowid, proposed, stats) {
        Ok(Some(vector)) => vector,
        Ok(None) => return Ok(Verdict::Fine),
        Err(reason) => return Ok(Verdict::Stale(reason)),
    };
    for (_, number) in group {
        let verifier = &mut verifiers[*number as usize];
        let score = verifier.score(&vector);
        match verifier.take(*rowid, score, || Ok(true), stats)? {
            Verdict::Fine => {}
            other => return Ok(other),
        }
    }
    Ok(Verdict::Fine)
}
