//! Encodes many vectors at once, with all threads.

use crate::codec::{Encoder, Space, fingerprint, four_bit, one_bit};
use crate::error::{Error, Result};
use crate::kernels::F32Le;
use crate::lock::{into_inner, lock};
use crate::resources::pool::{self, Job};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Rows that a thread takes at a time.
const PIECE: usize = 64;
/// Bytes of vectors that are collected before all threads encode them.
const BATCH_BYTES: usize = 4 << 20;

/// Rows with their vectors, one after the other.
#[derive(Debug, Clone, Default)]
pub struct VectorBatch {
    rowids: Vec<i64>,
    vectors: Vec<F32Le>,
}

impl VectorBatch {
    /// Adds a row. All vectors of a batch have the same length.
    pub fn push(&mut self, rowid: i64, vector: &[F32Le]) {
        self.rowids.push(rowid);
        self.vectors.extend_from_slice(vector);
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rowids.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rowids.is_empty()
    }

    /// Whether it is time to encode it.
    pub fn is_full(&self) -> bool {
        size_of_val(self.vectors.as_slice()) >= BATCH_BYTES
    }
}

/// The codes of a row.
#[derive(Debug, Clone)]
pub struct RowCodes {
    pub rowid: i64,
    pub fingerprint: u32,
    pub coarse: one_bit::OneBitCode,
    pub fine: four_bit::FourBitCode,
}

/// Encodes a batch of vectors, which must have the dimensions of the space. The codes are in the order of the batch.
pub fn encode(space: &Arc<Space>, batch: VectorBatch, threads: usize) -> Result<Vec<RowCodes>> {
    let pieces = batch.len().div_ceil(PIECE);
    let done = (0..pieces).map(|_| Mutex::default()).collect();
    let job = Arc::new(Encoding { space: space.clone(), batch, next: AtomicUsize::new(0), done });
    pool::run(job.clone(), threads.min(pieces))?;
    let job = Arc::into_inner(job).ok_or_else(|| Error::Bug("a finished job is still held".into()))?;
    Ok(job.done.into_iter().flat_map(into_inner).collect())
}

struct Encoding {
    space: Arc<Space>,
    batch: VectorBatch,
    next: AtomicUsize,
    done: Vec<Mutex<Vec<RowCodes>>>,
}

impl Job for Encoding {
    fn work(&self) {
        let mut encoder = Encoder::new(&self.space);
        loop {
            let piece = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(done) = self.done.get(piece) else { return };
            let encoded = self.encode_piece(piece, &mut encoder);
            *lock(done) = encoded;
        }
    }
}

impl Encoding {
    fn encode_piece(&self, piece: usize, encoder: &mut Encoder<'_>) -> Vec<RowCodes> {
        let dimensions = self.space.dimensions();
        let rowids = self.batch.rowids.iter().skip(piece * PIECE).take(PIECE);
        let vectors = self.batch.vectors.chunks_exact(dimensions.max(1)).skip(piece * PIECE);
        let encode = |(rowid, vector): (&i64, &[F32Le])| {
            encoder.encode(vector);
            RowCodes {
                rowid: *rowid,
                fingerprint: fingerprint(vector),
                coarse: encoder.coarse.clone(),
                fine: encoder.fine.clone(),
            }
        };
        rowids.zip(vectors).map(encode).collect()
    }
}
