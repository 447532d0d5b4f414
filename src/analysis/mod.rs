//! What is computed from vectors and ranks outside of a search: a map, fused ranks, and rules that must hold. Pure
//! code.

pub mod bm25;
pub mod hybrid;
pub mod invariants;
pub mod projection;
pub mod ranking;
