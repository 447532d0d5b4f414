//! Which of these texts is nearest to a question? A Rust program with a model in it, and no database.
//!
//! ```text
//! make model
//! echo 'who drove it' | FAFCAS_MODEL_DIR=models cargo run --release --example nearest 'a fast car' 'an old driver' 'rain'
//! ```
//!
//! Every line of standard input is a question. The answer is the text and its cosine similarity.
#![allow(clippy::print_stdout)]

use fafcas::embed::{DEFAULT_MODEL, model};
use fafcas::error::Result;
use std::io::{BufRead, Write};

fn main() {
    let texts = std::env::args().skip(1).collect::<Vec<_>>();
    let mut answers = std::io::stdout();
    for question in std::io::stdin().lock().lines().map_while(std::io::Result::ok) {
        let answer = nearest(&texts, &question).unwrap_or_else(|error| format!("error: {error}"));
        if writeln!(answers, "{answer}").and_then(|()| answers.flush()).is_err() {
            return;
        }
    }
}

fn nearest(texts: &[String], question: &str) -> Result<String> {
    let model = model(DEFAULT_MODEL)?;
    let question = model.embed_query(question, 1)?;
    let mut scored = Vec::new();
    for text in texts {
        // Both are of unit length, so the product is the cosine.
        let score = model.embed(text, 1)?.iter().zip(&*question).map(|(a, b)| a * b).sum::<f32>();
        scored.push((score, text));
    }
    let best = scored.into_iter().max_by(|(a, _), (b, _)| a.total_cmp(b));
    Ok(best.map_or_else(|| "no texts to choose from".into(), |(score, text)| format!("{score:.4} {text}")))
}
