//! How long each kind of work took, step by step, in memory that does not grow with the number of pieces: a load of half an hour
//! asks whether the memory of the process stays flat.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::indexing_slicing)]

use crate::plot::{Line, chart};
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

/// Each bucket is one hundredth wider than the one before it, from a microsecond to twenty minutes.
const GROWTH: f64 = 1.01;
const BUCKETS: usize = 2100;

/// How often each time was seen.
#[derive(Clone)]
struct Histogram {
    seen: Vec<u32>,
    worst: f64,
}

impl Histogram {
    fn new() -> Self {
        Self { seen: vec![0; BUCKETS], worst: 0.0 }
    }

    fn count(&self) -> u64 {
        self.seen.iter().map(|seen| u64::from(*seen)).sum()
    }

    fn add(&mut self, took: Duration) {
        let microseconds = (took.as_secs_f64() * 1e6).max(1.0);
        let bucket = (microseconds.ln() / GROWTH.ln()) as usize;
        self.seen[bucket.min(BUCKETS - 1)] += 1;
        self.worst = self.worst.max(microseconds / 1e3);
    }

    fn join(&mut self, other: &Self) {
        self.seen.iter_mut().zip(&other.seen).for_each(|(seen, more)| *seen += more);
        self.worst = self.worst.max(other.worst);
    }

    /// In milliseconds, at most a hundredth too large; NaN where nothing was seen.
    fn quantile(&self, share: f64) -> f64 {
        let wanted = (self.count() as f64 * share).ceil() as u64;
        let mut passed = 0;
        let found = self.seen.iter().position(|seen| {
            passed += u64::from(*seen);
            passed >= wanted.max(1)
        });
        found.map_or(f64::NAN, |bucket| (GROWTH.powi(bucket as i32 + 1) / 1e3).min(self.worst))
    }
}

/// What the process holds at the end of a step.
#[derive(Clone, Copy)]
pub struct Held {
    pub step: usize,
    pub kilobytes: usize,
    pub descriptors: usize,
}

/// The times of a client, or of all of them.
pub struct Times {
    step: Duration,
    steps: Vec<Vec<Histogram>>,
}

impl Times {
    /// `kinds` of work in `steps` steps, which are `length` long together.
    pub fn new(kinds: usize, steps: usize, length: Duration) -> Self {
        let step = (length / steps as u32).max(Duration::from_millis(1));
        Self { step, steps: vec![vec![Histogram::new(); kinds]; steps] }
    }

    pub fn add(&mut self, kind: usize, began: Duration, took: Duration) {
        let at = (began.as_secs_f64() / self.step.as_secs_f64()) as usize;
        let last = self.steps.len() - 1;
        self.steps[at.min(last)][kind].add(took);
    }

    pub fn join(&mut self, other: &Self) {
        for (own, others) in self.steps.iter_mut().flatten().zip(other.steps.iter().flatten()) {
            own.join(others);
        }
    }

    /// One line for each kind on standard output, the p99 by step as a picture, and beside it the record that it is drawn from.
    pub fn write(&self, picture: &Path, title: &str, names: &[&'static str], held: &[Held]) {
        let unit = match self.step.as_secs() {
            60 => "minute".into(),
            _ => format!("step of {:.1} s", self.step.as_secs_f64()),
        };
        let mut lines = Vec::new();
        for (kind, name) in names.iter().enumerate() {
            let mut all = Histogram::new();
            self.steps.iter().for_each(|kinds| all.join(&kinds[kind]));
            if all.count() == 0 {
                continue;
            }
            let [p50, p99] = [0.5, 0.99].map(|share| all.quantile(share));
            println!("{name}: {} times, p50 {p50:.2} ms, p99 {p99:.2} ms, worst {:.1} ms", all.count(), all.worst);
            lines.push(Line { name, values: self.steps.iter().map(|kinds| kinds[kind].quantile(0.99)).collect() });
        }
        std::fs::write(picture, chart(&format!("p99 of {title}"), &unit, &lines)).unwrap();
        let record = picture.with_extension("tsv");
        std::fs::write(&record, self.record(title, &unit, names, held)).unwrap();
        println!("{} has the p99 by the {unit}, {} the figures", picture.display(), record.display());
    }

    fn record(&self, title: &str, unit: &str, names: &[&'static str], held: &[Held]) -> String {
        let mut text = format!("# {title}; one {unit} after the other\nstep\twork\tcount\tp50_ms\tp99_ms\tworst_ms\n");
        for (step, kinds) in self.steps.iter().enumerate() {
            for (kind, name) in kinds.iter().zip(names).filter(|(kind, _)| kind.count() > 0) {
                let [p50, p99] = [0.5, 0.99].map(|share| kind.quantile(share));
                let (step, count, worst) = (step + 1, kind.count(), kind.worst);
                writeln!(text, "{step}\t{name}\t{count}\t{p50:.2}\t{p99:.2}\t{worst:.1}").unwrap();
            }
        }
        text.push_str("# what the process holds at the end of a step\nstep\tkilobytes\tdescriptors\n");
        for Held { step, kilobytes, descriptors } in held {
            writeln!(text, "{step}\t{kilobytes}\t{descriptors}").unwrap();
        }
        text
    }
}
