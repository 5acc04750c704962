//! Chat templates as models have them, without what has to do with tools.

use concept_mass_models::{Chat, ChatTemplate, Message, Thinking};

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

/// Asserts what the model reads of a question, and of what the system says.
#[track_caller]
fn says(template: &str, system: Option<&str>, expected: &str) {
    let chat = Chat { template: template.to_owned(), bos: Some("<s>".to_owned()), eos: None };
    let messages = system.map(Message::system).into_iter().chain([Message::user("Who built it?")]);
    let messages: Vec<Message> = messages.collect();
    let template = ChatTemplate::new(&chat).unwrap();
    assert_eq!(template.render(&messages, Thinking::Off).unwrap(), expected);
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
fn blocks_are_trimmed() {
    says(STRICT, None, "<s>[INST] Who built it? [/INST]");
}
