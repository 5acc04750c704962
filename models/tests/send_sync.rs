//! All that is public can be sent to another thread, and shared among threads.

use concept_mass_models::{Chat, LoadError, Loaded, Model};

fn assert<T: Send + Sync + 'static>() {}

#[test]
fn all_public_types_are_send_and_sync() {
    assert::<(Loaded, Model, Chat, LoadError)>();
}
