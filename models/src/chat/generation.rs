//! `{% generation %}…{% endgeneration %}`, by which transformers marks the answers in a template.

/// The template with `{% with %}…{% endwith %}` in the place of these tags: a block that does
/// nothing, and within which variables are set as in theirs. The white-space control of the tags
/// stays as it is.
///
/// Comments, texts and what is raw are left alone.
pub fn as_blocks(template: &str) -> String {
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    let mut is_raw = false;
    while let Some(start) = rest.find('{') {
        let (before, tag) = rest.split_at(start);
        text += before;
        let end = match &tag.as_bytes()[..tag.len().min(2)] {
            b"{#" if !is_raw => tag.find("#}"),
            b"{{" if !is_raw => end_of(tag, "}}"),
            b"{%" => end_of(tag, "%}"),
            _ => None,
        };
        let Some(end) = end else {
            text.push('{');
            rest = &tag[1..];
            continue;
        };
        let (tag, after) = tag.split_at(end + 2);
        let name = tag[2..end].trim_start_matches(['-', '+']).trim_end_matches(['-', '+']).trim();
        match name {
            _ if !tag.starts_with("{%") => text += tag,
            "raw" => {
                is_raw = true;
                text += tag;
            }
            "endraw" => {
                is_raw = false;
                text += tag;
            }
            "generation" if !is_raw => text += &tag.replace("generation", "with"),
            "endgeneration" if !is_raw => text += &tag.replace("endgeneration", "endwith"),
            _ => text += tag,
        }
        rest = after;
    }
    text + rest
}

/// Where `end` is in `tag`, not within a text in quotation marks.
fn end_of(tag: &str, end: &str) -> Option<usize> {
    let mut quote = None;
    let mut is_escaped = false;
    for (at, c) in tag.char_indices().skip(2) {
        match quote {
            Some(_) if is_escaped => is_escaped = false,
            Some(_) if c == '\\' => is_escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if tag[at..].starts_with(end) => return Some(at),
            None if c == '"' || c == '\'' => quote = Some(c),
            None => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::as_blocks;

    #[test]
    fn only_the_tags_are_replaced() {
        for (template, expected) in [
            ("{% generation %}a{% endgeneration %}", "{% with %}a{% endwith %}"),
            ("{%- generation -%}{%+endgeneration+%}", "{%- with -%}{%+endwith+%}"),
            ("{%generation%}{%\nendgeneration\n%}", "{%with%}{%\nendwith\n%}"),
            ("{{ '{% generation %}' }}", "{{ '{% generation %}' }}"),
            (
                "{% set x = \"{% generation %}\\\"%}\" %}",
                "{% set x = \"{% generation %}\\\"%}\" %}",
            ),
            ("{# {% generation %} #}{", "{# {% generation %} #}{"),
            (
                "{% raw %}{{ ' {% generation %}{% endraw %}{% generation %}",
                "{% raw %}{{ ' {% generation %}{% endraw %}{% with %}",
            ),
            ("{% if generation %}{% endif %}", "{% if generation %}{% endif %}"),
            ("{ {% ' é {{ é", "{ {% ' é {{ é"),
            ("generation", "generation"),
        ] {
            assert_eq!(as_blocks(template), expected);
        }
    }
}
