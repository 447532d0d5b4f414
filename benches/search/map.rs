//! `vec_map` of all rows, against one scan of them. `benches/memory.py` has what it holds.

use super::data::{Data, median, ratio, table, time};

const MAPS: usize = 3;
const SCANS: usize = 5;

type Points = Vec<(f64, f64)>;

pub fn run(data: &Data) {
    let db = table("map", data);
    let map = || -> Points {
        let mut statement = db.prepare_cached("SELECT x, y FROM vec_map('t', 'v')").unwrap();
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
    };
    let (points, first) = time(map);
    is_right(data, &points);
    let mut times = vec![first];
    for _ in 1..MAPS {
        let (again, took) = time(map);
        assert_eq!(again, points);
        times.push(took);
    }
    let scan = || -> i64 {
        let sql = "SELECT count(*) FROM vec_topk('t', 'v', ?1, 10, '{\"index\": false}')";
        db.query_row(sql, [data.query()], |row| row.get(0)).unwrap()
    };
    let scan = median((0..SCANS).map(|_| time(scan).1).collect());
    let map = median(times);
    println!("map of {} rows {map:.2?}: {:.1} scans of {scan:.1?}", data.rows(), ratio(map, scan));
}

/// The places along an axis, put to the rows again, give the axis: so it is one of the scatter matrix. And no other direction
/// of many has a greater spread than the first.
fn is_right(data: &Data, points: &Points) {
    let (rows, dimensions) = (data.rows(), data.dimensions);
    assert_eq!(points.len(), rows);
    let mut mean = vec![0.0; dimensions];
    for row in 0..rows {
        mean.iter_mut().zip(data.row(row)).for_each(|(sum, x)| *sum += f64::from(*x) / rows as f64);
    }
    let along = |row: usize, axis: &[f64]| -> f64 {
        data.row(row).iter().zip(&mean).zip(axis).map(|((x, mean), axis)| (f64::from(*x) - mean) * axis).sum()
    };
    let axes = [|point: &(f64, f64)| point.0, |point: &(f64, f64)| point.1].map(|place| {
        let mut axis = vec![0.0; dimensions];
        for (row, point) in points.iter().enumerate() {
            for ((sum, x), mean) in axis.iter_mut().zip(data.row(row)).zip(&mean) {
                *sum += (f64::from(*x) - mean) * place(point);
            }
        }
        let length = axis.iter().map(|x| x * x).sum::<f64>().sqrt();
        axis.iter_mut().for_each(|x| *x /= length);
        axis
    });
    let spread = |axis: &[f64]| -> f64 { (0..rows).map(|row| along(row, axis).powi(2)).sum() };
    let spreads = axes.each_ref().map(|axis| spread(axis));
    for (row, point) in points.iter().enumerate() {
        let far = (along(row, &axes[0]) - point.0).hypot(along(row, &axes[1]) - point.1);
        assert!(far < 1e-6 * (spreads[0] / rows as f64).sqrt(), "row {row} is {far} off");
    }
    assert!(spreads[0] >= spreads[1]);
    let unit = |at: usize| (0..dimensions).map(|i| f64::from(u8::from(i == at))).collect::<Vec<_>>();
    (0..dimensions).step_by(16).for_each(|at| assert!(spread(&unit(at)) <= spreads[0]));
}
