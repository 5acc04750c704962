//! Chat templates as models have them, without what has to do with tools.

use super::*;

const QUESTION: &str = "Who built it?";

/// Qwen2.5's, without tools.
const QWEN2: &str = r#"{%- if tools %}
    {{- tools | tojson }}
{%- else %}
    {%- if messages[0]['role'] == 'system' %}
        {{- '<|im_start|>system\n' + messages[0]['content'] + '<|im_end|>\n' }}
    {%- else %}
        {{- '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}
    {%- endif %}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or (message.role == "assistant" and not message.tool_calls) %}
        {{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>' + '\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
{%- endif %}
"#;

/// In the way of Mistral and Gemma, which know no system message.
const STRICT: &str = r#"{{ bos_token }}{% for message in messages %}
{% if message['role'] == 'system' %}
{{ raise_exception('System role not supported') }}
{% endif %}
{% if loop.first and (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
{{ raise_exception('Conversation roles must alternate') }}
{% endif %}
  {% if loop.index0 > 5 %}{% break %}{% endif %}
{{ '[INST] ' + message['content'].strip() + ' [/INST]' }}{% endfor %}"#;

fn chat(template: &str) -> Chat {
    Chat { template: template.to_owned(), bos: Some("<s>".to_owned()), eos: None }
}

/// What the model reads of a question and a template of the chat.
#[track_caller]
fn says(template: &str, system: Option<&str>, expected: &str) {
    let prompt = Prompt::chat(&chat(template), "{question}", system, Thinking::Off).unwrap();
    assert_eq!(prompt.text(QUESTION).unwrap(), expected);
}

#[track_caller]
fn fails(prompt: Result<Prompt>, parts: &[&str]) {
    let error = format!("{:#}", prompt.err().expect("an error"));
    for part in parts {
        assert!(error.contains(part), "{part:?} is not in {error:?}");
    }
}

#[test]
fn plain() {
    let prompt = Prompt::plain("Q: {question}\nA:").unwrap();
    assert_eq!(prompt.text(QUESTION).unwrap(), "Q: Who built it?\nA:");
}

#[test]
fn qwen2() {
    says(
        QWEN2,
        None,
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n\
         <|im_start|>user\nWho built it?<|im_end|>\n<|im_start|>assistant\n",
    );
    says(
        QWEN2,
        Some("Be brief."),
        "<|im_start|>system\nBe brief.<|im_end|>\n\
         <|im_start|>user\nWho built it?<|im_end|>\n<|im_start|>assistant\n",
    );
}

#[test]
fn blocks_are_trimmed_and_a_template_may_refuse() {
    says(STRICT, None, "<s>[INST] Who built it? [/INST]");
    fails(
        Prompt::chat(&chat(STRICT), "{question}", Some("Be brief."), Thinking::Off),
        &["chat template fails", "System role not supported"],
    );
}

#[test]
fn a_question_is_taken_as_it_is() {
    let question = "{question} {{ messages }} {% if x %} <b> & \"'";
    let plain = Prompt::plain("Q: {question}\nA:").unwrap();
    assert_eq!(plain.text(question).unwrap(), format!("Q: {question}\nA:"));
    let strict = Prompt::chat(&chat(STRICT), "Q: {question} A:", None, Thinking::Off).unwrap();
    let expected = format!("<s>[INST] Q: {question} A: [/INST]");
    assert_eq!(strict.text(question).unwrap(), expected);
}

#[test]
fn the_placeholder_must_be_there_once() {
    for (template, times) in [("Q: A:", "0 times"), ("{question} {question}", "2 times")] {
        fails(Prompt::plain(template), &[template, times, "write it once"]);
        fails(Prompt::chat(&chat(QWEN2), template, None, Thinking::Off), &[template, times]);
    }
}

#[test]
fn a_chat_writes_special_tokens_itself() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../assets/tiny/tokenizer.json");
    let mut tokenizer = concept_mass::source::tokenizers::Tokenizer::from_file(path).unwrap();
    let begin =
        concept_mass::source::tokenizers::processors::template::TemplateProcessing::builder()
            .try_single("<|end|> $0")
            .unwrap()
            .special_tokens(vec![("<|end|>", 0)])
            .build()
            .unwrap();
    tokenizer.with_post_processor(Some(begin));
    let vocabulary = Vocabulary::new(tokenizer, 1152).unwrap();
    let bare = vocabulary.encode("Saint").unwrap();

    let plain = Prompt::plain("{question}").unwrap();
    assert_eq!(plain.tokens(&vocabulary, "Saint").unwrap(), [&[0], &bare[..]].concat());
    let chat = Prompt::chat(&chat(QWEN2), "{question}", None, Thinking::Off).unwrap();
    assert_eq!(chat.tokens(&vocabulary, "Saint").unwrap(), bare);
    assert_eq!(chat.tokens(&vocabulary, "<|end|>Saint").unwrap(), [&[0], &bare[..]].concat());
}

#[test]
fn a_template_is_tried_before_questions_are_asked() {
    let with =
        |template: &str, thinking| Prompt::chat(&chat(template), "{question}", None, thinking);
    fails(with("{% if %}", Thinking::Off), &["chat template cannot be read", "syntax error"]);
    fails(with("What?", Thinking::Off), &["drops the message of the user", TRIAL]);
    let open = format!("{QWEN2}{{{{ '<think>\\n' }}}}");
    fails(with(&open, Thinking::Off), &["opens a thought (<think>)", "--thinking close"]);
    let closed = with(&open, Thinking::Close).unwrap().text(QUESTION).unwrap();
    assert!(closed.ends_with("<|im_start|>assistant\n<think>\n\n</think>\n\n"), "{closed:?}");
}
