//! What a model wants in front of texts, how many numbers of a vector it keeps, and what its list says of both.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use super::embed::{ROOT, batch, message, rows, tiny};
use crate::support::blocks;
use fafcas::embed::{Model, model, models};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::sync::{Arc, LazyLock};

const FILE: &str = "config_sentence_transformers.json";

/// A model of this name with these prompts. Its tokens are words: red is 4, green 5, blue 6, and [CLS] and [SEP] are 2 and 3.
fn with(name: &str, content: Value) -> Arc<Model> {
    tiny(name, "tokens.onnx", &[(FILE, content)]);
    model(name).unwrap()
}

#[test]
fn a_prompt_is_put_before_questions_and_another_before_documents() {
    let both = |query: &[usize], document: &[usize]| (rows(query), rows(document));
    let cases = [
        ("both", json!({ "query": "green ", "document": "blue " }), Value::Null, both(&[2, 5, 4, 3], &[2, 6, 4, 3])),
        ("passage", json!({ "query": "green ", "passage": "blue " }), Value::Null, both(&[2, 5, 4, 3], &[2, 6, 4, 3])),
        (
            "search",
            json!({ "search_query": "green ", "search_document": "blue " }),
            Value::Null,
            both(&[2, 5, 4, 3], &[2, 6, 4, 3]),
        ),
        ("query-only", json!({ "query": "green " }), Value::Null, both(&[2, 5, 4, 3], &[2, 4, 3])),
        ("corpus-only", json!({ "corpus": "blue " }), Value::Null, both(&[2, 4, 3], &[2, 6, 4, 3])),
        ("default", json!({ "any": "green " }), json!("any"), both(&[2, 5, 4, 3], &[2, 5, 4, 3])),
        (
            "default-rest",
            json!({ "query": "green ", "any": "blue " }),
            json!("any"),
            both(&[2, 5, 4, 3], &[2, 6, 4, 3]),
        ),
        ("empty", json!({ "query": "", "document": "" }), Value::Null, both(&[2, 4, 3], &[2, 4, 3])),
        ("none", Value::Null, Value::Null, both(&[2, 4, 3], &[2, 4, 3])),
    ];
    for (name, prompts, default, (query, document)) in cases {
        let model = with(&format!("prompts-{name}"), json!({ "prompts": prompts, "default_prompt_name": default }));
        assert_eq!(*model.embed_query("red", 1).unwrap(), *query, "{name}");
        assert_eq!(*model.embed("red", 1).unwrap(), *document, "{name}");
        assert_eq!(*batch(&model, &["red", "red green"], 1)[0], *document, "{name}");
        // From the cache, where a question and a document of the same words have two vectors.
        assert_eq!(*model.embed_query("red", 1).unwrap(), *query, "{name}");
    }
}

/// The folders of these do not say their prompts.
#[test]
fn older_models_of_two_families_have_their_prompts_by_name() {
    for name in ["multilingual-e5-tiny", "e5-small-of-this-test"] {
        tiny(name, "tokens.onnx", &[(FILE, json!({ "prompts": {} }))]);
    }
    let [other, e5] = ["multilingual-e5-tiny", "e5-small-of-this-test"].map(|name| model(name).unwrap());
    assert_eq!((other.prompts().query.as_str(), e5.prompts().query.as_str()), ("", "query: "));
    assert_eq!(e5.prompts().document, "passage: ");
    let config = json!({ "max_position_embeddings": 8, "vocab_size": 12, "_name_or_path": "BAAI/bge-small-en-v1.5" });
    tiny("renamed", "tokens.onnx", &[("config.json", config)]);
    let listed = models().unwrap().into_iter().find(|listing| listing.name == "renamed").unwrap();
    assert_eq!(listed.prompts.query, "Represent this sentence for searching relevant passages: ");
    // Eight tokens have no room for it.
    assert!(message(model("renamed")).contains("a prompt for query of less than 6 tokens"));
    // What the folder says goes before.
    let own = with("e5-base-with-others", json!({ "prompts": { "query": "", "document": "red " } }));
    assert_eq!((own.prompts().query.as_str(), own.prompts().document.as_str()), ("", "red "));
}

