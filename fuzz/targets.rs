//! What is done with the bytes that a fuzzer makes up. Each target panics where something is wrong that is not an error with a
//! plain message: a panic of the library that was caught, a wrong answer, a row that is lost.
//!
//! `tests/fuzz_corpus.rs` runs the same on the bytes that are kept in `corpus/`.

use fafcas::index::{MemoryStore, Opened, Store, check_blocks, open_uncached};
use fafcas::kernels;
use rusqlite::types::Value;
use rusqlite::{Connection, params, params_from_iter};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

type Target = (&'static str, fn(&[u8]));

/// Every target and its name, which is that of its folder in `corpus/`.
pub const TARGETS: [Target; 7] = [
    ("functions", functions),
    ("options", options),
    ("names", names_of_tables),
    ("blocks", blocks),
    ("settings", settings),
    ("chunk", chunk),
    ("statements", statements),
];

/// The target of this name.
pub fn named(name: &str) -> Option<fn(&[u8])> {
    TARGETS.iter().find(|(known, _)| *known == name).map(|(_, target)| *target)
}

/// All their names.
pub fn names() -> String {
    TARGETS.map(|(name, _)| name).join(", ")
}

/// Bytes that are used up from the front; zeros when there are none left.
struct Bytes<'b>(&'b [u8]);

impl<'b> Bytes<'b> {
    fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().map_or((0, self.0), |(first, rest)| (*first, rest));
        self.0 = rest;
        first
    }

    fn take(&mut self, length: usize) -> &'b [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// What stands before the next zero byte.
    fn text(&mut self) -> String {
        let length = self.0.iter().position(|byte| *byte == 0).unwrap_or(self.0.len());
        let text = String::from_utf8_lossy(self.take(length)).into_owned();
        self.byte();
        text
    }

    fn number(&mut self) -> i64 {
        let mut bytes = [0; 8];
        let taken = self.take(8);
        bytes[..taken.len()].copy_from_slice(taken);
        i64::from_le_bytes(bytes)
    }

    fn value(&mut self) -> Value {
        match self.byte() % 7 {
            0 => Value::Null,
            1 => Value::Integer(i64::from(self.byte() as i8)),
            2 => Value::Integer(self.number()),
            3 => Value::Real(f64::from_bits(self.number() as u64)),
            4 => Value::Text(self.text()),
            _ => {
                let length = usize::from(self.byte());
                Value::Blob(self.take(length).to_vec())
            }
        }
    }
}

/// An error is plain: it does not say that the library has a bug.
fn is_plain(result: rusqlite::Result<()>) -> bool {
    let Err(error) = result else { return true };
    let text = error.to_string();
    assert!(!text.ends_with("(this is a bug in fafcas, please report it)"), "{text}");
    false
}

fn run(db: &Connection, sql: &str, values: impl rusqlite::Params) -> rusqlite::Result<()> {
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(values)?;
    while let Some(row) = rows.next()? {
        row.get::<_, Value>(0)?;
    }
    Ok(())
}

fn opened() -> Connection {
    fafcas::register_auto_extension().unwrap();
    Connection::open_in_memory().unwrap()
}

thread_local! {
    /// A table with an index and a full text, which no target changes.
    static TABLE: Connection = {
        let db = opened();
        db.execute_batch(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, body TEXT, v BLOB);
             INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40)
             SELECT i, 'row ' || i, fafcas_normalize(json_array(i % 7, i % 5, 1)) FROM n;
             CREATE TABLE \"odd \"\"name\"\"\"(\"c,d\" BLOB); CREATE VIEW w AS SELECT id, v FROM t;
             CREATE VIRTUAL TABLE words USING fts5(body, content='t', content_rowid='id');
             INSERT INTO words(words) VALUES ('rebuild');
             CREATE VIRTUAL TABLE ix USING vec_index(t, v)",
        )
        .unwrap();
        db
    };
}

