//! What a Hub serves is fetched, kept and found again, and what cannot be had is complained of. The
//! Hub is a server in the same process.

mod hub {
    mod cache;
    mod complaints;
    mod environment;
    mod files;
    mod support;
    mod transfers;
}
