//! Hugging Face folders and GGUF files of every layout are the same models, and what is unfit is
//! complained of.

mod models {
    mod candle;
    mod chat;
    mod complaints;
    mod decoder;
    mod ends;
    mod folder;
    mod gguf;
    mod gguf_complaints;
    mod pre_tokenizers;
    mod published;
    mod real;
    mod real_witness;
    mod support;
    mod tokenizer;
    mod witness;
}
