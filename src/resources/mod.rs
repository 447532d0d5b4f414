//! What a process has once: threads, memory, settings and counters.

