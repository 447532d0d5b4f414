//! Proposes rows by a sweep over all codes. 1-bit codes rule out nearly every row, and 4-bit codes most of the others.

use super::bar::Aim;
use super::open::{Index, Resident};
use super::proposer::Proposer;
use super::request::{Accept, Request, Stats};
use super::rerank::{Blocks, Ranking};
use super::store::Store;
use super::sweep::{NumberedCodes, SweepResult, Sweeper, sweep};
use crate::codec::Query;
use crate::error::Result;
use crate::resources::reserve::Reserve;
use crate::resources::trace::{Stage, StageClock};
use std::sync::Arc;

/// The codes of an index, and those of the rows that changed since it was written.
pub struct AllCodes<'a, S> {
    pub index: &'a Index,
    pub store: &'a mut S,
    pub query: Arc<Query>,
    pub request: &'a Request<'a>,
}

impl<S: Store> Proposer for AllCodes<'_, S> {
    type Proposals<'b>
        = Ranking<'b, S>
    where
        Self: 'b;

    fn propose(&mut self, aim: &Aim, stats: &mut Stats) -> Result<Ranking<'_, S>> {
        let _clock = StageClock::begin(Stage::Sweeping);
        stats.sweeps += 1;
        let mut blocks = Blocks::new(self.index, self.request.overlay);
        let swept = self.sweep(aim, &mut blocks)?;
        stats.codes += swept.codes;
        stats.candidates += swept.candidates.len() as u64;
        stats.passing += swept.passing;
        Ok(Ranking::new(&self.query, aim, swept, blocks, self.store))
    }
}

impl<S: Store> AllCodes<'_, S> {
    fn sweep(&mut self, aim: &Aim, blocks: &mut Blocks<'_>) -> Result<SweepResult> {
        let request = self.request;
        let (of_changed, of_index) = (request.accept.clone(), self.accept());
        let mut sweeper = Sweeper::new(&self.query, *aim, of_changed.as_ref());
        for (number, codes) in request.overlay.iter().flat_map(|overlay| overlay.blocks()) {
            sweeper.block(number, codes);
        }
        let mut sweeper = sweeper.accepting(of_index.as_ref());
        let mut resident: Vec<NumberedCodes> = Vec::with_capacity(self.index.directory().blocks.len());
        self.index.each_codes(self.store, |number, codes| {
            match codes {
                Resident::Kept(codes) => resident.push((number, codes)),
                Resident::Passing(codes) => {
                    sweeper.block(number, &codes);
                    for candidate in sweeper.of_block(number) {
                        let slot = codes.slot(candidate.slot as usize);
                        blocks.passing.reserve_room(1)?;
                        blocks.passing.extend(slot.map(|slot| ((number, candidate.slot), slot)));
                    }
                    blocks.forget_passing(sweeper.candidates());
                    sweeper.passed();
                }
            }
            Ok(())
        })?;
        resident.sort_by_key(|(number, _)| *number);
        blocks.resident = Arc::new(resident);
        sweep(&mut sweeper, &self.query, blocks.resident.clone(), request.threads)?;
        sweeper.finish()
    }

    /// Which rows take part by their codes in the index. Those of changed rows are old.
    fn accept(&self) -> Option<Accept> {
        let accept = self.request.accept.clone();
        let Some(overlay) = self.request.overlay.filter(|overlay| !overlay.is_empty()) else { return accept };
        let hidden = overlay.hidden();
        Some(Arc::new(move |rowid| !hidden(rowid) && accept.as_ref().is_none_or(|accept| accept(rowid))))
    }
}
