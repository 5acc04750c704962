//! The commitment probe: its statistics.

mod probe {
    mod statistics;
}
