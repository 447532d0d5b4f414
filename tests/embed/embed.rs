//! What `embed` promises, on the real runtime and model (`make model`) and on tiny models whose vectors can be worked out by
//! hand. tests/embed_runtime.rs has what needs a process of its own.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use fafcas::embed::{DEFAULT_MODEL, Model, Places, configure, model, models};
use fafcas::error::{Error, Result};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

const INT8: &str = "all-MiniLM-L6-v2-int8";
const DIMENSIONS: usize = 384;

/// A folder of models for these tests: the real ones by link, and what the tests add.
pub static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("embed");
    drop(fs::remove_dir_all(&root));
    fs::create_dir_all(&root).unwrap();
    for name in [DEFAULT_MODEL, INT8, "libonnxruntime.so"] {
        assert!(source.join(name).exists(), "models/{name} is missing: run `make model` first");
        std::os::unix::fs::symlink(source.join(name), root.join(name)).unwrap();
    }
    configure(Places { models: Some(root.clone()), runtime: None });
    root
});

fn real(name: &str) -> Arc<Model> {
    LazyLock::force(&ROOT);
    model(name).unwrap()
}

fn minilm() -> Arc<Model> {
    real(DEFAULT_MODEL)
}

fn texts() -> Vec<String> {
    serde_json::from_str(include_str!("../data/texts.json")).unwrap()
}

/// What sentence-transformers makes of these texts, from f16.
fn expected() -> Vec<Vec<f64>> {
    let values =
        include_bytes!("../data/expected.f16").as_chunks().0.iter().map(|&bytes| half(u16::from_le_bytes(bytes)));
    values.collect::<Vec<_>>().chunks(DIMENSIONS).map(<[f64]>::to_vec).collect()
}

fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    match exponent {
        0 => sign * fraction * 2f64.powi(-24),
        _ => sign * (1.0 + fraction / 1024.0) * 2f64.powi(exponent - 15),
    }
}

fn cosine(a: &[f32], b: &[f64]) -> f64 {
    let dot = a.iter().zip(b).map(|(&a, &b)| f64::from(a) * b).sum::<f64>();
    let norm = |sum: f64| sum.sqrt();
    dot / norm(a.iter().map(|&a| f64::from(a).powi(2)).sum()) / norm(b.iter().map(|b| b * b).sum())
}

pub fn batch(model: &Model, texts: &[&str], threads: usize) -> Vec<Arc<[f32]>> {
    model.embed_batch(texts, threads, &mut |_| Ok(())).unwrap()
}

fn refs(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

/// A model of the tiny ones: `onnx` is its file's name, `files` its JSON files by name.
pub fn tiny(name: &str, onnx: &str, files: &[(&str, Value)]) -> PathBuf {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny");
    let folder = ROOT.join(name);
    fs::create_dir_all(folder.join("1_Pooling")).unwrap();
    fs::copy(data.join(onnx), folder.join("model.onnx")).unwrap();
    fs::copy(data.join("tokenizer.json"), folder.join("tokenizer.json")).unwrap();
    let settings = [
        ("config.json", json!({ "max_position_embeddings": 8, "hidden_size": 4, "vocab_size": 12 })),
        ("1_Pooling/config.json", json!({ "pooling_mode": "mean" })),
    ];
    for (file, content) in settings.into_iter().chain(files.iter().cloned()).collect::<BTreeMap<_, _>>() {
        match content {
            Value::Null => drop(fs::remove_file(folder.join(file))),
            Value::String(text) => fs::write(folder.join(file), text).unwrap(),
            content => fs::write(folder.join(file), content.to_string()).unwrap(),
        }
    }
    folder
}

/// The unit vector of the sum of these rows of the tiny models' table.
pub fn rows(ids: &[usize]) -> Vec<f32> {
    let row = |id: usize| [id as f64, (id % 3) as f64, (id % 2) as f64, 1.0];
    let sum = (0..4).map(|at| ids.iter().map(|&id| row(id)[at]).sum::<f64>()).collect::<Vec<_>>();
    let norm = sum.iter().map(|value| value * value).sum::<f64>().sqrt();
    sum.iter().map(|value| (value / norm) as f32).collect()
}

pub fn message<T>(result: Result<T>) -> String {
    result.err().map(|error| error.to_string()).unwrap_or_else(|| panic!("no error"))
}

// Faithfulness

#[test]
fn vectors_are_those_of_sentence_transformers() {
    let (model, texts) = (minilm(), texts());
    assert_eq!((texts.len(), model.dimensions(), model.max_tokens()), (500, DIMENSIONS, 256));
    let truncated = texts.iter().filter(|text| model.count_tokens(text).unwrap() == 256).count();
    assert!(truncated > 10, "{truncated} of the texts are beyond the limit");
    for ((text, expected), vector) in texts.iter().zip(expected()).zip(batch(&model, &refs(&texts), 1)) {
        let cosine = cosine(&vector, &expected);
        assert!(cosine >= 0.9999, "{cosine} for {text:?}");
    }
}

#[test]
fn int8_vectors_are_near_those_of_sentence_transformers() {
    let texts = texts();
    let vectors = batch(&real(INT8), &refs(&texts), 2);
    let cosines =
        vectors.iter().zip(expected()).map(|(vector, expected)| cosine(vector, &expected)).collect::<Vec<_>>();
    let mean = cosines.iter().sum::<f64>() / cosines.len() as f64;
    assert!(mean >= 0.99, "{mean}");
    assert!(mean < 0.9999, "{mean}: this is not the int8 model");
}

#[test]
fn vectors_are_of_unit_length() {
    let texts = texts();
    for vector in batch(&minilm(), &refs(&texts[..60]), 1) {
        let norm = vector.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
        assert!((norm - 1.0).abs() < 1e-6, "{norm}");
    }
}

/// Alone, in company, on one thread or two: a text has one vector. In f32 the company moves the last bit on some CPUs; int8
/// texts have no company.
#[test]
fn the_vector_of_a_text_does_not_depend_on_its_company() {
    for (name, bound) in [(DEFAULT_MODEL, 1e-6), (INT8, 0.0)] {
        let model = real(name);
        let company =
            (0..40).map(|number| format!("company {number} {}", "and more ".repeat(number))).collect::<Vec<_>>();
        let alone = company.iter().map(|text| model.embed(text, 1).unwrap()).collect::<Vec<_>>();
        // Other texts of the same tokens, so that the cache knows none of them.
        let unknown = company.iter().map(|text| format!(" {text}")).collect::<Vec<_>>();
        let together = batch(&model, &refs(&unknown), 2);
        let pairs = alone.iter().zip(&together).flat_map(|(a, b)| a.iter().zip(b.iter()));
        let worst = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst <= bound, "{name}: {worst}");
    }
}

