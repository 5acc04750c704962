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

fn plain(template: &str) -> Prompt {
    Prompt::plain(Format::new(template).unwrap())
}

fn in_chat(template: &str, format: &str, options: ChatOptions) -> Result<Prompt> {
    Prompt::chat(&chat(template), Format::new(format).unwrap(), options)
}

fn of_system(system: Option<&str>) -> ChatOptions {
    ChatOptions { system: system.map(str::to_owned), ..ChatOptions::default() }
}

fn of_prefill(prefill: &str) -> ChatOptions {
    ChatOptions { prefill: Some(prefill.to_owned()), ..ChatOptions::default() }
}

/// What the model reads of a question and a template of the chat.
#[track_caller]
fn says(template: &str, system: Option<&str>, expected: &str) {
    let prompt = in_chat(template, "{question}", of_system(system)).unwrap();
    assert_eq!(prompt.text(QUESTION, &[]).unwrap(), expected);
}

#[track_caller]
fn fails(prompt: Result<Prompt>, parts: &[&str]) {
    let error = format!("{:#}", prompt.err().expect("an error"));
    for part in parts {
        assert!(error.contains(part), "{part:?} is not in {error:?}");
    }
}

#[test]
fn a_plain_text() {
    let prompt = plain("Q: {question}\nA:");
    assert_eq!(prompt.text(QUESTION, &[]).unwrap(), "Q: Who built it?\nA:");
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
        in_chat(STRICT, "{question}", of_system(Some("Be brief."))),
        &["chat template fails", "System role not supported"],
    );
}

#[test]
fn a_question_is_taken_as_it_is() {
    let question = "{question} {{ messages }} {% if x %} <b> & \"'";
    let plain = plain("Q: {question}\nA:");
    assert_eq!(plain.text(question, &[]).unwrap(), format!("Q: {question}\nA:"));
    let strict = in_chat(STRICT, "Q: {question} A:", of_system(None)).unwrap();
    let expected = format!("<s>[INST] Q: {question} A: [/INST]");
    assert_eq!(strict.text(question, &[]).unwrap(), expected);
}

