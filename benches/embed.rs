//! Text to vector, against ONNX Runtime alone: what this crate adds, in time and memory.
//!
//!     make model && python3 scripts/fetch_wordnet.py .cache/wordnet.txt
//!     FAFCAS_MODEL_DIR=$PWD/models cargo bench --bench embed
//!
//! `cargo bench --bench embed static` measures the static model, which needs no ONNX Runtime.
//!
//! `bare` calls ONNX Runtime on tensors that are ready, and drops what it returns: no tokenizer, pooling or cache. It takes
//! turns with ours, because a machine that is shared changes its speed from one minute to the next. Memory is measured in
//! processes of their own. benches/peers_embed.py measures the peers.

#![allow(missing_docs, unsafe_code, clippy::unwrap_used, clippy::print_stdout)]

use bare::Bare;
use fafcas::embed::{DEFAULT_MODEL, Model, model};
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

const INT8: &str = "all-MiniLM-L6-v2-int8";
const STATIC: &str = "static-MiniLM";
const STATIC_GLOSSES: usize = 40_000;
const SHORT: &str = "how do readers and writers coexist in a database";
const SHORTS: usize = 300;
const GLOSSES: usize = 5000;
const LONG: usize = 500;
const LONG_TOKENS: usize = 256;
/// Texts in one turn.
const GLOSSES_A_TURN: usize = 500;
const LONG_A_TURN: usize = 20;

fn main() {
    let arguments = std::env::args().filter(|argument| !argument.starts_with("--")).collect::<Vec<_>>();
    match &arguments[..] {
        [_, name, kind] if kind == "bare" => bare::serve(name),
        [_, name, threads] => println!("{}", memory_of(name, threads.parse().unwrap())),
        [_, work] if work == "static" => static_model(),
        [_, work] => compare(&[work]),
        _ => compare(&["memory", "short", "glosses", "long"]),
    }
}

fn compare(works: &[&str]) {
    let model = model(DEFAULT_MODEL).unwrap();
    let mut bare = Bare::start(DEFAULT_MODEL);
    bare.expect_like(&model.embed(SHORT, 1).unwrap());
    let texts = wordnet();
    for &work in works {
        match work {
            "memory" => memory(),
            "short" => short(&model, &mut bare),
            "glosses" => bulk(work, &model, &mut bare, &texts[..GLOSSES], GLOSSES_A_TURN),
            _ => bulk(work, &model, &mut bare, &long(&texts, |text| model.count_tokens(text).unwrap()), LONG_A_TURN),
        }
    }
}

/// The static model, which has no bare call beside it: on one thread, in bulk, one by one, and by SQL. Each has other texts, so
/// that the cache knows none.
fn static_model() {
    let model = model(STATIC).unwrap();
    let texts = wordnet();
    let texts = &texts[..STATIC_GLOSSES];
    let fresh = |mark: &str| texts.iter().map(|text| format!("{text}{mark}")).collect::<Vec<_>>();
    model.embed(SHORT, 1).unwrap();
    let rate = |name, time: f64| println!("static, {name}: {:.0} glosses/s", texts.len() as f64 / time);

    let lent = texts.iter().map(String::as_str).collect::<Vec<_>>();
    let mut bulk = Vec::new();
    rate("in bulk", seconds(|| bulk = model.embed_batch(&lent, 1, &mut |_| Ok(())).unwrap()));
    let alone = fresh(" ");
    let mut one = Vec::new();
    rate("one by one", seconds(|| one = alone.iter().map(|text| model.embed(text, 1).unwrap()).collect::<Vec<_>>()));
    assert!(bulk == one, "a text alone has another vector");
    rate("tokens alone", seconds(|| texts.iter().for_each(|text| _ = model.count_tokens(text).unwrap())));

    fafcas::register_auto_extension().unwrap();
    let host = rusqlite::Connection::open_in_memory().unwrap();
    host.execute_batch("CREATE TABLE texts(body TEXT)").unwrap();
    for text in fresh("  ") {
        host.execute("INSERT INTO texts VALUES (?1)", [text]).unwrap();
    }
    let sql = format!("SELECT count(embed(body, '{STATIC}')) FROM texts");
    rate("by embed() in SQL", seconds(|| assert_eq!(count(&host, &sql), texts.len())));
    host.execute_batch("UPDATE texts SET body = body || ' '").unwrap();
    let sql = format!("SELECT count(embedding) FROM embed_rows('texts', 'body', '{STATIC}')");
    rate("by embed_rows", seconds(|| assert_eq!(count(&host, &sql), texts.len())));
}

fn count(host: &rusqlite::Connection, sql: &str) -> usize {
    host.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap() as usize
}

