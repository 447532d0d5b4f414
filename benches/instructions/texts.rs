//! Scalar functions, and texts to tokens.

use super::counted;
use rusqlite::Connection;

/// How many models there are with the same tokenizer. The table of its words is laid out by chance: with one model, counts
/// differ by 0.4 %.
const COPIES: usize = 8;

pub fn normalise(db: &Connection) {
    let sql = "SELECT sum(length(fafcas_normalize(v))) FROM s";
    let sum = || db.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    sum();
    assert_eq!(counted(sum), (super::data::SMALL * 4 * super::data::DIMENSIONS) as i64);
}

/// Vectors as people write them.
pub fn json(db: &Connection) {
    let numbers: Vec<String> = (0..384).map(|i| format!("{:.6}", (i * 7919 % 1000) as f64 / 1e3 - 0.5)).collect();
    let vector = format!("[{}]", numbers.join(", "));
    let mut statement = db.prepare("SELECT vec_dot(?1, ?1)").unwrap();
    let mut dot = || statement.query_row([&vector], |row| row.get::<_, f64>(0)).unwrap();
    let expected = dot();
    counted(|| (0..200).for_each(|_| assert_eq!(dot(), expected)));
}

/// An eighth of the texts of the tests.
fn texts() -> Vec<String> {
    let texts: Vec<String> = serde_json::from_str(include_str!("../../tests/data/texts.json")).unwrap();
    texts.into_iter().step_by(8).filter(|text| !text.trim().is_empty()).collect()
}

/// Runs a statement that gives a number for each text with each model, and adds these up.
fn with_models(db: &Connection, sql: &str, texts: &[String]) -> i64 {
    let mut statement = db.prepare(sql).unwrap();
    let mut number =
        |text: &str, copy| statement.query_row((text, format!("copy{copy}")), |row| row.get::<_, i64>(0)).unwrap();
    (0..COPIES).for_each(|copy| assert!(number("one", copy) > 0));
    counted(|| {
        texts
            .iter()
            .flat_map(|text| (0..COPIES).map(move |copy| (text, copy)))
            .map(|(text, copy)| number(text, copy))
            .sum()
    })
}

pub fn tokenise(db: &Connection) {
    let tokens = with_models(db, "SELECT embed_tokens(?1, ?2)", &texts());
    assert!(tokens > 1000, "{tokens} tokens");
}

pub fn chunk(db: &Connection) {
    let parts = with_models(db, "SELECT count(*) FROM chunk(?1, 64, 8, ?2)", &[texts().join("\n")]);
    assert!(parts > 10, "{parts} parts");
}
