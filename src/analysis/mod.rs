//! What is computed from vectors and ranks beside a search: a map, fused ranks, and what must hold. Pure code.

pub mod invariants;
pub mod projection;
pub mod ranking;
