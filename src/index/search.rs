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
use crate::resources::trace::{Stage, StageClock};
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
        let clock = StageClock::begin(Stage::Fetching);
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
        drop(clock);
        match verifier.left(&aim, &proposals) {
            None => return Ok(Outcome::Found(verifier.into_places()?)),
            Some(wider) => aim = wider,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::fingerprint;
    use crate::index::proposer::Proposal;
    use crate::index::request::FetchedRow;
    use crate::kernels::F32Le;
    use crate::metric::{Metric, Scorer};
    use crate::scan::Rules;

    /// Row n has the vector [n].
    struct Numbers;

    fn vector(rowid: i64) -> Vec<F32Le> {
        vec![F32Le::from(rowid as f32)]
    }

    impl RowSource for Numbers {
        fn fetch(&mut self, rowid: i64) -> Result<FetchedRow<'_>> {
            Ok(FetchedRow::Vector(vector(rowid).into()))
        }

        fn describe(&self, rowid: i64) -> String {
            format!("row {rowid}")
        }
    }

    /// Proposes rows without any codes. It notes what it looks for each time.
    struct Steps {
        /// What it proposes each time, and the bar.
        steps: Vec<(Vec<i64>, f32)>,
        aims: LookedFor,
    }

    struct Step {
        rowids: std::vec::IntoIter<i64>,
        bar: f32,
    }

    impl Proposer for Steps {
        type Proposals<'a> = Step;

        fn propose(&mut self, aim: &Aim, stats: &mut Stats) -> Result<Step> {
            stats.sweeps += 1;
            self.aims.push((aim.floor, aim.reach));
            let (rowids, bar) = self.steps.remove(0);
            Ok(Step { rowids: rowids.into_iter(), bar })
        }
    }

    impl Proposals for Step {
        fn key(&self, score: f64) -> f32 {
            score as f32
        }

        fn bar(&self) -> f32 {
            self.bar
        }

        fn next(&mut self, least: f32, _: &mut Stats) -> Result<Option<Proposal>> {
            let next = self.rowids.find(|rowid| *rowid as f32 >= least);
            Ok(next.map(|rowid| Proposal { rowid, fingerprint: fingerprint(&vector(rowid)) }))
        }
    }

    type LookedFor = Vec<(f32, Option<usize>)>;

    /// The two best rows, what was looked for, and how many rows were fetched.
    fn search(steps: Vec<(Vec<i64>, f32)>) -> (Vec<i64>, LookedFor, u64) {
        let (scorer, rules) = (Scorer::new(Metric::Dot, vector(1)).unwrap(), Rules::default());
        let request = Request {
            scorer: &scorer,
            limit: 2,
            rules: &rules,
            source: 0,
            floor: None,
            accept: None,
            trial: None,
            overlay: None,
            tail: None,
            threads: 1,
        };
        let mut proposer = Steps { steps, aims: Vec::new() };
        let aim = Aim { floor: -100.0, ceiling: f32::INFINITY, reach: Some(2) };
        let mut stats = Stats::default();
        let outcome = search_by(&mut proposer, aim, &request, &mut Numbers, &mut stats, None).unwrap();
        let Outcome::Found(places) = outcome else { unreachable!("the rows are as they were proposed") };
        (places.iter().map(|place| place.row).collect(), proposer.aims, stats.fetched)
    }

    #[test]
    fn whatever_proposes_rows_they_are_verified_the_same_way() {
        let (rows, aims, fetched) = search(vec![(vec![5, 9, 1, 7, 3], 0.5)]);
        assert_eq!(
            (rows, aims, fetched),
            (vec![9, 7], vec![(-100.0, Some(2))], 3),
            "1 and 3 are below the second best"
        );
    }

    #[test]
    fn a_bar_that_was_too_high_is_followed_by_a_second_look() {
        let (rows, aims, _) = search(vec![(vec![9, 4], 8.0), (vec![4, 9, 7], 4.0)]);
        assert_eq!((rows, aims), (vec![9, 7], vec![(-100.0, Some(2)), (4.0, None)]));
        let (rows, aims, _) = search(vec![(vec![9], 8.0), (vec![9, 7, 4], 2.0)]);
        assert_eq!((rows, aims), (vec![9, 7], vec![(-100.0, Some(2)), (-100.0, Some(8))]));
    }
}