#[test]
fn many_threads_get_the_vectors_that_one_gets() {
    let (model, texts) = (minilm(), (0..24).map(|number| format!("thread text {number}")).collect::<Vec<_>>());
    let own = texts.iter().map(|text| model.embed(text, 1).unwrap()).collect::<Vec<_>>();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (model, texts, own) = (&model, &texts, &own);
            scope.spawn(move || {
                for (text, own) in texts.iter().zip(own) {
                    // Spaces make another text of the same tokens, which has to be embedded anew.
                    let text = format!("{}{text}", " ".repeat(thread + 1));
                    assert_eq!(model.embed(&text, 3).unwrap(), *own);
                }
            });
        }
    });
}

// Texts of all kinds

#[test]
fn text_beyond_the_limit_is_cut_off() {
    let model = minilm();
    let long = "many words and then some ".repeat(60);
    let longer = long.clone() + &"of something else ".repeat(600_000);
    assert!(longer.len() > 10_000_000);
    assert_eq!(model.count_tokens(&longer).unwrap(), 256);
    assert_eq!(model.embed(&longer, 1).unwrap(), model.embed(&long, 1).unwrap());
}

#[test]
fn text_without_words_has_a_vector() {
    let model = minilm();
    let empty = model.embed("", 1).unwrap();
    for blank in [" ", "\n\t", "\0", "\u{200b}", "\u{a0}"] {
        assert_eq!(model.embed(blank, 1).unwrap(), empty, "{blank:?}");
    }
    assert_eq!(model.count_tokens("").unwrap(), 2);
}

#[test]
fn a_nul_is_no_end() {
    let model = minilm();
    assert_eq!(model.embed("before\0after", 1).unwrap(), model.embed("beforeafter", 1).unwrap());
}

#[test]
fn tokens_are_counted_as_the_model_sees_them() {
    let model = minilm();
    for (text, tokens) in [("cat", 3), ("Cats, and dogs.", 7), ("xylophones", 6), ("🙂", 3), ("שלום", 6)] {
        assert_eq!(model.count_tokens(text).unwrap(), tokens, "{text}");
    }
}

// Bulk

#[test]
fn many_texts_come_back_in_their_order() {
    let (model, texts) = (minilm(), texts());
    let mixed = (0..100).map(|at| texts[at * 37 % 100].as_str()).collect::<Vec<_>>();
    for (text, vector) in mixed.iter().zip(batch(&model, &mixed, 2)) {
        assert_eq!(vector, model.embed(text, 1).unwrap(), "{text:?}");
    }
    assert!(batch(&model, &[], 2).is_empty());
}

/// What a model has embedded is looked up, alone or in bulk, and counted.
#[test]
fn a_repeated_text_is_not_embedded_again() {
    tiny("repeated", "tokens.onnx", &[]);
    let model = model("repeated").unwrap();
    let counted = || {
        let counters = model.take_counters();
        (counters.hits, counters.misses)
    };
    let first = model.embed("red", 1).unwrap();
    assert_eq!(counted(), (0, 1));
    assert!(Arc::ptr_eq(&model.embed("red", 1).unwrap(), &first));
    assert_eq!(counted(), (1, 0));
    let vectors = batch(&model, &["red", "green", "green"], 1);
    assert!(Arc::ptr_eq(&vectors[0], &first) && Arc::ptr_eq(&vectors[1], &vectors[2]));
    assert_eq!(counted(), (1, 2));
    assert!(Arc::ptr_eq(&model.embed("green", 1).unwrap(), &vectors[1]));
    assert_eq!(counted(), (1, 0));
}

#[test]
fn bulk_work_tells_how_far_it_is_and_stops_when_told() {
    let model = minilm();
    let texts = (0..100).map(|number| format!("progress {number}")).collect::<Vec<_>>();
    let stop = Error::Mistake("enough".into());
    for threads in [1, 2] {
        let mut seen = Vec::new();
        let stopped = model.embed_batch(&refs(&texts), threads, &mut |done| {
            seen.push(done);
            if done >= 40 { Err(stop.clone()) } else { Ok(()) }
        });
        assert_eq!(stopped, Err(stop.clone()));
        assert!(seen.is_sorted(), "{seen:?}");
        // One thread stops at once; another may have done more by the time it is told.
        assert!(threads > 1 || *seen.last().unwrap() < 50, "{seen:?}");
    }

    let mut last = 0;
    let again = model.embed_batch(&refs(&texts), 1, &mut |done| {
        last = done;
        Ok(())
    });
    assert_eq!((again.unwrap().len(), last), (100, 100));
}

