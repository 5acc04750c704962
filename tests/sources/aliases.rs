//! Every alias's first token is the token that encoding the prompt and the form really gives there.

use std::collections::HashMap;

use concept_mass::source::SourceError;
use concept_mass::{
    map::OnConflict,
    source::{Aliases, Beginning, FirstTokens, Form, Piece, Vocabulary},
};
use proptest::prelude::*;

use super::kinds::{Kind, WORDS, kinds};

/// What a prompt may end in.
const ENDS: [&str; 16] = [
    "", ":", " ", "\n", "?\nA:", "A: ", " \"", " (", " the", " an", "—", "東", "。", "1", "\t", "'",
];

fn words(count: std::ops::Range<usize>) -> impl Strategy<Value = String> {
    proptest::collection::vec(proptest::sample::select(&WORDS[..]), count).prop_map(|w| w.join(" "))
}

fn prompts() -> impl Strategy<Value = String> {
    (words(0..6), proptest::sample::select(&ENDS[..])).prop_map(|(words, end)| words + end)
}

fn forms() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => words(1..4),
        1 => "\\PC{1,8}",
        1 => proptest::sample::select(&["other", "UK", "🦀", "'s", "5", "Ⅳ", "ﬁ"][..]).prop_map(String::from),
    ]
    .prop_filter("not empty", |form| !form.trim().is_empty())
}

/// The bytes that tokens stand for.
fn bytes(vocabulary: &Vocabulary, tokens: &[u32]) -> Vec<u8> {
    let bytes = tokens.iter().flat_map(|&token| match vocabulary.piece(token) {
        Piece::Text(text) => text.clone().into_bytes(),
        Piece::Bytes(bytes) => bytes.clone(),
        Piece::Special(_) | Piece::Absent => Vec::new(),
    });
    bytes.collect()
}

