//! Chat templates are rendered as transformers renders them, and what they drop or leave open is an
//! error.

mod chat {
    mod constructs;
    mod families;
    mod recorded;
    mod rules;
}
