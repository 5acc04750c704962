//! The tokens that end an answer: those that the model's files list, and those that end a turn by
//! their name.
//!
//! What files list is often short of one: a Llama 3 whose `eos_token_id` is that of
//! `<|end_of_text|>` ends its turns with `<|eot_id|>` all the same. The names are llama.cpp's, which
//! finds its ends in the same way.

use tokenizers::Tokenizer;

/// The tokens with these names end a turn or a text, whatever their kind.
pub const NAMES: [&str; 26] = [
    "<|eot_id|>",            // Llama 3
    "<|eom_id|>",            // Llama 3, before a tool answers
    "<|end_of_text|>",       // Llama 3, Granite
    "<|im_end|>",            // ChatML: Qwen, SmolLM
    "<|endoftext|>",         // GPT-2, Qwen, OLMo
    "<|end|>",               // Phi
    "<end_of_turn>",         // Gemma
    "<eos>",                 // Gemma
    "<turn|>",               // Gemma 4
    TOOL_RESPONSE,           // Gemma 4
    "<｜end▁of▁sentence｜>", // DeepSeek
    "<EOT>",
    "_<EOT>", // Code Llama
    "[EOT]",  // Kimi
    "[EOS]",  // Kimi
    "<end_of_utterance>",
    "[e~[", // MiniMax
    // o200k_harmony, Solar
    "<|return|>",
    "<|call|>",
    "<|calls|>",
    "<|flush|>",
    // What follows the text of a file.
    "<|fim_pad|>",
    "<fim_pad>",
    "<|repo_name|>",
    "<|fim_repo|>",
    "<|file_sep|>",
];

/// Llama 2's and Mistral's end, where it is special; elsewhere it is HTML, as in Gemma's vocabulary.
const CLOSING_TAG: &str = "</s>";

/// Gemma 4's, beside which `</s>` is no end.
const TOOL_RESPONSE: &str = "<|tool_response>";

/// What ends an answer where one of each group is an end as well: `<|end|>` then ends a part of an
/// answer, such as a thought.
const PARTS: [[&[&str]; 2]; 2] =
    [[&["<|return|>"], &["<|call|>", "<|calls|>"]], [&["<|flush|>"], &["<|call|>", "<|calls|>"]]];

/// The tokens that end an answer, in order: those `listed` by the model's files, the token that the
/// tokenizer's files call `eos`, and those of `tokenizer` that end a turn by their name.
pub fn ends(tokenizer: &Tokenizer, listed: Vec<u32>, eos: Option<&str>) -> Vec<u32> {
    let has = |name: &&str| tokenizer.token_to_id(name).is_some();
    let mut names: Vec<&str> = NAMES.into_iter().chain(eos).collect();
    if is_special(tokenizer, CLOSING_TAG) && !has(&TOOL_RESPONSE) {
        names.push(CLOSING_TAG);
    }
    if PARTS.iter().any(|groups| groups.iter().all(|group| group.iter().any(has))) {
        names.retain(|&name| name != "<|end|>");
    }
    let named = names.into_iter().filter_map(|name| tokenizer.token_to_id(name));
    let mut ends: Vec<u32> = listed.into_iter().chain(named).collect();
    ends.sort_unstable();
    ends.dedup();
    ends
}

fn is_special(tokenizer: &Tokenizer, name: &str) -> bool {
    let added = tokenizer.get_added_tokens_decoder();
    added.values().any(|token| token.special && token.content == name)
}

#[cfg(test)]
mod tests {
    use tokenizers::{AddedToken, models::wordlevel::WordLevel};

    use super::*;

    /// A tokenizer with the tokens `plain`, and behind them the added ones.
    fn tokenizer(plain: &[&str], special: &[&str]) -> Tokenizer {
        let vocabulary = plain.iter().zip(0..).map(|(token, id)| ((*token).to_owned(), id));
        let model = WordLevel::builder().vocab(vocabulary.collect()).unk_token(plain[0].to_owned());
        let mut tokenizer = Tokenizer::new(model.build().unwrap());
        let special = special.iter().map(|token| AddedToken::from(*token, true));
        tokenizer.add_special_tokens(special.collect::<Vec<_>>()).unwrap();
        tokenizer
    }

    #[track_caller]
    fn are(plain: &[&str], special: &[&str], listed: &[u32], eos: Option<&str>, expected: &[&str]) {
        let tokenizer = tokenizer(plain, special);
        let ends = ends(&tokenizer, listed.to_vec(), eos);
        let names: Vec<_> = ends.iter().map(|&id| tokenizer.id_to_token(id).unwrap()).collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn a_llama_3_that_lists_the_end_of_texts_alone_ends_its_turns() {
        let special = ["<|begin_of_text|>", "<|end_of_text|>", "<|eom_id|>", "<|eot_id|>"];
        are(&["a", "b"], &special, &[3], None, &special[1..]);
    }

    #[test]
    fn what_the_files_list_is_an_end_whatever_its_name() {
        are(&["a", "b", "c"], &[], &[2, 1], None, &["b", "c"]);
        are(&["a", "b", "stop"], &[], &[1], Some("stop"), &["b", "stop"]);
        are(&["a", "b"], &[], &[], Some("not there"), &[]);
    }

    #[test]
    fn names_need_not_be_special() {
        are(
            &["a", "<|im_end|>", "<end_of_turn>"],
            &[],
            &[],
            None,
            &["<|im_end|>", "<end_of_turn>"],
        );
        are(&["a"], &["<|im_start|>", "<unk>", "<s>", "<pad>"], &[], None, &[]);
    }

    #[test]
    fn the_closing_tag_is_an_end_where_it_is_special() {
        are(&["a"], &["<s>", "</s>"], &[], None, &["</s>"]);
        are(&["a", "<s>", "</s>"], &["<eos>"], &[], None, &["<eos>"]);
        are(&["a", "</s>"], &[], &[1], None, &["</s>"]);
        are(&["a"], &["</s>", "<|tool_response>"], &[], None, &["<|tool_response>"]);
    }

    #[test]
    fn the_end_of_a_part_is_not_that_of_the_answer() {
        are(&["a"], &["<|end|>", "<|endoftext|>"], &[], None, &["<|end|>", "<|endoftext|>"]);
        let harmony = ["<|end|>", "<|return|>", "<|call|>"];
        are(&["a"], &harmony, &[], None, &harmony[1..]);
        are(&["a"], &harmony[..2], &[], None, &harmony[..2]);
        let solar = ["<|end|>", "<|flush|>", "<|calls|>"];
        are(&["a"], &solar, &[], None, &solar[1..]);
        are(&["a"], &harmony, &[1], None, &harmony); // by its id
    }
}