// Models and their settings

#[test]
fn tokens_are_pooled_as_the_settings_say() {
    let old = |mode: &str| json!({ format!("pooling_mode_{mode}"): true, "pooling_mode_max_tokens": false });
    let modules = json!([{ "type": "a.Transformer", "path": "" }, { "type": "b.Pooling", "path": "2_Other" }]);
    let cases = [
        ("mean", "tokens.onnx", vec![], vec![2, 4, 6, 7, 3]),
        ("mean-old", "pairs.onnx", vec![("1_Pooling/config.json", old("mean_tokens"))], vec![2, 4, 6, 7, 3]),
        ("cls", "tokens.onnx", vec![("1_Pooling/config.json", json!({ "pooling_mode": ["cls"] }))], vec![2]),
        ("cls-old", "pairs.onnx", vec![("1_Pooling/config.json", old("cls_token"))], vec![2]),
        (
            "modules",
            "tokens.onnx",
            vec![("modules.json", modules), ("1_Pooling/config.json", old("cls_token"))],
            vec![2],
        ),
    ];
    for (name, onnx, files, ids) in cases {
        let folder = tiny(name, onnx, &files);
        if name == "modules" {
            fs::rename(folder.join("1_Pooling"), folder.join("2_Other")).unwrap();
        }
        let model = model(name).unwrap();
        assert_eq!(*model.embed("red blueish", 1).unwrap(), *rows(&ids), "{name}");
        // Padding must not count: the same text beside a longer one.
        let vectors = batch(&model, &[" red blueish", "red red red red"], 1);
        assert_eq!(*vectors[0], *rows(&ids), "{name}");
    }
}

/// It pools by itself, so what the folder says of pooling is of no concern.
#[test]
fn a_model_with_sentence_embedding_is_taken_at_its_word() {
    let dense = json!([{ "type": "sentence_transformers.models.Dense", "path": "2_Dense" }]);
    tiny("pooled", "pooled.onnx", &[("1_Pooling/config.json", Value::Null), ("modules.json", dense)]);
    let vector = model("pooled").unwrap().embed("red", 1).unwrap();
    // The greatest of each column over [CLS], red and [SEP].
    let norm = (16.0f64 + 4.0 + 1.0 + 1.0).sqrt();
    assert_eq!(*vector, [4.0, 2.0, 1.0, 1.0].map(|value: f64| (value / norm) as f32));
}

#[test]
fn the_limit_is_the_least_that_is_named() {
    let sentence = json!({ "max_seq_length": 5 });
    let tokenizer = json!({ "model_max_length": 6 });
    let unlimited = json!({ "model_max_length": 1e30 as u64 });
    let cases = [
        ("limit-table", vec![], 8),
        (
            "limit-sentence",
            vec![("sentence_bert_config.json", sentence.clone()), ("tokenizer_config.json", tokenizer.clone())],
            5,
        ),
        ("limit-tokenizer", vec![("tokenizer_config.json", tokenizer)], 6),
        ("limit-none", vec![("tokenizer_config.json", unlimited)], 8),
        ("limit-beyond", vec![("sentence_bert_config.json", json!({ "max_seq_length": 512 }))], 8),
    ];
    for (name, files, limit) in cases {
        tiny(name, "tokens.onnx", &files);
        let model = model(name).unwrap();
        assert_eq!(
            (model.max_tokens(), model.count_tokens("red green blue red green blue").unwrap()),
            (limit, limit),
            "{name}"
        );
    }
}

#[test]
fn lower_case_is_made_where_the_settings_say_so() {
    tiny("cased", "tokens.onnx", &[]);
    tiny(
        "lower",
        "tokens.onnx",
        &[("sentence_bert_config.json", json!({ "max_seq_length": 8, "do_lower_case": true }))],
    );
    assert_eq!(*model("cased").unwrap().embed("RED", 1).unwrap(), *rows(&[2, 1, 3]));
    assert_eq!(*model("lower").unwrap().embed("RED", 1).unwrap(), *rows(&[2, 4, 3]));
}

#[test]
fn the_fingerprint_changes_with_what_changes_vectors() {
    let tokenizer = |change: &str| fs::read_to_string("tests/data/tiny/tokenizer.json").unwrap() + change;
    let print = |name: &str, onnx: &str, files: &[(&str, Value)]| {
        tiny(name, onnx, files);
        model(name).unwrap().fingerprint().unwrap().to_owned()
    };
    let plain = print("print", "tokens.onnx", &[]);
    assert_eq!(plain.len(), 64);
    assert_eq!(print("print-same", "tokens.onnx", &[("modules.json", json!([]))]), plain);
    let others = [
        print("print-model", "pairs.onnx", &[]),
        print("print-tokenizer", "tokens.onnx", &[("tokenizer.json", tokenizer("\n").into())]),
        print("print-pooling", "tokens.onnx", &[("1_Pooling/config.json", json!({ "pooling_mode": "cls" }))]),
        print("print-limit", "tokens.onnx", &[("sentence_bert_config.json", json!({ "max_seq_length": 5 }))]),
    ];
    assert!(others.iter().all(|other| *other != plain));
}

