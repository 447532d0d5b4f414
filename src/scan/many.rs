//! Many queries in one pass: rows are read once, a block at a time, and every query meets a block while it is in cache.
//!
//! Each query scores each row as a search of its own would, so the answers are the same to the bit.

use super::{Counts, Rules, VectorSource};
use crate::error::{Error, Result};
use crate::kernels::F32Le;
use crate::metric::Scorer;
use crate::pool::{self, Job};
use crate::reserve::{self, Reserve};
use crate::topk::{Hit, Place, TopK};
use crate::vector::{Vector, check_finite};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of vectors in a block: with the queries that meet it, it stays in the second cache.
const BLOCK_BYTES: usize = 512 << 10;
/// Queries that a thread takes at a time.
const PIECE: usize = 16;
/// With less work than so many pairs for each, more threads cost more than they save.
const PAIRS_WORTH_A_THREAD: usize = 1 << 12;

/// One of the queries, and the best rows it has met.
pub struct Asking<N> {
    /// The query. All have one length.
    pub scorer: Scorer,
    /// The best rows so far.
    pub best: TopK<N>,
    /// A row that does not take part.
    pub without: Option<Without<N>>,
}

/// How a row is known that does not take part.
#[derive(Debug, Clone, PartialEq)]
pub enum Without<N> {
    /// By its identity.
    Row(i64),
    /// By its note, where sources do not tell rows apart.
    Note(N),
}

/// Shows every row of `source` that the rules admit to each query. `number` is the source's place among several.
pub fn scan_many<S: VectorSource>(
    source: &mut S,
    number: u32,
    asking: Vec<Asking<S::Note>>,
    rules: &Rules,
    threads: usize,
) -> Result<(Vec<Asking<S::Note>>, Counts)>
where
    S::Note: Clone + PartialEq + Send + Sync + 'static,
{
    let mut counts = Counts::default();
    let Some(first) = asking.first() else { return Ok((asking, counts)) };
    let (scorer, dimensions, queries) = (first.scorer.clone(), first.scorer.query().len(), asking.len());
    let rows = (BLOCK_BYTES / (4 * dimensions)).max(1);
    let mut asking = pieces(asking);
    loop {
        let block = read(source, &scorer, rows, rules, &mut counts)?;
        if block.rows.is_empty() {
            return Ok((asking.into_iter().flat_map(into_inner).collect(), counts));
        }
        let is_last = block.rows.len() < rows;
        let worth = block.rows.len() * queries / PAIRS_WORTH_A_THREAD;
        let (next, failed) = Default::default();
        let job = Arc::new(Meeting { asking, block, number, rules: rules.clone(), next, failed });
        pool::run(job.clone(), threads.min(worth.max(1)))?;
        let met = Arc::into_inner(job).ok_or_else(|| Error::Bug("a finished job is still held".into()))?;
        if let Some(error) = into_inner(met.failed) {
            return Err(error);
        }
        asking = met.asking;
        if is_last {
            return Ok((asking.into_iter().flat_map(into_inner).collect(), counts));
        }
    }
}

fn pieces<T>(all: Vec<T>) -> Vec<Mutex<Vec<T>>> {
    let mut all = all.into_iter();
    std::iter::from_fn(|| {
        let piece: Vec<T> = all.by_ref().take(PIECE).collect();
        (!piece.is_empty()).then(|| Mutex::new(piece))
    })
    .collect()
}

fn into_inner<T>(mutex: Mutex<T>) -> T {
    mutex.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Rows in memory.
struct Block<N> {
    rows: Vec<i64>,
    notes: Vec<N>,
    vectors: Vec<F32Le>,
}

/// Reads the next rows. What cannot be scored is found here, in the order of the scan.
fn read<S: VectorSource>(
    source: &mut S,
    scorer: &Scorer,
    rows: usize,
    rules: &Rules,
    counts: &mut Counts,
) -> Result<Block<S::Note>> {
    let mut block = Block { rows: Vec::new(), notes: Vec::new(), vectors: Vec::new() };
    while block.rows.len() < rows && source.advance()? {
        let vector = match source.vector().and_then(|vector| vector.map(|row| checked(scorer, row)).transpose()) {
            Ok(Some(vector)) => vector,
            Ok(None) => continue,
            Err(_) if rules.skip_bad => {
                counts.bad += 1;
                continue;
            }
            Err(error) => return Err(error.within(source.describe())),
        };
        block.vectors.reserve_room(vector.len())?;
        block.vectors.extend_from_slice(&vector);
        reserve::push(&mut block.rows, source.row()?)?;
        reserve::push(&mut block.notes, source.note()?)?;
        counts.rows += 1;
    }
    Ok(block)
}

/// Whatever a scorer would refuse, it would refuse for every query.
fn checked<'a>(scorer: &Scorer, row: Vector<'a>) -> Result<Vector<'a>> {
    scorer.check_length(&row)?;
    check_finite(&row)?;
    Ok(row)
}

struct Meeting<N> {
    asking: Vec<Mutex<Vec<Asking<N>>>>,
    block: Block<N>,
    number: u32,
    rules: Rules,
    next: AtomicUsize,
    /// What ended the work of a thread.
    failed: Mutex<Option<Error>>,
}

impl<N: Clone + PartialEq + Send + Sync> Job for Meeting<N> {
    fn work(&self) {
        while let Some(piece) = self.asking.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            let met = piece
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .iter_mut()
                .try_for_each(|asking| self.meet(asking));
            if let Err(error) = met {
                *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                return;
            }
        }
    }
}

impl<N: Clone + PartialEq> Meeting<N> {
    fn meet(&self, asking: &mut Asking<N>) -> Result<()> {
        let Block { rows, notes, vectors } = &self.block;
        let vectors = vectors.chunks_exact(asking.scorer.query().len());
        for ((row, note), vector) in rows.iter().zip(notes).zip(vectors) {
            // Rows were looked at when they were read.
            let Ok(score) = asking.scorer.score(vector) else { continue };
            if asking.best.refuses(score) {
                continue;
            }
            let place = Place { score, source: self.number, row: *row };
            let is_out = match &asking.without {
                None => false,
                Some(Without::Row(without)) => without == row,
                Some(Without::Note(without)) => without == note,
            };
            if !is_out && asking.best.wants(&place) && self.rules.admit(asking.scorer.metric(), &place) {
                asking.best.offer(Hit { place, note: note.clone() })?;
            }
        }
        Ok(())
    }
}
