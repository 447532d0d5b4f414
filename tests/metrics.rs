//! `sql/queries/metrics.sql` prints what Prometheus' text format allows and nothing else, with the numbers of `vec_stats`;
//! and `slow_ms` writes slow searches to SQLite's error log.
//!
//! One test, as statistics, settings and the log are the process's.

#![allow(clippy::unwrap_used, clippy::panic, unsafe_code)]

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

    connection.execute("DELETE FROM vec_stats WHERE source = ?1", [&source]).unwrap();
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
    search();
    let slow = slow_searches();
    assert_eq!(slow.len(), 1, "{slow:?}");
    assert!(slow[0].starts_with("vec_topk: ") && slow[0].contains("50%s%n") && slow[0].ends_with(" ms"), "{slow:?}");
    assert_eq!(set(0), 0);
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
            assert!(name == family && ["counter", "gauge", "summary"].contains(&kind), "{line}");
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
                ("summary", "_sum" | "_count") | ("gauge" | "counter", "") => assert!(!has_quantile, "{line}"),
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
