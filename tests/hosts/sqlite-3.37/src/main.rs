//! SQLite 3.37 is too old: loading the library named by `FAFCAS_LIBRARY` must fail, say so, and harm nothing. But it opens
//! the file named by `FAFCAS_INDEXED`, whose table has an index, and writes to the table.

use rusqlite::Connection;

fn main() {
    assert!(rusqlite::version().starts_with("3.37."), "this is SQLite {}", rusqlite::version());
    let library = std::env::var_os("FAFCAS_LIBRARY").expect("FAFCAS_LIBRARY names the library");
    let connection = Connection::open_in_memory().unwrap();
    let refusal = unsafe {
        connection.load_extension_enable().unwrap();
        connection.load_extension(&library, None).expect_err("an SQLite that is too old must be refused")
    };
    println!("{refusal}");
    let message = refusal.to_string();
    assert!(message.contains("3.38") && message.contains(rusqlite::version()), "{message} does not name both versions");
    let one: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
    assert_eq!(one, 0);
    connection.prepare("SELECT vec_dot('[1]', '[1]')").expect_err("nothing may have been registered");

    let indexed = std::env::var_os("FAFCAS_INDEXED").expect("FAFCAS_INDEXED names a file");
    let connection = Connection::open(indexed).unwrap();
    connection
        .execute_batch(
            "INSERT INTO nodes(v) VALUES ('[9, 9, 9, 9]');
             UPDATE nodes SET v = '[50, 1, 1, 1]' WHERE id BETWEEN 10 AND 20;
             INSERT OR REPLACE INTO nodes SELECT id, '[1, 60, 1, 1]' FROM nodes WHERE id BETWEEN 30 AND 40;
             UPDATE nodes SET id = id + 5000 WHERE id > 1400;
             DELETE FROM nodes WHERE id % 7 = 0;
             VACUUM",
        )
        .unwrap();
    let check: String = connection.query_row("PRAGMA quick_check(nodes)", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
}
