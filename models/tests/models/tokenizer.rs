//! The tokenizer that a GGUF file brings, and what it says of chats.

use std::path::PathBuf;

use candle_core::quantized::gguf_file::Value;
use serde_json::Value as Json;

use concept_mass_models::Chat;
use concept_mass_tiny::{
    TOKENIZER,
    toy::{Toy, VOCAB_SIZE, config, tensors},
};
use tokenizers::Tokenizer;

use concept_mass_tiny::gguf::GgufFile;

use super::support::{complains, encode, gguf_in_folder, loaded};

/// Tokens beyond those of `assets/tiny`, and the merges that make them; nothing makes the last.
const MORE: [&str; 6] = ["12", "123", "45", "12345", "<|begin|>", "Zyx"];
const MERGES: [&str; 4] = ["1 2", "12 3", "4 5", "123 45"];
/// The ids of some of them.
const BEGIN: u32 = 1156;
const ZYX: u32 = 1157;

/// A file with that tokenizer in its metadata, which cuts text as `pre` says, and none beside it.
fn file(pre: &str, change: impl FnOnce(&mut GgufFile)) -> (Toy, PathBuf) {
    let strings = |texts: Vec<String>| Value::Array(texts.into_iter().map(Value::String).collect());
    let (toy, path) = gguf_in_folder("tokenizer", "llama", |file| {
        let tokenizer: Json = serde_json::from_str(TOKENIZER).unwrap();
        let vocabulary = tokenizer["model"]["vocab"].as_object().unwrap();
        let mut tokens = vec![String::new(); vocabulary.len()];
        for (token, id) in vocabulary {
            tokens[id.as_u64().unwrap() as usize] = token.clone();
        }
        tokens.extend(MORE.map(str::to_owned));
        let merges = tokenizer["model"]["merges"].as_array().unwrap().iter();
        let mut merges: Vec<String> = merges
            .map(|merge| match merge {
                Json::Array(pair) => {
                    format!("{} {}", pair[0].as_str().unwrap(), pair[1].as_str().unwrap())
                }
                merge => merge.as_str().unwrap().to_owned(),
            })
            .collect();
        merges.extend(MERGES.map(str::to_owned));
        let is_special = |id: usize| id == 0 || id == BEGIN as usize;
        let types = (0..tokens.len()).map(|id| Value::I32(if is_special(id) { 3 } else { 1 }));
        file.set("tokenizer.ggml.token_type", Value::Array(types.collect()));
        file.set("tokenizer.ggml.model", Value::String("gpt2".to_owned()));
        file.set("tokenizer.ggml.pre", Value::String(pre.to_owned()));
        file.set("tokenizer.ggml.tokens", strings(tokens));
        file.set("tokenizer.ggml.merges", strings(merges));
        file.set("tokenizer.ggml.eos_token_id", Value::U32(0));
        file.set("tokenizer.ggml.bos_token_id", Value::U32(BEGIN));
        change(file);
    });
    toy.remove("tokenizer.json");
    (toy, path)
}

pub fn tokenizer(pre: &str, change: impl FnOnce(&mut GgufFile)) -> Tokenizer {
    loaded(&file(pre, change).1).tokenizer
}

/// The tokens of a prompt, with those that begin it.
fn prompt(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
    tokenizer.encode(text, true).unwrap().get_ids().to_vec()
}

#[test]
fn gpt2s_way_is_that_of_the_tokenizer_json() {
    let json = Tokenizer::from_bytes(TOKENIZER).unwrap();
    for pre in ["gpt-2", "gpt2"] {
        let metadata = tokenizer(pre, |_| {});
        for text in [
            "Q: Which cathedral did Ivan the Terrible build on Red Square?\nA:",
            "Saint Basil's",
            "  two  spaces\t\n\nand lines ",
            "é, 東京 and 🎉",
            "one<|end|>two",
            "",
        ] {
            assert_eq!(encode(&metadata, text), encode(&json, text), "{text:?}");
            let tokens = prompt(&metadata, text);
            assert_eq!(tokens, prompt(&json, text), "{text:?}");
            assert_eq!(
                metadata.decode(&tokens, false).unwrap(),
                json.decode(&tokens, false).unwrap()
            );
        }
    }
}

