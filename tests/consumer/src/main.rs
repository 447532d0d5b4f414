//! Registers fafcas in this process and searches, as any Rust program with rusqlite can.

use rusqlite::{Connection, Result, params};

fn main() -> Result<()> {
    fafcas::register_auto_extension().expect("SQLite takes the extension");
    let connection = Connection::open_in_memory()?;
    connection.execute_batch(
        "CREATE TABLE nodes(id INTEGER PRIMARY KEY, title TEXT, embedding BLOB);
         INSERT INTO nodes(title, embedding) VALUES
           ('north', fafcas_normalize('[0,2]')), ('east', fafcas_normalize('[3,0]')), ('nowhere', fafcas_normalize('[0,0]'));",
    )?;
    let mut statement = connection.prepare(
        "SELECT n.title, round(t.score, 3) FROM vec_topk('nodes', 'embedding', ?1, ?2) AS t
         JOIN nodes AS n ON n.rowid = t.rowid ORDER BY t.score DESC",
    )?;
    let query: Vec<u8> = [0.8f32, 0.6].iter().flat_map(|x| x.to_le_bytes()).collect();
    let rows = statement.query_map(params![query, 5], |row| Ok((row.get::<_, String>(0)?, row.get::<_, f64>(1)?)))?;
    let rows: Vec<_> = rows.collect::<Result<_>>()?;
    assert_eq!(rows, [("east".to_owned(), 0.8), ("north".to_owned(), 0.6)]);

    // A second connection has it without another call.
    let version: String = Connection::open_in_memory()?.query_row("SELECT vec_version()", [], |row| row.get(0))?;
    println!("{version} answers");
    Ok(())
}
