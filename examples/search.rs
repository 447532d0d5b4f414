//! A search from Rust, with the library in the program itself. docs/rust.md shows it.
//!
//! ```text
//! make model
//! FAFCAS_MODEL_DIR=models cargo run --release --example search
//! ```
#![allow(clippy::print_stdout)]

fn main() -> Result<(), Box<dyn std::error::Error>> {
    fafcas::register_auto_extension()?;
    let db = rusqlite::Connection::open_in_memory()?;
    db.execute_batch("CREATE TABLE notes(id INTEGER PRIMARY KEY, body TEXT, embedding BLOB)")?;
    for text in ["Yeast turns sugar into gas, so the dough rises.", "The moon pulls the sea into two bulges."] {
        db.execute("INSERT INTO notes(body, embedding) VALUES (?1, embed(?1))", [text])?;
    }
    let sql = "SELECT n.body, t.score FROM vec_topk('notes', 'embedding', embed_query(?), 1) AS t JOIN notes AS n ON n.id = t.rowid";
    let search = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let (body, score): (String, f64) = db.query_row(sql, ["why are there tides"], search)?;
    println!("{body}|{score:.2}");
    Ok(())
}