#[test]
fn each_way_cuts_numbers_differently() {
    let texts = |pre: &str| {
        let tokenizer = tokenizer(pre, |_| {});
        let tokens = encode(&tokenizer, "12345");
        let texts = tokens.iter().map(|&token| tokenizer.decode(&[token], false).unwrap());
        texts.collect::<Vec<_>>()
    };
    assert_eq!(texts("gpt-2"), ["12345"]);
    assert_eq!(texts("llama-bpe"), ["123", "45"]);
    assert_eq!(texts("llama3"), ["123", "45"]);
    assert_eq!(texts("qwen2"), ["1", "2", "3", "4", "5"]);
}

#[test]
fn llama_3_begins_prompts_and_takes_whole_words_unless_the_file_says_otherwise() {
    let usual = tokenizer("llama-bpe", |_| {});
    assert_eq!(prompt(&usual, "Zyx"), [BEGIN, ZYX]);
    assert_eq!(encode(&usual, "Zyx"), [ZYX]);
    let otherwise = tokenizer("llama-bpe", |file| {
        file.set("tokenizer.ggml.add_bos_token", Value::Bool(false));
        file.set("tokenizer.ggml.ignore_merges", Value::Bool(false));
    });
    let tokens = prompt(&otherwise, "Zyx");
    assert!(tokens.len() > 1 && tokens[0] != BEGIN, "{tokens:?}");
    assert!(!prompt(&tokenizer("qwen2", |_| {}), "Zyx").contains(&BEGIN));
}

#[test]
fn a_tokenizer_json_beside_the_file_comes_first() {
    let (toy, path) = file("unheard-of", |_| {});
    toy.write("tokenizer.json", TOKENIZER);
    assert!(prompt(&loaded(&path).tokenizer, "12345").len() > 1);
}

#[test]
fn a_normalizer_composes_for_qwen_alone() {
    let composed = |pre: &str| {
        let tokenizer = tokenizer(pre, |_| {});
        encode(&tokenizer, "e\u{301}le\u{300}ve") == encode(&tokenizer, "\u{e9}l\u{e8}ve")
    };
    assert!(composed("qwen2") && composed("deepseek-r1-qwen"));
    assert!(!composed("llama-bpe") && !composed("smollm"));
}

#[test]
fn user_defined_tokens_are_text_and_control_tokens_are_not() {
    // What ends turns is not text, though its type says that it is.
    let tokenizer = tokenizer("smollm", |file| {
        append(file, &[("<think>", 4), ("<turn>", 1)]);
        file.set("tokenizer.ggml.eot_token_id", Value::U32(ZYX + 2));
    });
    let text = "a<think>b<turn><|end|>";
    let tokens = encode(&tokenizer, text);
    assert_eq!(tokens[tokens.len() - 2..], [ZYX + 2, 0], "{tokens:?}");
    assert!(tokens.contains(&(ZYX + 1)), "{tokens:?}");
    assert_eq!(tokenizer.decode(&tokens, true).unwrap(), "a<think>b");
    assert_eq!(tokenizer.decode(&tokens, false).unwrap(), text);
}

#[test]
fn tokens_begin_and_end_a_text_as_the_file_says() {
    let tokenizer = tokenizer("gpt-2", |file| {
        file.set("tokenizer.ggml.add_bos_token", Value::Bool(true));
        file.set("tokenizer.ggml.add_eos_token", Value::Bool(true));
    });
    let text = encode(&tokenizer, "Saint");
    assert_eq!(prompt(&tokenizer, "Saint"), [&[BEGIN][..], &text, &[0]].concat());
    let pair = tokenizer.encode(("Saint", "Saint"), true).unwrap();
    let one = prompt(&tokenizer, "Saint");
    assert_eq!(pair.get_ids(), [one.clone(), one].concat());
}