#[test]
fn models_are_listed_before_and_after_they_are_loaded() {
    tiny("listed", "tokens.onnx", &[]);
    let find = || models().unwrap().into_iter().find(|listing| listing.name == "listed").unwrap();
    let before = find();
    assert_eq!((before.dimensions, before.max_tokens, before.loaded), (Some(4), Some(8), false));
    let loaded = model("listed").unwrap();
    let after = find();
    assert_eq!((after.dimensions, after.max_tokens, after.loaded), (Some(4), Some(8), true));
    assert_eq!(
        (before.fingerprint.as_deref(), after.fingerprint.as_deref()),
        (loaded.fingerprint().ok(), loaded.fingerprint().ok())
    );
}

#[test]
fn a_model_is_loaded_once() {
    tiny("once", "tokens.onnx", &[]);
    assert!(Arc::ptr_eq(&model("once").unwrap(), &model("once").unwrap()));
}

// Bad input

#[test]
fn a_name_is_never_a_path() {
    LazyLock::force(&ROOT);
    let long = "x".repeat(101);
    for name in ["", ".", "..", ".hidden", "a/b", "/etc", "../embed", "a\\b", "a b", "naïve", "a\0", "C:", &long] {
        assert!(
            message(model(name)).starts_with("expected a model name of letters, digits, '.', '_' and '-', not "),
            "{name}"
        );
    }
    assert!(message(model("absent")).starts_with("expected a model absent in "));
    assert!(message(model("absent")).contains("docs/models.md says how to add"));
}

