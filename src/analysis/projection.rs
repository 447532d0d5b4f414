//! Places vectors on a plane: principal component analysis with two dimensions, by block Lanczos. The rows are only
//! read one after the other.
//!
//! The covariance matrix is never built. One pass over the rows multiplies it with a block of a few vectors. After some
//! passes, the space of all these products contains the two axes along which the rows spread most (Golub and Van Loan,
//! "Matrix Computations", on block Krylov methods). It needs memory for at most about 170 vectors of f64, however many
//! rows there are.
//!
//! All sums are computed in f64, in a fixed order and without fused operations. So the same rows in the same order give
//! the same bits on every machine. A block has `BLOCK` vectors, so that axes with equal spread are found together.

use crate::error::Result;
use crate::kernels::F32Le;
use crate::random::splitmix64;

/// How many vectors are multiplied in one pass: enough for axes with equal spread, and few enough to compute them side
/// by side.
const BLOCK: usize = 4;
/// How many passes there are at most. If an axis is not settled by then, the rows spread almost equally along several
/// directions.
const PASSES: usize = 40;
/// An axis is settled if the matrix turns it into a multiple of itself, with an error of at most this share of the
/// greatest spread.
const SETTLED: f64 = 1e-9;
/// A spread below this share of the greatest spread is only rounding.
const NOTHING: f64 = 1e-12;

/// Rows that can be read any number of times.
pub trait RowStream {
    /// Gives every row to `look`, always in the same order.
    fn each(&mut self, look: &mut dyn FnMut(&[F32Le])) -> Result<()>;
}

/// A plane through the mean of the rows, along the two axes on which they spread most.
#[derive(Debug, Clone, PartialEq)]
pub struct Plane {
    mean: Vec<f64>,
    /// Each has length 1, or is zero if the rows have no spread left. Its largest element is positive.
    axes: [Vec<f64>; 2],
}

impl Plane {
    /// The plane of these rows. All of them must have the same number of dimensions.
    pub fn fit(rows: &mut impl RowStream) -> Result<Self> {
        let mean = mean(rows)?;
        let mut spread = Spread { mean, rows };
        let axes = spread.axes()?;
        Ok(Self { mean: spread.mean, axes })
    }

    /// Where a row lies.
    pub fn place(&self, row: &[F32Le]) -> (f64, f64) {
        let along = |axis: &[f64]| {
            let terms = row.iter().zip(&self.mean).zip(axis);
            terms.map(|((x, mean), axis)| (f64::from(x.get()) - mean) * axis).sum::<f64>() + 0.0
        };
        (along(&self.axes[0]), along(&self.axes[1]))
    }
}

fn mean(rows: &mut impl RowStream) -> Result<Vec<f64>> {
    let (mut sum, mut count) = (Vec::new(), 0.0);
    rows.each(&mut |row| {
        count += 1.0;
        sum.resize(row.len(), 0.0);
        sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(x.get()));
    })?;
    sum.iter_mut().for_each(|sum| *sum /= count);
    Ok(sum)
}

/// One element of each vector of a block.
type Lanes = [f64; BLOCK];

/// The scatter matrix of the rows around their mean. It is not stored; it can only be multiplied with vectors.
struct Spread<'a, R> {
    mean: Vec<f64>,
    rows: &'a mut R,
}

