//! f32 vectors to stored codes, and bounds on scores from codes.
//!
//! The method is RaBitQ without clusters (Gao and Long, SIGMOD 2024). A vector is moved by a common centre and rotated by
//! a fixed random rotation. Of the result, the *residual*, one bit per coordinate is kept for the scan over everything
//! (`one_bit`) and four for a second look at those that passed (`four_bit`). Either code estimates a product with a
//! query without bias, and tells how far it may be off. `README.md` has the algebra, and what was measured.

pub mod certain;
mod encoder;
pub mod four_bit;
pub mod likely;
pub mod one_bit;
mod query;
mod rotation;
mod space;

pub use encoder::{Encoder, fingerprint};
pub use query::{Group, Interval, Query, SIGMAS};
pub use space::Space;