#[test]
fn the_placeholder_must_be_there_once() {
    for (template, times) in [("Q: A:", "0 times"), ("{question} {question}", "2 times")] {
        let error = Format::new(template).unwrap_err().to_string();
        for part in [template, times, "write it once"] {
            assert!(error.contains(part), "{part:?} is not in {error:?}");
        }
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

    let plain = plain("{question}");
    assert_eq!(plain.tokens(&vocabulary, "Saint").unwrap(), [&[0], &bare[..]].concat());
    let chat = in_chat(QWEN2, "{question}", of_system(None)).unwrap();
    assert_eq!(chat.tokens(&vocabulary, "Saint").unwrap(), bare);
    assert_eq!(chat.tokens(&vocabulary, "<|end|>Saint").unwrap(), [&[0], &bare[..]].concat());
}

#[test]
fn a_template_is_tried_before_questions_are_asked() {
    let with = |template: &str, thinking| {
        in_chat(template, "{question}", ChatOptions { thinking, ..ChatOptions::default() })
    };
    fails(with("{% if %}", Thinking::Off), &["chat template cannot be read", "syntax error"]);
    fails(with("What?", Thinking::Off), &["drops the message of the user", TRIAL]);
    let open = format!("{QWEN2}{{{{ '<think>\\n' }}}}");
    fails(with(&open, Thinking::Off), &["opens a thought (<think>)", "--thinking close"]);
    let closed = with(&open, Thinking::Close).unwrap().text(QUESTION, &[]).unwrap();
    assert!(closed.ends_with("<|im_start|>assistant\n<think>\n\n</think>\n\n"), "{closed:?}");
}

/// Two examples, as they were typed.
fn shots() -> [Shot; 2] {
    [Shot::new("Who sang?", "Ilse"), Shot::new("Where {question}?", " Vey ")]
}

#[test]
fn shots_come_before_the_question_and_are_verbatim() {
    let [first, second] = &shots();
    let prompt = plain("Q: {question}\nA:");
    assert_eq!(
        prompt.text(QUESTION, &[first, second]).unwrap(),
        "Q: Who sang?\nA: Ilse\n\nQ: Where {question}?\nA:  Vey \n\nQ: Who built it?\nA:"
    );
    assert_eq!(
        prompt.text(QUESTION, &[second]).unwrap(),
        "Q: Where {question}?\nA:  Vey \n\nQ: Who built it?\nA:"
    );
}

#[test]
fn a_template_that_ends_in_white_space_needs_none_before_answers() {
    let [shot, _] = &shots();
    for (template, expected) in [
        ("{question} ", "Who sang? Ilse\n\nWho built it? "),
        ("{question}\n", "Who sang?\nIlse\n\nWho built it?\n"),
        ("{question}", "Who sang? Ilse\n\nWho built it?"),
    ] {
        assert_eq!(plain(template).text(QUESTION, &[shot]).unwrap(), expected);
    }
}

#[test]
fn shots_are_turns_of_a_chat() {
    let shots = shots();
    let prompt = in_chat(QWEN2, "Q: {question}", of_system(Some("Be brief."))).unwrap();
    assert_eq!(
        prompt.text(QUESTION, &shots.each_ref()).unwrap(),
        "<|im_start|>system\nBe brief.<|im_end|>\n\
         <|im_start|>user\nQ: Who sang?<|im_end|>\n<|im_start|>assistant\nIlse<|im_end|>\n\
         <|im_start|>user\nQ: Where {question}?<|im_end|>\n\
         <|im_start|>assistant\n Vey <|im_end|>\n\
         <|im_start|>user\nQ: Who built it?<|im_end|>\n<|im_start|>assistant\n"
    );
}

#[test]
fn or_all_in_one_turn() {
    let options = ChatOptions { turns: Turns::One, ..of_system(Some("Be brief.")) };
    let prompt = in_chat(QWEN2, "Q: {question}\nA:", options).unwrap();
    assert_eq!(
        prompt.text(QUESTION, &[&shots()[0]]).unwrap(),
        "<|im_start|>system\nBe brief.<|im_end|>\n\
         <|im_start|>user\nQ: Who sang?\nA: Ilse\n\nQ: Who built it?\nA:<|im_end|>\n\
         <|im_start|>assistant\n"
    );
}

#[test]
fn a_description_is_the_system_s() {
    let format = |description| Format::new("{question}").unwrap().with(description, "\n\n");
    let plain = Prompt::plain(format("Answer:\n\n"));
    assert_eq!(plain.text(QUESTION, &[]).unwrap(), "Answer:\n\nWho built it?");
    for (system, description, expected) in [
        (None, "Answer.", "Answer."),
        (Some("Be brief."), "Answer.", "Be brief.\n\nAnswer."),
        (Some("Be brief. "), "Answer.", "Be brief. Answer."),
    ] {
        let prompt = Prompt::chat(&chat(QWEN2), format(description), of_system(system)).unwrap();
        let text = prompt.text(QUESTION, &[]).unwrap();
        let system = format!("<|im_start|>system\n{expected}<|im_end|>\n<|im_start|>user\n");
        assert!(text.starts_with(&system), "{text:?}");
    }
}

#[test]
fn an_empty_message_of_the_system_is_none() {
    let prompt = in_chat(STRICT, "{question}", of_system(Some(""))).unwrap();
    assert_eq!(prompt.text(QUESTION, &[]).unwrap(), "<s>[INST] Who built it? [/INST]");
}

#[test]
fn a_template_may_refuse_many_shots() {
    let shots = vec![Shot::new("Who sang?", "Ilse"); 3];
    let prompt = in_chat(STRICT, "{question}", of_system(None)).unwrap();
    let error = prompt.text(QUESTION, &shots.iter().collect::<Vec<_>>()).unwrap_err();
    assert!(error.to_string().contains("drops the message of the user"), "{error}");
}

#[test]
fn the_model_goes_on_with_what_is_prefilled() {
    let prompt = in_chat(QWEN2, "{question}", of_prefill("It was {question}")).unwrap();
    let text = prompt.text(QUESTION, &[&shots()[0]]).unwrap();
    let expected = "<|im_start|>user\nWho sang?<|im_end|>\n\
         <|im_start|>assistant\nIt was {question} Ilse<|im_end|>\n\
         <|im_start|>user\nWho built it?<|im_end|>\n<|im_start|>assistant\nIt was {question}";
    assert!(text.ends_with(expected), "{text:?}");
}

#[test]
fn what_is_prefilled_comes_after_a_closed_thought() {
    let open = format!("{QWEN2}{{{{ '<think>\\n' }}}}");
    let options = ChatOptions { thinking: Thinking::Close, ..of_prefill("It was") };
    let text = in_chat(&open, "{question}", options).unwrap().text(QUESTION, &[]).unwrap();
    assert!(text.ends_with("<think>\n\n</think>\n\nIt was"), "{text:?}");
}

#[test]
fn what_is_prefilled_must_not_end_in_white_space() {
    let with = |prefill| in_chat(QWEN2, "{question}", of_prefill(prefill));
    for (prefill, parts) in [
        ("It was ", ["ends in white space", "leave it out: \"It was\""]),
        ("It was:\n", ["ends in white space", "leave it out: \"It was:\""]),
        ("", ["is blank", "leave it out"]),
        (" \u{A0}", ["is blank", "leave it out"]),
    ] {
        fails(with(prefill), &parts);
    }
    // A space before it is for templates that end without one.
    let text = with(" It was").unwrap().text(QUESTION, &[]).unwrap();
    assert!(text.ends_with("assistant\n It was"), "{text:?}");
}
