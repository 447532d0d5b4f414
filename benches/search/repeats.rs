//! The same search asked again while nothing changed, against one that is asked for the first time.

use super::data::{Data, median, ratio, time};
use super::filters;
use std::time::Duration;

pub fn run(data: &Data) {
    let db = filters::table(data);
    let sql = "SELECT rowid FROM vec_topk('t', 'v', ?1, 10)";
    let ask = |query: &[u8]| -> (Vec<i64>, Duration) {
        let mut statement = db.prepare_cached(sql).unwrap();
        time(|| statement.query_map([query], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap())
    };
    (0..20).for_each(|_| drop(ask(&data.query())));
    db.execute_batch("DELETE FROM vec_stats").unwrap();
    let (mut first, mut again) = (Vec::new(), Vec::new());
    for _ in 0..data.queries() {
        let query = data.query();
        let (rows, took) = ask(&query);
        first.push(took);
        let (same, took) = ask(&query);
        again.push(took);
        assert_eq!(rows, same);
    }
    let repeated: i64 =
        db.query_row("SELECT repeated FROM vec_stats WHERE source = 'main.t'", [], |row| row.get(0)).unwrap();
    assert_eq!(repeated as usize, again.len());
    let (first, again) = (median(first), median(again));
    println!("first {first:.0?}, again {again:.0?}: {:.2} of it", ratio(again, first));
}
