//! `sql/queries/metrics.sql` prints what Prometheus' text format allows and nothing else, with the numbers of `vec_stats`;
//! `slow_ms` writes slow searches to SQLite's error log; and each column is told its own part of the memory.
//!
//! One test, as statistics, settings and the log are the process's.

#![allow(clippy::unwrap_used, clippy::panic, unsafe_code)]

mod support;

use fafcas::index::cache_counts;
use rusqlite::{Connection, ffi};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::Mutex;

const ODD: &str = "it's \"odd\" \\ 50%s%n\nname, {x=1}";

type Labels = BTreeMap<String, String>;

/// A line with a value.
#[derive(Debug)]
struct Sample {
    name: String,
    labels: Labels,
    value: f64,
}

#[test]
fn what_is_measured_is_told() {
    LOG.lock().unwrap().clear();
    keep_log();
    fafcas::register_auto_extension().unwrap();
    let connection = Connection::open_in_memory().unwrap();
    let metrics = || parse(&lines(&connection));
    connection.execute_batch("DELETE FROM vec_stats").unwrap();
    assert!(metrics().is_empty());

    let name = format!("\"{}\"", ODD.replace('"', "\"\""));
    let sql = format!(
        "CREATE TABLE {name}(id INTEGER PRIMARY KEY, {name} TEXT); CREATE TABLE plain(v);
         INSERT INTO {name} WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
         SELECT i, '[' || i || ',1]' FROM n; INSERT INTO plain VALUES ('[1]'), (NULL), ('[2,3]');"
    );
    connection.execute_batch(&sql).unwrap();
    let search = || -> i64 {
        let sql = "SELECT count(*) FROM vec_topk(?1, ?2, '[1,0]', 3)";
        connection.query_row(sql, [&name, ODD], |row| row.get(0)).unwrap()
    };
    (0..5).for_each(|_| assert_eq!(search(), 3));
    let sql = "SELECT count(*) FROM vec_topk('plain', 'v', '[1]', 3, '{\"skip_bad\": true}')";
    assert_eq!(connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap(), 1);

    let samples = metrics();
    let source = format!("main.{ODD}");
    let value = |name: &str, source: &str, more: &[(&str, &str)]| {
        let found = samples.iter().find(|sample| {
            let has = |(key, value): (&str, &str)| sample.labels.get(key).is_some_and(|found| found == value);
            sample.name == name && has(("source", source)) && more.iter().all(|&pair| has(pair))
        });
        found.unwrap_or_else(|| panic!("no {name} of {source}: {samples:#?}")).value
    };
    assert_eq!(value("fafcas_rows_scanned_total", &source, &[("column", ODD)]), 100_000.0);
    assert_eq!(value("fafcas_search_seconds_count", &source, &[]), 5.0);
    assert_eq!(value("fafcas_search_path", &source, &[("path", "scan")]), 1.0);
    assert_eq!(value("fafcas_skipped_total", "main.plain", &[("column", "v")]), 1.0);
    let (sum, half) = ("fafcas_search_seconds_sum", [("quantile", "0.5")]);
    let (sum, half) = (value(sum, &source, &[]), value("fafcas_search_seconds", &source, &half));
    assert!(sum > 0.0 && half > 0.0 && half < sum);
    let sql = "SELECT total_ms, p50_ms FROM vec_stats WHERE source = ?1";
    let told = connection.query_row(sql, [&source], |row| Ok((row.get::<_, f64>(0)?, row.get::<_, f64>(1)?))).unwrap();
    assert!((told.0 / 1e3 - sum).abs() < 1e-9 && (told.1 / 1e3 - half).abs() < 1e-9);

    failed_calls_are_counted_by_kind(&connection, &name, &source);

    connection.execute("DELETE FROM vec_stats WHERE source = ?1", [&source]).unwrap();
    connection.execute("DELETE FROM vec_stats WHERE source = 'vec_topk'", []).unwrap();
    let left: BTreeSet<String> = metrics().iter().filter_map(|sample| sample.labels.get("source").cloned()).collect();
    assert_eq!(left, ["main.plain".to_string()].into());

    assert_eq!(slow_searches(), Vec::<String>::new());
    let set = |milliseconds: i64| {
        connection.query_row("SELECT fafcas_config('slow_ms', ?1)", [milliseconds], |row| row.get::<_, i64>(0)).unwrap()
    };
    assert_eq!(set(1_000_000), 1_000_000);
    search();
    assert_eq!(slow_searches(), Vec::<String>::new());
    // 20,000 texts are not parsed in a millisecond.
    assert_eq!(set(1), 1);
    let sql = format!(
        "CREATE TABLE queries AS SELECT '[1,0]' AS q; CREATE VIEW \"it's few\" AS SELECT * FROM {name} LIMIT 2000"
    );
    connection.execute_batch(&sql).unwrap();
    for (function, arguments) in [
        ("vec_topk", "?1, ?2, '[1,0]', 3"),
        ("vec_topk_many", "?1, ?2, 'queries', 'q', 3"),
        ("vec_mmr", "?1, ?2, '[1,0]', 3, 0.5"),
        ("vec_map", "'\"it''s few\"', ?2"),
    ] {
        let sql = format!("SELECT count(*) FROM {function}({arguments})");
        assert!(connection.query_row(&sql, [&name, ODD], |row| row.get::<_, i64>(0)).unwrap() >= 3);
        let slow = slow_searches();
        assert_eq!(slow.len(), 1, "{slow:?}");
        assert!(slow[0].starts_with(&format!("{function}: \"it's")) && slow[0].ends_with(" ms"), "{slow:?}");
        assert!(function == "vec_map" || slow[0].contains("50%s%n"), "{slow:?}");
    }
    assert_eq!(set(0), 0);
    drop(connection);
    memory_is_told_by_column();
}

