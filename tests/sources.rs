//! Where maps come from: aliases, spelling, the embedding and a judge, over tokenizers of every kind.

#![cfg(feature = "tokenizers")]

mod common;

mod sources {
    mod aliases;
    mod blank;
    mod composed;
    mod embedding;
    mod errors;
    mod kinds;
    mod spelling;
    mod step;
    mod vocabulary;
}
