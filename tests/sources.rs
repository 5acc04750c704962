//! Where maps come from: aliases, spelling, the embedding and a judge, over tokenizers of every kind.

#![cfg(feature = "tokenizers")]

mod common;

mod sources {
    mod aliases;
    mod composed;
    mod kinds;
    mod spelling;
    mod step;
    mod vocabulary;
}
