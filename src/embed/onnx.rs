//! A model in ONNX form, loaded and tested: its sessions, and what can only be learned by running it.

use super::engine::BatchLimits;
use super::folder::Folder;
use super::session::Session;
use super::sessions::Sessions;
use super::tokenize::Tokenizer;
use crate::error::Result;
use std::sync::Arc;

pub use super::runtime::version;

/// How many texts a batch has at most. More gain nothing on a CPU, and cost padding and cache misses.
const BATCH: usize = 8;
/// How many tokens a batch has at most. 4,096 made long texts a tenth slower and the process two thirds larger (260 MB
/// instead of 160 MB).
const BATCH_TOKENS: usize = 256;
/// A text is embedded alone and beside another. If the vectors differ by more than this, it is not rounding: the model
/// computes its quantisation for each batch.
const ROUNDING: f32 = 1e-5;
/// Every tokenizer makes different tokens from these two texts.
const PROBES: [&str; 2] =
    ["A text to try the model with: 1, 2, 3.", "Another one, somewhat longer, so that the first is padded!"];

/// The sessions of one model.
pub struct Onnx {
    sessions: Sessions<Session>,
    dimensions: usize,
    batch: usize,
}

impl Onnx {
    /// Loads the model and tests it.
    pub fn load(folder: &Arc<Folder>, tokenizer: &Tokenizer) -> Result<Self> {
        let mut session = Session::open(folder.model(), &folder.settings)?;
        let Probe { dimensions, batch } = Probe::run(&mut session, tokenizer)?;
        let source = Arc::clone(folder);
        let open = move || {
            source.expect_same()?;
            Session::open(source.model(), &source.settings)
        };
        Ok(Self { sessions: Sessions::new(session, Box::new(open)), dimensions, batch })
    }

    /// The length of the vectors.
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// How much a batch has at most.
    pub fn limits(&self) -> BatchLimits {
        BatchLimits { texts: self.batch, tokens: BATCH_TOKENS }
    }

    /// The vectors of these rows of ids, of which the first `left_out` do not count in a mean, by one of at most `threads`
    /// sessions.
    pub fn run(&self, threads: usize, rows: &[&[u32]], left_out: usize) -> Result<Vec<Arc<[f32]>>> {
        self.sessions.with(threads, |session| session.run(rows, left_out))
    }
}

/// What can only be learned by running the model.
struct Probe {
    dimensions: usize,
    batch: usize,
}

impl Probe {
    fn run(session: &mut Session, tokenizer: &Tokenizer) -> Result<Self> {
        let greatest = tokenizer.greatest_id();
        let trial = session.run(&[&[greatest]], 0);
        trial.map_err(|error| {
            error.within(format_args!("tokenizer.json does not match, its greatest id is {greatest}"))
        })?;

        let [short, long] = [tokenizer.encode(PROBES[0])?, tokenizer.encode(PROBES[1])?];
        let alone = session.run(&[&short], 0)?.swap_remove(0);
        let beside = session.run(&[&short, &long], 0)?.swap_remove(0);
        let difference = alone.iter().zip(&*beside).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        // Such a model would give a text a different vector when other texts are beside it.
        let batch = if difference > ROUNDING { 1 } else { BATCH };
        Ok(Self { dimensions: alone.len(), batch })
    }
}
