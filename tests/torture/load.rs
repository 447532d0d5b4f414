//! Load: many connections and threads, processes that fork, a mixture of work as one likes, and memory and descriptors that
//! stay flat. Nothing here asserts a time; `make stress` prints them and draws the p99 of each kind of work.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use crate::fixture::{Indexed, open};
use crate::form::{by_form, child, is_long, order, report, seed};
use crate::support::{Random, blob, scratch, succeed};
use crate::times::{Held, Times};
use rusqlite::{Connection, params};
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

const DIMENSIONS: usize = 64;
const TABLE: Indexed = Indexed { table: "t", key: "id", column: "v" };
/// One neighbour in 30,000 may be missed.
const MISSED_IN: usize = 30_000;

fn vector(random: &mut Random) -> Vec<f32> {
    let mut centre = Random(random.below(50) as u64);
    (0..DIMENSIONS).map(|_| (centre.real() + 0.5 * random.real()) as f32).collect()
}

fn database(name: &str, rows: usize) -> PathBuf {
    let path = scratch(name).join("test.db");
    let (db, mut random) = (open(&path), Random(seed()));
    db.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).unwrap();
    db.execute_batch("CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB); BEGIN").unwrap();
    (0..rows).for_each(|_| insert(&db, &mut random));
    db.execute_batch("COMMIT; CREATE VIRTUAL TABLE ix USING vec_index(t, v)").unwrap();
    path
}

fn client(path: &Path) -> Connection {
    let db = open(path);
    db.busy_timeout(Duration::from_secs(600)).unwrap();
    db.execute_batch("PRAGMA synchronous = OFF").unwrap();
    db
}

fn insert(db: &Connection, random: &mut Random) {
    db.prepare_cached("INSERT INTO t(v) VALUES (?1)").unwrap().execute([blob(&vector(random))]).unwrap();
}

fn any_row(db: &Connection, random: &mut Random) -> i64 {
    let most: i64 = db.query_row("SELECT max(id) FROM t", [], |row| row.get(0)).unwrap();
    random.below(most as usize) as i64
}

/// What a client can do.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Work {
    Search,
    Insert,
    Update,
    Delete,
    Merge,
    Embed,
}

const WORKS: [(Work, &str); 6] = [
    (Work::Search, "search"),
    (Work::Insert, "insert"),
    (Work::Update, "update"),
    (Work::Delete, "delete"),
    (Work::Merge, "merge"),
    (Work::Embed, "embed"),
];

impl Work {
    fn run(self, db: &Connection, random: &mut Random) {
        match self {
            Self::Search => {
                let hits = TABLE.search(db, &vector(random), 10, "{}").unwrap();
                assert!(hits.len() == 10 && hits.is_sorted_by(|a, b| a.1 >= b.1), "{hits:?}");
            }
            Self::Insert => insert(db, random),
            Self::Update => {
                let values = params![any_row(db, random), blob(&vector(random))];
                db.prepare_cached("UPDATE t SET v = ?2 WHERE id = ?1").unwrap().execute(values).unwrap();
            }
            Self::Delete => {
                let row = any_row(db, random);
                db.prepare_cached("DELETE FROM t WHERE id = ?1").unwrap().execute([row]).unwrap();
            }
            Self::Merge => drop(db.execute("INSERT INTO ix(ix) VALUES ('merge')", []).unwrap()),
            Self::Embed => {
                let text = format!("note {} about the tides of day {}", random.next(), random.below(1000));
                db.query_row("SELECT length(embed(?1))", [text], |row| row.get::<_, i64>(0)).unwrap();
            }
        }
    }
}

/// `search=70 insert=10`: the place in `WORKS` of each kind of work, as often as its weight says.
fn parse(mix: &str) -> Vec<usize> {
    let mut works = Vec::new();
    for part in mix.split([' ', ',']).filter(|part| !part.is_empty()) {
        let (name, weight) = part.split_once('=').unwrap_or_else(|| panic!("MIX: expected work=weight, not {part}"));
        let known = WORKS.iter().position(|(_, known)| *known == name);
        let kind = known.unwrap_or_else(|| panic!("MIX: expected one of {WORKS:?}, not {name}"));
        works.extend(std::iter::repeat_n(kind, weight.parse().unwrap()));
    }
    works
}

fn setting(name: &str) -> Option<String> {
    std::env::var(format!("FAFCAS_STRESS_{name}")).ok().filter(|value| !value.is_empty())
}

