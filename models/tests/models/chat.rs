//! Where a model says how it wants to be talked to.

use serde_json::{Value, json};

use super::support::{loaded, toy};
use concept_mass_models::Chat;
use concept_mass_tiny::toy::{Toy, config, tensors};

fn with(test: &str, tokenizer_config: &Value) -> Toy {
    let toy = toy(test, &config("llama", true), &tensors("llama", true));
    toy.write("tokenizer_config.json", &tokenizer_config.to_string());
    toy
}

#[track_caller]
fn is(toy: &Toy, template: &str, bos: Option<&str>, eos: Option<&str>) {
    let expected = Chat {
        template: template.to_owned(),
        bos: bos.map(str::to_owned),
        eos: eos.map(str::to_owned),
    };
    assert_eq!(loaded(&toy.dir).chat, Some(expected));
}

#[test]
fn one_template_in_the_tokenizers_configuration() {
    let toy = with(
        "chat-one",
        &json!({ "chat_template": "{{ x }}", "bos_token": null, "eos_token": "<|im_end|>" }),
    );
    is(&toy, "{{ x }}", None, Some("<|im_end|>"));
}

#[test]
fn the_default_of_several_templates() {
    let tokenizer = json!({
        "chat_template": [
            { "name": "tool_use", "template": "tools" },
            { "name": "default", "template": "chat" },
        ],
        "bos_token": { "__type": "AddedToken", "content": "<s>", "special": true },
    });
    is(&with("chat-several", &tokenizer), "chat", Some("<s>"), None);
}

#[test]
fn a_template_in_a_file_of_its_own_comes_first() {
    let toy = with("chat-file", &json!({ "chat_template": "old", "bos_token": "<s>" }));
    toy.write("chat_template.jinja", "new\n");
    is(&toy, "new\n", Some("<s>"), None);
    toy.remove("tokenizer_config.json");
    is(&toy, "new\n", None, None);
}

#[test]
fn a_base_model_has_none() {
    let toy = with("chat-none", &json!({ "bos_token": "<s>" }));
    assert_eq!(loaded(&toy.dir).chat, None);
    let tools = json!({ "chat_template": [{ "name": "tool_use", "template": "tools" }] });
    assert_eq!(loaded(&with("chat-tools", &tools).dir).chat, None);
}