#[test]
fn a_folder_that_is_no_model_is_refused_with_the_reason() {
    let max = json!({ "pooling_mode": "max" });
    let both = json!({ "pooling_mode_cls_token": true, "pooling_mode_mean_tokens": true });
    let dense = json!([{ "type": "models.Transformer" }, { "type": "models.Pooling" }, { "type": "models.Dense" }]);
    let two = json!({ "max_seq_length": 2 });
    let vocabulary = |rows: u64| json!({ "max_position_embeddings": 8, "vocab_size": rows });
    let cases = [
        ("no-pooling", "tokens.onnx", ("1_Pooling/config.json", Value::Null), "expected an output sentence_embedding"),
        (
            "max",
            "tokens.onnx",
            ("1_Pooling/config.json", max),
            "expected pooling_mode as mean, cls or lasttoken, not max",
        ),
        ("both", "tokens.onnx", ("1_Pooling/config.json", both), "not cls_token and mean_tokens"),
        (
            "dense",
            "tokens.onnx",
            ("modules.json", dense),
            "2_Dense/config.json: expected in_features as a number from 1 to 65536, not null",
        ),
        (
            "no-limit",
            "tokens.onnx",
            ("config.json", Value::Null),
            "expected max_seq_length in sentence_bert_config.json",
        ),
        ("no-room", "tokens.onnx", ("sentence_bert_config.json", two), "expected a limit of more than 2 tokens, not 2"),
        ("bad-json", "tokens.onnx", ("config.json", "{".into()), "config.json: expected JSON, not "),
        ("no-tokenizer", "tokens.onnx", ("tokenizer.json", Value::Null), "tokenizer.json: expected a readable file"),
        (
            "bad-tokenizer",
            "tokens.onnx",
            ("tokenizer.json", json!({ "model": 1 })),
            "tokenizer.json: expected a tokenizer, not ",
        ),
        (
            "cut-tokenizer",
            "tokens.onnx",
            ("tokenizer.json", r#"{"decoder": {"#.into()),
            "tokenizer.json: expected a tokenizer, not ",
        ),
        (
            "no-model",
            "tokens.onnx",
            ("model.onnx", Value::Null),
            "expected model.onnx, onnx/model.onnx or model.safetensors in ",
        ),
        ("garbage", "tokens.onnx", ("model.onnx", "not a model".into()), "ONNX Runtime: "),
        ("empty", "tokens.onnx", ("model.onnx", "".into()), "ONNX Runtime: "),
        (
            "large-vocabulary",
            "tokens.onnx",
            ("config.json", vocabulary(30522)),
            "expected the model's 30522 tokens, not 12",
        ),
        ("small-vocabulary", "tokens.onnx", ("config.json", vocabulary(11)), "expected the model's 11 tokens, not 12"),
        (
            "short-table",
            "short_table.onnx",
            ("config.json", vocabulary(12)),
            "tokenizer.json does not match, its greatest id is 11: ",
        ),
        (
            "pixels",
            "pixels.onnx",
            ("modules.json", json!([])),
            "expected a model with inputs input_ids and attention_mask",
        ),
        ("int32", "int32.onnx", ("modules.json", json!([])), "expected input_ids of type i64, not "),
        ("logits", "logits.onnx", ("modules.json", json!([])), "expected a model with output last_hidden_state or "),
        ("flat", "flat.onnx", ("modules.json", json!([])), "expected last_hidden_state of 1 x 1 x dimensions, not "),
        (
            "zeros",
            "zeros.onnx",
            ("modules.json", json!([])),
            "expected a vector of finite length from the model, not 0",
        ),
        (
            "nan",
            "not_a_number.onnx",
            ("modules.json", json!([])),
            "expected a vector of finite length from the model, not NaN",
        ),
    ];
    for (name, onnx, file, reason) in cases {
        tiny(name, onnx, &[file]);
        let message = message(model(name));
        assert!(message.starts_with(&format!("model {name}: ")) && message.contains(reason), "{message}");
        assert!(!message.contains('\n'), "{message}");
    }
    // The others work on.
    minilm().embed("still here", 1).unwrap();
}

/// Issue 14: these had no effect, and nobody knew.
#[test]
fn settings_of_the_wrong_type_are_errors_that_name_file_and_setting() {
    let cases = [
        (
            "sentence_bert_config.json",
            json!({ "max_seq_length": "512" }),
            "max_seq_length as a whole number, not \"512\"",
        ),
        ("sentence_bert_config.json", json!({ "max_seq_length": -1 }), "max_seq_length as a whole number, not -1"),
        ("sentence_bert_config.json", json!({ "do_lower_case": "yes" }), "do_lower_case as true or false, not \"yes\""),
        ("tokenizer_config.json", json!({ "model_max_length": [8] }), "model_max_length as a whole number, not [8]"),
        (
            "config.json",
            json!({ "max_position_embeddings": 8.5 }),
            "max_position_embeddings as a whole number, not 8.5",
        ),
        (
            "config.json",
            json!({ "max_position_embeddings": 8, "vocab_size": {} }),
            "vocab_size as a whole number, not {}",
        ),
        ("1_Pooling/config.json", json!({ "pooling_mode": 1 }), "pooling_mode as a mode or a list of them, not 1"),
        (
            "1_Pooling/config.json",
            json!({ "pooling_mode_cls_token": 1 }),
            "pooling_mode_cls_token as true or false, not 1",
        ),
        (
            "1_Pooling/config.json",
            json!({ "pooling_mode": "mean", "include_prompt": "no" }),
            "include_prompt as true or false, not \"no\"",
        ),
        ("modules.json", json!({ "0": {} }), "the file as a list of modules, not {\"0\":{}}"),
    ];
    for (number, (file, content, reason)) in cases.into_iter().enumerate() {
        let name = format!("wrong-type-{number}");
        tiny(&name, "tokens.onnx", &[(file, content)]);
        let message = message(model(&name));
        assert!(message.contains(&format!("{file}: expected {reason}")), "{message}");
    }
    let prompts = [("1_Pooling/config.json", json!({ "pooling_mode": "mean", "include_prompt": false }))];
    tiny("include-prompt", "tokens.onnx", &prompts);
    model("include-prompt").unwrap();
}

/// What sentence-transformers leaves out: the tokens of the prompt alone, and the special one before them.
#[test]
fn with_include_prompt_as_false_the_prompt_does_not_count_in_the_mean() {
    let prompts = json!({ "prompts": { "query": "green ", "document": "" } });
    let made = |name: &str, pooling: Value| {
        tiny(
            name,
            "tokens.onnx",
            &[("1_Pooling/config.json", pooling), ("config_sentence_transformers.json", prompts.clone())],
        );
        model(name).unwrap()
    };
    let left_out = made("exclude-prompt", json!({ "pooling_mode": "mean", "include_prompt": false }));
    assert_eq!(*left_out.embed_query("red", 1).unwrap(), *rows(&[4, 3]));
    // A document of the same words, which must not come from the cache of questions.
    assert_eq!(*left_out.embed("green red", 1).unwrap(), *rows(&[2, 5, 4, 3]));
    assert_eq!(*batch(&left_out, &["green red", "green"], 1)[0], *rows(&[2, 5, 4, 3]));
    assert_eq!(*left_out.embed_query("red", 1).unwrap(), *rows(&[4, 3]));
    assert_eq!(*left_out.embed_query("", 1).unwrap(), *rows(&[3]));
    let first = made("exclude-prompt-cls", json!({ "pooling_mode": "cls", "include_prompt": false }));
    assert_eq!(*first.embed_query("red", 1).unwrap(), *rows(&[2]));
    let counted = made("include-prompt-too", json!({ "pooling_mode": "mean", "include_prompt": true }));
    assert_eq!(*counted.embed_query("red", 1).unwrap(), *rows(&[2, 5, 4, 3]));
    assert_ne!(left_out.fingerprint().unwrap(), counted.fingerprint().unwrap());
    // Documents have a prompt, too.
    let both = json!({ "prompts": { "query": "", "document": "blue blue " } });
    let pooling = json!({ "pooling_mode": "mean", "include_prompt": false });
    tiny(
        "exclude-both",
        "tokens.onnx",
        &[("1_Pooling/config.json", pooling), ("config_sentence_transformers.json", both)],
    );
    let both = model("exclude-both").unwrap();
    assert_eq!(*batch(&both, &["red", "red green"], 1)[1], *rows(&[4, 5, 3]));
    assert_eq!(*both.embed("red", 1).unwrap(), *rows(&[4, 3]));
}

/// A safetensors file of f32 tensors.
fn safetensors(tensors: &[(&str, &[usize], &[f32])]) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    let mut values = Vec::new();
    for (name, shape, numbers) in tensors {
        let start = values.len();
        values.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        header.insert((*name).into(), json!({ "dtype": "F32", "shape": shape, "data_offsets": [start, values.len()] }));
    }
    let header = Value::from(header).to_string();
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &values].concat()
}

/// Makes a model with a module Dense of this activation, from 4 numbers to 2.
fn with_dense(name: &str, activation: &str, modules: &[(&str, &str)], matrix: &[u8]) -> Result<Arc<Model>> {
    let list = modules
        .iter()
        .map(|(kind, path)| json!({ "type": format!("sentence_transformers.models.{kind}"), "path": path }));
    let config = json!({ "in_features": 4, "out_features": 2, "bias": true, "activation_function": activation });
    fs::create_dir_all(ROOT.join(name).join("2_Dense")).unwrap();
    let folder = tiny(name, "tokens.onnx", &[("modules.json", list.collect()), ("2_Dense/config.json", config)]);
    fs::write(folder.join("2_Dense/model.safetensors"), matrix).unwrap();
    model(name)
}

