//! `examples/saint_basils.rs` from end to end: what it prints of the tiny model, models of every
//! layout that a user may bring, and what it says of files that are unfit. `examples/decode.rs`: the
//! loop with either sampler. And `examples/serve.rs`: requests that come and go.

mod example {
    mod answers;
    mod complaints;
    mod decode;
    mod models;
    mod program;
    mod serve;
    mod toy;
}
