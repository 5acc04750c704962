//! The step of a batch server, against a sampler for each request alone.

mod common;

mod batch_sampler {
    mod bad_rows;
    mod drafted;
    mod drafts;
    mod edges;
    mod errors;
    mod requests;
    mod steps;
    mod unfit_drafts;
}