const DENSE: [(&str, &str); 4] =
    [("Transformer", ""), ("Pooling", "1_Pooling"), ("Dense", "2_Dense"), ("Normalize", "3_Normalize")];

#[test]
fn a_dense_module_is_applied_to_the_mean() {
    let (weight, bias) = ([0.1f32, 0.2, -0.5, 0.3, -0.1, 0.05, 0.25, 0.0], [-0.25f32, 0.5]);
    let matrix = safetensors(&[("linear.weight", &[2, 4], &weight), ("linear.bias", &[2], &bias)]);
    // [CLS], red and [SEP] are the rows 2, 4 and 3.
    let mean = [3.0f64, 1.0, 1.0 / 3.0, 1.0];
    let length = |vector: &[f64]| vector.iter().map(|value| value * value).sum::<f64>().sqrt();
    let product = |vector: &[f64]| {
        [0, 1].map(|at| {
            vector.iter().enumerate().map(|(of, value)| value * f64::from(weight[4 * at + of])).sum::<f64>()
                + f64::from(bias[at])
        })
    };
    let one = mean.map(|value| value / length(&mean));
    let behind_normalize = [("Pooling", "1_Pooling"), ("Normalize", ""), ("Dense", "2_Dense")];
    let cases = [
        ("dense-tanh", "torch.nn.modules.activation.Tanh", &DENSE[..], product(&mean).map(f64::tanh)),
        ("dense-identity", "torch.nn.modules.linear.Identity", &DENSE[..], product(&mean)),
        ("dense-unit", "torch.nn.modules.linear.Identity", &behind_normalize[..], product(&one)),
    ];
    for (name, activation, modules, expected) in cases {
        let model = with_dense(name, activation, modules, &matrix).unwrap();
        let vector = model.embed("red", 1).unwrap();
        let expected = expected.map(|value| value / length(&expected));
        let is_near = vector.len() == 2 && vector.iter().zip(expected).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-5);
        assert!(is_near, "{name}: {vector:?}, not {expected:?}");
        assert_eq!(*batch(&model, &["red", "red green blue"], 1)[0], *vector);
    }
    let other = safetensors(&[("linear.weight", &[2, 4], &[0.5; 8]), ("linear.bias", &[2], &bias)]);
    let other = with_dense("dense-other", "torch.nn.modules.linear.Identity", &DENSE, &other).unwrap();
    assert_ne!(other.fingerprint().unwrap(), model("dense-identity").unwrap().fingerprint().unwrap());
    assert_eq!(models().unwrap().into_iter().find(|listing| listing.name == "dense-tanh").unwrap().dimensions, Some(2));
}

#[test]
fn a_dense_module_that_does_not_fit_is_refused() {
    let right = safetensors(&[("linear.weight", &[2, 4], &[0.5; 8])]);
    let identity = "torch.nn.modules.linear.Identity";
    let before = [("Dense", "2_Dense"), ("Pooling", "1_Pooling")];
    let cases = [
        (
            "dense-gelu",
            "torch.nn.GELU",
            &DENSE[..],
            right.clone(),
            "config.json: expected activation_function as Identity or Tanh, not \"torch.nn.GELU\"",
        ),
        (
            "dense-before",
            identity,
            &before[..],
            right,
            "modules.json: expected Pooling right behind Transformer, not later",
        ),
        (
            "dense-shape",
            identity,
            &DENSE[..],
            safetensors(&[("linear.weight", &[4, 2], &[0.5; 8])]),
            "tensor linear.weight: expected the shape [2, 4], as config.json says, not [4, 2]",
        ),
        (
            "dense-empty",
            identity,
            &DENSE[..],
            Vec::new(),
            "expected safetensors, which begin with the length of a header",
        ),
        (
            "dense-name",
            identity,
            &DENSE[..],
            safetensors(&[("weight", &[2, 4], &[0.5; 8])]),
            "tensor linear.weight: expected it in the file",
        ),
    ];
    for (name, activation, modules, matrix, reason) in cases {
        let message = message(with_dense(name, activation, modules, &matrix));
        assert!(message.contains(reason), "{name}: {message}");
    }
    fs::remove_file(ROOT.join("dense-name/2_Dense/model.safetensors")).unwrap();
    let message = message(model("dense-name"));
    assert!(message.contains("2_Dense/model.safetensors: expected a readable file or folder"), "{message}");
}

/// Issue 14: with 514 rows, long texts went beyond the table.
#[test]
fn the_limit_of_robertas_kind_is_what_is_behind_padding() {
    let config = |kind: &str, more: Value| {
        let mut config = json!({ "max_position_embeddings": 8, "vocab_size": 12, "model_type": kind });
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        vec![("config.json", config)]
    };
    let cases = [
        ("roberta", config("roberta", json!({})), 6),
        ("roberta-pad", config("xlm-roberta", json!({ "pad_token_id": 0 })), 7),
        ("roberta-null", config("camembert", json!({ "pad_token_id": null })), 6),
        ("not-roberta", config("bert", json!({ "pad_token_id": 1 })), 8),
    ];
    for (name, files, limit) in cases {
        tiny(name, "tokens.onnx", &files);
        assert_eq!(model(name).unwrap().max_tokens(), limit, "{name}");
    }
}

