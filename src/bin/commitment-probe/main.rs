//! The commitment probe: how often does a language model know the answer, and say another?

#![allow(dead_code, reason = "nobody asks yet")]

mod model;
mod prompt;
mod terminal;

fn main() {}
