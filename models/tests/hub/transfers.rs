//! Transfers that go astray: redirects, refusals, and files that are cut short.

use std::fs;

use concept_mass_models::hub::{HubError, Progress};
use concept_mass_tiny::hub::{HubServer, Served};

use super::support::*;

#[test]
fn the_token_is_sent_and_decides() {
    without_proxies(|| {
        let toy = toy();
        let served = Served { token: Some("hf_right".into()), ..Served::folder(ID, 'a', &toy.dir) };
        let server = HubServer::start([served]);
        let mut hub = hub(&server);
        let page = format!("{}/{ID}", server.endpoint());
        for (token, status) in
            [(None, "401, no token was sent"), (Some("x"), "403, a token was sent")]
        {
            hub.token = token.map(str::to_owned);
            let parts = [ID, status, &page, "accept its licence", "HF_TOKEN"];
            let error = complains(fetch(&hub, ID), &parts);
            assert!(matches!(error, HubError::Refused { .. }), "{error:?}");
        }
        server.requests();
        hub.token = Some("hf_right".into());
        is_toy(&fetch(&hub, ID).unwrap(), &toy);
        for request in server.requests() {
            assert_eq!(request.header("authorization"), Some("Bearer hf_right"), "{request:?}");
        }
        assert!(!format!("{hub:?}").contains("hf_right"));
    });
}

#[test]
fn redirects_are_followed() {
    without_proxies(|| {
        let toy = toy();
        let server = HubServer::start([Served::folder(ID, 'a', &toy.dir)]);
        server.rename(ID, "new-owner/model");
        is_toy(&fetch(&hub(&server), ID).unwrap(), &toy);
        let requests = server.requests();
        assert!(requests.iter().any(|request| request.path.starts_with("/new-owner/model/")));

        let elsewhere = Served { elsewhere: true, ..Served::folder(ID, 'a', &toy.dir) };
        let server = HubServer::start([elsewhere]);
        let mut hub = hub(&server);
        hub.token = Some("hf_secret".into());
        is_toy(&fetch(&hub, ID).unwrap(), &toy);
        // What is elsewhere gets its files without the token.
        let requests = server.requests();
        let whole = requests.iter().filter(|request| {
            request.path.starts_with("/elsewhere/") && request.header("range") != Some("bytes=0-0")
        });
        let tokens: Vec<_> = whole.map(|request| request.header("authorization")).collect();
        assert_eq!(tokens, [None; 3], "{requests:?}");
    });
}

/// A server that cuts files in half, at first.
fn cutting(cuts: usize, unnoticed: bool) -> HubServer {
    HubServer::start([Served { cuts, unnoticed, ..served() }])
}

#[test]
fn a_transfer_that_breaks_off_is_resumed() {
    without_proxies(|| {
        let server = cutting(1, false);
        let hub = hub(&server);
        let path = fetch(&hub, ID).unwrap();
        let config = served().files["config.json"].clone();
        assert_eq!(fs::read(path.join("config.json")).unwrap(), config);
        let requests = server.requests();
        let rest = format!("bytes={}-", config.len() / 2);
        let resumed = |request: &_| request_range(request) == Some(rest.as_str());
        assert!(requests.iter().any(resumed), "{requests:?}");
    });
}

fn request_range(request: &concept_mass_tiny::hub::Request) -> Option<&str> {
    request.header("range")
}

#[test]
fn a_transfer_that_keeps_breaking_off_is_resumed_by_the_next_one() {
    without_proxies(|| {
        let toy = toy();
        let server = cutting(100, false);
        let hub = hub(&server);
        let error = complains(fetch(&hub, ID), &[ID, "config.json", "broke off", "resumes it"]);
        assert!(matches!(error, HubError::BrokenOff { .. }), "{error:?}");
        let blobs = hub.cache.join("models--owner--toy/blobs");
        let parts = || names(&blobs).into_iter().filter(|name| name.ends_with(".part"));
        let part = blobs.join(parts().next().unwrap());
        assert!(fs::metadata(&part).unwrap().len() > 0);

        // More than there is to the file, or all of it, is no beginning to go on from.
        for bytes in [10_000, fs::metadata(toy.path("config.json")).unwrap().len() as usize] {
            fs::write(&part, "x".repeat(bytes)).unwrap();
            server.serve([served()]);
            let path = fetch(&hub, ID).unwrap();
            is_toy(&path, &toy);
            assert_eq!(parts().count(), 0);
            fs::remove_dir_all(&hub.cache).unwrap();
            fs::create_dir_all(&blobs).unwrap();
        }
    });
}

#[test]
fn a_file_that_is_too_short_is_not_kept() {
    without_proxies(|| {
        let toy = toy();
        let server = cutting(1, true);
        is_toy(&fetch(&hub(&server), ID).unwrap(), &toy);

        let server = cutting(100, true);
        let hub = hub(&server);
        let error = complains(fetch(&hub, ID), &[ID, "config.json", "thrown away"]);
        assert!(matches!(error, HubError::WrongLength { .. }), "{error:?}");
        let snapshot = hub.cache.join("models--owner--toy/snapshots").join("a".repeat(40));
        assert!(names(&snapshot).is_empty());
        server.serve([served()]);
        is_toy(&fetch(&hub, ID).unwrap(), &toy);
    });
}

/// What a progress was told.
#[derive(Default)]
struct Log(Vec<(String, u64, u64)>);

impl Progress for Log {
    fn start(&mut self, file: &str, bytes: u64) {
        self.0.retain(|(known, ..)| known != file);
        self.0.push((file.to_owned(), bytes, 0));
    }

    fn advance(&mut self, bytes: u64) {
        self.0.last_mut().unwrap().2 += bytes;
    }

    fn finish(&mut self) {
        let (file, bytes, done) = self.0.last().unwrap();
        assert_eq!(bytes, done, "{file}");
    }
}

#[test]
fn progress_is_reported() {
    without_proxies(|| {
        let server = cutting(1, false);
        let mut log = Log::default();
        find(&hub(&server), ID).unwrap().fetch(&mut log).unwrap();
        let names: Vec<&str> = log.0.iter().map(|(file, ..)| &file[..]).collect();
        assert_eq!(names, ["config.json", "tokenizer.json", "model.safetensors"]);
    });
}
