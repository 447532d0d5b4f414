//! Many queries in one pass: rows are read once, a block at a time, and compared with every query while the block is in
//! the CPU's cache.
//!
//! Each query scores a row exactly as its own search would, so the answers are the same, bit for bit.

use super::{Rules, ScanCounts, VectorSource, refused, refused_first};
use crate::error::{Error, Result};
use crate::kernels::F32Le;
use crate::lock::{into_inner, lock};
use crate::metric::Scorer;
use crate::resources::pool::{self, Job};
use crate::resources::reserve::{self, Reserve};
use crate::topk::{Hit, Place, TopK};
use crate::vector::{Vector, check_finite};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// How many bytes of vectors a block has. Together with the queries that are compared with it, it fits into the
/// second-level cache.
const BLOCK_BYTES: usize = 512 << 10;
/// How many queries a thread takes at a time.
const PIECE: usize = 16;
/// A thread needs at least so many pairs of query and row. With less work, it costs more than it saves.
const PAIRS_WORTH_A_THREAD: usize = 1 << 12;

/// A query, and the best rows that it has met.
pub struct ScanQuery<N> {
    /// The query. All queries have the same length.
    pub scorer: Scorer,
    /// The best rows so far.
    pub best: TopK<N>,
    /// A row that must not be in the result.
    pub without: Option<Without<N>>,
}

/// How a row that must not be in the result is recognised.
#[derive(Debug, Clone, PartialEq)]
pub enum Without<N> {
    /// By its row number.
    Row(i64),
    /// By its note, if the source does not give its rows numbers that stay the same.
    Note(N),
}

/// Compares every row of `source` with every query, and keeps the best rows that `rules` admit. `number` is the
/// position of the source in the user's list.
pub fn scan_many<S: VectorSource>(
    source: &mut S,
    number: u32,
    asking: Vec<ScanQuery<S::Note>>,
    rules: &Rules,
    threads: usize,
) -> Result<(Vec<ScanQuery<S::Note>>, ScanCounts)>
where
    S::Note: Clone + PartialEq + Send + Sync + 'static,
{
    let mut counts = ScanCounts::default();
    let Some(first) = asking.first() else { return Ok((asking, counts)) };
    let (scorer, dimensions, queries) = (first.scorer.clone(), first.scorer.query().len(), asking.len());
    let rows = (BLOCK_BYTES / (4 * dimensions)).max(1);
    let mut asking = pieces(asking);
    loop {
        let block = read(source, number, &scorer, rows, rules, &mut counts)?;
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

/// Some rows in memory.
struct RowBlock<N> {
    rows: Vec<i64>,
    notes: Vec<N>,
    vectors: Vec<F32Le>,
}

/// Reads the next rows. A row that cannot be scored is noticed here, in the order of the scan.
fn read<S: VectorSource>(
    source: &mut S,
    number: u32,
    scorer: &Scorer,
    rows: usize,
    rules: &Rules,
    counts: &mut ScanCounts,
) -> Result<RowBlock<S::Note>> {
    let mut block = RowBlock { rows: Vec::new(), notes: Vec::new(), vectors: Vec::new() };
    while block.rows.len() < rows && source.advance()? {
        let vector = match source.vector().and_then(|vector| vector.map(|row| checked(scorer, row)).transpose()) {
            Ok(Some(vector)) => vector,
            Ok(None) => continue,
            Err(_) if rules.skip_bad => {
                counts.bad += 1;
                continue;
            }
            Err(error) if counts.rows > 0 || number > 0 => return Err(refused(source, scorer, error)),
            Err(error) => return Err(refused_first(source, scorer, "queries", error)),
        };
        block.vectors.reserve_room(vector.len())?;
        block.vectors.extend_from_slice(&vector);
        reserve::push(&mut block.rows, source.row()?)?;
        reserve::push(&mut block.notes, source.note()?)?;
        counts.rows += 1;
    }
    Ok(block)
}

/// A row that the scorer of one query refuses would be refused for every query.
fn checked<'a>(scorer: &Scorer, row: Vector<'a>) -> Result<Vector<'a>> {
    scorer.check_length(&row)?;
    check_finite(&row)?;
    Ok(row)
}

struct Meeting<N> {
    asking: Vec<Mutex<Vec<ScanQuery<N>>>>,
    block: RowBlock<N>,
    number: u32,
    rules: Rules,
    next: AtomicUsize,
    /// Why a thread ended its work too early.
    failed: Mutex<Option<Error>>,
}

impl<N: Clone + PartialEq + Send + Sync> Job for Meeting<N> {
    fn work(&self) {
        let mut sums = Vec::new();
        while let Some(piece) = self.asking.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            let mut piece = lock(piece);
            if let Err(error) = piece.iter_mut().try_for_each(|asking| self.meet(asking, &mut sums)) {
                *lock(&self.failed) = Some(error);
                return;
            }
        }
    }
}

impl<N: Clone + PartialEq> Meeting<N> {
    fn meet(&self, asking: &mut ScanQuery<N>, sums: &mut Vec<f32>) -> Result<()> {
        let ScanQuery { scorer, best, without } = asking;
        let RowBlock { rows, notes, vectors } = &self.block;
        let mut kept = Ok(());
        scorer.score_rows(vectors, sums, |at, score| {
            // The rows were checked when they were read, so that hardly any is refused.
            if score.is_nan() || best.refuses(score) || kept.is_err() {
                return;
            }
            let (Some(row), Some(note)) = (rows.get(at), notes.get(at)) else { return };
            let place = Place { score, source: self.number, row: *row };
            let is_out = match without {
                None => false,
                Some(Without::Row(without)) => without == row,
                Some(Without::Note(without)) => without == note,
            };
            if !is_out && best.wants(&place) && self.rules.admit(scorer.metric(), &place) {
                kept = best.offer(Hit { place, note: note.clone() });
            }
        });
        kept
    }
}
