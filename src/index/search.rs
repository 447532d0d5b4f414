//! The best rows by an index. Rows are proposed and verified until no other row can be among the best.

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
    /// One row in about 30,000 may be missed, which is the chance that [`crate::codec::SIGMAS`] leaves. No score is ever wrong.
    pub fn search<S: Store, R: RowSource>(
        &self,
        store: &mut S,
        request: &Request<'_>,
        rows: &mut R,
        stats: &mut Stats,
    ) -> Result<Outcome> {
        self.search_noting(store, request, rows, stats, None)
    }

    /// The same, and the rows that it fetches are noted in `fetches`.
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

/// Verifies the rows that are proposed. If others could still be among the best, it begins again with a wider aim.
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
        while let Some(proposal) = proposals.next(verifier.least(&first, &proposals), stats)? {
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