/// The scalar functions of the library, whichever there are, with values of every type.
fn functions(data: &[u8]) {
    TABLE.with(|db| {
        static NAMES: LazyLock<Vec<(String, usize)>> = LazyLock::new(|| {
            let sql =
                "SELECT DISTINCT name, narg FROM pragma_function_list WHERE type = 's' AND name <> 'fafcas_config'
                       AND (name LIKE 'vec_%' OR name LIKE 'fafcas_%' OR name IN ('rrf', 'bm25_share')) ORDER BY 1, 2";
            let db = opened();
            let mut statement = db.prepare(sql).unwrap();
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?)));
            let rows: Vec<(String, i64)> = rows.unwrap().collect::<Result<_, _>>().unwrap();
            rows.into_iter().map(|(name, count)| (name, usize::try_from(count).unwrap_or(3))).collect()
        });
        let mut bytes = Bytes(data);
        let (name, count) = &NAMES[usize::from(bytes.byte()) % NAMES.len()];
        let values: Vec<Value> = (0..*count).map(|_| bytes.value()).collect();
        let marks = vec!["?"; *count].join(", ");
        is_plain(run(db, &format!("SELECT {name}({marks})"), params_from_iter(values.clone())));
        // A vector that was normalised stays as it is.
        if name == "fafcas_normalize" {
            let twice = "SELECT max(abs(vec_dot(n, n) - 1)) > 1e-5 FROM (SELECT fafcas_normalize(?1) AS n)";
            let wrong: rusqlite::Result<Option<bool>> = db.query_row(twice, params_from_iter(values), |row| row.get(0));
            assert!(!matches!(wrong, Ok(Some(true))), "a normalised vector is not of length 1");
        }
    });
}

/// Options of everything that has some, and k and queries beside them.
fn options(data: &[u8]) {
    const CALLS: [&str; 5] = [
        "SELECT rowid FROM vec_topk('t', 'v', ?2, ?3, ?1)",
        "SELECT rowid FROM vec_topk('t', 'v', ?2, NULL, ?1) WHERE score > ?3 LIMIT 9",
        "SELECT rowid FROM vec_topk_many('t', 'v', 't', 'v', ?3, ?1) WHERE ?2 IS NOT 0",
        "SELECT rowid FROM vec_hybrid('t', 'v', 'words', ?2, 'row', ?3, ?1)",
        "SELECT rowid FROM vec_mmr('t', 'v', ?2, ?3, ?1)",
    ];
    let mut bytes = Bytes(data);
    let call = CALLS[usize::from(bytes.byte()) % CALLS.len()];
    let query = if bytes.byte() % 2 == 0 { Value::Text("[1, 2, 3]".into()) } else { bytes.value() };
    let k = if bytes.byte() % 2 == 0 { Value::Integer(5) } else { bytes.value() };
    let options = Value::Text(String::from_utf8_lossy(bytes.0).into_owned());
    TABLE.with(|db| is_plain(run(db, call, params![options, query, k])));
}

/// Names of tables, columns and indexes.
fn names_of_tables(data: &[u8]) {
    let mut bytes = Bytes(data);
    let (table, column) = (bytes.text(), bytes.text());
    TABLE.with(|db| {
        for call in [
            "SELECT rowid FROM vec_topk(?1, ?2, '[1, 2, 3]', 3)",
            "SELECT rowid FROM vec_topk_many(?1, ?2, 't', 'v', 3)",
            "SELECT rule FROM fafcas_health(?1, ?2)",
            "SELECT rowid FROM vec_map(?1, ?2)",
            "SELECT rowid FROM vec_hybrid('t', 'v', ?1, '[1, 2, 3]', ?2, 3)",
        ] {
            is_plain(run(db, call, params![table, column]));
        }
        db.execute_batch("SAVEPOINT s").unwrap();
        let made = db.execute_batch(&format!("CREATE VIRTUAL TABLE made USING vec_index({table}, {column})"));
        is_plain(made);
        let _ = db.execute_batch("ROLLBACK TO s; RELEASE s");
    });
}

