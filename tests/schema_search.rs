//! Whether views and triggers that a file stores may search: they may not, unless the host says so. Issue 12, 7.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use rusqlite::Connection;
use rusqlite::config::DbConfig;

/// The entry point that lets one connection's files search.
const ENTRY: &str = "sqlite3_fafcas_schema_search_init";

/// A file that names what is not its own, and has a view and a trigger that are as they should be.
const SCHEMA: &str = "
    CREATE TABLE nodes(id INTEGER PRIMARY KEY, v TEXT);
    INSERT INTO nodes VALUES (1, '[1,0]'), (2, '[0,1]'), (3, '[2,1]'), (4, '[1,3]');
    CREATE VIEW eastmost AS SELECT rowid AS id FROM vec_topk('nodes', 'v', '[1,0]', 2);
    CREATE VIEW near AS SELECT id AS rowid, v FROM nodes WHERE id IN (SELECT id FROM eastmost);
    CREATE TABLE edges(a INTEGER, b INTEGER);
    CREATE TRIGGER link AFTER INSERT ON nodes BEGIN
      INSERT INTO edges SELECT new.id, t.rowid FROM vec_topk('nodes', 'v', new.v, 2) AS t WHERE t.rowid <> new.id;
    END;
    CREATE TABLE other(a);
    CREATE TRIGGER forget AFTER INSERT ON other BEGIN DELETE FROM vec_stats; END;
    CREATE VIEW measured AS SELECT searches FROM vec_stats;
    CREATE VIEW loot AS SELECT id FROM vec_topk('aux.users', 'v', '[1,0]', NULL, '{\"key\":\"password\"}');
    CREATE VIEW own_loot AS SELECT id FROM vec_topk('users', 'v', '[1,0]', NULL, '{\"key\":\"password\"}');
    CREATE TABLE stolen(what);
    CREATE TABLE bait(a);
    CREATE TRIGGER steal AFTER INSERT ON bait BEGIN
      INSERT INTO stolen SELECT id FROM vec_topk('aux.users', 'v', '[1,0]', NULL, '{\"key\":\"password\"}');
    END;";

fn filled(connection: Connection) -> Connection {
    connection.execute_batch(SCHEMA).unwrap();
    let secrets = "CREATE TABLE aux.users(password, v); INSERT INTO aux.users VALUES ('hunter2', '[1,2]');
                   CREATE TEMP TABLE users(password, v); INSERT INTO temp.users VALUES ('qwerty', '[3,4]')";
    connection.execute_batch(&format!("ATTACH ':memory:' AS aux; {secrets}")).unwrap();
    connection
}

fn loaded(entry: Option<&str>) -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    load(&connection, entry);
    filled(connection)
}

#[allow(unsafe_code)]
fn load(connection: &Connection, entry: Option<&str>) {
    // SAFETY: the library is this package's own, and its entry points are what SQLite expects.
    unsafe {
        connection.load_extension_enable().unwrap();
        connection.load_extension(support::library(), entry).unwrap();
    }
    connection.load_extension_disable().unwrap();
}

fn trust(connection: &Connection, trusted: bool) {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, trusted).unwrap();
}

fn refusal(connection: &Connection, sql: &str) -> String {
    let count = |sql: &str| connection.prepare(sql)?.query([])?.next().map(|row| row.is_some());
    let message = count(sql).expect_err(sql).to_string();
    message.split(" in ").next().unwrap_or_default().to_string()
}

