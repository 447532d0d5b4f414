//! From f32 vectors to stored codes, and from codes to bounds on scores.
//!
//! The method is RaBitQ without clusters (Gao and Long, SIGMOD 2024). The common centre is subtracted from a vector,
//! and the result is rotated by a fixed random rotation; this is the *residual*. One bit of each of its coordinates is
//! kept for the scan over all vectors (`one_bit`), and four bits for a second look at the vectors that passed
//! (`four_bit`). Both codes give an estimate of the product with a query that is right on average, and say how far it
//! may be off. `README.md` has the algebra, and what was measured.

mod encoder;
pub mod exact;
pub mod four_bit;
pub mod likely;
pub mod one_bit;
mod query;
mod rotation;
mod space;

pub use encoder::{Encoder, fingerprint};
pub use query::{Group, Interval, Query};
pub use space::Space;