#[test]
fn tokens_are_counted_and_chunks_are_cut_with_the_prompt_before_them() {
    let model = with("counted", json!({ "prompts": { "query": "green ", "document": "blue blue " } }));
    assert_eq!(model.count_tokens("red").unwrap(), 5);
    let parts = |most| model.chunks("red red red red red red red", most, 0, &|| Ok(())).map(|parts| parts.len());
    // Of 8 tokens the special ones and the prompt take two each.
    assert_eq!(parts(None).unwrap(), 2);
    assert!(message(parts(Some(5))).contains("max_tokens from 1 to 4, not 5"));
}

#[test]
fn a_prompt_that_cannot_be_used_is_an_error_that_names_file_and_setting() {
    let cases = [
        (json!({ "prompts": ["query: "] }), "prompts as an object of texts, not [\"query: \"]"),
        (json!({ "prompts": "query: " }), "prompts as an object of texts, not \"query: \""),
        (json!({ "prompts": { "query": 1 } }), "prompts.query as text, not 1"),
        (json!({ "prompts": { "query": "", "other": null } }), "prompts.other as text, not null"),
        (json!({ "prompts": { "query": "" }, "default_prompt_name": 3 }), "default_prompt_name as text, not 3"),
        (
            json!({ "prompts": { "query": "", "other": "" }, "default_prompt_name": "document" }),
            "default_prompt_name as one of the prompts (other, query), not \"document\"",
        ),
        (
            json!({ "prompts": { "clustering": "red ", "s2s": "" } }),
            "a prompt named query or document, or a default_prompt_name, not only clustering, s2s",
        ),
        (json!({ "truncate_dim": "3" }), "truncate_dim as a whole number, not \"3\""),
        (json!({ "truncate_dim": 0 }), "truncate_dim as a number from 1, not 0"),
        ("{".into(), "JSON, not "),
    ];
    for (number, (content, reason)) in cases.into_iter().enumerate() {
        let name = format!("bad-prompt-{number}");
        tiny(&name, "tokens.onnx", &[(FILE, content)]);
        let message = message(model(&name));
        assert!(message.contains(&format!("{FILE}: expected {reason}")), "{message}");
    }
    // These need the tokenizer and the model.
    tiny("long-prompt", "tokens.onnx", &[(FILE, json!({ "prompts": { "query": "red ".repeat(6) } }))]);
    let long = message(model("long-prompt"));
    assert!(long.contains(&format!("a prompt for query of less than 6 tokens in {FILE}, not 6")), "{long}");
    tiny("long-cut", "tokens.onnx", &[(FILE, json!({ "truncate_dim": 5 }))]);
    let long = message(model("long-cut"));
    assert!(long.contains(&format!("truncate_dim in {FILE} from 1 to 4, not 5")), "{long}");
}

#[test]
fn vectors_are_cut_before_they_get_length_1() {
    for (name, onnx) in [("cut", "tokens.onnx"), ("cut-pooled", "pooled.onnx")] {
        tiny(name, onnx, &[(FILE, json!({ "truncate_dim": 3 }))]);
        let listed = models().unwrap().into_iter().find(|listing| listing.name == name).unwrap();
        let model = model(name).unwrap();
        assert_eq!((model.dimensions(), listed.dimensions), (3, Some(3)));
        let vector = model.embed("red", 1).unwrap();
        let norm = vector.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
        assert!((norm - 1.0).abs() < 1e-6 && vector.len() == 3, "{vector:?}");
    }
}

#[test]
fn the_last_token_is_one_that_is_no_padding() {
    let modes = [
        json!({ "pooling_mode": "lasttoken" }),
        json!({ "pooling_mode_lasttoken": true, "pooling_mode_cls_token": false }),
    ];
    for (number, mode) in modes.into_iter().enumerate() {
        let name = format!("last-{number}");
        tiny(&name, "pairs.onnx", &[("1_Pooling/config.json", mode)]);
        let model = model(&name).unwrap();
        assert_eq!(*model.embed("red blue", 1).unwrap(), *rows(&[3]));
        assert_eq!(*batch(&model, &[" red", "red red red red"], 1)[0], *rows(&[3]));
    }
}

