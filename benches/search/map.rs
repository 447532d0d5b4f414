//! `vec_map` against one scan of its rows.

use super::data::{Data, median, ratio, time};
use super::filters;
use rusqlite::Connection;

pub fn run(data: &Data) {
    let db = filters::table(data);
    let query = data.query();
    let scan = || -> i64 {
        let sql = r#"SELECT count(*) FROM vec_topk('t', 'v', ?1, 10, '{"exact": true}')"#;
        db.query_row(sql, [&query], |row| row.get(0)).unwrap()
    };
    let once = median((0..5).map(|_| time(|| assert_eq!(scan(), 10)).1).collect());
    let (points, first) = time(|| map(&db));
    let (again, second) = time(|| map(&db));
    assert_eq!(points, again);
    check(data, &points);
    let took = median(vec![first, second, time(|| map(&db)).1]);
    println!("vec_map {took:.2?}, one scan {once:.1?}, {:.0} of them", ratio(took, once));
}

fn map(db: &Connection) -> Vec<(f64, f64)> {
    let mut statement = db.prepare_cached("SELECT x, y FROM vec_map('t', 'v') ORDER BY rowid").unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    rows.unwrap().map(Result::unwrap).collect()
}

/// No direction may have more spread than the first: not the axes of the data, nor those between some of its rows.
fn check(data: &Data, points: &[(f64, f64)]) {
    assert_eq!(points.len(), data.rows());
    let spread = |along: &dyn Fn(usize) -> f64| {
        let mean = (0..data.rows()).map(along).sum::<f64>() / data.rows() as f64;
        (0..data.rows()).map(|row| (along(row) - mean).powi(2)).sum::<f64>()
    };
    let (first, second) = (spread(&|row| points[row].0), spread(&|row| points[row].1));
    assert!(first >= second && second > 0.0);
    for at in 0..data.dimensions {
        assert!(spread(&|row| f64::from(data.row(row)[at])) <= first * (1.0 + 1e-9));
    }
    for pair in 0..20 {
        let (a, b) = (data.row(pair), data.row(data.rows() - 1 - pair));
        let direction: Vec<f64> = a.iter().zip(b).map(|(a, b)| f64::from(a - b)).collect();
        let norm = direction.iter().map(|x| x * x).sum::<f64>().sqrt();
        let along = |row: usize| {
            data.row(row).iter().zip(&direction).map(|(x, direction)| f64::from(*x) * direction / norm).sum::<f64>()
        };
        assert!(spread(&along) <= first * (1.0 + 1e-9));
    }
}
