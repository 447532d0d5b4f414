//! The meaning of exact search: a loop over the rows in f64, and a sort.

use super::table::Table;
use std::cmp::Ordering;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Metric {
    Dot,
    Cosine,
    L2,
    L1,
}

impl Metric {
    pub const ALL: [Self; 4] = [Self::Dot, Self::Cosine, Self::L2, Self::L1];

    pub fn name(self) -> &'static str {
        ["dot", "cosine", "l2", "l1"][self as usize]
    }

    fn score(self, stored: &[f32], query: &[f32]) -> f64 {
        let pairs = || stored.iter().zip(query).map(|(&a, &b)| (f64::from(a), f64::from(b)));
        let dot = || pairs().map(|(a, b)| a * b).sum::<f64>();
        let length = |v: &[f32]| v.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
        match self {
            Self::Dot => dot(),
            // A zero vector is at a right angle to everything.
            Self::Cosine => match length(stored) * length(query) {
                0.0 => 0.0,
                lengths => dot() / lengths,
            },
            Self::L2 => -pairs().map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt(),
            Self::L1 => -pairs().map(|(a, b)| (a - b).abs()).sum::<f64>(),
        }
    }

    pub fn distance(self, score: f64) -> f64 {
        match self {
            Self::Dot | Self::Cosine => 1.0 - score,
            Self::L2 | Self::L1 => -score,
        }
    }
}

/// A row of an answer, or what the naive loop knows of it. `name` is what tells rows apart: the id as text.
#[derive(Clone, Debug)]
pub struct Hit {
    pub rowid: i64,
    pub name: String,
    pub kind: &'static str,
    pub score: f64,
}

/// Every row with a vector of the query's length, best first.
pub fn search(table: &Table, query: &[f32], metric: Metric) -> Vec<Hit> {
    let mut hits: Vec<Hit> = table
        .rows
        .iter()
        .filter_map(|row| {
            let stored = row.stored.as_ref().filter(|stored| stored.len() == query.len())?;
            let score = metric.score(stored, query);
            Some(Hit { rowid: row.rowid, name: table.name_of(row), kind: row.kind, score })
        })
        .collect();
    hits.sort_by(best_first);
    hits
}

pub fn best_first(a: &Hit, b: &Hit) -> Ordering {
    b.score.partial_cmp(&a.score).unwrap().then(a.rowid.cmp(&b.rowid))
}