/// One short text, ours and bare by turns.
fn short(model: &Model, bare: &mut Bare) {
    let (mut own, mut alone) = (Vec::new(), Vec::new());
    for number in 1..=SHORTS {
        let text = capitals(SHORT, number);
        own.push(seconds(|| drop(model.embed(&text, 1).unwrap())));
        alone.push(bare.seconds(&[SHORT]));
    }
    let [own, alone] = [own, alone].map(|times| median(times) * 1e3);
    println!("short: ours {own:.3} ms, bare {alone:.3} ms, {:.3} of its time", own / alone);
}

/// Another text for each number, of the same tokens to this model, so that the cache does not know it.
fn capitals(text: &str, mut number: usize) -> String {
    let next = |letter: char| {
        let capital = letter.is_ascii_lowercase() && number & 1 == 1;
        number >>= usize::from(letter.is_ascii_lowercase());
        if capital { letter.to_ascii_uppercase() } else { letter }
    };
    text.chars().map(next).collect()
}

/// Many texts, bare and ours on one and on two threads by turns.
fn bulk(name: &str, model: &Model, bare: &mut Bare, texts: &[String], turn: usize) {
    let mut times = [0.0; 3];
    for texts in texts.chunks(turn) {
        let lent = texts.iter().map(String::as_str).collect::<Vec<_>>();
        times[0] += bare.seconds(&lent);
        let mut vectors = Vec::new();
        for threads in [1, 2] {
            let fresh = lent.iter().map(|text| format!("{text}{}", " ".repeat(threads))).collect::<Vec<_>>();
            let fresh = fresh.iter().map(String::as_str).collect::<Vec<_>>();
            times[threads] += seconds(|| vectors.push(model.embed_batch(&fresh, threads, &mut |_| Ok(())).unwrap()));
        }
        assert_eq!(vectors[0], vectors[1], "two threads give other vectors");
    }
    let [bare, one, two] = times.map(|time| texts.len() as f64 / time);
    println!(
        "{name}: bare {bare:.1} texts/s; ours {one:.1}, {:.3} of bare; two sessions {two:.1}, {:.2} of one",
        one / bare,
        two / one
    );
}

/// Memory of processes that have embedded short and long texts. What a second session adds is what a session takes; the rest
/// is there once: tokenizer, cache, and ONNX Runtime itself.
fn memory() {
    for name in [DEFAULT_MODEL, INT8] {
        let file = models().join(name).join("model.onnx");
        let weights = file.metadata().unwrap().len() as f64 / 1e6;
        let [one, two] = ["1", "2"].map(|threads| {
            let output = Command::new(std::env::current_exe().unwrap()).args([name, threads]).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap().trim().parse::<f64>().unwrap()
        });
        let session = two - one;
        println!(
            "memory of {name}: weights {weights:.1} MB; a session {session:.1} MB, {:.2} of them; a process beside its sessions {:.1} MB",
            session / weights,
            one - session,
        );
    }
}

/// Memory of this process that is its own, in MB, after it has embedded short and long texts.
fn memory_of(name: &str, threads: usize) -> f64 {
    let texts =
        (0..64).map(|number| format!("{SHORT} {number}{}", " and so on".repeat(number * 2))).collect::<Vec<_>>();
    let texts = texts.iter().map(String::as_str).collect::<Vec<_>>();
    model(name).unwrap().embed_batch(&texts, threads, &mut |_| Ok(())).unwrap();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1e3
}

fn models() -> PathBuf {
    PathBuf::from(std::env::var_os("FAFCAS_MODEL_DIR").unwrap())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn wordnet() -> Vec<String> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/.cache/wordnet.txt");
    let text = std::fs::read_to_string(file).unwrap_or_else(|_| panic!("{file} is missing, see the top of this file"));
    text.lines().map(str::to_owned).collect()
}

/// Texts that the model sees as many tokens of as it can.
fn long(texts: &[String], tokens: impl Fn(&str) -> usize) -> Vec<String> {
    let joined = texts[GLOSSES..].chunks(30).map(|texts| texts.join(". "));
    joined.filter(|text| tokens(text) >= LONG_TOKENS).take(LONG).collect()
}

