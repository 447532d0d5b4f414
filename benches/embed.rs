//! Text to vector, against ONNX Runtime alone: what this crate adds, in time and memory.
//!
//!     make model && python3 scripts/fetch_wordnet.py .cache/wordnet.txt
//!     FAFCAS_MODEL_DIR=$PWD/models cargo bench --bench embed
//!
//! `bare` calls ONNX Runtime on tensors that are ready, and drops what it returns: no tokenizer, pooling or cache. Each
//! measurement has a process of its own, and the kinds take turns. benches/peers_embed.py measures the peers.

#![allow(missing_docs, unsafe_code, clippy::unwrap_used, clippy::print_stdout)]

use fafcas::embed::{DEFAULT_MODEL, model};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

const ROUNDS: usize = 3;
const SHORT: &str = "how do readers and writers coexist in a database";
const SHORTS: usize = 300;
const GLOSSES: usize = 5000;
const LONG: usize = 500;
const LONG_TOKENS: usize = 256;

fn main() {
    let arguments = std::env::args().filter(|argument| !argument.starts_with("--")).collect::<Vec<_>>();
    let [_, kind, name, threads] = &arguments[..] else { return compare() };
    let result = match kind.as_str() {
        "own" => own(name, threads.parse().unwrap()),
        _ => bare::measure(name),
    };
    println!("{result}");
}

fn compare() {
    let int8 = format!("{DEFAULT_MODEL}-int8");
    let kinds = [
        ("bare", DEFAULT_MODEL, 1),
        ("own", DEFAULT_MODEL, 1),
        ("own", DEFAULT_MODEL, 2),
        ("own", &int8, 1),
        ("own", &int8, 2),
    ];
    let mut results = kinds.map(|_| Vec::new());
    for _ in 0..ROUNDS {
        for (results, (kind, name, threads)) in results.iter_mut().zip(kinds) {
            results.push(run(kind, name, threads));
        }
    }
    let own = &results[1][0]["vector"];
    assert_eq!(own, &results[2][0]["vector"], "two threads give another vector");
    println!(
        "medians of {ROUNDS}: load and one short text in ms, texts/s, MB of memory after all of it for each session"
    );
    println!("{:32} {:>7} {:>7} {:>8} {:>8} {:>6}", "", "load", "short", "glosses", "long", "MB");
    for ((kind, name, threads), results) in kinds.iter().zip(&results) {
        let [load, short, glosses, long, memory] =
            ["load", "short", "glosses", "long", "memory"].map(|key| median(results, key));
        let label = format!("{kind} {name} {threads}");
        println!("{label:32} {load:7.0} {short:7.3} {glosses:8.0} {long:8.1} {:6.0}", memory / f64::from(*threads));
    }
    let ratio = |key: &str| median(&results[1], key) / median(&results[0], key);
    let [short, long] = ["short", "long"].map(ratio);
    println!("own against bare: a short text takes {short:.3} of the time, long texts come at {long:.3} of the rate");
}

