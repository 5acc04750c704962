//! Hugging Face folders and GGUF files of every layout
//! are the same models, and what is unfit is complained of.

mod models {
    mod chat;
    mod complaints;
    mod ends;
    mod folder;
    mod gguf;
    mod gguf_complaints;
    mod support;
    mod tokenizer;
}
