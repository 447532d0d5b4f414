//! Answers searches from memory if the same was asked before.
//!
//! A search depends on four things: the codes in blocks, the codes of rows that changed since, what is asked, and the rows
//! that it fetches. Tokens name the first two, what is asked is compared, and the rows are fetched again. If each of them has
//! the score it had before, the search would take the same steps to the same answer. So the answer is as right as that of a
//! search, even after changes that no trigger saw. What is saved is the sweep over all codes.
//!
//! Answers to searches with a filter are not kept. The same filter is seldom asked for twice, and it would have to be kept
//! too.

use super::format::Token;
use super::memory;
use super::open::Index;
use super::request::{FetchedRow, Outcome, Request, RowSource, Stats};
use super::store::Store;
use super::verify::{FetchedScore, FetchedScores};
use crate::codec::fingerprint;
use crate::error::Result;
use crate::lock::lock;
use crate::metric::{Metric, Scorer};
use crate::resources::cache::{Account, Held};
use crate::resources::config::cache_bytes;
use crate::resources::per_process::PerProcess;
use crate::resources::reserve;
use crate::resources::trace::{Stage, StageClock};
use crate::scan::Rules;
use crate::topk::Place;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

/// Bytes of all answers. These are a few hundred answers of ten rows, so that comparing with all of them takes no time.
///
/// A small cache gives only one part in `SHARE` of its bytes. No single answer may take more than one part in `SHARE` of the
/// bytes for answers.
const MOST_OF_ANSWERS: usize = 1 << 20;
const SHARE: usize = 16;

fn most_of_answers() -> usize {
    MOST_OF_ANSWERS.min(cache_bytes() / SHARE)
}

/// Everything that decides an answer, except the rows.
#[derive(PartialEq)]
struct Question {
    scope: u64,
    generation: Token,
    tail: Option<(i64, i64)>,
    /// Of the query. It is compared first, so that hardly any two queries are compared in full that differ.
    fingerprint: u32,
    /// The bits of the query's numbers.
    query: Vec<u32>,
    metric: Metric,
    limit: usize,
    rules: Rules,
    source: u32,
    floor: Option<Place>,
}

struct Answer {
    question: Question,
    places: Vec<Place>,
    fetched: Vec<FetchedScore>,
    held: Held,
}

#[derive(Default)]
struct Answers {
    /// The answer that was used last is at the end.
    kept: VecDeque<Answer>,
    bytes: usize,
}

static ANSWERS: PerProcess<Mutex<Answers>> = PerProcess::new(Mutex::default);

fn answers() -> MutexGuard<'static, Answers> {
    lock(ANSWERS.get())
}

/// Drops the answers that a smaller setting has no room for, and then other values.
pub fn settle() {
    answers().trim();
    memory::settle();
}

/// Drops the answers of an index.
pub fn forget(scope: u64) {
    let mut answers = answers();
    answers.kept.retain(|answer| answer.question.scope != scope);
    answers.bytes = answers.kept.iter().map(Answer::bytes).sum();
    memory::set_aside_for_answers(answers.bytes);
}

impl Index {
    /// The same as [`Index::search`], but from memory if the same was asked before.
    pub fn answer<S: Store, R: RowSource>(
        &self,
        store: &mut S,
        request: &Request<'_>,
        rows: &mut R,
        stats: &mut Stats,
    ) -> Result<Outcome> {
        let is_named = request.overlay.is_none_or(|overlay| overlay.is_empty()) || request.tail.is_some();
        if request.accept.is_some() || request.trial.is_some() || !is_named {
            return self.search(store, request, rows, stats);
        }
        let question = self.question(request);
        if let Some((places, fetched)) = answers().find(&question, self.account()) {
            let _clock = StageClock::begin(Stage::Fetching);
            stats.fetched += fetched.len() as u64;
            if are_as_before(&fetched, rows, request.scorer)? {
                stats.repeated = true;
                return Ok(Outcome::Found(places));
            }
        }
        let mut fetches = FetchedScores::new(most_of_answers() / SHARE / size_of::<FetchedScore>());
        let outcome = self.search_noting(store, request, rows, stats, Some(&mut fetches))?;
        if let (Outcome::Found(places), true) = (&outcome, fetches.is_complete) {
            let held = Held::new(self.account(), 0);
            answers().keep(Answer { question, places: reserve::copy(places)?, fetched: fetches.scores, held });
        }
        Ok(outcome)
    }

    fn question(&self, request: &Request<'_>) -> Question {
        let query = request.scorer.query();
        Question {
            scope: self.scope(),
            generation: self.header.generation,
            tail: request.tail,
            fingerprint: fingerprint(query),
            query: query.iter().map(|x| x.get().to_bits()).collect(),
            metric: request.scorer.metric(),
            limit: request.limit,
            rules: request.rules.clone(),
            source: request.source,
            floor: request.floor,
        }
    }
}

fn are_as_before<R: RowSource>(fetched: &[FetchedScore], rows: &mut R, scorer: &Scorer) -> Result<bool> {
    for FetchedScore { rowid, bits: before } in fetched {
        let now = match rows.fetch(*rowid)? {
            FetchedRow::Vector(vector) => scorer.score(&vector).ok().map(f64::to_bits),
            FetchedRow::Gone if before.is_none() => continue,
            FetchedRow::Gone | FetchedRow::Doubtful => return Ok(false),
        };
        if now.is_none() || now != *before {
            return Ok(false);
        }
    }
    Ok(true)
}

impl Answer {
    fn bytes(&self) -> usize {
        size_of::<Self>()
            + size_of_val(self.question.query.as_slice())
            + size_of_val(self.places.as_slice())
            + size_of_val(self.fetched.as_slice())
    }
}

impl Answers {
    fn find(&mut self, question: &Question, account: &Arc<Account>) -> Option<(Vec<Place>, Vec<FetchedScore>)> {
        let is_it =
            |answer: &Answer| answer.question.fingerprint == question.fingerprint && answer.question == *question;
        let at = self.kept.iter().position(is_it)?;
        let mut answer = self.kept.remove(at)?;
        answer.held.pass_to(account);
        let found = (answer.places.clone(), answer.fetched.clone());
        self.kept.push_back(answer);
        Some(found)
    }

    fn keep(&mut self, mut answer: Answer) {
        let bytes = answer.bytes();
        if bytes > most_of_answers() / SHARE {
            return;
        }
        if let Some(at) = self.kept.iter().position(|other| other.question == answer.question) {
            self.bytes -= self.kept.remove(at).map_or(0, |old| old.bytes());
        }
        answer.held.set(bytes);
        self.bytes += bytes;
        self.kept.push_back(answer);
        self.trim();
    }

    fn trim(&mut self) {
        while self.bytes > most_of_answers() {
            let Some(oldest) = self.kept.pop_front() else { break };
            self.bytes -= oldest.bytes();
        }
        memory::set_aside_for_answers(self.bytes);
    }
}