fn median(results: &[Value], key: &str) -> f64 {
    let mut values = results.iter().map(|result| result[key].as_f64().unwrap()).collect::<Vec<_>>();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn run(kind: &str, name: &str, threads: i32) -> Value {
    let program = std::env::current_exe().unwrap();
    let output = Command::new(program).args([kind, name, &threads.to_string()]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
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

/// Memory of this process that is its own, in MB.
fn memory() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1e3
}

fn own(name: &str, threads: usize) -> Value {
    let mut loaded = None;
    let load = seconds(|| loaded = Some(model(name).unwrap()));
    let model = loaded.unwrap();
    let vector = model.embed(SHORT, 1).unwrap().to_vec();
    // A space makes another text of the same tokens, which the cache does not know.
    let shorts = (1..=SHORTS).map(|spaces| format!("{SHORT}{}", " ".repeat(spaces))).collect::<Vec<_>>();
    let short = seconds(|| shorts.iter().for_each(|text| drop(model.embed(text, 1).unwrap())));
    let loaded = memory();
    let texts = wordnet();
    let long = long(&texts, |text| model.count_tokens(text).unwrap());
    let read = memory();
    let batch = |texts: &[String]| {
        for window in texts.chunks(1024) {
            let window = window.iter().map(String::as_str).collect::<Vec<_>>();
            model.embed_batch(&window, threads, &mut |_| Ok(())).unwrap();
        }
    };
    // The first batch opens what sessions are missing.
    batch(&texts[GLOSSES..GLOSSES + 64]);
    let glosses = seconds(|| batch(&texts[..GLOSSES]));
    let long = seconds(|| batch(&long));
    json!({
        "vector": vector, "load": load * 1e3, "short": short * 1e3 / SHORTS as f64, "glosses": GLOSSES as f64 / glosses,
        "long": LONG as f64 / long, "memory": loaded + memory() - read,
    })
}

mod bare {
    use super::*;
    use ort::session::{Session, SessionInputValue};
    use ort::value::TensorRef;
    use tokenizers::{Tokenizer, TruncationParams};

    fn session(name: &str, folder: &std::path::Path) -> Session {
        // SAFETY: ONNX Runtime's own library, whose one exported function has this type and returns a constant.
        unsafe {
            let library = libloading::Library::new(folder.join("libonnxruntime.so")).unwrap();
            let base =
                library.get::<unsafe extern "C" fn() -> *const ort::sys::OrtApiBase>(b"OrtGetApiBase\0").unwrap()();
            ort::set_api((*((*base).GetApi)(ort::sys::ORT_API_VERSION)).clone());
            std::mem::forget(library);
        }
        let environment = ort::init().with_telemetry(false).build().unwrap();
        let builder = Session::builder(&environment).unwrap().with_intra_threads(1).unwrap();
        builder.with_inter_threads(1).unwrap().commit_from_file(folder.join(name).join("model.onnx")).unwrap()
    }

    /// The ids, mask and types of texts as ONNX Runtime takes them.
    struct Batch {
        shape: [usize; 2],
        values: [Vec<i64>; 3],
    }

    fn batch(rows: &[&Vec<u32>]) -> Batch {
        let longest = rows.iter().map(|row| row.len()).max().unwrap();
        let padded = |of: fn(u32) -> i64| {
            let row = |row: &&Vec<u32>| (0..longest).map(|at| row.get(at).map_or(0, |&id| of(id))).collect::<Vec<_>>();
            rows.iter().flat_map(row).collect::<Vec<_>>()
        };
        let values = [padded(i64::from), padded(|_| 1), vec![0; rows.len() * longest]];
        Batch { shape: [rows.len(), longest], values }
    }

    fn run(session: &mut Session, batch: &Batch) {
        let names = ["input_ids", "attention_mask", "token_type_ids"];
        let tensor = |number: usize| {
            let tensor = TensorRef::from_array_view((batch.shape, batch.values[number].as_slice())).unwrap();
            (names[number], SessionInputValue::from(tensor))
        };
        drop(session.run([0, 1, 2].map(tensor).into_iter().collect::<Vec<_>>()).unwrap());
    }

    pub fn measure(name: &str) -> Value {
        let folder = PathBuf::from(std::env::var_os("FAFCAS_MODEL_DIR").unwrap());
        let mut session_slot = None;
        let load = seconds(|| session_slot = Some(session(name, &folder)));
        let mut session = session_slot.unwrap();
        let mut tokenizer = Tokenizer::from_file(folder.join(name).join("tokenizer.json")).unwrap();
        tokenizer.with_padding(None);
        tokenizer.with_truncation(Some(TruncationParams { max_length: LONG_TOKENS, ..Default::default() })).unwrap();
        let ids = |text: &str| tokenizer.encode_fast(text, true).unwrap().get_ids().to_vec();

        let short = batch(&[&ids(SHORT)]);
        run(&mut session, &short);
        let short = seconds(|| (0..SHORTS).for_each(|_| run(&mut session, &short)));
        let texts = wordnet();
        let mut glosses = texts[..GLOSSES].iter().map(|text| ids(text)).collect::<Vec<_>>();
        glosses.sort_by_key(Vec::len);
        let glosses = glosses.chunks(8).map(|rows| batch(&rows.iter().collect::<Vec<_>>())).collect::<Vec<_>>();
        let long = long(&texts, |text| ids(text).len()).iter().map(|text| batch(&[&ids(text)])).collect::<Vec<_>>();
        let glosses = seconds(|| glosses.iter().for_each(|batch| run(&mut session, batch)));
        let long = seconds(|| long.iter().for_each(|batch| run(&mut session, batch)));
        json!({
            "load": load * 1e3, "short": short * 1e3 / SHORTS as f64, "glosses": GLOSSES as f64 / glosses,
            "long": LONG as f64 / long, "memory": memory(),
        })
    }
}