/// When a client stops.
#[derive(Clone, Copy)]
enum Until {
    Pieces(usize),
    Time(Duration),
}

/// `make stress`, and as a test a few hundred pieces of work.
#[test]
fn a_mixture_of_work() {
    let mix = setting("MIX").unwrap_or_else(|| "search=70 insert=10 update=10 delete=5 merge=5".into());
    let clients: u64 = setting("CLIENTS").map_or(by_form(8, 16), |text| text.parse().unwrap());
    let seconds: Option<u64> = setting("SECONDS").map(|text| text.parse().unwrap());
    let until = match seconds.or(is_long().then_some(1800)) {
        Some(seconds) => Until::Time(Duration::from_secs(seconds)),
        None => Until::Pieces(40),
    };
    let path = database("torture-mixture", if seconds.is_some() || is_long() { 20_000 } else { 2000 });
    let works = parse(&mix);
    let length = match until {
        Until::Time(length) => length,
        Until::Pieces(_) => Duration::ZERO,
    };
    let (begin, compared, missed, done) =
        (Instant::now(), AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let over = |pieces: usize| match until {
        Until::Pieces(most) => pieces >= most,
        Until::Time(length) => begin.elapsed() >= length,
    };
    let new_times = || Times::new(WORKS.len(), STEPS, length);
    let run = |number: u64| {
        let (db, mut random, mut times, mut pieces) = (client(&path), Random(seed() << 16 | number), new_times(), 0);
        while !over(pieces) {
            let kind = random.pick(&works);
            let (began, clock) = (begin.elapsed(), Instant::now());
            WORKS[kind].0.run(&db, &mut random);
            times.add(kind, began, clock.elapsed());
            pieces += 1;
            if pieces % 200 == 20 {
                missed.fetch_add(compare(&db, &mut random), Relaxed);
                compared.fetch_add(1, Relaxed);
            }
        }
        done.fetch_add(pieces, Relaxed);
        times
    };
    let (mut times, mut held) = (new_times(), Vec::new());
    std::thread::scope(|scope| {
        let run = &run;
        let threads: Vec<_> = (0..clients).map(|number| scope.spawn(move || run(number))).collect();
        held = hold(begin, length);
        threads.into_iter().for_each(|thread| times.join(&thread.join().unwrap()));
    });
    assert_sound(&path);
    let (compared, missed) = (compared.into_inner(), missed.into_inner());
    assert!(missed <= 1 + 50 * compared / MISSED_IN, "{missed} rows missed in {compared} searches");
    if length > Duration::ZERO {
        let picture = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("stress.svg");
        times.write(&picture, &format!("{clients} clients, {mix}"), &WORKS.map(|(_, name)| name), &held);
    }
    report(
        "mixture",
        &format!(
            "{} pieces of work by {clients} clients, {compared} searches compared with a scan, {missed} rows missed",
            done.into_inner()
        ),
    );
}

/// Into how many steps the time of a mixture is divided: minutes, where it runs for half an hour.
const STEPS: usize = 30;

/// What the process holds at the end of each step, while others work.
fn hold(begin: Instant, length: Duration) -> Vec<Held> {
    let steps = if length.is_zero() || !cfg!(target_os = "linux") { 0 } else { STEPS };
    let held = (1..=steps).map(|step| {
        std::thread::sleep((length * step as u32 / STEPS as u32).saturating_sub(begin.elapsed()));
        Holds::now().at(step)
    });
    held.collect()
}

/// In one snapshot: how many rows of the scan are missing. A row that is there has the scan's score.
fn compare(db: &Connection, random: &mut Random) -> usize {
    let query = vector(random);
    db.execute_batch("BEGIN").unwrap();
    let [hits, all] = [(10, "{}"), (1 << 30, r#"{"index": false}"#)]
        .map(|(limit, options)| TABLE.search(db, &query, limit, options).unwrap());
    db.execute_batch("COMMIT").unwrap();
    let wrong: Vec<_> = hits.iter().filter(|hit| !all.contains(hit)).collect();
    assert!(wrong.is_empty(), "not in the scan: {wrong:?}");
    all[..10].iter().filter(|hit| !hits.contains(hit)).count()
}

fn assert_sound(path: &Path) {
    let db = client(path);
    let said: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(said, "ok");
    db.execute("INSERT INTO ix(ix) VALUES ('check')", []).unwrap();
}

/// All connections are open at once; each thread has some of them.
#[test]
fn a_thousand_connections_and_64_threads_beside_a_writer() {
    let (connections, threads) = by_form((96, 16), (1000, 64));
    let path = database("torture-connections", by_form(1500, 20_000));
    let (open, done) = (Barrier::new(threads), AtomicBool::new(false));
    let (missed, compared, written) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let searchers: Vec<_> = (0..threads)
            .map(|number| {
                let (path, open, missed, compared) = (&path, &open, &missed, &compared);
                scope.spawn(move || {
                    let own: Vec<Connection> = (number..connections).step_by(threads).map(|_| client(path)).collect();
                    let mut random = Random(seed() << 16 | number as u64);
                    open.wait();
                    for db in own.iter().chain(&own) {
                        missed.fetch_add(compare(db, &mut random), Relaxed);
                        compared.fetch_add(1, Relaxed);
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            let (db, mut random) = (client(&path), Random(seed()));
            while !done.load(Relaxed) {
                random.pick(&[Work::Insert, Work::Insert, Work::Update, Work::Delete]).run(&db, &mut random);
                if written.fetch_add(1, Relaxed) % 50 == 49 {
                    Work::Merge.run(&db, &mut random);
                }
            }
        });
        // A searcher that fails must not leave the writer running for ever.
        let ended: Vec<_> = searchers.into_iter().map(|searcher| searcher.join()).collect();
        done.store(true, Relaxed);
        ended.into_iter().for_each(|end| end.unwrap());
    });
    assert_sound(&path);
    let (missed, compared) = (missed.into_inner(), compared.into_inner());
    assert!(missed <= 1 + 50 * compared / MISSED_IN, "{missed} rows missed in {compared} searches");
    report(
        "connections",
        &format!(
            "{connections} connections in {threads} threads, {compared} searches compared, {missed} rows missed, {} writes beside",
            written.into_inner()
        ),
    );
}

/// Memory and descriptors, which belong to the process: a child runs alone.
#[test]
#[cfg(target_os = "linux")]
fn memory_and_descriptors_stay_flat() {
    for what in ["searches", "opens"] {
        let count = by_form(2000, 200_000);
        print!("{}", succeed(&mut child("load::flat", &format!("{what}|{count}"))).0);
    }
}

/// What the process holds; nothing is known of it outside of Linux.
#[derive(Debug)]
struct Holds {
    kilobytes: usize,
    descriptors: usize,
}

impl Holds {
    fn now() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        Self {
            kilobytes: line.split_whitespace().next().unwrap().parse().unwrap(),
            descriptors: std::fs::read_dir("/proc/self/fd").unwrap().count(),
        }
    }

    fn at(&self, step: usize) -> Held {
        Held { step, kilobytes: self.kilobytes, descriptors: self.descriptors }
    }
}

/// The first tenth fills caches and pools; from then on nothing may grow.
#[cfg(target_os = "linux")]
#[test]
fn flat() {
    let Some(order) = order("load::flat") else { return };
    let (what, count) = order.split_once('|').unwrap();
    let count: usize = count.parse().unwrap();
    let path = database(&format!("torture-flat-{what}"), 2000);
    let mut random = Random(seed());
    let kept = client(&path);
    // So little that blocks are dropped and read again all the time.
    kept.query_row("SELECT fafcas_config('cache_bytes', 2000000)", [], |_| Ok(())).unwrap();
    let mut run = |number: usize| match what {
        "searches" => {
            Work::Search.run(&kept, &mut random);
            // So that answers cannot all come from memory.
            if number.is_multiple_of(50) {
                Work::Update.run(&kept, &mut random);
            }
            if number.is_multiple_of(1000) {
                Work::Merge.run(&kept, &mut random);
            }
        }
        _ => Work::Search.run(&client(&path), &mut random),
    };
    (0..count / 10).for_each(&mut run);
    let before = Holds::now();
    (count / 10..count).for_each(&mut run);
    let after = Holds::now();
    report("flat", &format!("{count} {what}: {before:?} after a tenth, {after:?} at the end"));
    assert_eq!(before.descriptors, after.descriptors, "descriptors of {what}");
    assert!(after.kilobytes < before.kilobytes + MOST_GROWTH_KB, "memory of {what} grows: {before:?}, {after:?}");
}

/// What an allocator may keep back more at one time than at another. A leak of 100 bytes a search would be twice as much in
/// the long form.
#[cfg(target_os = "linux")]
const MOST_GROWTH_KB: usize = 10 << 10;