fn seconds(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

/// ONNX Runtime alone, in a process of its own, since a process has one environment of it. A line of texts in, a line of
/// seconds out.
mod bare {
    use super::*;
    use ort::session::{Session, SessionInputValue};
    use ort::value::TensorRef;
    use std::io::{BufRead, BufReader, Write};
    use std::process::{Child, ChildStdin, ChildStdout, Stdio};
    use tokenizers::{Tokenizer, TruncationParams};

    /// Texts in a batch, as many as is best.
    const BATCH: usize = 8;
    /// Tokens in a batch: long texts are best alone.
    const BATCH_TOKENS: usize = 256;

    /// The process, as the bench sees it.
    pub struct Bare {
        _child: Child,
        asks: ChildStdin,
        answers: BufReader<ChildStdout>,
    }

    impl Bare {
        pub fn start(name: &str) -> Self {
            let mut command = Command::new(std::env::current_exe().unwrap());
            let mut child = command.args([name, "bare"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            let (asks, answers) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
            Self { _child: child, asks, answers }
        }

        /// Seconds to run these texts, and the vector of the first one's first batch.
        fn ask(&mut self, texts: &[&str]) -> (f64, Vec<f32>) {
            writeln!(self.asks, "{}", serde_json::to_string(texts).unwrap()).unwrap();
            let mut line = String::new();
            self.answers.read_line(&mut line).unwrap();
            serde_json::from_str(&line).unwrap()
        }

        pub fn seconds(&mut self, texts: &[&str]) -> f64 {
            self.ask(texts).0
        }

        /// Asserts that it does the same work: the mean of its tokens' vectors points where this one does.
        pub fn expect_like(&mut self, vector: &[f32]) {
            let mean = self.ask(&[SHORT]).1;
            let product = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
            let cosine = product(&mean, vector) / product(&mean, &mean).sqrt();
            assert!(cosine > 0.9999, "{cosine}");
        }
    }

    /// The process itself.
    pub fn serve(name: &str) {
        let mut session = session(name);
        let mut tokenizer = Tokenizer::from_file(models().join(name).join("tokenizer.json")).unwrap();
        tokenizer.with_padding(None);
        tokenizer.with_truncation(Some(TruncationParams { max_length: LONG_TOKENS, ..Default::default() })).unwrap();
        for line in std::io::stdin().lines() {
            let texts: Vec<String> = serde_json::from_str(&line.unwrap()).unwrap();
            let batches = batches(&tokenizer, &texts);
            let time = seconds(|| batches.iter().for_each(|batch| drop(session.run(batch.inputs()).unwrap())));
            println!("{}", serde_json::to_string(&(time, mean(&mut session, &batches[0]))).unwrap());
        }
    }

    fn session(name: &str) -> Session {
        // SAFETY: ONNX Runtime's own library, whose one exported function has this type and returns a constant.
        unsafe {
            let library = libloading::Library::new(models().join("libonnxruntime.so")).unwrap();
            let base =
                library.get::<unsafe extern "C" fn() -> *const ort::sys::OrtApiBase>(b"OrtGetApiBase\0").unwrap()();
            ort::set_api((*((*base).GetApi)(ort::sys::ORT_API_VERSION)).clone());
            std::mem::forget(library);
        }
        let environment = ort::init().with_telemetry(false).build().unwrap();
        let builder = Session::builder(&environment).unwrap().with_intra_threads(1).unwrap();
        builder.with_inter_threads(1).unwrap().commit_from_file(models().join(name).join("model.onnx")).unwrap()
    }

    /// The ids, mask and types of texts as ONNX Runtime takes them.
    struct Batch {
        shape: [usize; 2],
        values: [Vec<i64>; 3],
    }

    /// Texts as batches, sorted by length.
    fn batches(tokenizer: &Tokenizer, texts: &[String]) -> Vec<Batch> {
        let ids = |text: &String| tokenizer.encode_fast(text.as_str(), true).unwrap().get_ids().to_vec();
        let mut rows = texts.iter().map(ids).collect::<Vec<_>>();
        rows.sort_by_key(Vec::len);
        let size = (BATCH_TOKENS / rows[rows.len() / 2].len()).clamp(1, BATCH);
        rows.chunks(size).map(Batch::new).collect()
    }

    /// The mean of all tokens of a batch.
    fn mean(session: &mut Session, batch: &Batch) -> Vec<f32> {
        let outputs = session.run(batch.inputs()).unwrap();
        let (shape, values) = outputs["last_hidden_state"].try_extract_tensor::<f32>().unwrap();
        let dimensions = shape[2] as usize;
        (0..dimensions).map(|at| values.iter().skip(at).step_by(dimensions).sum()).collect()
    }

    impl Batch {
        fn new(rows: &[Vec<u32>]) -> Self {
            let longest = rows.iter().map(Vec::len).max().unwrap();
            let padded = |of: fn(u32) -> i64| {
                let row =
                    |row: &Vec<u32>| (0..longest).map(|at| row.get(at).map_or(0, |&id| of(id))).collect::<Vec<_>>();
                rows.iter().flat_map(row).collect::<Vec<_>>()
            };
            let values = [padded(i64::from), padded(|_| 1), vec![0; rows.len() * longest]];
            Self { shape: [rows.len(), longest], values }
        }

        fn inputs(&self) -> Vec<(&'static str, SessionInputValue<'_>)> {
            let names = ["input_ids", "attention_mask", "token_type_ids"];
            let all = names.iter().zip(&self.values);
            all.map(|(&name, values)| {
                let tensor = TensorRef::from_array_view((self.shape, values.as_slice())).unwrap();
                (name, SessionInputValue::from(tensor))
            })
            .collect()
        }
    }
}
