//! `examples/saint_basils.rs` from end to end: what it prints of the tiny model, models of every
//! layout that a user may bring, and what it says of files that are unfit. And `examples/decode.rs`:
//! the loop with either sampler.

mod example {
    mod answers;
    mod complaints;
    mod decode;
    mod models;
    mod program;
    mod toy;
}