/// BLOBs of an index whose checksums fit, in place of its own.
fn blocks(data: &[u8]) {
    static STORE: LazyLock<MemoryStore> = LazyLock::new(|| {
        TABLE.with(|db| {
            let mut statement = db.prepare("SELECT id, data FROM ix_blocks").unwrap();
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
            let mut store = MemoryStore::default();
            rows.for_each(|row| {
                let (id, data): (i64, Vec<u8>) = row.unwrap();
                store.blobs.insert(id, data);
            });
            store
        })
    });
    let mut store = STORE.clone();
    let mut bytes = Bytes(data);
    // Some bytes of it in other places, so that the rest stays sound; or another BLOB altogether.
    let id = i64::from(bytes.byte() % 4);
    let blob = store.blobs.entry(id).or_default();
    if bytes.byte() % 4 == 0 {
        *blob = bytes.0.to_vec();
    } else {
        while !bytes.0.is_empty() && !blob.is_empty() {
            let at = (usize::from(bytes.byte()) << 8 | usize::from(bytes.byte())) % blob.len();
            blob[at] = bytes.byte();
        }
    }
    if blob.len() >= 16 {
        let crc32c = kernels::table().codes.crc32c;
        let crc = crc32c(crc32c(0, &blob[..12]), &blob[16..]);
        blob[12..16].copy_from_slice(&crc.to_le_bytes());
    }
    let blob = blob.clone();
    let plain = |error: fafcas::error::Error| assert!(!error.to_string().contains("this is a bug"), "{error}");
    match open_uncached(&mut store) {
        Ok(Opened::Index(index)) => drop(index),
        Ok(_) => {}
        Err(error) => plain(error),
    }
    if let Err(error) = check_blocks(&mut store) {
        plain(error);
    }
    assert!(store.ids().is_ok_and(|ids| ids.contains(&id)));
    in_sql(id, &blob);
}

/// The same BLOB in the table of an index, searched by SQL.
fn in_sql(id: i64, blob: &[u8]) {
    TABLE.with(|db| {
        let _ = db.query_row("SELECT fafcas_config('cache_bytes', 0)", [], |_| Ok(()));
        db.execute_batch("SAVEPOINT s").unwrap();
        db.execute("UPDATE ix_blocks SET data = ?2 WHERE id = ?1", params![id, blob]).unwrap();
        for options in [r#"{"index": "ix"}"#, r#"{"index": "ix", "exact": true, "metric": "l2"}"#] {
            is_plain(run(db, "SELECT rowid FROM vec_topk('t', 'v', '[3, 2, 1]', 5, ?1)", [options]));
        }
        for command in ["check", "merge", "rebuild"] {
            is_plain(db.execute("INSERT INTO ix(ix) VALUES (?1)", [command]).map(drop));
        }
        let _ = db.execute_batch("ROLLBACK TO s; RELEASE s");
    });
}