/// A call that fails in its table counts there, and one whose table is not known yet counts under the function.
fn failed_calls_are_counted_by_kind(connection: &Connection, name: &str, source: &str) {
    let fails = |sql: &str| connection.query_row(sql, [name, ODD], |_| Ok(())).unwrap_err();
    (0..2).for_each(|_| drop(fails("SELECT count(*) FROM vec_topk(?1, ?2, '[1,0,0]', 3)")));
    fails("SELECT count(*) FROM vec_topk('nowhere', 'v', '[1]', 3) WHERE ?1 <> ?2");
    let samples = parse(&lines(connection));
    let errors = |source: &str| -> Vec<(String, f64)> {
        let of =
            samples.iter().filter(|sample| sample.name == "fafcas_errors_total" && sample.labels["source"] == source);
        of.filter(|sample| sample.value > 0.0).map(|sample| (sample.labels["kind"].clone(), sample.value)).collect()
    };
    assert_eq!(errors(source), [("mistake".into(), 2.0)]);
    assert_eq!(errors("vec_topk"), [("mistake".into(), 1.0)]);
    let sql = "SELECT errors, errors_mistake, errors_damaged + errors_memory + errors_interrupted + errors_busy + errors_sqlite
               + errors_bug FROM vec_stats WHERE source = ?1";
    let told: [i64; 3] =
        connection.query_row(sql, [source], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?])).unwrap();
    assert_eq!(told, [2, 2, 0]);
    // A series of buckets rises to the number of all searches, and each bound is there once.
    let buckets: Vec<f64> = samples
        .iter()
        .filter(|sample| sample.name == "fafcas_search_duration_seconds_bucket" && sample.labels["source"] == source)
        .map(|sample| sample.value)
        .collect();
    assert!(buckets.len() == 21 && buckets.is_sorted() && buckets[20] == 5.0, "{buckets:?}");
}

const COLUMNS: [(&str, &str); 3] = [("main.one", "a"), ("main.one", "b"), ("main.two", "a")];

/// What one column of `vec_stats` says of [`COLUMNS`], in their order; of one that is not there, nothing.
fn of_columns(connection: &Connection, measure: &str) -> [u64; 3] {
    let sql = format!("SELECT coalesce(max({measure}), 0) FROM vec_stats WHERE source = ?1 AND column_name = ?2");
    COLUMNS
        .map(|column| connection.query_row(&sql, column, |row| row.get::<_, i64>(0).map(|count| count as u64)).unwrap())
}