/// Issue 12, item 13: to open a pipe, or to read a device, would wait for ever.
#[cfg(unix)]
#[test]
fn what_is_no_file_is_named_and_not_opened() {
    use std::os::unix::fs::symlink;
    let files = [
        "model.onnx",
        "tokenizer.json",
        "config.json",
        "sentence_bert_config.json",
        "tokenizer_config.json",
        "modules.json",
        "1_Pooling/config.json",
        "config_sentence_transformers.json",
    ];
    let pipe = |path: &Path| {
        let made = std::process::Command::new("mkfifo").arg(path).status().unwrap();
        assert!(made.success());
    };
    let socket = |path: &Path| {
        // Longer paths than a socket may have are met by way of a short link.
        let folder = std::env::temp_dir().join(format!("fafcas-{}", std::process::id()));
        drop(fs::remove_file(&folder));
        symlink(path.parent().unwrap(), &folder).unwrap();
        drop(std::os::unix::net::UnixListener::bind(folder.join(path.file_name().unwrap())).unwrap());
        fs::remove_file(&folder).unwrap();
    };
    type Make<'a> = &'a dyn Fn(&Path);
    let kinds: [(&str, Make<'_>, &str); 5] = [
        ("pipe", &pipe, "expected a file, not a pipe"),
        ("socket", &socket, "expected a file, not a socket"),
        ("device", &|path| symlink("/dev/zero", path).unwrap(), "expected a file, not a device"),
        ("folder", &|path| fs::create_dir(path).unwrap(), "expected a file, not a folder"),
        ("loop", &|path| symlink(path.file_name().unwrap(), path).unwrap(), "expected a readable file or folder, not "),
    ];
    for (kind, make, reason) in kinds {
        for (number, file) in files.into_iter().enumerate() {
            let name = format!("odd-{kind}-{number}");
            let folder = tiny(&name, "tokens.onnx", &[]);
            drop(fs::remove_file(folder.join(file)));
            make(&folder.join(file));
            let message = message(model(&name));
            assert!(message.contains(&format!("{file}: {reason}")), "{kind}: {message}");
        }
    }
    // Of a card nothing is needed, so it is passed over.
    for (kind, make, _) in kinds {
        let name = format!("odd-card-{kind}");
        make(&tiny(&name, "tokens.onnx", &[]).join("README.md"));
        model(&name).unwrap();
    }
    // The list of models opens none of them either.
    let listed = models().unwrap().into_iter().filter(|listing| listing.name.starts_with("odd-pipe-"));
    assert!(listed.filter(|listing| listing.fingerprint.is_none()).count() > 1);
}

/// Issue 14: "Protobuf parsing failed" did not say what it is.
#[test]
fn a_pointer_of_git_lfs_is_called_one() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 90\n";
    for (number, file) in ["model.onnx", "tokenizer.json", "config.json"].into_iter().enumerate() {
        let name = format!("pointer-{number}");
        tiny(&name, "tokens.onnx", &[(file, pointer.into())]);
        let message = message(model(&name));
        assert!(message.contains(&format!("{file}: expected the file itself, not a pointer to it")), "{message}");
    }
}

/// Issue 12, item 13: only weights in `model.onnx_data` were known.
#[test]
fn weights_in_files_of_any_name_are_part_of_the_fingerprint() {
    let print = |name: &str, onnx: &str, weights: &[(&str, f32)]| {
        let folder = tiny(name, onnx, &[]);
        for (file, value) in weights {
            fs::create_dir_all(folder.join(file).parent().unwrap()).unwrap();
            let table = (0..12 * 4).flat_map(|at| (value + at as f32).to_le_bytes());
            fs::write(folder.join(file), table.collect::<Vec<u8>>()).unwrap();
        }
        let model = model(name)?;
        Ok::<_, Error>((model.fingerprint()?.to_owned(), model.embed("red", 1)?))
    };
    let (first, red) = print("weights", "outside.onnx", &[("parts/table.bin", 1.0)]).unwrap();
    let (other, other_red) = print("weights-other", "outside.onnx", &[("parts/table.bin", 2.0)]).unwrap();
    let (same, same_red) =
        print("weights-same", "outside.onnx", &[("parts/table.bin", 1.0), ("unused.bin", 3.0)]).unwrap();
    assert_ne!(first, other);
    assert_ne!(red, other_red);
    assert_eq!((first, red), (same, same_red));

    let missing = message(print("weights-missing", "outside.onnx", &[]));
    assert!(missing.contains("parts/table.bin: expected a readable file"), "{missing}");
    let elsewhere = "expected weights in a file beside the model, not ";
    let places = [
        ("/etc/tables.bin", elsewhere),
        ("../parts/ta.bin", elsewhere),
        ("a/../../tab.bin", elsewhere),
        // Of such a kind is the name by which ONNX Runtime means an address in memory.
        ("*/_ORT_MEM_AD/*", "expected a readable file"),
    ];
    for (number, (place, reason)) in places.into_iter().enumerate() {
        let name = format!("weights-elsewhere-{number}");
        let folder = tiny(&name, "outside.onnx", &[]);
        let mut bytes = fs::read(folder.join("model.onnx")).unwrap();
        let at = bytes.windows(15).position(|window| window == b"parts/table.bin").unwrap();
        bytes[at..at + 15].copy_from_slice(place.as_bytes());
        fs::write(folder.join("model.onnx"), bytes).unwrap();
        let message = message(model(&name));
        assert!(message.contains(reason), "{message}");
    }
}

