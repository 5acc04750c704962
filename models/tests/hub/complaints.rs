//! What cannot be had.

use concept_mass_models::hub::{Hub, HubError, Repository};
use concept_mass_tiny::hub::{HubServer, Served};

use super::support::*;

#[test]
fn names_are_of_one_form() {
    for (text, id, revision, file) in [
        ("Qwen/Qwen3-0.6B", "Qwen/Qwen3-0.6B", "main", None),
        ("a/b@v1", "a/b", "v1", None),
        ("a/b@refs/pr/1:c/d.gguf", "a/b", "refs/pr/1", Some("c/d.gguf")),
        ("a/b:c@d", "a/b", "main", Some("c@d")),
    ] {
        let repository = Repository::model(text).unwrap();
        assert_eq!(
            (repository.id(), repository.revision(), repository.file()),
            (id, revision, file)
        );
        assert_eq!(repository.to_string(), text);
    }
    for text in [
        "",
        "gpt2",
        "/a/b",
        "a/b/c",
        "./a/b",
        "../b",
        "a/..",
        "~/b",
        "a/",
        "/b",
        "a b/c",
        "a\\b",
        "a/b@",
        "a/b:",
        "a/b@../x",
        "a/b@x y",
        "a/b@x?y",
        "a/b:../x",
        "a/b:/x",
        "a/b:x\\..\\y",
        "C:\\models\\a",
        "https://huggingface.co/a/b",
    ] {
        let error = complains(Repository::model(text), &[&format!("{text:?}"), "owner/name"]);
        assert!(matches!(error, HubError::NoName { .. }), "{error:?}");
        assert!(Repository::dataset(text).is_err());
    }
}

#[test]
fn what_the_hub_does_not_have_is_named() {
    without_proxies(|| {
        let server = HubServer::start([served()]);
        let hub = hub(&server);
        let parts = ["no model owner/other", &server.endpoint(), "check the name", "HF_TOKEN"];
        let error = complains(find(&hub, "owner/other"), &parts);
        assert!(matches!(error, HubError::NoRepository { .. }), "{error:?}");
        // A model is no dataset.
        complains(find_questions(&hub, ID), &["no dataset owner/toy"]);
    });
}

#[test]
fn what_is_no_model_is_complained_of() {
    without_proxies(|| {
        let toy = served();
        let without = |files: &[&str]| {
            let mut served = toy.clone().with("pytorch_model.bin", "pickled");
            files.iter().for_each(|&file| drop(served.files.remove(file)));
            served
        };
        let server = HubServer::start([]);
        let hub = hub(&server);
        for (served, part) in [
            (without(&["model.safetensors"]), "other formats are not read"),
            (without(&["config.json"]), "neither config.json with model.safetensors"),
            (without(&["tokenizer.json"]), "no tokenizer.json"),
            (Served::empty(ID, 'a'), "nor a GGUF file"),
        ] {
            server.serve([served]);
            let error = complains(find(&hub, ID), &[ID, part]);
            assert!(matches!(error, HubError::Unfit { .. }), "{error:?}");
        }
        // A tokenizer of one's own will do.
        server.serve([without(&["tokenizer.json"])]);
        let repository = Repository::model(ID).unwrap();
        hub.find_model(&repository, false).unwrap().fetch(&mut ()).unwrap();
        // Nothing but what is needed was asked for.
        let asked = server.requests();
        assert!(asked.iter().all(|request| !request.path.ends_with(".bin")), "{asked:?}");
    });
}

#[test]
fn what_answers_strangely_is_no_hub() {
    without_proxies(|| {
        let server = HubServer::start([]);
        let mut hub = hub(&server);
        let strange = |hub: &Hub, part: &str| {
            let parts = [&hub.endpoint, "does not answer as a Hub does", "HF_ENDPOINT", part];
            let error = complains(find(hub, ID), &parts);
            assert!(matches!(error, HubError::NoHub { .. }), "{error:?}");
        };
        server.serve([Served { commit: "../../elsewhere".into(), ..served() }]);
        strange(&hub, "as a commit hash");
        for file in ["../../../evil", "/etc/evil", "a/../../evil", ".."] {
            server.serve([served().with(file, "evil")]);
            strange(&hub, &format!("{file:?}"));
        }
        // An address at which there is something else.
        hub.endpoint = format!("{}/elsewhere", server.endpoint());
        complains(find(&hub, ID), &[ID]);
    });
}