impl<R: RowStream> Spread<'_, R> {
    fn axes(&mut self) -> Result<[Vec<f64>; 2]> {
        let dimensions = self.mean.len();
        let mut basis: Vec<Vec<f64>> = Vec::new();
        let mut block = start(dimensions);
        // The matrix, seen from the basis: each column is as long as the basis was when the column was computed.
        let mut columns: Vec<Vec<f64>> = Vec::new();
        for pass in 1.. {
            orthonormalise(&mut block, &basis);
            let from = basis.len();
            basis.append(&mut block);
            if basis.len() == from {
                break;
            }
            block = self.times(&basis[from..])?;
            columns.extend(block.iter().map(|product| basis.iter().map(|vector| dot(vector, product)).collect()));
            if pass == PASSES || has_settled(&columns, from, &outside(&block, &basis)) {
                break;
            }
        }
        let leading = Eigen::of(square(&columns));
        Ok([0, 1].map(|at| leading.axis(at, &basis, dimensions)))
    }

    /// The products of the matrix with the vectors of a block, in one pass over the rows.
    fn times(&mut self, block: &[Vec<f64>]) -> Result<Vec<Vec<f64>>> {
        let dimensions = self.mean.len();
        let lanes: Vec<Lanes> = (0..dimensions)
            .map(|at| std::array::from_fn(|lane| block.get(lane).map_or(0.0, |vector| vector[at])))
            .collect();
        let mut products: Vec<Lanes> = vec![[0.0; BLOCK]; dimensions];
        let mut centred = vec![0.0; dimensions];
        let mean = &self.mean;
        self.rows.each(&mut |row| {
            for ((centred, x), mean) in centred.iter_mut().zip(row).zip(mean) {
                *centred = f64::from(x.get()) - mean;
            }
            let along = along(&centred, &lanes);
            for (product, x) in products.iter_mut().zip(&centred) {
                for (product, along) in product.iter_mut().zip(along) {
                    *product += x * along;
                }
            }
        })?;
        Ok((0..block.len()).map(|lane| products.iter().map(|lanes| lanes[lane]).collect()).collect())
    }
}

/// For each vector, the length of the part that lies outside of the space of the basis.
fn outside(block: &[Vec<f64>], basis: &[Vec<f64>]) -> Vec<f64> {
    let length = |vector: &Vec<f64>| {
        let mut rest = vector.clone();
        remove(&mut rest, basis);
        dot(&rest, &rest).sqrt()
    };
    block.iter().map(length).collect()
}

/// Whether the two leading axes within the basis are also the leading axes of the whole matrix. `outside` belongs to
/// the last products, those of the basis vectors from `from` on.
fn has_settled(columns: &[Vec<f64>], from: usize, outside: &[f64]) -> bool {
    let leading = Eigen::of(square(columns));
    leading.pairs.iter().take(2).all(|(_, vector)| {
        let error: f64 = vector.iter().skip(from).zip(outside).map(|(share, length)| share.abs() * length).sum();
        error <= SETTLED * leading.value(0)
    })
}

/// The dot products of a row with each vector of a block. There are four sums side by side, so that an addition need
/// not wait for the one before.
fn along(row: &[f64], block: &[Lanes]) -> Lanes {
    let mut sums = [[0.0; BLOCK]; 4];
    let (rows, row_rest) = row.as_chunks::<4>();
    let (blocks, block_rest) = block.as_chunks::<4>();
    for (row, block) in rows.iter().zip(blocks) {
        for ((sum, x), lanes) in sums.iter_mut().zip(row).zip(block) {
            for (sum, y) in sum.iter_mut().zip(lanes) {
                *sum += x * y;
            }
        }
    }
    for (x, lanes) in row_rest.iter().zip(block_rest) {
        for (sum, y) in sums[0].iter_mut().zip(lanes) {
            *sum += x * y;
        }
    }
    std::array::from_fn(|lane| (sums[0][lane] + sums[1][lane]) + (sums[2][lane] + sums[3][lane]))
}