#[test]
fn a_vocabulary_may_be_padded_and_the_logits_may_lack_added_tokens() {
    let columns = VOCAB_SIZE;
    let (_toy, path) = file("smollm", |file| {
        let tokens = ZYX as usize + 1;
        let pads: Vec<String> = (tokens..columns + 3).map(|i| format!("[PAD{i}]")).collect();
        append(file, &pads.iter().map(|pad| (pad.as_str(), 5)).collect::<Vec<_>>());
        append(file, &[("<image>", 3), ("<audio>", 4)]);
    });
    let padded = loaded(&path).tokenizer;
    let last = padded.get_vocab(true).values().copied().max().unwrap();
    assert_eq!(last as usize, columns - 1);
    assert_eq!(padded.token_to_id("<image>"), None);
    assert_eq!(encode(&padded, "1 Saint"), encode(&tokenizer("smollm", |_| {}), "1 Saint"));
}

#[test]
fn a_tokenizer_json_may_have_added_tokens_without_a_column() {
    let toy = super::support::toy("image", &config("llama", true), &tensors("llama", true));
    let mut json: Json = serde_json::from_str(TOKENIZER).unwrap();
    let added = json["added_tokens"].as_array_mut().unwrap();
    let mut token = added[0].clone();
    added.extend((1152..VOCAB_SIZE + 2).map(|id| {
        token["id"] = id.into();
        token["content"] = format!("<added-{id}>").into();
        token.clone()
    }));
    toy.write("tokenizer.json", &json.to_string());
    let tokenizer = loaded(&toy.dir).tokenizer;
    assert_eq!(encode(&tokenizer, "<|end|><added-1152><added-1159>"), [0, 1152, 1159]);
    assert_eq!(tokenizer.token_to_id("<added-1160>"), None);

    json["model"]["vocab"]["ordinary"] = 1170.into();
    toy.write("tokenizer.json", &json.to_string());
    let parts = ["one of them with id 1170", "1160 columns", "take both from one model"];
    complains(&toy.dir, &toy.path("tokenizer.json"), &parts);
}

/// A SentencePiece vocabulary: bytes, and what makes " abc", a run of spaces and a line break.
fn spm(change: impl FnOnce(&mut GgufFile)) -> Tokenizer {
    loaded(&spm_file(change).1).tokenizer
}

fn spm_file(change: impl FnOnce(&mut GgufFile)) -> (Toy, PathBuf) {
    file("default", |file| {
        let mut tokens: Vec<(String, i32, f32)> = [("<unk>", 2), ("<s>", 3), ("</s>", 3)]
            .map(|(text, kind)| (text.into(), kind, 0.0))
            .into();
        tokens.extend((0..=255).map(|byte| (format!("<0x{byte:02X}>"), 6, 0.0)));
        let pieces = ["ab", "\u{2581}a", "bc", "\u{2581}ab", "abc", "\u{2581}abc"];
        let pieces = pieces.into_iter().chain(["a", "b", "c", "\u{2581}", "<s"]);
        tokens.extend(pieces.enumerate().map(|(i, piece)| (piece.into(), 1, -(i as f32))));
        tokens.extend([("  ", 4), ("\n", 4)].map(|(text, kind)| (text.into(), kind, -1000.0)));
        let list = |value: &dyn Fn(&(String, i32, f32)) -> Value| {
            Value::Array(tokens.iter().map(value).collect())
        };
        file.set("tokenizer.ggml.model", Value::String("llama".to_owned()));
        file.set("tokenizer.ggml.tokens", list(&|token| Value::String(token.0.clone())));
        file.set("tokenizer.ggml.token_type", list(&|token| Value::I32(token.1)));
        file.set("tokenizer.ggml.scores", list(&|token| Value::F32(token.2)));
        for key in ["merges", "bos_token_id", "eos_token_id"] {
            file.metadata.remove(&format!("tokenizer.ggml.{key}"));
        }
        change(file);
    })
}

#[test]
fn sentencepiece_merges_by_score_and_falls_back_to_bytes() {
    let tokenizer = spm(|_| {});
    let pieces = |text: &str| {
        let encoding = tokenizer.encode(text, true).unwrap();
        encoding.get_tokens().to_vec()
    };
    // "ab" has the best score, so "\u{2581}abc" is made of "\u{2581}ab", not of "\u{2581}a".
    assert_eq!(pieces("abc"), ["<s>", "\u{2581}abc"]);
    assert_eq!(pieces("bca"), ["<s>", "\u{2581}", "bc", "a"]);
    assert_eq!(pieces(" a"), ["<s>", "\u{2581}", "\u{2581}a"]);
    assert_eq!(pieces("a  b"), ["<s>", "\u{2581}a", "  ", "\u{2581}", "b"]);
    assert_eq!(pieces("\u{e9}\t"), ["<s>", "\u{2581}", "<0xC3>", "<0xA9>", "<0x09>"]);
    assert_eq!(
        pieces("a</s>b\nc"),
        ["<s>", "\u{2581}a", "</s>", "\u{2581}", "b", "\n", "\u{2581}", "c"]
    );
    assert_eq!(pieces(""), ["<s>"]);
    for text in ["abc abc", " a\u{e9}\u{1f389}"] {
        assert_eq!(tokenizer.decode(&encode(&tokenizer, text), false).unwrap(), text);
    }
}