fn ids(connection: &Connection, sql: &str) -> Vec<i64> {
    let mut statement = connection.prepare(sql).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

const UNSAFE: &str = "unsafe use of virtual table \"vec_topk\"";
const SEARCHING: [&str; 5] = [
    "SELECT * FROM eastmost",
    "SELECT * FROM near",
    "SELECT * FROM loot",
    "SELECT * FROM own_loot",
    "INSERT INTO nodes VALUES (5, '[0,2]')",
];

fn assert_refuses(connection: &Connection) {
    for trusted in [true, false] {
        trust(connection, trusted);
        for sql in SEARCHING.into_iter().chain(["INSERT INTO bait VALUES (1)"]) {
            assert_eq!(refusal(connection, sql), UNSAFE, "{sql}");
        }
        assert!(refusal(connection, "SELECT * FROM vec_topk('near', 'v', '[1,0]', 2)").ends_with(UNSAFE));
    }
    trust(connection, true);
    assert!(refusal(connection, "ALTER TABLE other RENAME TO another").starts_with("error"));
    assert_eq!(ids(connection, "SELECT count(*) FROM stolen"), [0]);
    assert_eq!(ids(connection, "SELECT ok FROM fafcas_health('nodes', 'v') WHERE rule = 'stored_code'"), [0]);
    assert_keeps_what_was_measured(connection);
}

/// Whatever the host says: it is of the whole process, and no matter of a file.
fn assert_keeps_what_was_measured(connection: &Connection) {
    for sql in ["SELECT * FROM measured", "INSERT INTO other VALUES (1)"] {
        assert_eq!(refusal(connection, sql), "unsafe use of virtual table \"vec_stats\"", "{sql}");
    }
}

fn assert_allows(connection: &Connection) {
    assert_eq!(ids(connection, "SELECT id FROM eastmost"), [3, 1]);
    assert_eq!(ids(connection, "SELECT rowid FROM vec_topk('near', 'v', '[0,1]')"), [3, 1]);
    connection.execute_batch("INSERT INTO nodes VALUES (5, '[0,2]')").unwrap();
    assert_eq!(ids(connection, "SELECT b FROM edges"), [4]);
    assert_eq!(ids(connection, "SELECT count(*) FROM loot"), [1]);
    assert_keeps_what_was_measured(connection);
    let health = "SELECT actual LIKE 'not view \"measured\", trigger \"forget\": %' FROM fafcas_health('nodes', 'v')
                  WHERE rule = 'stored_code'";
    assert_eq!(ids(connection, health), [1]);
    trust(connection, false);
    for sql in SEARCHING {
        assert_eq!(refusal(connection, sql), UNSAFE, "{sql}");
    }
}

#[test]
fn a_file_reads_nothing_by_way_of_searches() {
    assert_refuses(&loaded(None));
}

#[test]
fn one_connection_may_allow_it() {
    let (allowed, refused) = (loaded(Some(ENTRY)), loaded(None));
    assert_allows(&allowed);
    assert_refuses(&refused);
}

#[test]
fn what_was_said_last_holds() {
    let connection = loaded(Some(ENTRY));
    assert_eq!(ids(&connection, "SELECT id FROM eastmost"), [3, 1]);
    load(&connection, None);
    assert_refuses(&connection);
    load(&connection, Some(ENTRY));
    assert_allows(&connection);
}

/// As the Python package does where `load_extension` takes no entry point: a statement runs meanwhile.
#[test]
#[allow(unsafe_code)]
fn sql_may_load_it_a_second_time() {
    let connection = loaded(None);
    let library = support::library();
    let sql = "SELECT load_extension(?1, ?2)";
    // SAFETY: as in `load`.
    unsafe { connection.load_extension_enable().unwrap() };
    for _ in 0..2 {
        connection.query_row(sql, [library.to_str().unwrap(), ENTRY], |_| Ok(())).unwrap();
    }
    assert_allows(&connection);
}

/// One test, as what it allows holds for the whole process: not for the loaded library, which has settings of its own.
#[test]
fn a_program_that_links_it_may_allow_it() {
    fafcas::register_auto_extension().unwrap();
    let before = filled(Connection::open_in_memory().unwrap());
    assert_refuses(&before);
    fafcas::config::allow_schema_search();
    assert_allows(&filled(Connection::open_in_memory().unwrap()));
    assert_refuses(&before);
}
