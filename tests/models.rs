//! The loader of models of `commitment-probe`: Hugging Face folders and GGUF files of every layout
//! are the same models, and what is unfit is complained of.

#[path = "../src/bin/commitment-probe/model/mod.rs"]
mod model;
#[path = "common/toy.rs"]
mod toy;

mod models {
    mod chat;
    mod complaints;
    mod folder;
    mod gguf;
    mod gguf_complaints;
    mod gguf_file;
    mod program;
    mod support;
    mod tokenizer;
}
