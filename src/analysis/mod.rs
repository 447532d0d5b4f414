//! What is computed from ranks and vectors beside a search: fused ranks, a map, and what must hold. Pure code.