#[test]
fn the_fingerprint_changes_with_prompts_and_with_what_is_kept() {
    let print = |name: &str, content: Value| with(name, content).fingerprint().unwrap().to_owned();
    let prompts = |query: &str, document: &str| json!({ "prompts": { "query": query, "document": document } });
    let plain = print("own-print", Value::Null);
    assert_eq!(print("own-print-empty", prompts("", "")), plain);
    assert_eq!(print("own-print-version", json!({ "__version__": { "pytorch": "2" } })), plain);
    assert_eq!(print("own-print-spread", json!({ "spread": 0.1 })), plain);
    let mut others = vec![
        plain,
        print("own-print-query", prompts("red ", "")),
        print("own-print-document", prompts("", "red ")),
        print("own-print-both", prompts("red ", "red ")),
        // The border between the two is seen, whatever is in them.
        print("own-print-border", prompts("red \" document=\"", "")),
        print("own-print-cut", json!({ "truncate_dim": 2 })),
    ];
    others.sort();
    others.dedup();
    assert_eq!(others.len(), 6);
}

#[test]
fn the_list_of_models_shows_pooling_prompts_languages_and_spread() {
    let card = "---\nlanguage:\n- en\n- de\n---\n# A model\n";
    let content = json!({ "prompts": { "query": "green ", "passage": "blue " }, "spread": 0.07 });
    tiny("shown", "tokens.onnx", &[(FILE, content), ("README.md", card.into())]);
    for _ in ["before it is loaded", "after"] {
        let shown = models().unwrap().into_iter().find(|listing| listing.name == "shown").unwrap();
        assert_eq!(shown.pooling.as_deref(), Some("mean"));
        assert_eq!((shown.prompts.query.as_str(), shown.prompts.document.as_str()), ("green ", "blue "));
        assert_eq!(shown.languages, ["en", "de"]);
        assert_eq!(shown.spread, Some(0.07));
        model("shown").unwrap();
    }
}

#[test]
fn an_unknown_name_is_told_which_there_are() {
    LazyLock::force(&ROOT);
    tiny("known", "tokens.onnx", &[]);
    let message = message(model("unknown"));
    assert!(message.starts_with("expected a model unknown in "), "{message}");
    assert!(message.contains(", not only all-MiniLM-L6-v2, "), "{message}");
    assert!(message.len() < 1000 && message.contains("docs/models.md says how to add a model to it"), "{message}");
}

/// What a folder says of other folders is not read.
#[test]
fn modules_stay_in_the_folder_of_the_model() {
    let cases = [
        (
            json!([{ "type": "models.Pooling", "path": "../other" }]),
            "the path of Pooling as a folder of the model, not \"../other\"",
        ),
        (
            json!([{ "type": "models.Pooling", "path": "/etc" }]),
            "the path of Pooling as a folder of the model, not \"/etc\"",
        ),
        (json!([{ "type": "models.Pooling", "path": 1 }]), "the path of Pooling as text, not 1"),
        (
            json!([{ "type": "models.Transformer", "path": "0_Transformer" }]),
            "the path of Transformer as \"\", not \"0_Transformer\": move",
        ),
        (
            json!([{ "type": "models.Router", "path": "2_Router" }]),
            "modules Transformer, StaticEmbedding, Pooling, Dense and Normalize, not Router",
        ),
        (json!([7]), "modules Transformer, StaticEmbedding, Pooling, Dense and Normalize, not a nameless one"),
    ];
    for (number, (content, reason)) in cases.into_iter().enumerate() {
        let name = format!("bad-modules-{number}");
        tiny(&name, "tokens.onnx", &[("modules.json", content)]);
        let message = message(model(&name));
        assert!(message.contains(&format!("modules.json: expected {reason}")), "{message}");
    }
}

