//! Searches that were asked before, answered from memory.
//!
//! A search depends on four things: the codes in blocks, the codes of rows that changed since, what is asked, and the rows
//! it fetched. Tokens name the first two, the third is compared, and the rows are fetched again: where each of them scores
//! as it did, the search would go the same way to the same answer. So this is right also after changes that no trigger saw,
//! as far as a search would be; the sweep over all codes is what it saves. Searches with a filter are not kept: whoever
//! filters seldom asks twice, and the filter would have to be kept with them.

use super::format::Token;
use super::open::Index;
use super::search::{Outcome, Request, Row, Rows, Stats};
use super::store::Store;
use crate::cache::{Account, Held};
use crate::codec::fingerprint;
use crate::config::CACHE_BYTES;
use crate::error::Result;
use crate::metric::{Metric, Scorer};
use crate::process::PerProcess;
use crate::reserve;
use crate::scan::Rules;
use crate::topk::Place;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes of all answers: a few hundred of ten rows, so that looking through them takes no time. Where the cache is small,
/// only its share of it; and no answer may take more than its share of that.
const BUDGET: usize = 1 << 20;
const SHARE: usize = 16;

fn budget() -> usize {
    BUDGET.min(usize::try_from(CACHE_BYTES.get()).unwrap_or(usize::MAX) / SHARE)
}

/// Everything but the rows that decides an answer.
#[derive(PartialEq)]
struct Question {
    scope: u64,
    generation: Token,
    tail: Option<(i64, i64)>,
    /// Of the query, so that hardly two are compared that differ.
    fingerprint: u32,
    /// The bits of its numbers.
    query: Vec<u32>,
    metric: Metric,
    limit: usize,
    rules: Rules,
    source: u32,
    floor: Option<Place>,
}

/// A row that was fetched, and the bits of its score; `None` where it was gone.
type Fetched = (i64, Option<u64>);

struct Answer {
    question: Question,
    places: Vec<Place>,
    fetched: Vec<Fetched>,
    held: Held,
}

#[derive(Default)]
struct Answers {
    /// The one that was last asked for comes last.
    kept: VecDeque<Answer>,
    bytes: usize,
}

static ANSWERS: PerProcess<Mutex<Answers>> = PerProcess::new(Mutex::default);

fn answers() -> MutexGuard<'static, Answers> {
    ANSWERS.get().lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes that answers take.
pub fn bytes() -> usize {
    answers().bytes
}

/// Gives up the answers of an index.
pub fn forget(scope: u64) {
    let mut answers = answers();
    answers.kept.retain(|answer| answer.question.scope != scope);
    answers.bytes = answers.kept.iter().map(Answer::bytes).sum();
}

impl Index {
    /// What [`Index::search`] gives, from memory if the same was asked before.
    pub fn answer<S: Store, R: Rows>(
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
            stats.fetched += fetched.len() as u64;
            if are_as_before(&fetched, rows, request.scorer)? {
                stats.repeated = true;
                return Ok(Outcome::Found(places));
            }
        }
        let mut recorder = Recorder { rows, scorer: request.scorer, fetched: Vec::new(), is_sound: true };
        let outcome = self.search(store, request, &mut recorder, stats)?;
        if let (Outcome::Found(places), true) = (&outcome, recorder.is_sound) {
            let held = Held::new(self.account(), 0);
            answers().keep(Answer { question, places: reserve::copy(places)?, fetched: recorder.fetched, held });
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

fn are_as_before<R: Rows>(fetched: &[Fetched], rows: &mut R, scorer: &Scorer) -> Result<bool> {
    for (rowid, before) in fetched {
        let now = match rows.fetch(*rowid)? {
            Row::Vector(vector) => scorer.score(&vector).ok().map(f64::to_bits),
            Row::Gone if before.is_none() => continue,
            Row::Gone | Row::Doubtful => return Ok(false),
        };
        if now.is_none() || now != *before {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Notes what a search fetches.
struct Recorder<'a, R> {
    rows: &'a mut R,
    scorer: &'a Scorer,
    fetched: Vec<Fetched>,
    /// Every row could be scored, or was gone, and they are not too many.
    is_sound: bool,
}

impl<R: Rows> Rows for Recorder<'_, R> {
    fn fetch(&mut self, rowid: i64) -> Result<Row<'_>> {
        let row = self.rows.fetch(rowid)?;
        let score = match &row {
            Row::Vector(vector) => self.scorer.score(vector).ok().map(f64::to_bits),
            Row::Gone | Row::Doubtful => None,
        };
        // An answer that is too large to be kept is not noted.
        self.is_sound &= score.is_some() || matches!(row, Row::Gone);
        self.is_sound &= size_of_val(self.fetched.as_slice()) <= budget() / SHARE;
        if self.is_sound {
            self.fetched.push((rowid, score));
        }
        Ok(row)
    }

    fn describe(&self, rowid: i64) -> String {
        self.rows.describe(rowid)
    }
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
    fn find(&mut self, question: &Question, account: &Arc<Account>) -> Option<(Vec<Place>, Vec<Fetched>)> {
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
        if bytes > budget() / SHARE {
            return;
        }
        if let Some(at) = self.kept.iter().position(|other| other.question == answer.question) {
            self.bytes -= self.kept.remove(at).map_or(0, |old| old.bytes());
        }
        answer.held.set(bytes);
        self.bytes += bytes;
        self.kept.push_back(answer);
        while self.bytes > budget() {
            let Some(oldest) = self.kept.pop_front() else { break };
            self.bytes -= oldest.bytes();
        }
    }
}
