//! Chat templates as models have them, without what has to do with tools.

use super::*;

const QUESTION: &str = "Who built it?";

/// Llama 3.1's and 3.2's, without tools.
const LLAMA3: &str = r#"{{- bos_token }}
{%- if not tools_in_user_message is defined %}
    {%- set tools_in_user_message = true %}
{%- endif %}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}

{#- The system message is taken out, so that it comes first. #}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}

{{- "<|start_header_id|>system<|end_header_id|>\n\n" }}
{%- if tools is not none %}
    {{- tools | tojson(indent=4) }}
{%- endif %}
{{- "Today Date: " + date_string + "\n\n" }}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {{- raise_exception("This model only supports single tool-calls at once!") }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}
{%- endif %}
"#;

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

/// Qwen3's, with its search for the last question and its empty thoughts.
const QWEN3: &str = r#"{%- if messages[0].role == 'system' %}
    {{- '<|im_start|>system\n' + messages[0].content + '<|im_end|>\n' }}
{%- endif %}
{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>' + '\n' }}
    {%- elif message.role == "assistant" %}
        {{- message.content.split('</think>')[-1].lstrip('\n') }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\n\n</think>\n\n' }}
    {%- endif %}
{%- endif %}"#;

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
    let prompt = Prompt::chat(&chat(template), "{question}", system).unwrap();
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
fn llama3() {
    says(
        LLAMA3,
        None,
        "<s><|start_header_id|>system<|end_header_id|>\n\nToday Date: 26 Jul 2024\n\n<|eot_id|>\
         <|start_header_id|>user<|end_header_id|>\n\nWho built it?<|eot_id|>\
         <|start_header_id|>assistant<|end_header_id|>\n\n",
    );
    says(
        LLAMA3,
        Some(" Be brief. "),
        "<s><|start_header_id|>system<|end_header_id|>\n\nToday Date: 26 Jul 2024\n\nBe brief.\
         <|eot_id|><|start_header_id|>user<|end_header_id|>\n\nWho built it?<|eot_id|>\
         <|start_header_id|>assistant<|end_header_id|>\n\n",
    );
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
fn qwen3_does_not_think() {
    says(
        QWEN3,
        Some("Be brief."),
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWho built it?<|im_end|>\n\
         <|im_start|>assistant\n<think>\n\n</think>\n\n",
    );
}

#[test]
fn blocks_are_trimmed_and_a_template_may_refuse() {
    says(STRICT, None, "<s>[INST] Who built it? [/INST]");
    fails(
        Prompt::chat(&chat(STRICT), "{question}", Some("Be brief.")),
        &["chat template fails", "System role not supported"],
    );
}

#[test]
fn a_question_is_taken_as_it_is() {
    let question = "{question} {{ messages }} {% if x %} <b> & \"'";
    let plain = Prompt::plain("Q: {question}\nA:").unwrap();
    assert_eq!(plain.text(question).unwrap(), format!("Q: {question}\nA:"));
    let strict = Prompt::chat(&chat(STRICT), "Q: {question} A:", None).unwrap();
    let expected = format!("<s>[INST] Q: {question} A: [/INST]");
    assert_eq!(strict.text(question).unwrap(), expected);
}

#[test]
fn the_placeholder_must_be_there_once() {
    for (template, times) in [("Q: A:", "0 times"), ("{question} {question}", "2 times")] {
        fails(Prompt::plain(template), &[template, times, "write it once"]);
        fails(Prompt::chat(&chat(QWEN2), template, None), &[template, times]);
    }
}

#[test]
fn a_template_that_is_none() {
    fails(
        Prompt::chat(&chat("{% if %}"), "{question}", None),
        &["chat template cannot be read", "syntax error"],
    );
    fails(
        Prompt::chat(&chat("{{ strftime_now('%Q') }}"), "{question}", None),
        &["chat template fails", "\"%Q\""],
    );
}

#[test]
fn json_is_pythons() {
    says(
        "{{ {'a': [1, 2.5, true, none], 'b': '<é\"\\n>'} | tojson }}",
        None,
        r#"{"a": [1, 2.5, true, null], "b": "<é\"\n>"}"#,
    );
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
    let chat = Prompt::chat(&chat(QWEN2), "{question}", None).unwrap();
    assert_eq!(chat.tokens(&vocabulary, "Saint").unwrap(), bare);
    assert_eq!(chat.tokens(&vocabulary, "<|end|>Saint").unwrap(), [&[0], &bare[..]].concat());
}