/// Two columns of one database and one of another, in one memory. What all of them are told is what the process holds.
fn memory_is_told_by_column() {
    const SEED: u64 = 20_261_121;
    let folder = support::scratch("prometheus");
    let [one, two] = ["one", "two"].map(|name| Connection::open(folder.join(name)).unwrap());
    one.execute_batch("DELETE FROM vec_stats; CREATE TABLE one(id INTEGER PRIMARY KEY, a, b)").unwrap();
    two.execute_batch("CREATE TABLE two(id INTEGER PRIMARY KEY, a)").unwrap();
    let mut random = support::Random(SEED);
    let mut vector = || support::blob(&(0..64).map(|_| random.below(2001) as f32 / 1e3 - 1.0).collect::<Vec<_>>());
    for _ in 0..2000 {
        one.execute("INSERT INTO one(a, b) VALUES (?1, ?2)", [vector(), vector()]).unwrap();
        two.execute("INSERT INTO two(a) VALUES (?1)", [vector()]).unwrap();
    }
    one.execute_batch(
        "CREATE VIRTUAL TABLE a_vec USING vec_index(one, a); CREATE VIRTUAL TABLE b_vec USING vec_index(one, b)",
    )
    .unwrap();
    two.execute_batch("CREATE VIRTUAL TABLE a_vec USING vec_index(two, a)").unwrap();
    let mut search = |at: usize, times: usize| {
        let (connection, sql) = match at {
            0 => (&one, "SELECT sum(rowid) > 0 FROM vec_topk('one', 'a', ?1, 3)"),
            1 => (&one, "SELECT sum(rowid) > 0 FROM vec_topk('one', 'b', ?1, 3)"),
            _ => (&two, "SELECT sum(rowid) > 0 FROM vec_topk('two', 'a', ?1, 3)"),
        };
        for _ in 0..times {
            assert!(connection.query_row(sql, [vector()], |row| row.get::<_, bool>(0)).unwrap(), "seed {SEED}");
        }
    };
    let before = cache_counts();
    let told = || {
        let [bytes, hits, evictions] =
            ["cache_bytes", "cache_hits", "cache_evictions"].map(|measure| of_columns(&one, measure));
        assert_eq!(bytes.iter().sum::<u64>(), cache_counts().bytes as u64, "{bytes:?}");
        (bytes, hits, evictions)
    };
    assert_eq!(told(), ([0; 3], [0; 3], [0; 3]));

    search(0, 1);
    let ([a, 0, 0], ..) = told() else { panic!("{:?}", told()) };
    assert!(a > 0);
    search(1, 5);
    search(2, 9);
    let (bytes, hits, evictions) = told();
    assert!(bytes[0] == a && bytes[1] > 0 && bytes[2] > 0, "{bytes:?}");
    assert!(hits[0] < hits[1] && hits[1] < hits[2], "{hits:?}");
    assert_eq!(hits.iter().sum::<u64>(), cache_counts().hits - before.hits);
    assert_eq!(evictions, [0; 3]);
    let samples = parse(&lines(&one));
    for (name, numbers) in [("fafcas_index_cache_bytes", bytes), ("fafcas_index_cache_hits_total", hits)] {
        let of = samples.iter().filter(|sample| sample.name == name);
        assert_eq!(of.map(|sample| sample.value).collect::<Vec<_>>(), numbers.map(|number| number as f64), "{name}");
    }

    // Changed rows take memory, too; a merge gives them to the blocks.
    two.execute("UPDATE two SET a = ?1 WHERE id < 50", [support::blob(&[0.1; 64])]).unwrap();
    search(2, 1);
    let (changed, ..) = told();
    assert!(changed[2] > bytes[2] && changed[..2] == bytes[..2], "{changed:?}");
    let pending = of_columns(&one, "pending");
    assert_eq!(pending, [0, 0, 49]);

    // What is held stays held when the counts are forgotten.
    two.execute("DELETE FROM vec_stats", []).unwrap();
    assert_eq!(told(), (changed, [0; 3], [0; 3]));
    assert_eq!(["searches", "candidates", "rescored"].map(|measure| of_columns(&one, measure)), [[0; 3]; 3]);
    search(0, 1);
    let (_, hits, _) = told();
    assert!(hits[0] > 0 && hits[1..] == [0; 2], "{hits:?}");

    // A merged index takes the room of what it was before. If that is no longer there, the only other room is that of a column
    // that nobody has searched for long.
    for _ in 0..20 {
        search(1, 1);
        search(2, 1);
    }
    let (held, ..) = told();
    let budget = (held.iter().sum::<u64>() - held[2] / 2) as i64;
    one.query_row("SELECT fafcas_config('cache_bytes', ?1)", [budget], |_| Ok(())).unwrap();
    two.execute_batch("INSERT INTO a_vec(a_vec) VALUES ('merge')").unwrap();
    search(2, 2);
    search(1, 2);
    let (left, _, evictions) = told();
    assert!(left[0] < held[0] && evictions[0] > 0 && evictions[1] == 0, "{left:?}, {evictions:?}");
    assert_eq!(evictions.iter().sum::<u64>(), cache_counts().evictions - before.evictions);
    one.query_row("SELECT fafcas_config('cache_bytes', 268435456)", [], |_| Ok(())).unwrap();

    // An index that is no more holds nothing, nor does one that has another name: that is read again under the new one.
    one.execute_batch("DROP TABLE b_vec").unwrap();
    let (left, ..) = told();
    assert!(left[1] == 0 && left[2] > 0, "{left:?}");
    two.execute_batch("ALTER TABLE a_vec RENAME TO renamed").unwrap();
    assert_eq!(told().0[2], 0);
    search(2, 1);
    assert!(told().0[2] > 0);
}