/// What is not as it should be with `form` after `prompt`.
fn fault(kind: &Kind, prompt: &str, form: &Form) -> Option<&'static str> {
    let vocabulary = &kind.vocabulary;
    let before = vocabulary.encode(prompt).unwrap();
    let whole = vocabulary.encode(&format!("{prompt}{}", form.text)).unwrap();
    let there = whole.strip_prefix(&before[..]);
    let is_unknown = form.tokens.first().is_some_and(|&first| vocabulary.unknown() == Some(first));
    let is_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let runs_on = is_word(prompt.chars().last()) && is_word(form.text.chars().next());
    match form.beginning {
        Beginning::Follows | Beginning::GivesWay | Beginning::Apart
            if form.tokens.is_empty() || is_unknown =>
        {
            Some("it begins with nothing")
        }
        Beginning::Follows | Beginning::GivesWay if there.is_some() => {
            (there != Some(&form.tokens[..])).then_some("other tokens are there")
        }
        Beginning::Follows => Some("it runs into the prompt"),
        Beginning::GivesWay | Beginning::Apart => {
            if there.is_some() {
                return Some("it could follow");
            }
            let is_text = bytes(vocabulary, &form.tokens) == form.text.as_bytes();
            (kind.is_lossless && !is_text).then_some("its tokens are not its text")
        }
        Beginning::Glued => (there.is_some() || !runs_on).then_some("it is not glued"),
        Beginning::Unknown => (!is_unknown).then_some("it is not unknown"),
        Beginning::Nothing => (!form.tokens.is_empty()).then_some("it is not nothing"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_first_token_is_the_one_that_is_really_there(
        prompt in prompts(),
        forms in proptest::collection::vec(forms(), 1..4),
        case_variants: bool,
    ) {
        let mut aliases = Aliases::new();
        for form in &forms {
            // A concept for each, so that spacings may have to give way.
            aliases = aliases.clone().concept(form.clone(), [form]).unwrap_or(aliases);
        }
        if case_variants {
            aliases = aliases.with_case_variants();
        }
        for kind in kinds() {
            let firsts = aliases.after(&kind.vocabulary, &prompt).unwrap();
            for form in firsts.iter().flat_map(|(_, forms)| forms) {
                let fault = fault(kind, &prompt, form);
                prop_assert_eq!(fault, None, "{}: {:?} + {:?}", kind.name, prompt, form);
                let is_spaced = form.text.starts_with(' ');
                prop_assert!(!is_spaced || !prompt.ends_with(char::is_whitespace));
            }
        }
    }

    #[test]
    fn anywhere_is_with_and_without_a_space(form in words(1..3)) {
        let aliases = Aliases::new().concept("it", [&form]).unwrap();
        for kind in kinds() {
            let firsts = aliases.anywhere(&kind.vocabulary).unwrap();
            let (_, forms) = firsts.iter().next().unwrap();
            let texts: Vec<&str> = forms.iter().map(|form| form.text.as_str()).collect();
            prop_assert_eq!(texts, [format!(" {form}"), form.clone()]);
            for form in forms.iter().filter(|_| kind.is_lossless) {
                let bytes = bytes(&kind.vocabulary, &form.tokens);
                prop_assert_eq!(bytes, form.text.as_bytes(), "{}", kind.name);
            }
        }
    }
}

/// So that the property above is one of all ways to begin.
#[test]
fn every_way_to_begin_occurs() {
    let all = WORDS.iter().chain(&["other", "🦀", "\u{FFFD}"]);
    let aliases = all.fold(Aliases::new(), |aliases, word| aliases.concept(*word, [word]).unwrap());
    let mut counts = HashMap::<_, usize>::new();
    for kind in kinds() {
        for end in ENDS {
            let prompt = format!("Who is{end}");
            let firsts = aliases.after(&kind.vocabulary, &prompt).unwrap();
            for form in firsts.iter().flat_map(|(_, forms)| forms) {
                assert_eq!(fault(kind, &prompt, form), None, "{}: {form:?}", kind.name);
                *counts.entry(form.beginning).or_default() += 1;
            }
        }
    }
    println!("{counts:?}");
    assert_eq!(counts.len(), 6, "{counts:?}");
    assert!(counts[&Beginning::Follows] > counts.values().sum::<usize>() / 2, "{counts:?}");
}

fn after(kind: &Kind, prompt: &str, concepts: &[(&str, &[&str])]) -> FirstTokens {
    let aliases = concepts
        .iter()
        .fold(Aliases::new(), |aliases, (name, forms)| aliases.concept(*name, *forms).unwrap());
    aliases.after(&kind.vocabulary, prompt).unwrap()
}

fn beginnings(firsts: &FirstTokens) -> Vec<(String, Beginning)> {
    let forms = firsts.iter().flat_map(|(_, forms)| forms);
    forms.map(|form| (form.text.clone(), form.beginning)).collect()
}

#[test]
fn after_a_space_the_form_is_encoded_apart() {
    for kind in kinds().iter().filter(|kind| kind.is_lossless) {
        let firsts = after(kind, "Who is: ", &[("Moscow", &["Moscow"])]);
        let (_, forms) = firsts.iter().next().unwrap();
        assert_eq!(forms[0].beginning, Beginning::Apart, "{}", kind.name);
        let first = kind.vocabulary.piece(forms[0].first().unwrap()).text().unwrap();
        assert!("Moscow".starts_with(first), "{}: {first:?}", kind.name);
    }
}

#[test]
fn what_would_become_another_word_is_left_out() {
    let firsts = after(&kinds()[0], "Say an", &[("other", &["other", "Saint"])]);
    let left_out = |text: &str| beginnings(&firsts).contains(&(text.to_owned(), Beginning::Glued));
    assert!(!left_out(" other") && !left_out(" Saint"), "{firsts}");
    // Whether the bare ones are glued is the tokenizer's to say; that none is `Apart`, is ours.
    assert!(beginnings(&firsts).iter().all(|(_, b)| *b != Beginning::Apart), "{firsts}");
}

#[test]
fn the_expected_spacing_is_told_by_the_prompt() {
    // Both begin with the same letter, without a space; with one, they are words.
    let concepts: [(&str, &[&str]); 2] = [("Red", &["Red"]), ("Moscow", &["Москва", "Red Square"])];
    let main = |prompt: &str| {
        let firsts = after(&kinds()[0], prompt, &concepts);
        let forms = firsts.iter().next().unwrap().1.to_vec();
        (forms[0].text.clone(), firsts.shared().len())
    };
    assert_eq!(main("A:"), (" Red".to_owned(), 1));
    assert_eq!(main("A: \"").0, "Red");
    assert_eq!(main("(").0, "Red");
    assert_eq!(main("it's 5'").0, " Red");
    assert_eq!(main("").0, "Red");
    assert_eq!(main("答：").0, "Red");
    assert_eq!(main("A:\n").0, "Red");
}

#[test]
fn of_two_spacings_the_one_that_is_not_expected_gives_way() {
    let vocabulary = &kinds()[0].vocabulary;
    let first = |text: &str| vocabulary.encode(text).unwrap()[0];
    // Such a letter is what bare words that are no tokens begin with.
    assert_eq!(first("Rouen"), first("Rome"));
    assert_ne!(first(" Red"), first(" Rome"));
    let concepts: [(&str, &[&str]); 2] = [("Red", &["Red"]), ("Rest", &["Rome", "Rouen"])];
    let firsts = after(&kinds()[0], "A:", &concepts);
    if first("Red") == first("Rome") {
        assert!(beginnings(&firsts).contains(&("Red".to_owned(), Beginning::GivesWay)));
    }
    let map = firsts.map(OnConflict::Refuse).unwrap();
    assert_eq!(map.concept_of(first(" Red")), map.find("Red"));
    assert_eq!(firsts.token_sets().unwrap().len(), 2);
}

#[test]
fn a_shared_token_is_refused_left_out_or_the_firsts() {
    for kind in kinds() {
        let concepts: [(&str, &[&str]); 3] =
            [("Tsar", &["Ivan the Terrible"]), ("Ivan", &["Ivan"]), ("Red", &["Red"])];
        let firsts = after(kind, "Who:", &concepts);
        let [shared] = &firsts.shared()[..] else { panic!("{}: {firsts}", kind.name) };
        let error = firsts.map(OnConflict::Refuse).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, SourceError::SharedTokens { .. }), "{text}");
        for part in ["\" Ivan the Terrible\" of \"Tsar\"", "\" Ivan\" of \"Ivan\"", "LeaveOut"] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        assert!(firsts.to_string().ends_with(&format!("{shared}\n")), "{firsts}");

        let without = firsts.map(OnConflict::LeaveOut).unwrap();
        assert_eq!((without.find("Tsar"), without.find("Ivan")), (None, None));
        assert!(without.find("Red").is_some());
        let first = firsts.map(OnConflict::First).unwrap();
        assert_eq!(first.concept_of(shared.token), first.find("Tsar"));
        assert_eq!(first.find("Ivan"), None);

        let sets = firsts.token_sets().unwrap();
        for set in 0..2 {
            assert!(sets.tokens(set).unwrap().contains(&shared.token), "{}", kind.name);
        }
    }
}

