//! The best rows by an index: rows are proposed, then verified, until no other can be among the best.

use super::all_codes::AllCodes;
use super::bar::Aim;
use super::open::Index;
use super::proposer::{Proposals, Proposer};
use super::request::{Outcome, Request, RowSource, Stats};
use super::store::Store;
use super::verify::{FetchedScores, Verifier};
use crate::codec::Query;
use crate::error::Result;
use std::sync::Arc;

impl Index {
    /// The best rows. The query has the index's dimensions.
    ///
    /// One in about 30,000 may be missed, by the chance that [`crate::codec::SIGMAS`] leaves; no score is ever wrong.
    pub fn search<S: Store, R: RowSource>(
        &self,
        store: &mut S,
        request: &Request<'_>,
        rows: &mut R,
        stats: &mut Stats,
    ) -> Result<Outcome> {
        self.search_noting(store, request, rows, stats, None)
    }

    /// The same, which also notes what it fetches.
    pub(super) fn search_noting<S: Store, R: RowSource>(
        &self,
        store: &mut S,
        request: &Request<'_>,
        rows: &mut R,
        stats: &mut Stats,
        fetches: Option<&mut FetchedScores>,
    ) -> Result<Outcome> {
        let (metric, scorer) = (request.scorer.metric(), request.scorer);
        let Some(query) = Query::new(self.space(), metric, scorer.query()) else {
            return Ok(Outcome::Unfit);
        };
        if request.limit == 0 {
            return Ok(Outcome::Found(Vec::new()));
        }
        let aim = Aim::new(metric, request.rules, request.floor, request.reach(), |score| query.key(score));
        let mut proposer = AllCodes { index: self, store, query: Arc::new(query), request };
        search_by(&mut proposer, aim, request, rows, stats, fetches)
    }
}

/// Has rows proposed and verifies them. Where rows that were not proposed could still be among the best, it begins anew with
/// a wider aim.
fn search_by<P: Proposer, R: RowSource>(
    proposer: &mut P,
    first: Aim,
    request: &Request<'_>,
    rows: &mut R,
    stats: &mut Stats,
    mut fetches: Option<&mut FetchedScores>,
) -> Result<Outcome> {
    let mut aim = first;
    loop {
        let mut proposals = proposer.propose(&aim, stats)?;
        let verifier = Verifier::new(request.scorer, request.rules, request.source, request.limit);
        let mut verifier = verifier.noting(fetches.as_deref_mut());
        let least = |verifier: &Verifier<'_>, proposals: &P::Proposals<'_>| {
            verifier.last(proposals).map_or(first.floor, |last| last.max(first.floor))
        };
        while let Some(proposal) = proposals.next(least(&verifier, &proposals), stats)? {
            if let Some(reason) = verifier.fetch(&proposal, rows, stats)? {
                return Ok(Outcome::Stale(reason));
            }
            if stats.fetched >= request.patience() {
                return Ok(Outcome::GivenUp);
            }
        }
        match verifier.left(&aim, &proposals) {
            None => return Ok(Outcome::Found(verifier.into_places())),
            Some(wider) => aim = wider,
        }
    }
}
