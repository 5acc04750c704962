//! What a rendering must hold, whatever the template.

use std::error::Error;

use concept_mass_models::{Chat, ChatError, ChatTemplate, Message, Role, Thinking};

fn template(template: &str) -> Result<ChatTemplate, ChatError> {
    ChatTemplate::new(&Chat {
        template: template.to_owned(),
        bos: Some("<s>".to_owned()),
        eos: None,
    })
}

#[track_caller]
fn render(text: &str, messages: &[Message], thinking: Thinking) -> Result<String, ChatError> {
    template(text).unwrap().render(messages, thinking)
}

const PLAIN: &str = "{% for m in messages %}<|{{ m.role }}|>{{ m.content | trim }}{% endfor %}";

/// A template is code from elsewhere: it may not take all time, memory or stack.
#[test]
fn a_template_has_limits() {
    let template = |text: &str| {
        let chat = Chat { template: text.to_owned(), bos: None, eos: None };
        ChatTemplate::new(&chat)
    };
    let fails = |text: &str| template(text).unwrap().render(&[], Thinking::Off).unwrap_err();
    let ranges = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}";
    assert!(matches!(fails(ranges), ChatError::Render(_)));
    assert!(matches!(fails("{{ [[1]] | tojson(indent=999999999) }}"), ChatError::Render(_)));
    let sum = format!("{{{{ {}1 }}}}", "1+".repeat(60_000));
    let signs = format!("{{{{ {}1 }}}}", "-".repeat(120_000));
    for deep in [sum, signs] {
        // Whatever it comes to, or that it is too deep, is said.
        if let Ok(template) = template(&deep) {
            drop(template.render(&[], Thinking::Off));
        }
    }
    assert!(matches!(template(&" ".repeat(300_000)), Err(ChatError::Syntax(_))));
}

#[test]
fn a_message_that_is_dropped_is_an_error() {
    let messages = [Message::system("Be brief."), Message::user(" Who? ")];
    assert_eq!(render(PLAIN, &messages, Thinking::Off).unwrap(), "<|system|>Be brief.<|user|>Who?");
    let no_system = "{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}";
    let error = render(no_system, &messages, Thinking::Off).unwrap_err();
    assert!(
        matches!(&error, ChatError::Dropped { role: Role::System, content } if content == "Be brief.")
    );
    assert!(
        error.to_string().contains("drops the message of the system, \"Be brief.\""),
        "{error}"
    );
    // As those that expect the content in parts.
    let parts = "{% for m in messages %}{% for part in m.content %}{{ part.text }}{% endfor %}\
        {% endfor %}";
    let error = render(parts, &messages[1..], Thinking::Off).unwrap_err();
    assert!(matches!(error, ChatError::Dropped { role: Role::User, .. }), "{error}");
}

#[test]
fn a_switch_turns_thoughts_off() {
    let messages = [Message::user("Who?")];
    for switch in ["enable_thinking", "thinking"] {
        let text =
            format!("{PLAIN}{{% if {switch} is not defined or {switch} %}}<think>{{% endif %}}");
        for thinking in [Thinking::Off, Thinking::Close] {
            assert_eq!(render(&text, &messages, thinking).unwrap(), "<|user|>Who?");
        }
    }
}

#[test]
fn an_open_thought_is_refused_or_closed() {
    let messages = [Message::user("Who?")];
    for (open, says, closed) in [
        ("<think>\n", "(<think>) before the answer, and has no switch", "<think>\n\n</think>\n\n"),
        ("[THINK]", "([THINK])", "[THINK]\n\n[/THINK]\n\n"),
        ("<think>{{ thinking }}", "although thinking is false", "<think>False\n\n</think>\n\n"),
        ("<think>\n\n</think><think>", "<think>", "<think>\n\n</think><think>\n\n</think>\n\n"),
    ] {
        let text = format!("{PLAIN}<|assistant|>{open}");
        let error = render(&format!("{text}{{{{ '' }}}}"), &messages, Thinking::Off).unwrap_err();
        assert!(matches!(error, ChatError::OpenThought { .. }));
        assert!(error.to_string().contains(says), "{error}");
        let text = render(&text, &messages, Thinking::Close).unwrap();
        assert_eq!(text, format!("<|user|>Who?<|assistant|>{closed}"));
    }
}

#[test]
fn a_tag_in_a_message_opens_no_thought() {
    let messages =
        [Message::system("Think between <think> tags."), Message::user("What is <think>?")];
    for thinking in [Thinking::Off, Thinking::Close] {
        let text = render(PLAIN, &messages, thinking).unwrap();
        assert_eq!(text, "<|system|>Think between <think> tags.<|user|>What is <think>?");
        let closed = format!("{PLAIN}<think></think>");
        assert!(render(&closed, &messages, thinking).unwrap().ends_with("<think></think>"));
    }
    let open = format!("{PLAIN}<think>");
    assert!(render(&open, &messages, Thinking::Off).is_err());
}

#[test]
fn what_is_wrong_with_a_template() {
    let cause = |error: &ChatError| error.source().map(ToString::to_string).unwrap_or_default();
    let error = template("{% if %}").unwrap_err();
    assert!(matches!(error, ChatError::Syntax(_)) && cause(&error).contains("syntax error"));
    for (text, says) in [
        ("{{ raise_exception('System role not supported') }}", "System role not supported"),
        ("{{ strftime_now('%Q') }}", "\"%Q\""),
        ("{{ nothing | tojson }}", "cannot be written as JSON"),
        ("{{ [1].index(2) }}", "not in the list"),
        ("{{ 'a'.swap() }}", "swap"),
    ] {
        let error = render(text, &[Message::user("Who?")], Thinking::Off).unwrap_err();
        assert!(matches!(error, ChatError::Render(_)), "{error}");
        assert!(cause(&error).contains(says), "{}", cause(&error));
    }
}

#[test]
fn the_date_is_always_the_same() {
    let text = format!("{{{{ strftime_now('%d %b %Y') }}}}{PLAIN}");
    let rendered = render(&text, &[Message::user("Who?")], Thinking::Off).unwrap();
    assert_eq!(rendered, "26 Jul 2024<|user|>Who?");
}