#[test]
fn forms_that_are_unknown_are_left_out_until_none_is_left() {
    for kind in kinds().iter().filter(|kind| kind.vocabulary.unknown().is_some()) {
        let firsts = after(kind, "Who:", &[("crab", &["🦀", "Saint"])]);
        assert!(
            beginnings(&firsts).contains(&(" 🦀".to_owned(), Beginning::Unknown))
                || kind.name.contains("Metaspace")
                || kind.name.contains("Unigram"),
            "{firsts}"
        );
        assert!(firsts.map(OnConflict::Refuse).is_ok());

        let firsts = after(kind, "Who:\n", &[("crab", &["🦀"])]);
        if firsts.iter().all(|(_, forms)| forms.iter().all(|form| form.first().is_none())) {
            let error = firsts.map(OnConflict::Refuse).unwrap_err();
            assert!(
                matches!(&error, SourceError::NoBeginning { concept, .. } if concept == "crab")
            );
            assert!(error.to_string().contains("unknown to the tokenizer"), "{error}");
        }
    }
}

#[test]
fn forms_that_encode_to_nothing_are_left_out_until_none_is_left() {
    // BERT's normaliser drops control characters and what is no character.
    let bert = kinds().iter().find(|kind| kind.name.contains("BERT")).unwrap();
    let firsts = after(bert, "Who:", &[("zero", &["\u{FFFD}"])]);
    assert!(beginnings(&firsts).iter().all(|(_, b)| *b == Beginning::Nothing), "{firsts}");
    let error = firsts.token_sets().unwrap_err();
    assert!(error.to_string().contains("encodes to nothing"), "{error}");
    assert!(firsts.to_string().contains("left out: it encodes to nothing"));
    let firsts = after(bert, "Who:", &[("zero", &["\u{FFFD}", "saint"])]);
    assert_eq!(
        firsts.map(OnConflict::Refuse).unwrap().stats().concepts,
        bert.vocabulary.vocab_size()
    );
}

#[test]
fn case_variants_are_forms_of_their_own() {
    let kind = &kinds()[0];
    let aliases = Aliases::new().concept("saint", ["saint"]).unwrap().with_case_variants();
    let map = aliases.after(&kind.vocabulary, "A:").unwrap().map(OnConflict::Refuse).unwrap();
    for text in [" saint", " Saint", " SAINT"] {
        let first = kind.vocabulary.encode(text).unwrap()[0];
        assert_eq!(map.concept_of(first), map.find("saint"), "{text}");
    }
}

/// What an iterator of forms says of its length sizes nothing, and its true length little.
#[test]
fn an_iterator_of_forms_sizes_no_allocation() {
    let aliases = Aliases::new().concept("it", std::iter::repeat_n("x", 1 << 22)).unwrap();
    assert_eq!(aliases.iter().next(), Some(("it", vec!["x".to_owned()])));
    let numbers = (0..u64::MAX).map(|i| i.to_string());
    let error = Aliases::new().concept("it", numbers).unwrap_err();
    assert!(matches!(&error, SourceError::TooManyForms { concept } if concept == "it"), "{error}");
}