/// A tokenizer of each kind, as wrong as it can be.
#[test]
fn a_hostile_tokenizer_is_refused_or_works() {
    let text =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny/tokenizer.json")).unwrap();
    let with_model = |part: Value| {
        let mut tokenizer: Value = serde_json::from_str(&text).unwrap();
        tokenizer["model"] = part;
        tokenizer
    };
    let pieces = |first: Value| {
        json!([
            first,
            ["▁", -1.0],
            ["red", -2.0],
            ["a", -3.0],
            ["b", -3.0],
            ["c", -3.0],
            ["d", -3.0],
            ["e", -3.0],
            ["f", -3.0],
            ["g", -3.0],
            ["h", -3.0],
            ["i", -3.0]
        ])
    };
    let unigram =
        |vocab: Value, unknown: Value| with_model(json!({ "type": "Unigram", "unk_id": unknown, "vocab": vocab }));
    let refused = [
        ("unknown-type", with_model(json!({ "type": "Syllables", "vocab": {} }))),
        ("no-vocab", with_model(json!({ "type": "Unigram", "unk_id": 0 }))),
        ("odd-vocab", unigram(json!({ "red": 1 }), json!(0))),
        ("odd-piece", unigram(pieces(json!([1, "red"])), json!(0))),
        ("odd-score", unigram(pieces(json!(["<unk>", null])), json!(0))),
        ("unknown-beyond", unigram(pieces(json!(["<unk>", 0.0])), json!(12))),
        ("unknown-negative", unigram(pieces(json!(["<unk>", 0.0])), json!(-1))),
        ("empty-vocab", unigram(json!([]), Value::Null)),
        ("odd-merges", with_model(json!({ "type": "BPE", "vocab": { "a": 0 }, "merges": ["a b"] }))),
        ("odd-pieces", with_model(json!({ "type": "WordPiece", "vocab": { "a": -1 }, "unk_token": "[UNK]" }))),
        ("deep", Value::String("[".repeat(100_000))),
    ];
    for (name, content) in refused {
        tiny(name, "tokens.onnx", &[("tokenizer.json", content)]);
        let message = message(model(name));
        assert!(message.starts_with(&format!("model {name}: ")) && !message.contains('\n'), "{message}");
    }
    // A tree of pieces that is a million steps deep must not take the stack with it.
    let long = json!(["x".repeat(1_000_000), -1.0]);
    tiny("deep-piece", "tokens.onnx", &[("tokenizer.json", unigram(pieces(long), json!(3)))]);
    drop(model("deep-piece").unwrap().embed("red", 1).unwrap());
    // Characters that no piece has, and nothing that stands for them.
    tiny("no-unknown", "tokens.onnx", &[("tokenizer.json", unigram(pieces(json!(["<unk>", 0.0])), Value::Null))]);
    let message = message(model("no-unknown"));
    assert!(message.contains("a character is unknown, and the vocabulary has no unk_id"), "{message}");
}

/// docs/models.md shows these files.
#[test]
fn the_files_of_the_page_do_what_it_says() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/models.md")).unwrap();
    let files = blocks(&page).into_iter().filter(|(language, _)| language == "json");
    let models = files.enumerate().map(|(number, (_, file))| {
        let name = format!("page-{number}");
        tiny(
            &name,
            "tokens.onnx",
            &[(FILE, file.into()), ("config.json", json!({ "max_position_embeddings": 8, "vocab_size": 12 }))],
        );
        models().unwrap().into_iter().find(|listing| listing.name == name).unwrap()
    });
    let models = models.collect::<Vec<_>>();
    assert_eq!(models.len(), 2);
    for listing in models {
        assert_eq!((listing.prompts.query.as_str(), listing.prompts.document.as_str()), ("query: ", "passage: "));
    }
}

/// Static models read the same file.
#[test]
fn a_static_model_heeds_its_prompts_and_is_cut() {
    let made = |name: &str, content: Value| {
        let folder = ROOT.join(name);
        fs::create_dir_all(&folder).unwrap();
        for file in ["config.json", "model.safetensors", "tokenizer.json"] {
            fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/static/f32").join(file), folder.join(file))
                .unwrap();
        }
        fs::write(folder.join(FILE), content.to_string()).unwrap();
        model(name)
    };
    let plain = made("static-plain", json!({})).unwrap();
    let prompts = made("static-prompts", json!({ "prompts": { "query": "red ", "document": "blue " } })).unwrap();
    assert_eq!(prompts.embed_query("green", 1).unwrap(), plain.embed("red green", 1).unwrap());
    assert_eq!(prompts.embed("green", 1).unwrap(), plain.embed("blue green", 1).unwrap());
    assert_ne!(prompts.embed("green", 1).unwrap(), plain.embed("green", 1).unwrap());
    let cut = made("static-cut", json!({ "truncate_dim": 2 })).unwrap();
    let (whole, short) = (plain.embed("green", 1).unwrap(), cut.embed("green", 1).unwrap());
    let norm = whole[0].hypot(whole[1]);
    assert!(
        (short.len(), cut.dimensions()) == (2, 2)
            && short.iter().zip(&*whole).all(|(a, b)| (a - b / norm).abs() < 1e-6)
    );
    let long = message(made("static-long", json!({ "truncate_dim": 6 })));
    assert!(long.contains(&format!("expected truncate_dim in {FILE} from 1 to 5, not 6")), "{long}");
}
