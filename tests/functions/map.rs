//! `vec_map` against principal components by the book: the whole covariance matrix, and Jacobi's rotations.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use crate::support::{Random, blob};
use rusqlite::Connection;

type Points = Vec<(f64, f64)>;

fn table(connection: &Connection, rows: &[Vec<f32>]) {
    fafcas::register_auto_extension().unwrap();
    connection.execute_batch("DROP TABLE IF EXISTS t; CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB)").unwrap();
    let mut insert = connection.prepare("INSERT INTO t(v) VALUES (?1)").unwrap();
    for row in rows {
        insert.execute([blob(row)]).unwrap();
    }
}

fn map(connection: &Connection) -> Points {
    let mut statement = connection.prepare("SELECT x, y FROM vec_map('t', 'v')").unwrap();
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
}

fn connection() -> Connection {
    fafcas::register_auto_extension().unwrap();
    Connection::open_in_memory().unwrap()
}

/// Eigenvalues of the covariance, greatest first, and the places of the rows along the first two eigenvectors.
fn by_the_book(rows: &[Vec<f32>]) -> (Vec<f64>, Points) {
    let (size, count) = (rows[0].len(), rows.len() as f64);
    let mean: Vec<f64> = (0..size).map(|at| rows.iter().map(|row| f64::from(row[at])).sum::<f64>() / count).collect();
    let centred: Vec<Vec<f64>> =
        rows.iter().map(|row| row.iter().zip(&mean).map(|(x, mean)| f64::from(*x) - mean).collect()).collect();
    let covariance = |a: usize, b: usize| centred.iter().map(|row| row[a] * row[b]).sum::<f64>() / count;
    let mut a: Vec<Vec<f64>> = (0..size).map(|p| (0..size).map(|q| covariance(p, q)).collect()).collect();
    let mut v: Vec<Vec<f64>> = (0..size).map(|p| (0..size).map(|q| f64::from(p == q)).collect()).collect();
    for _ in 0..100 {
        for p in 0..size {
            for q in p + 1..size {
                if a[p][q].abs() < 1e-300 {
                    continue;
                }
                let angle = 0.5 * (2.0 * a[p][q] / (a[q][q] - a[p][p])).atan();
                let (s, c) = angle.sin_cos();
                let turn = |x: &mut f64, y: &mut f64| (*x, *y) = (c * *x - s * *y, s * *x + c * *y);
                for row in a.iter_mut().chain(&mut v) {
                    let (before, after) = row.split_at_mut(q);
                    turn(&mut before[p], &mut after[0]);
                }
                let (before, after) = a.split_at_mut(q);
                before[p].iter_mut().zip(&mut after[0]).for_each(|(x, y)| turn(x, y));
            }
        }
    }
    let mut order: Vec<usize> = (0..size).collect();
    order.sort_by(|&p, &q| a[q][q].total_cmp(&a[p][p]));
    let axis = |at: usize| -> Vec<f64> {
        let Some(&column) = order.get(at) else { return vec![0.0; size] };
        let axis: Vec<f64> = v.iter().map(|row| row[column]).collect();
        let largest = axis.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap();
        axis.iter().map(|x| x * largest.signum()).collect()
    };
    let axes = [axis(0), axis(1)];
    let along = |row: &[f64], axis: &[f64]| row.iter().zip(axis).map(|(a, b)| a * b).sum::<f64>();
    let points = centred.iter().map(|row| (along(row, &axes[0]), along(row, &axes[1]))).collect();
    (order.iter().map(|&at| a[at][at]).collect(), points)
}

#[test]
fn the_places_are_those_of_the_whole_covariance_matrix() {
    let connection = connection();
    let mut told_apart = 0;
    for seed in 0..60 {
        println!("seed {seed}");
        let mut random = Random(seed);
        let (size, count) = (1 + random.below(24), 2 + random.below(60));
        let spread: Vec<f64> = (0..size).map(|_| random.pick(&[0.01, 0.3, 1.0, 5.0])).collect();
        let middle = random.pick(&[0.0, 1.0, 100.0]);
        let mix = random.real();
        let rows: Vec<Vec<f32>> = (0..count)
            .map(|_| {
                let mut before = 0.0;
                let number = |spread: &f64| {
                    before = spread * random.real() + mix * before;
                    (middle + before) as f32
                };
                spread.iter().map(number).collect()
            })
            .collect();
        table(&connection, &rows);
        let (values, expected) = by_the_book(&rows);
        let found = map(&connection);
        let scale = values[0].sqrt();
        let second = |at: usize| values.get(at).copied().unwrap_or(0.0);
        // The greatest spread is right in any case; the axes are settled where no other has nearly the same.
        let variance = found.iter().map(|(x, _)| x * x).sum::<f64>() / count as f64;
        assert!((variance - values[0]).abs() <= 1e-7 * values[0], "{variance} {}", values[0]);
        if values[0] - second(1) > 0.01 * values[0] && second(1) - second(2) > 0.01 * values[0] {
            told_apart += 1;
            for (found, expected) in found.iter().zip(&expected) {
                let off = (found.0 - expected.0).abs().max((found.1 - expected.1).abs());
                assert!(off <= 1e-6 * scale, "{found:?} {expected:?}");
            }
        }
        assert_eq!(found.len(), expected.len());
    }
    assert!(told_apart > 20, "{told_apart}");
}

fn random_rows(count: usize, size: usize) -> Vec<Vec<f32>> {
    let mut random = Random(11);
    let row = |_| (0..size).map(|at| (random.real() / (1 + at % 97) as f64) as f32).collect();
    (0..count).map(row).collect()
}

/// Were it not so on some machine, this would be the machine that fails.
#[test]
fn the_same_rows_give_the_same_bits_everywhere() {
    let connection = connection();
    table(&connection, &random_rows(500, 131));
    let points = map(&connection);
    assert_eq!(points, map(&connection));
    let fold = |hash: u64, x: &f64| (hash ^ x.to_bits()).wrapping_mul(0x100_0000_01b3);
    let hash = points.iter().flat_map(|(x, y)| [x, y]).fold(0xcbf2_9ce4_8422_2325, fold);
    assert_eq!(format!("{hash:016x}"), "c7486ca3d6624c25");
}

/// The covariance matrix would have 65,536 times 65,536 numbers.
#[test]
fn as_many_dimensions_as_a_vector_may_have() {
    let connection = connection();
    let rows: Vec<Vec<f32>> = random_rows(6, 65_536);
    table(&connection, &rows);
    let points = map(&connection);
    let spread = |at: fn(&(f64, f64)) -> f64| points.iter().map(|point| at(point).powi(2)).sum::<f64>();
    let total: f64 = by_pairs(&rows);
    let (first, second) = (spread(|point| point.0), spread(|point| point.1));
    assert!(first >= second && second > 0.0 && first + second <= total * 1.000001);
    // Six rows spread in five directions, so two of them have two fifths at least.
    assert!(first + second >= total * 0.4);
}

/// The sum of squared distances from the mean, from the distances between the rows.
fn by_pairs(rows: &[Vec<f32>]) -> f64 {
    let square = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
    let all: f64 = rows.iter().flat_map(|a| rows.iter().map(move |b| square(a, b))).sum();
    all / (2 * rows.len()) as f64
}
