//! Databases that somebody else has made: triggers on the tables of an index, triggers with the names of its own, names that clash,
//! and stored texts that cannot be read.

#![allow(clippy::unwrap_used, clippy::panic)]

use crate::support::blob;
use rusqlite::Connection;

const ROWS: i64 = 300;

/// A table `t` with an index `i`, and a change that no merge has seen.
fn database() -> Connection {
    let db = bare();
    db.execute_batch("CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB)").unwrap();
    for id in 1..=ROWS {
        let angle = id as f32 * 0.02;
        db.execute("INSERT INTO t VALUES (?1, ?2)", (id, blob(&[angle.cos(), angle.sin()]))).unwrap();
    }
    db.execute_batch("CREATE VIRTUAL TABLE i USING vec_index(t, v); UPDATE t SET v = vec_f32('[1,0]') WHERE id = 7")
        .unwrap();
    db
}

fn bare() -> Connection {
    fafcas::register_auto_extension().unwrap();
    Connection::open_in_memory().unwrap()
}

fn tell(db: &Connection, command: &str) -> rusqlite::Result<usize> {
    db.execute("INSERT INTO i(i) VALUES (?1)", [command])
}

fn refusal(db: &Connection, sql: &str) -> String {
    db.execute_batch(sql).unwrap_err().to_string()
}

fn count(db: &Connection, sql: &str) -> i64 {
    db.query_row(sql, [], |row| row.get(0)).unwrap()
}