/// Vectors that have nothing to do with any data, and are always the same.
fn start(dimensions: usize) -> Vec<Vec<f64>> {
    let mut state = 0u64;
    let mut number = || splitmix64(&mut state) as i64 as f64 / i64::MAX as f64;
    (0..BLOCK.min(dimensions)).map(|_| (0..dimensions).map(|_| number()).collect()).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Removes from a vector its part within the space of an orthonormal basis. This is done twice, because rounding leaves
/// a little of it the first time.
fn remove(vector: &mut [f64], basis: &[Vec<f64>]) {
    for _ in 0..2 {
        for other in basis {
            let share = dot(vector, other);
            vector.iter_mut().zip(other).for_each(|(x, other)| *x -= share * other);
        }
    }
}

/// Gives the vectors of a block length 1, at right angles to each other and to the basis. Vectors that depend on the
/// others are dropped.
fn orthonormalise(block: &mut Vec<Vec<f64>>, basis: &[Vec<f64>]) {
    let mut kept: Vec<Vec<f64>> = Vec::new();
    for mut vector in block.drain(..) {
        let before = dot(&vector, &vector).sqrt();
        remove(&mut vector, basis);
        remove(&mut vector, &kept);
        let length = dot(&vector, &vector).sqrt();
        if length > before * NOTHING && length.is_normal() {
            vector.iter_mut().for_each(|x| *x /= length);
            kept.push(vector);
        }
    }
    *block = kept;
}

/// The symmetric matrix. Each column must be known at least from the top down to the diagonal.
fn square(columns: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let size = columns.len();
    let entry =
        |row: usize, column: usize| columns.get(column).and_then(|column| column.get(row)).copied().unwrap_or(0.0);
    // Of two symmetric entries, which differ by rounding, always the same one is used.
    (0..size).map(|row| (0..size).map(|column| entry(row.min(column), row.max(column))).collect()).collect()
}

/// The eigenvalues and eigenvectors of a small symmetric matrix, the greatest value first.
struct Eigen {
    pairs: Vec<(f64, Vec<f64>)>,
}

impl Eigen {
    /// By Jacobi's rotations, in sweeps that always have the same order.
    fn of(mut matrix: Vec<Vec<f64>>) -> Self {
        const SWEEPS: usize = 60;
        let size = matrix.len();
        let mut vectors: Vec<Vec<f64>> = (0..size).map(|at| (0..size).map(|x| f64::from(x == at)).collect()).collect();
        let greatest = matrix.iter().flatten().fold(0.0f64, |greatest, x| greatest.max(x.abs()));
        let nothing = f64::EPSILON * greatest;
        for _ in 0..SWEEPS {
            let mut is_diagonal = true;
            for p in 0..size {
                for q in p + 1..size {
                    if matrix[p][q].abs() > nothing {
                        is_diagonal = false;
                        rotate(&mut matrix, &mut vectors, p, q);
                    }
                }
            }
            if is_diagonal {
                break;
            }
        }
        let mut pairs: Vec<(f64, Vec<f64>)> = (0..size).map(|at| matrix[at][at]).zip(vectors).collect();
        pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
        Self { pairs }
    }

    fn value(&self, at: usize) -> f64 {
        self.pairs.get(at).map_or(0.0, |(value, _)| *value)
    }

    /// An eigenvector in the space of the rows. It is zero if there is no spread along it.
    fn axis(&self, at: usize, basis: &[Vec<f64>], dimensions: usize) -> Vec<f64> {
        let mut axis = vec![0.0; dimensions];
        let spreads = |(value, _): &&(f64, _)| *value > NOTHING * self.value(0);
        let Some((_, shares)) = self.pairs.get(at).filter(spreads) else { return axis };
        for (share, vector) in shares.iter().zip(basis) {
            axis.iter_mut().zip(vector).for_each(|(sum, x)| *sum += share * x);
        }
        let length = dot(&axis, &axis).sqrt();
        let largest = axis.iter().fold(0.0f64, |largest, &x| if x.abs() > largest.abs() { x } else { largest });
        axis.iter_mut().for_each(|x| *x /= length.copysign(largest));
        axis
    }
}

/// Rotates in the plane of `p` and `q`, with `p` less than `q`, so that their common entry becomes zero. `vectors` has
/// the vectors as rows.
fn rotate(matrix: &mut [Vec<f64>], vectors: &mut [Vec<f64>], p: usize, q: usize) {
    let theta = (matrix[q][q] - matrix[p][p]) / (2.0 * matrix[p][q]);
    let tangent = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
    let cosine = 1.0 / (tangent * tangent + 1.0).sqrt();
    let sine = tangent * cosine;
    let turn = |a: &mut f64, b: &mut f64| (*a, *b) = (cosine * *a - sine * *b, sine * *a + cosine * *b);
    for row in matrix.iter_mut() {
        let (before, after) = row.split_at_mut(q);
        turn(&mut before[p], &mut after[0]);
    }
    for rows in [matrix, vectors] {
        let (before, after) = rows.split_at_mut(q);
        before[p].iter_mut().zip(&mut after[0]).for_each(|(a, b)| turn(a, b));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Given(Vec<Vec<F32Le>>);

    impl RowStream for Given {
        fn each(&mut self, look: &mut dyn FnMut(&[F32Le])) -> Result<()> {
            self.0.iter().for_each(|row| look(row));
            Ok(())
        }
    }

    fn given(rows: &[&[f32]]) -> Given {
        Given(rows.iter().map(|row| row.iter().map(|&x| x.into()).collect()).collect())
    }

    fn places(rows: &[&[f32]]) -> Vec<(f64, f64)> {
        let mut rows = given(rows);
        let plane = Plane::fit(&mut rows).unwrap();
        rows.0.iter().map(|row| plane.place(row)).collect()
    }

    fn assert_near(found: &[(f64, f64)], wanted: &[(f64, f64)]) {
        for (found, wanted) in found.iter().zip(wanted) {
            assert!((found.0 - wanted.0).abs() < 1e-9 && (found.1 - wanted.1).abs() < 1e-9, "{found:?} {wanted:?}");
        }
        assert_eq!(found.len(), wanted.len());
    }

    #[test]
    fn the_axis_of_greatest_spread_comes_first() {
        let rows: &[&[f32]] = &[&[1.0, 10.0, 5.0], &[1.0, -10.0, 5.0], &[4.0, 0.0, 5.0], &[-2.0, 0.0, 5.0]];
        assert_near(&places(rows), &[(10.0, 0.0), (-10.0, 0.0), (0.0, 3.0), (0.0, -3.0)]);
    }

    #[test]
    fn without_spread_all_are_in_the_middle() {
        assert_eq!(places(&[]), []);
        assert_eq!(places(&[&[0.1, 0.7]]), [(0.0, 0.0)]);
        assert_eq!(places(&[&[0.1, 0.7], &[0.1, 0.7], &[0.1, 0.7]]), [(0.0, 0.0); 3]);
    }

    #[test]
    fn on_one_line_there_is_no_second_axis() {
        assert_near(&places(&[&[3.0, 4.0], &[0.0, 0.0]]), &[(2.5, 0.0), (-2.5, 0.0)]);
        assert!(places(&[&[0.3, 0.1, 0.9], &[0.5, 0.2, 0.1]]).iter().all(|(_, y)| *y == 0.0));
        assert_near(&places(&[&[1.0], &[5.0]]), &[(-2.0, 0.0), (2.0, 0.0)]);
    }

    #[test]
    fn equal_spread_in_all_directions_gives_two_axes() {
        let corners: &[&[f32]] = &[&[1.0, 0.0], &[-1.0, 0.0], &[0.0, 1.0], &[0.0, -1.0]];
        for (x, y) in places(corners) {
            assert!((x.hypot(y) - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn the_largest_loading_is_positive() {
        let rows: &[&[f32]] = &[&[1.0, -8.0], &[-1.0, 8.0], &[0.5, 0.0]];
        let plane = Plane::fit(&mut given(rows)).unwrap();
        for axis in &plane.axes {
            let largest = axis.iter().fold(0.0f64, |largest, &x| if x.abs() > largest.abs() { x } else { largest });
            assert!(largest > 0.0, "{axis:?}");
        }
    }
}