fn lines(connection: &Connection) -> Vec<String> {
    let sql = include_str!("../sql/queries/metrics.sql");
    let mut statement = connection.prepare(sql.trim_end().trim_end_matches(';')).unwrap();
    assert!(statement.column_names().eq(["line"]));
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// The samples, after every rule of the format was checked.
fn parse(lines: &[String]) -> Vec<Sample> {
    let mut types: BTreeMap<String, String> = BTreeMap::new();
    let mut helped: BTreeSet<String> = BTreeSet::new();
    let mut family = String::new();
    let mut seen: BTreeSet<(String, Labels)> = BTreeSet::new();
    let mut samples = Vec::new();
    for line in lines {
        assert!(!line.contains('\n') && line.trim() == line && !line.is_empty(), "{line:?}");
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, text) = help.split_once(' ').unwrap();
            assert!(is_name(name) && !text.is_empty() && helped.insert(name.into()), "{line}");
            family = name.into();
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert!(name == family && ["counter", "gauge", "summary", "histogram"].contains(&kind), "{line}");
            assert!(kind == "counter" || !name.ends_with("_total"), "{line}");
            assert!(kind != "counter" || name.ends_with("_total"), "{line}");
            assert!(types.insert(name.into(), kind.into()).is_none(), "{line}");
        } else {
            let sample = sample(line);
            let kind = types.get(&family).unwrap_or_else(|| panic!("{line} before its type"));
            let suffix = sample.name.strip_prefix(&*family).unwrap_or_else(|| panic!("{line} among {family}"));
            let has_quantile = sample.labels.contains_key("quantile");
            match (kind.as_str(), suffix) {
                ("summary", "") => assert!(has_quantile, "{line}"),
                ("histogram", "_bucket") => assert!(sample.labels.contains_key("le"), "{line}"),
                ("summary" | "histogram", "_sum" | "_count") | ("gauge" | "counter", "") => {
                    assert!(!has_quantile, "{line}")
                }
                _ => panic!("{line} in a {kind}"),
            }
            assert!(sample.value >= 0.0, "{line}");
            assert!(seen.insert((sample.name.clone(), sample.labels.clone())), "{line} twice");
            samples.push(sample);
        }
    }
    assert_eq!(types.len(), helped.len());
    samples
}

/// `name{key="value",...} number`.
fn sample(line: &str) -> Sample {
    let end = line.find(['{', ' ']).unwrap();
    let (name, mut rest) = line.split_at(end);
    assert!(is_name(name), "{line}");
    let mut labels = Labels::new();
    if let Some(after) = rest.strip_prefix('{') {
        rest = after;
        loop {
            let (key, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
            assert!(is_name(key) && !key.contains(':'), "{line}");
            let (value, after) = quoted(after).unwrap_or_else(|| panic!("{line}"));
            assert!(labels.insert(key.into(), value).is_none(), "{line}");
            match after.strip_prefix(',') {
                Some(more) => rest = more,
                None => {
                    rest = after.strip_prefix('}').unwrap_or_else(|| panic!("{line}"));
                    break;
                }
            }
        }
    }
    let number = rest.strip_prefix(' ').unwrap_or_else(|| panic!("{line}"));
    let value = number.parse().unwrap_or_else(|_| panic!("{line}"));
    Sample { name: name.into(), labels, value }
}

/// A value up to its closing quote, in which a backslash stands before another, a quote, or an n.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match letters.next()?.1 {
                'n' => '\n',
                same @ ('"' | '\\') => same,
                _ => return None,
            }),
            '\n' => return None,
            other => value.push(other),
        }
    }
    None
}

fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    !name.is_empty() && name.chars().all(fits) && !name.starts_with(|c: char| c.is_ascii_digit())
}

static LOG: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn slow_searches() -> Vec<String> {
    let mut log = LOG.lock().unwrap();
    log.drain(..).filter(|line| line.contains(" took ")).collect()
}

/// Has SQLite write its error log to [`LOG`].
fn keep_log() {
    unsafe extern "C" fn keep(_: *mut c_void, _: c_int, line: *const c_char) {
        // SAFETY: SQLite passes a terminated text.
        LOG.lock().unwrap().push(unsafe { CStr::from_ptr(line) }.to_string_lossy().into_owned());
    }
    let callback: unsafe extern "C" fn(*mut c_void, c_int, *const c_char) = keep;
    // SAFETY: nothing has used SQLite in this process yet, and the option takes a callback and its argument.
    let code = unsafe { ffi::sqlite3_config(ffi::SQLITE_CONFIG_LOG, callback, std::ptr::null_mut::<c_void>()) };
    assert_eq!(code, ffi::SQLITE_OK);
}
