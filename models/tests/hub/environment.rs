//! What the variables say.

use std::{fs, path::Path};

use concept_mass_models::hub::Hub;

use super::support::folder;

fn hub(variables: &[(&str, &str)]) -> Hub {
    Hub::from_variables(|name| {
        variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
    })
}

#[test]
fn the_cache_is_where_they_say() {
    for (variables, cache) in [
        (&[("HOME", "/home/me")][..], "/home/me/.cache/huggingface/hub"),
        (&[("HOME", "/home/me"), ("XDG_CACHE_HOME", "/x")], "/x/huggingface/hub"),
        (&[("XDG_CACHE_HOME", "/x"), ("HF_HOME", "/hf")], "/hf/hub"),
        (&[("HF_HOME", "/hf"), ("HF_HUB_CACHE", "/cache")], "/cache"),
        (&[("HF_HOME", "/hf"), ("HF_HUB_CACHE", "")], "/hf/hub"),
        (&[("HF_HOME", "/hf"), ("HUGGINGFACE_HUB_CACHE", "/old")], "/old"),
    ] {
        assert_eq!(hub(variables).cache, Path::new(cache));
    }
}

#[test]
fn the_token_is_a_variable_or_a_file() {
    let home = folder("home");
    let home = home.to_str().unwrap();
    let file = format!("{home}/elsewhere");
    assert_eq!(hub(&[("HF_HOME", home)]).token, None);
    fs::write(format!("{home}/token"), "hf_home\n").unwrap();
    fs::write(&file, "hf_file").unwrap();
    for (variables, token) in [
        (&[("HF_HOME", home)][..], Some("hf_home")),
        (&[("HF_HOME", home), ("HF_TOKEN", " hf_variable ")], Some("hf_variable")),
        (&[("HF_HOME", home), ("HF_TOKEN", "")], Some("hf_home")),
        (&[("HF_HOME", home), ("HF_TOKEN_PATH", &file)], Some("hf_file")),
        (&[("HF_HOME", home), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")], None),
    ] {
        assert_eq!(hub(variables).token.as_deref(), token);
    }
}

#[test]
fn endpoint_and_offline() {
    assert_eq!(hub(&[]).endpoint, "https://huggingface.co");
    assert_eq!(hub(&[("HF_ENDPOINT", "http://mirror/hf/")]).endpoint, "http://mirror/hf");
    for (value, offline) in
        [("1", true), ("TRUE", true), ("yes", true), ("on", true), ("0", false), ("", false)]
    {
        for name in ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"] {
            assert_eq!(hub(&[(name, value)]).offline, offline, "{name}={value}");
        }
    }
}
