//! What is kept, and found again.

use std::fs;

use concept_mass_models::hub::HubError;
use concept_mass_tiny::hub::{HubServer, Served};

use super::support::*;

#[test]
fn what_is_there_is_not_fetched_again() {
    without_proxies(|| {
        let server = HubServer::start([served()]);
        let hub = hub(&server);
        let path = fetch(&hub, ID).unwrap();
        assert!(server.requests().iter().any(|request| request.is_for_file()));
        for name in [ID.to_owned(), format!("{ID}@{}", "a".repeat(40))] {
            assert_eq!(fetch(&hub, &name).unwrap(), path);
            let requests = server.requests();
            // It is asked where the revision is, and that is all.
            assert_eq!(requests.len(), 1, "{requests:?}");
            assert!(!requests[0].is_for_file(), "{requests:?}");
        }
    });
}

#[test]
fn what_is_there_but_damaged_is_fetched_again() {
    without_proxies(|| {
        let toy = toy();
        let server = HubServer::start([Served::folder(ID, 'a', &toy.dir)]);
        let hub = hub(&server);
        let path = fetch(&hub, ID).unwrap();
        fs::write(path.join("model.safetensors"), "cut").unwrap();
        assert_eq!(fetch(&hub, ID).unwrap(), path);
        is_toy(&path, &toy);
    });
}

#[test]
fn offline_the_cache_is_all_there_is() {
    without_proxies(|| {
        let toy = toy();
        toy.shard();
        let served = Served::folder(ID, 'a', &toy.dir);
        let server = HubServer::start([Served { revisions: vec!["v1".into()], ..served }]);
        let online = hub(&server);
        let mut offline = online.clone();
        offline.offline = true;
        let cache = offline.cache.display().to_string();

        let parts = ["owner/toy@v1", &cache, "HF_HUB_OFFLINE"];
        let error = complains(find(&offline, "owner/toy@v1"), &parts);
        assert!(matches!(error, HubError::NotCached { file: None, .. }), "{error:?}");

        let path = fetch(&online, "owner/toy@v1").unwrap();
        server.requests();
        let found = find(&offline, "owner/toy@v1").unwrap();
        assert_eq!(found.commit(), "a".repeat(40));
        assert_eq!(found.fetch(&mut ()).unwrap(), path);
        is_toy(&path, &toy);
        let by_commit = format!("{ID}@{}", "a".repeat(40));
        assert_eq!(fetch(&offline, &by_commit).unwrap(), path);
        // The branch was never fetched.
        complains(find(&offline, ID), &[ID, "HF_HUB_OFFLINE"]);
        complains(find(&offline, "owner/toy@v1:toy.gguf"), &["has no toy.gguf of owner/toy@v1"]);

        let shard = "model-00002-of-00002.safetensors";
        fs::remove_file(path.join(shard)).unwrap();
        complains(find(&offline, "owner/toy@v1"), &[&format!("has no {shard} of owner/toy@v1")]);
        for file in ["tokenizer.json", "config.json"] {
            fs::remove_file(path.join(file)).unwrap();
            complains(find(&offline, "owner/toy@v1"), &["owner/toy@v1", "HF_HUB_OFFLINE"]);
        }
        assert!(server.requests().is_empty());
    });
}

#[test]
fn without_a_network_the_cache_is_used() {
    without_proxies(|| {
        let toy = toy();
        let server = HubServer::start([Served::folder(ID, 'a', &toy.dir)]);
        let hub = hub(&server);
        fetch(&hub, ID).unwrap();
        let endpoint = server.endpoint();
        drop(server);
        let found = find(&hub, ID).unwrap();
        assert!(matches!(found.unreachable(), Some(HubError::Unreachable { .. })), "{found:?}");
        is_toy(&found.fetch(&mut ()).unwrap(), &toy);
        // What the cache does not have, cannot be had.
        for other in ["owner/toy@v2", "owner/other"] {
            let error = complains(find(&hub, other), &[&endpoint, "cannot be reached"]);
            assert!(matches!(error, HubError::Unreachable { .. }), "{error:?}");
        }
    });
}

#[test]
fn a_revision_is_a_commit() {
    without_proxies(|| {
        let commit = |digit: char, revisions: &[&str]| Served {
            revisions: revisions.iter().map(|&revision| revision.into()).collect(),
            ..served().with("generation_config.json", format!(r#"{{"eos_token_id": {digit}}}"#))
        };
        let served = |digit: char, revisions: &[&str]| Served {
            commit: digit.to_string().repeat(40),
            ..commit(digit, revisions)
        };
        let server =
            HubServer::start([served('1', &["v1.0", "refs/pr/7"]), served('2', &["main"])]);
        let hub = hub(&server);
        let says = |name: &str| {
            let found = find(&hub, name).unwrap();
            let text = fs::read(found.fetch(&mut ()).unwrap().join("generation_config.json"));
            let digit = found.commit()[..1].to_owned();
            assert_eq!(text.unwrap(), format!(r#"{{"eos_token_id": {digit}}}"#).as_bytes());
            digit
        };
        assert_eq!(says(ID), "2");
        assert_eq!(says("owner/toy@v1.0"), "1");
        assert_eq!(says("owner/toy@refs/pr/7"), "1");
        assert_eq!(says(&format!("{ID}@{}", "1".repeat(40))), "1");
        // Files that both have are fetched once for each, and kept once.
        let blobs = hub.cache.join("models--owner--toy/blobs");
        assert_eq!(names(&blobs).iter().filter(|name| !name.ends_with(".lock")).count(), 5);

        let error = complains(find(&hub, "owner/toy@v2"), &["owner/toy@v2", "no revision v2"]);
        assert!(matches!(error, HubError::NoRevision { .. }), "{error:?}");

        server.serve([served('1', &["v1.0"]), served('2', &[]), served('3', &["main"])]);
        assert_eq!(says(ID), "3");
        let mut offline = hub.clone();
        offline.offline = true;
        assert_eq!(find(&offline, ID).unwrap().commit(), "3".repeat(40));
        assert_eq!(find(&offline, "owner/toy@v1.0").unwrap().commit(), "1".repeat(40));
    });
}