#[test]
fn a_damaged_model_is_refused_or_works() {
    let whole = fs::read("tests/data/tiny/tokens.onnx").unwrap();
    for length in 0..whole.len() {
        let name = format!("cut-{length}");
        let folder = tiny(&name, "tokens.onnx", &[]);
        fs::write(folder.join("model.onnx"), &whole[..length]).unwrap();
        drop(model(&name));
    }
    for at in 0..whole.len() {
        let name = format!("flip-{at}");
        let folder = tiny(&name, "tokens.onnx", &[]);
        let mut flipped = whole.clone();
        flipped[at] ^= 0x55;
        fs::write(folder.join("model.onnx"), &flipped).unwrap();
        if let Ok(model) = model(&name) {
            drop(model.embed("red green", 1));
        }
    }
}

#[test]
fn a_model_that_was_refused_may_be_mended() {
    let folder = tiny("mended", "pixels.onnx", &[]);
    message(model("mended"));
    fs::copy("tests/data/tiny/tokens.onnx", folder.join("model.onnx")).unwrap();
    model("mended").unwrap().embed("red", 1).unwrap();
}

#[test]
fn a_model_whose_folder_vanishes_works_on() {
    let folder = tiny("vanishing", "tokens.onnx", &[]);
    let model = model("vanishing").unwrap();
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(*model.embed("red", 1).unwrap(), *rows(&[2, 4, 3]));
    assert!(message(model.fingerprint()).contains("expected a readable file or folder, not "));
    assert!(Arc::ptr_eq(&model, &fafcas::embed::model("vanishing").unwrap()));
}

#[test]
fn a_model_that_was_replaced_is_not_mistaken_for_the_loaded_one() {
    let folder = tiny("replaced", "tokens.onnx", &[]);
    let model = model("replaced").unwrap();
    fs::copy("tests/data/tiny/pairs.onnx", folder.join("model.onnx")).unwrap();
    assert!(message(model.fingerprint()).contains("expected the file that was loaded, not another"));
}

/// The one session there is works on; a second one of another model beside it would be worse than an error.
#[test]
fn no_session_is_made_of_a_file_that_has_changed() {
    let folder = ROOT.join("changed");
    fs::create_dir_all(folder.join("1_Pooling")).unwrap();
    for file in ["model.onnx", "tokenizer.json", "config.json", "1_Pooling/config.json"] {
        fs::copy(ROOT.join(INT8).join(file), folder.join(file)).unwrap();
    }
    let model = model("changed").unwrap();
    fs::write(folder.join("model.onnx"), "another").unwrap();
    let texts = (0..40).map(|number| format!("{number} {}", "long ".repeat(300))).collect::<Vec<_>>();
    let message = message(model.embed_batch(&refs(&texts), 2, &mut |_| Ok(())));
    assert!(message.contains("expected the file that was loaded, not another"), "{message}");
    assert_eq!(batch(&model, &refs(&texts), 1).len(), 40);
}

// Chunks

#[test]
fn chunks_have_room_and_leave_nothing_out() {
    let model = minilm();
    for text in texts() {
        for (most, overlap) in [(5, 0), (7, 3), (40, 39), (254, 20)] {
            let chunks = model.chunks(&text, Some(most), overlap, &|| Ok(())).unwrap();
            let characters = text.chars().collect::<Vec<_>>();
            let mut covered = 1;
            for chunk in chunks {
                let part = characters[chunk.start - 1..chunk.stop - 1].iter().collect::<String>();
                assert_eq!(part, chunk.text);
                assert!(!chunk.text.is_empty() && chunk.text == chunk.text.trim());
                let skipped = characters.get(covered - 1..chunk.start - 1).unwrap_or_default();
                assert!(skipped.iter().all(|character| character.is_whitespace()), "{skipped:?} of {text:?}");
                assert!(chunk.stop > covered, "no progress in {text:?}");
                covered = chunk.stop;
                let tokens = model.count_tokens(chunk.text).unwrap() - 2;
                assert!(tokens <= most || chunk.stop - chunk.start == 1, "{tokens} tokens in {:?}", chunk.text);
            }
            assert!(characters[covered - 1..].iter().all(|character| character.is_whitespace()), "{text:?}");
        }
    }
}

#[test]
fn limits_of_chunks_are_checked() {
    let model = minilm();
    assert_eq!(message(model.chunks("x", Some(0), 0, &|| Ok(()))), "expected max_tokens from 1 to 254, not 0");
    assert_eq!(message(model.chunks("x", Some(255), 0, &|| Ok(()))), "expected max_tokens from 1 to 254, not 255");
    assert_eq!(message(model.chunks("x", Some(10), 10, &|| Ok(()))), "expected overlap from 0 to 9, not 10");
    assert_eq!(model.chunks("", None, 0, &|| Ok(())), Ok(vec![]));
    assert_eq!(model.chunks(" \n ", None, 0, &|| Ok(())), Ok(vec![]));
}

/// Quadratic time would take hours.
#[test]
fn ten_megabytes_are_cut_in_linear_time() {
    let model = minilm();
    let prose = "A sentence of some words, and then another part. ".repeat(210_000);
    let chunks = model.chunks(&prose, None, 20, &|| Ok(())).unwrap();
    assert!(chunks.iter().all(|chunk| chunk.text.ends_with("part.")));
    assert_eq!(chunks.last().unwrap().stop, prose.trim_end().len() + 1);

    let word = "x".repeat(10_000_000);
    let stop = model.chunks(&word, None, 0, &|| Ok(())).unwrap().last().unwrap().stop;
    assert_eq!(stop, word.len() + 1);
}