/// Folders of models, one for each run, because a model that was loaded stays.
static MODELS: LazyLock<PathBuf> = LazyLock::new(|| {
    let scratch = option_env!("CARGO_TARGET_TMPDIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = scratch.join(format!("fafcas-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    fafcas::embed::configure(fafcas::embed::Places { models: Some(folder.clone()), runtime: None });
    folder
});

fn model(name: &str) -> PathBuf {
    let (folder, tiny) = (MODELS.join(name), Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny"));
    let tiny = if tiny.exists() { tiny } else { Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/tiny") };
    std::fs::create_dir_all(folder.join("1_Pooling")).unwrap();
    std::fs::copy(tiny.join("tokens.onnx"), folder.join("model.onnx")).unwrap();
    std::fs::copy(tiny.join("tokenizer.json"), folder.join("tokenizer.json")).unwrap();
    std::fs::write(folder.join("config.json"), r#"{"max_position_embeddings": 64, "hidden_size": 4}"#).unwrap();
    std::fs::write(folder.join("1_Pooling/config.json"), r#"{"pooling_mode": "mean"}"#).unwrap();
    folder
}

/// One of the files that describe a model.
fn settings(data: &[u8]) {
    const FILES: [&str; 7] = [
        "config.json",
        "1_Pooling/config.json",
        "sentence_bert_config.json",
        "config_sentence_transformers.json",
        "tokenizer_config.json",
        "modules.json",
        "tokenizer.json",
    ];
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name = format!("m{}", NEXT.fetch_add(1, Relaxed));
    let folder = model(&name);
    let mut bytes = Bytes(data);
    let file = FILES[usize::from(bytes.byte()) % FILES.len()];
    std::fs::write(folder.join(file), bytes.0).unwrap();
    TABLE.with(|db| {
        is_plain(run(db, "SELECT embed_tokens('a b c', ?1)", [&name]));
        is_plain(run(db, "SELECT text FROM chunk('a b c. d e f', 4, 1, ?1)", [&name]));
        is_plain(run(db, "SELECT name FROM fafcas_models", []));
    });
    std::fs::remove_dir_all(folder).unwrap();
}

/// Texts of any kind, cut into chunks: each is a part of the text, none begins before the one before it, and no word is lost.
fn chunk(data: &[u8]) {
    static NAME: LazyLock<&str> = LazyLock::new(|| {
        model("cut");
        "cut"
    });
    let mut bytes = Bytes(data);
    let (most, overlap) = (i64::from(bytes.byte() % 64), i64::from(bytes.byte() % 32));
    let text = String::from_utf8_lossy(bytes.0).into_owned();
    let sql = "SELECT start, stop, text FROM chunk(?1, ?2, ?3, ?4) ORDER BY seq";
    TABLE.with(|db| {
        let mut statement = db.prepare_cached(sql).unwrap();
        let rows = statement.query_map(params![text, most, overlap, *NAME], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, String>(2)?))
        });
        let chunks: rusqlite::Result<Vec<_>> = rows.and_then(Iterator::collect);
        let Ok(chunks) = chunks else {
            is_plain(chunks.map(drop));
            return;
        };
        assert!(chunks.iter().all(|(_, _, part)| text.contains(part.as_str())), "a chunk is no part of the text");
        assert!(chunks.is_sorted_by(|a, b| a.0 < b.0), "chunks out of order");
        // A text for SQLite ends at its first NUL for nobody here: lengths go with texts.
        let words = |text: &str| text.split_whitespace().map(str::len).sum::<usize>();
        let kept: usize = chunks.iter().map(|(_, _, part)| words(part)).sum();
        assert!(kept >= words(&text), "words are lost: {kept} bytes of {}", words(&text));
    });
}

/// Statements on an indexed table, and the same on a map: searches must agree.
fn statements(data: &[u8]) {
    thread_local! {
        static TWIN: RefCell<BTreeMap<i64, Option<[i8; 3]>>> = const { RefCell::new(BTreeMap::new()) };
    }
    let db = opened();
    db.execute_batch("CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB); CREATE VIRTUAL TABLE ix USING vec_index(t, v)")
        .unwrap();
    TWIN.with_borrow_mut(|rows| {
        rows.clear();
        let (mut bytes, mut saved) = (Bytes(data), Vec::new());
        while !bytes.0.is_empty() {
            step(&db, rows, &mut saved, &mut bytes);
        }
        compare(&db, rows, [1, 2, 3], 1000);
        for command in ["check", "merge", "check"] {
            db.execute("INSERT INTO ix(ix) VALUES (?1)", [command]).unwrap();
        }
        compare(&db, rows, [3, -2, 1], 1000);
    });
}

type Rows = BTreeMap<i64, Option<[i8; 3]>>;

fn step(db: &Connection, rows: &mut Rows, saved: &mut Vec<Rows>, bytes: &mut Bytes<'_>) {
    let (what, row) = (bytes.byte() % 13, i64::from(bytes.byte()));
    match what {
        0..=2 => {
            let vector = vector(bytes);
            db.execute("INSERT OR REPLACE INTO t(id, v) VALUES (?1, ?2)", params![row, stored(vector)]).unwrap();
            rows.insert(row, Some(vector));
        }
        3 => {
            let vector = vector(bytes);
            db.execute("UPDATE t SET v = ?2 WHERE id = ?1", params![row, stored(vector)]).unwrap();
            rows.entry(row).and_modify(|value| *value = Some(vector));
        }
        4 => {
            db.execute("UPDATE t SET v = NULL WHERE id = ?1", [row]).unwrap();
            rows.entry(row).and_modify(|value| *value = None);
        }
        5 => {
            db.execute("DELETE FROM t WHERE id = ?1", [row]).unwrap();
            rows.remove(&row);
        }
        6 => {
            let to = i64::from(bytes.byte());
            db.execute("UPDATE OR REPLACE t SET id = ?2 WHERE id = ?1", [row, to]).unwrap();
            if let Some(value) = rows.remove(&row) {
                rows.insert(to, value);
            }
        }
        7 => {
            let many: Vec<[i8; 3]> = (0..40).map(|_| vector(bytes)).collect();
            for (id, vector) in (row..).zip(many) {
                db.execute("INSERT OR REPLACE INTO t(id, v) VALUES (?1, ?2)", params![id, stored(vector)]).unwrap();
                rows.insert(id, Some(vector));
            }
        }
        8 => drop(db.execute("INSERT INTO ix(ix) VALUES ('merge')", []).unwrap()),
        9 => drop(db.execute("INSERT INTO ix(ix) VALUES ('rebuild')", []).unwrap()),
        10 if saved.len() < 4 => {
            db.execute_batch(&format!("SAVEPOINT s{}", saved.len())).unwrap();
            saved.push(rows.clone());
        }
        11 => {
            let Some(before) = saved.pop() else { return };
            let name = format!("s{}", saved.len());
            if row % 2 == 0 {
                db.execute_batch(&format!("ROLLBACK TO {name}; RELEASE {name}")).unwrap();
                *rows = before;
            } else {
                db.execute_batch(&format!("RELEASE {name}")).unwrap();
            }
        }
        _ => compare(db, rows, vector(bytes), row),
    }
}

fn vector(bytes: &mut Bytes<'_>) -> [i8; 3] {
    // Never zero, and small numbers, whose products are exact.
    [bytes.byte() as i8, bytes.byte() as i8, 1]
}

fn stored(vector: [i8; 3]) -> Vec<u8> {
    vector.iter().flat_map(|number| f32::from(*number).to_le_bytes()).collect()
}

fn compare(db: &Connection, rows: &Rows, query: [i8; 3], limit: i64) {
    let score = |vector: &[i8; 3]| vector.iter().zip(query).map(|(a, b)| i64::from(*a) * i64::from(b)).sum::<i64>();
    let mut right: Vec<(i64, i64)> =
        rows.iter().filter_map(|(row, vector)| vector.as_ref().map(|vector| (-score(vector), *row))).collect();
    right.sort_unstable();
    right.truncate(limit as usize);
    for options in [r#"{"index": "ix", "exact": true}"#, "{}"] {
        let sql = "SELECT rowid, score FROM vec_topk('t', 'v', ?1, ?2, ?3)";
        let mut statement = db.prepare_cached(sql).unwrap();
        let found = statement.query_map(params![stored(query), limit, options], |row| {
            Ok((-(row.get::<_, f64>(1)? as i64), row.get(0)?))
        });
        let found: rusqlite::Result<Vec<(i64, i64)>> = found.and_then(Iterator::collect);
        assert_eq!(found.as_ref(), Ok(&right), "{options}, {query:?}, {limit}");
    }
}
