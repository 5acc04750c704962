//! Which files are fetched.

use std::fs;

use concept_mass_models::hub::HubError;
use concept_mass_tiny::{
    gguf::GgufFile,
    hub::{HubServer, Served},
    toy::{config, tensors},
};

use super::support::*;
use candle_core::quantized::GgmlDType;

#[test]
fn a_model_is_fetched_and_loads() {
    without_proxies(|| {
        let toy = toy();
        toy.write("generation_config.json", r#"{"eos_token_id": 1}"#);
        toy.write("tokenizer_config.json", "{}");
        toy.write("chat_template.jinja", "{{ messages[0].content }}");
        let needed = names(&toy.dir);
        let more = ["README.md", "pytorch_model.bin", "model.fp16.safetensors", "onnx/model.onnx"];
        let served = more
            .iter()
            .fold(Served::folder(ID, 'a', &toy.dir), |served, file| served.with(file, "other"));
        let server = HubServer::start([served]);
        let found = find(&hub(&server), ID).unwrap();
        assert_eq!(found.commit(), "a".repeat(40));
        assert!(found.unreachable().is_none());
        let path = found.fetch(&mut ()).unwrap();
        assert_eq!(names(&path), needed);
        is_toy(&path, &toy);
        for request in server.requests() {
            assert!(more.iter().all(|file| !request.path.contains(file)), "{request:?}");
        }
    });
}

#[test]
fn a_model_in_parts_is_fetched_and_loads() {
    without_proxies(|| {
        let toy = toy();
        toy.shard();
        // The index is what counts, as it is for the loader.
        let served = Served::folder(ID, 'a', &toy.dir)
            .with("model.safetensors", "not this")
            .with("model-00001-of-00009.safetensors", "nor this");
        let path = fetch(&hub(&HubServer::start([served])), ID).unwrap();
        assert_eq!(names(&path), names(&toy.dir));
        is_toy(&path, &toy);
    });
}

#[test]
fn a_part_that_is_missing_is_named() {
    without_proxies(|| {
        let toy = toy();
        toy.shard();
        let mut served = Served::folder(ID, 'a', &toy.dir);
        served.files.remove("model-00002-of-00002.safetensors");
        let fetched = fetch(&hub(&HubServer::start([served])), ID);
        complains(fetched, &[ID, "its index names model-00002-of-00002.safetensors"]);
    });
}

#[test]
fn a_gguf_file_is_fetched_and_loads() {
    without_proxies(|| {
        let toy = toy();
        let (config, tensors) = (config("llama", true), tensors("llama", true));
        let file = toy.path("toy-F32.gguf");
        GgufFile::new(&config, &tensors, GgmlDType::F32).write(&file);
        let bytes = fs::read(&file).unwrap();
        let tokenizer = fs::read(toy.path("tokenizer.json")).unwrap();
        // With a configuration, as many have, but no other weights.
        let served = Served::empty(ID, 'a')
            .with("config.json", "{}")
            .with("tokenizer.json", tokenizer)
            .with("mmproj-F16.gguf", "images")
            .with("toy-F32.gguf", bytes.clone());
        let server = HubServer::start([served.clone()]);
        let hub = hub(&server);
        let path = fetch(&hub, ID).unwrap();
        assert_eq!(path.file_name().unwrap(), "toy-F32.gguf");
        assert_eq!(names(path.parent().unwrap()), ["tokenizer.json", "toy-F32.gguf"]);
        is_toy(&path, &toy);

        server.serve([served.with("small/toy-Q4.gguf", "another")]);
        let error = complains(fetch(&hub, ID), &[ID, "small/toy-Q4.gguf, toy-F32.gguf"]);
        assert!(matches!(error, HubError::Several { .. }), "{error:?}");
        is_toy(&fetch(&hub, "owner/toy@main:toy-F32.gguf").unwrap(), &toy);
        let path = fetch(&hub, "owner/toy:small/toy-Q4.gguf").unwrap();
        assert_eq!(fs::read(path).unwrap(), b"another");
        complains(
            fetch(&hub, "owner/toy:toy-Q8.gguf"),
            &["no file toy-Q8.gguf", "it has mmproj-F16.gguf, small/toy-Q4.gguf, toy-F32.gguf"],
        );
        complains(fetch(&hub, "owner/toy:config.json"), &["after the colon", "a GGUF file"]);
    });
}

#[test]
fn the_parts_of_a_gguf_file_come_together() {
    without_proxies(|| {
        let part = |i: usize| format!("Q4/toy-0000{i}-of-00003.gguf");
        let all = (1..=3).fold(Served::empty(ID, 'a'), |served, i| served.with(&part(i), part(i)));
        let all = all.with("Q4/toy-00001-of-00002.gguf", "of another");
        let server = HubServer::start([all.clone()]);
        let hub = hub(&server);
        for named in [1, 3] {
            let path = fetch(&hub, &format!("{ID}:{}", part(named))).unwrap();
            assert!(path.ends_with(part(1)), "{path:?}");
            let parts = names(path.parent().unwrap());
            assert_eq!(parts.len(), 3);
            assert!(parts.iter().all(|part| part.ends_with("-of-00003.gguf")), "{parts:?}");
        }
        let mut short = all;
        short.files.remove(&part(2));
        server.serve([short]);
        complains(fetch(&hub, &format!("{ID}:{}", part(1))), &[ID, "2 of the 00003 parts"]);
    });
}

#[test]
fn a_file_of_a_dataset() {
    without_proxies(|| {
        let served = Served::empty("datasets/owner/questions", 'd')
            .with("README.md", "questions")
            .with("dataset_infos.json", "{}")
            .with("data/test.jsonl", "test");
        let server = HubServer::start([served.clone()]);
        let hub = hub(&server);
        let fetch = |name: &str| find_questions(&hub, name)?.fetch(&mut ());
        let path = fetch("owner/questions").unwrap();
        assert!(path.ends_with("data/test.jsonl"), "{path:?}");
        assert_eq!(fs::read(&path).unwrap(), b"test");

        server.serve([served.with("train.json", "train")]);
        let parts = ["owner/questions", "after a colon", "data/test.jsonl, train.json"];
        complains(fetch("owner/questions"), &parts);
        assert_eq!(fs::read(fetch("owner/questions:train.json").unwrap()).unwrap(), b"train");
        // Any file that is named.
        fetch("owner/questions:README.md").unwrap();
        complains(fetch("owner/questions:dev.json"), &["no file dev.json", "train.json"]);

        server.serve([Served::empty("datasets/owner/questions", 'd').with("a.zip", "")]);
        complains(fetch("owner/questions"), &["no file that ends in .jsonl or .json"]);
    });
}