#[test]
fn gemmas_texts_get_no_space() {
    let tokenizer = spm(|file| file.set("tokenizer.ggml.add_space_prefix", Value::Bool(false)));
    let pieces = |text: &str| tokenizer.encode(text, false).unwrap().get_tokens().to_vec();
    assert_eq!(pieces("abc"), ["abc"]);
    assert_eq!(pieces("   abc"), ["  ", "\u{2581}abc"]);
    assert_eq!(tokenizer.decode(&encode(&tokenizer, "   abc\n"), false).unwrap(), "   abc\n");
}

#[test]
fn phi_3_swallows_the_space_after_its_special_tokens() {
    let pieces = |name: &str| {
        let tokenizer = spm(|file| {
            file.set("general.name", Value::String(name.to_owned()));
            file.set("tokenizer.ggml.add_space_prefix", Value::Bool(false));
        });
        let tokens = encode(&tokenizer, "<s> a</s> a");
        tokens.iter().map(|&id| tokenizer.id_to_token(id).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(pieces("Phi3 mini"), ["<s>", "\u{2581}a", "</s>", "a"]);
    assert_eq!(pieces("TinyLlama"), ["<s>", "\u{2581}a", "</s>", "\u{2581}a"]);
}

/// Adds tokens of these types to a file.
fn append(file: &mut GgufFile, tokens: &[(&str, i32)]) {
    let mut extend = |key: &str, values: Vec<Value>| {
        let Some(Value::Array(list)) = file.metadata.get_mut(key) else { panic!("no {key}") };
        list.extend(values);
    };
    let texts = tokens.iter().map(|(text, _)| Value::String((*text).to_owned()));
    extend("tokenizer.ggml.tokens", texts.collect());
    let types = tokens.iter().map(|&(_, kind)| Value::I32(kind));
    extend("tokenizer.ggml.token_type", types.collect());
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

/// Asserts that the tokenizer of a file is refused, with what to do.
#[track_caller]
fn refused((_toy, path): (Toy, PathBuf), part: &str) {
    complains(&path, &path, &[part, "put the model's tokenizer.json beside", "--tokenizer"]);
}

#[test]
fn tokenizers_that_are_not_known() {
    let cut = |pre: &str, part: &str| refused(file(pre, |_| {}), part);
    cut("unheard-of", "(tokenizer.ggml.pre) as \"unheard-of\", which is not known");
    cut("kimi-k2", "as \"kimi-k2\", whose file has no merges");
    cut("whitespace", "as \"whitespace\", whose tokens are not spelled in bytes");
    cut("roberta-bpe", "as \"roberta-bpe\", which belongs to encoders");
    let none = file("", |file| drop(file.metadata.remove("tokenizer.ggml.pre")));
    refused(none, "does not say how its tokenizer cuts text (tokenizer.ggml.pre)");
    for model in ["bert", "t5", "rwkv", "none", "gemma4"] {
        let file = file("qwen2", |file| file.set("tokenizer.ggml.model", text(model)));
        refused(file, &format!("(tokenizer.ggml.model) is {model:?}"));
    }
    let none = file("qwen2", |file| drop(file.metadata.remove("tokenizer.ggml.model")));
    refused(none, "have no tokenizer.ggml.model");
}

#[test]
fn metadata_that_contradict_themselves() {
    let changed = |change: &dyn Fn(&mut GgufFile), part: &str| refused(file("qwen2", change), part);
    let set = |key: &str, value: Value, part: &str| {
        changed(&|file| file.set(&format!("tokenizer.ggml.{key}"), value.clone()), part);
    };
    let one = |value: Value| Value::Array(vec![value]);
    set("merges", one(text("nothing")), "merge 0 is \"nothing\", not two tokens");
    set("merges", one(text("S zzz")), "merge 0 is \"S zzz\", but \"zzz\" is no token");
    let long = "S ".to_owned() + &"a".repeat(10_000);
    set("merges", one(text(&long)), "is no token");
    set("merges", one(text("q X")), "but \"qX\" is no token");
    set("merges", one(Value::U8(1)), "entry 0 of tokenizer.ggml.merges is U8(1), not a text");
    set("merges", text("a b"), "tokenizer.ggml.merges is String(\"a b\"), not a list");
    set(
        "token_type",
        one(Value::I32(1)),
        "token_type has 1 entries, and tokenizer.ggml.tokens has 1158",
    );
    set("scores", one(Value::F32(1.0)), "scores has 1 entries");
    set("tokens", Value::Array(vec![]), "tokenizer.ggml.tokens is empty");
    set("add_bos_token", Value::U8(1), "add_bos_token is U8(1), not true or false");
    set("pre", Value::U8(1), "tokenizer.ggml.pre is U8(1), not a text");

    let remove = |key: &'static str, part: &str| {
        let key = format!("tokenizer.ggml.{key}");
        changed(&|file| drop(file.metadata.remove(&key)), part);
    };
    remove("tokens", "have no tokenizer.ggml.tokens");
    remove("merges", "have no tokenizer.ggml.merges");
    let begins = |file: &mut GgufFile| {
        file.metadata.remove("tokenizer.ggml.bos_token_id");
        file.set("tokenizer.ggml.add_bos_token", Value::Bool(true));
    };
    changed(&begins, "no tokenizer.ggml.bos_token_id");
    changed(&|file| append(file, &[("Zyx", 1)]), "tokens 1157 and 1158 are both \"Zyx\"");
    let types = |file: &mut GgufFile| {
        let types = vec![Value::F32(1.0); 1158];
        file.set("tokenizer.ggml.token_type", Value::Array(types));
    };
    changed(&types, "entry 0 of tokenizer.ggml.token_type is F32(1.0)");
    let many: Vec<String> = (0..=VOCAB_SIZE).map(|i| format!("!{i}")).collect();
    let many: Vec<_> = many.iter().map(|token| (token.as_str(), 1)).collect();
    changed(&|file| append(file, &many), "columns; take both from one model");
    refused(
        spm_file(|file| drop(file.metadata.remove("tokenizer.ggml.scores"))),
        "have no tokenizer.ggml.scores",
    );
}

/// As older files of Gemma have it: `<end_of_turn>` is typed as any text.
#[test]
fn tokens_that_end_turns_are_never_cut() {
    let (_toy, path) = file("gpt-2", |file| {
        let Some(Value::Array(tokens)) = file.metadata.get_mut("tokenizer.ggml.tokens") else {
            panic!("there are no tokens")
        };
        tokens[ZYX as usize] = Value::String("<end_of_turn>".to_owned());
    });
    let loaded = loaded(&path);
    assert_eq!(encode(&loaded.tokenizer, "<end_of_turn>"), [ZYX]);
    assert_eq!(loaded.ends, [0, ZYX]);
}

#[test]
fn a_chat_template_comes_with_the_texts_of_its_tokens() {
    let (_toy, path) = file("gpt-2", |file| {
        file.set("tokenizer.chat_template", Value::String("{{ x }}".to_owned()));
    });
    let expected = Chat {
        template: "{{ x }}".to_owned(),
        bos: Some("<|begin|>".to_owned()),
        eos: Some("<|end|>".to_owned()),
    };
    assert_eq!(loaded(&path).chat, Some(expected));

    let (_toy, path) = file("gpt-2", |file| {
        file.set("tokenizer.chat_template", Value::String("{{ x }}".to_owned()));
        file.set("tokenizer.ggml.bos_token_id", Value::U32(5000));
        file.set("tokenizer.ggml.eos_token_id", Value::I32(-1));
    });
    let chat = loaded(&path).chat.unwrap();
    assert_eq!((chat.bos, chat.eos), (None, None));
}