fn triggers(db: &Connection) -> Vec<String> {
    let mut statement = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger' ORDER BY name").unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// What health says of a rule.
fn findings(db: &Connection, table: &str, rule: &str) -> Vec<(String, bool)> {
    let sql = "SELECT actual, ok FROM fafcas_health(?1, 'v') WHERE rule = ?2";
    let mut statement = db.prepare(sql).unwrap();
    statement.query_map([table, rule], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
}

/// It ran itself until the stack was full.
#[test]
fn a_trigger_on_the_tables_of_an_index_gives_no_commands() {
    for (table, event) in
        [("blocks", "UPDATE"), ("blocks", "INSERT"), ("blocks", "DELETE"), ("pending", "INSERT"), ("pending", "DELETE")]
    {
        for given in ["rebuild", "merge"] {
            let db = database();
            let trigger = format!(
                "CREATE TRIGGER hook AFTER {event} ON i_{table} BEGIN INSERT INTO i(i) VALUES ('{given}'); END"
            );
            db.execute_batch(&trigger).unwrap();
            for command in ["rebuild", "merge", "merge 1"] {
                let error = tell(&db, command).unwrap_err().to_string();
                let expected = format!("vec_index: expected no trigger of others on i_{table}, as ");
                assert!(error.starts_with(&expected) && error.contains("trigger hook is on"), "{error}");
            }
            db.execute_batch("DROP TRIGGER hook").unwrap();
            tell(&db, "merge").unwrap();
            tell(&db, "check").unwrap();
        }
    }
}

/// The schema of the index does not tell of TEMP triggers, nor of what foreign keys do.
#[test]
fn a_command_is_refused_within_another() {
    for (table, event) in [("blocks", "UPDATE"), ("blocks", "INSERT"), ("pending", "INSERT"), ("pending", "DELETE")] {
        for given in ["rebuild", "merge", "check", "warm"] {
            let db = database();
            let trigger = format!(
                "CREATE TEMP TRIGGER hook AFTER {event} ON main.i_{table} BEGIN INSERT INTO i(i) VALUES ('{given}'); END"
            );
            db.execute_batch(&trigger).unwrap();
            // A merge of so few rows writes the blocks that are there.
            let command = if table == "blocks" && event == "INSERT" { "rebuild" } else { "merge" };
            match tell(&db, command) {
                Ok(_) => assert_eq!(event, "INSERT", "{table} {event} {given}"),
                Err(error) => {
                    let expected = "expected one command to an index at a time, not one to i within another";
                    assert!(error.to_string().contains(expected), "{error}");
                }
            }
            db.execute_batch("DROP TRIGGER temp.hook").unwrap();
            tell(&db, "merge").unwrap();
            tell(&db, "check").unwrap();
        }
    }
}

/// What a trigger reads of an index while a command writes it.
#[test]
fn an_index_can_be_read_within_a_command() {
    let db = database();
    db.execute_batch(
        "CREATE TEMP TABLE seen(n);
         CREATE TEMP TRIGGER hook AFTER UPDATE ON main.i_blocks BEGIN INSERT INTO seen SELECT count(*) FROM i; END",
    )
    .unwrap();
    tell(&db, "rebuild").unwrap();
    tell(&db, "merge").unwrap();
    assert!(count(&db, "SELECT count(*) FROM seen WHERE n = 12") > 3);
    tell(&db, "check").unwrap();
}

/// A command after one that failed is not taken for one within it.
#[test]
fn a_command_that_fails_ends() {
    let db = database();
    for _ in 0..3 {
        assert!(tell(&db, "no command").unwrap_err().to_string().contains("expected a command"));
        tell(&db, "check").unwrap();
    }
}

#[test]
fn an_index_is_not_named_like_its_columns() {
    for name in ["value", "property", "VALUE"] {
        let wanted = format!("expected an index that is not named like its columns property and value, not '{name}'");
        let db = database();
        for sql in [
            format!("ALTER TABLE i RENAME TO {name}"),
            format!("CREATE VIRTUAL TABLE {name} USING vec_index(t, v, another)"),
        ] {
            let error = refusal(&db, &sql);
            assert!(error.contains(&wanted), "{error}");
        }
        tell(&db, "merge").unwrap();
        tell(&db, "check").unwrap();
        assert_eq!(count(&db, "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'value%' OR name LIKE 'prop%'"), 0);
    }
}

/// Older versions let one be renamed so, and then it could not be opened.
#[test]
fn an_index_that_is_named_like_its_columns_can_be_read_renamed_and_dropped() {
    for (name, end) in [("value", "DROP TABLE value"), ("property", "ALTER TABLE property RENAME TO j; DROP TABLE j")] {
        let folder = crate::support::scratch(&format!("hostile-named-{name}"));
        let path = folder.join("named.db");
        bare().execute("VACUUM INTO ?1", [path.to_str()]).unwrap();
        let db = Connection::open(&path).unwrap();
        db.execute_batch(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB); CREATE VIRTUAL TABLE i USING vec_index(t, v)",
        )
        .unwrap();
        let sql = format!(
            "PRAGMA writable_schema = ON;
             UPDATE sqlite_schema SET name = replace(name, 'i_', '{name}_'), tbl_name = replace(tbl_name, 'i_', '{name}_'),
                 sql = replace(replace(sql, 'i_', '{name}_'), 'TABLE i ', 'TABLE {name} ') WHERE name LIKE '%i!_%' ESCAPE '!' OR name = 'i';
             UPDATE sqlite_schema SET name = '{name}', tbl_name = '{name}' WHERE name = 'i'"
        );
        db.execute_batch(&sql).unwrap();
        drop(db);
        let db = Connection::open(&path).unwrap();
        assert_eq!(count(&db, &format!("SELECT count(*) FROM {name}")), 12);
        db.execute_batch(end).unwrap();
        assert_eq!(triggers(&db), Vec::<String>::new());
        assert_eq!(count(&db, "SELECT count(*) FROM sqlite_schema WHERE type = 'table'"), 1);
    }
}

#[test]
fn a_trigger_of_the_user_stays_whatever_it_is_called() {
    for end in ["DROP TABLE i", "ALTER TABLE i RENAME TO j"] {
        let db = database();
        db.execute_batch("CREATE TABLE other(a); CREATE TABLE log(a); DROP TRIGGER i_insert").unwrap();
        db.execute_batch("CREATE TRIGGER i_insert AFTER INSERT ON other BEGIN INSERT INTO log VALUES (new.a); END")
            .unwrap();
        let error = tell(&db, "rebuild").unwrap_err().to_string();
        assert!(error.contains("trigger \"i_insert\" already exists"), "{error}");
        db.execute_batch(end).unwrap();
        db.execute_batch("INSERT INTO other VALUES (1)").unwrap();
        assert_eq!(count(&db, "SELECT count(*) FROM log"), 1, "{end}");
        let expected: &[&str] = &["i_insert"];
        assert_eq!(triggers(&db), expected, "{end}");
    }
}

/// One on the indexed table, too. `rebuild` alone takes it for one of the index that was altered.
#[test]
fn a_trigger_on_the_table_stays_when_the_index_is_dropped() {
    let db = database();
    db.execute_batch(
        "CREATE TABLE log(a); DROP TRIGGER i_delete;
         CREATE TRIGGER i_delete AFTER DELETE ON t BEGIN INSERT INTO log VALUES (old.id); END;
         DROP TABLE i; DELETE FROM t WHERE id = 5",
    )
    .unwrap();
    assert_eq!(count(&db, "SELECT a FROM log"), 5);
}

/// Every table and function of ours that SQLite refuses within stored code, whatever is added to them later.
#[test]
fn health_knows_all_that_stored_code_may_not_call() {
    let db = bare();
    db.execute_batch("CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB); CREATE TABLE z(a)").unwrap();
    let list = |sql: &str| -> Vec<String> {
        let mut statement = db.prepare(sql).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let tables = list(
        "SELECT DISTINCT name FROM pragma_module_list WHERE name LIKE 'vec!_%' ESCAPE '!' OR name LIKE 'fafcas!_%' ESCAPE '!'
         OR name IN ('embed_rows', 'chunk')",
    );
    assert!(tables.len() >= 14, "{tables:?}");
    let calls = tables.iter().map(|name| format!("SELECT 1 FROM {name}")).chain(
        // SQLITE_DIRECTONLY
        list("SELECT DISTINCT name || '(' || substr('1,2,3', 1, max(2 * narg - 1, 0)) || ')' FROM pragma_function_list
              WHERE flags & 0x80000 AND (name LIKE 'vec!_%' ESCAPE '!' OR name LIKE 'fafcas!_%' ESCAPE '!' OR name LIKE 'embed%')")
        .into_iter()
        .map(|call| format!("SELECT {call}")),
    );
    let mut refused = 0;
    for call in calls {
        db.execute_batch(&format!("CREATE TRIGGER hook AFTER INSERT ON z BEGIN {call}; END")).unwrap();
        let is_refused =
            db.prepare("INSERT INTO z VALUES (1)").is_err_and(|error| error.to_string().contains("unsafe use of "));
        let found = findings(&db, "t", "stored_code");
        assert_eq!(found.iter().map(|(_, ok)| *ok).collect::<Vec<_>>(), [!is_refused], "{call}: {found:?}");
        refused += usize::from(is_refused);
        db.execute_batch("DROP TRIGGER hook").unwrap();
    }
    assert!(refused >= 12, "{refused}");
}

#[test]
fn health_tells_of_an_index_that_cannot_be_opened() {
    let folder = crate::support::scratch("hostile-arguments");
    let path = folder.join("broken.db");
    bare().execute("VACUUM INTO ?1", [path.to_str()]).unwrap();
    let db = Connection::open(&path).unwrap();
    db.execute_batch(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB); CREATE TABLE u(id INTEGER PRIMARY KEY, v BLOB);
         CREATE VIRTUAL TABLE i USING vec_index(t, v); CREATE VIRTUAL TABLE words USING fts5(vec_index, body);
         PRAGMA writable_schema = ON;
         UPDATE sqlite_schema SET sql = 'CREATE VIRTUAL TABLE i USING vec_index(t)' WHERE name = 'i'",
    )
    .unwrap();
    drop(db);
    let db = Connection::open(&path).unwrap();
    let found = findings(&db, "t", "index");
    assert_eq!(
        found,
        [(
            "i: vec_index: expected vec_index(table, column [, another] [, options]), not vec_index(t)".to_string(),
            false
        )]
    );
    // Its triggers tell that it is not of this table.
    assert_eq!(findings(&db, "u", "index"), [("none".to_string(), true)]);
}
