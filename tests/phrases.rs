//! Votes on whole phrases: against brute force, with toys of a few tokens and with the tiny Llama.

#![cfg(feature = "tokenizers")]

mod common;

mod phrases {
    mod batches;
    mod errors;
    mod llama;
    mod logs;
    mod open;
    mod refusals;
    mod rollouts;
    mod tiny;
    mod toy;
    mod votes;
}
