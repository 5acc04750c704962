//! The scorers: the official ones against their scripts, whose verdicts are in
//! `scorers/pairs.json`, and ours against what is right.

use commitment_probe::{
    Accepted, Scorer, begins_with, contained, is_match, is_not_attempted, normalise_answer,
    num_words, words,
};
use proptest::prelude::*;
use serde_json::Value;

/// A pair of `pairs.json`, written by `witness.py`.
struct Pair {
    answer: String,
    forms: Vec<String>,
    normalised: Vec<String>,
    /// The strictest of our own scorers that accepts it.
    ours: Option<Scorer>,
    verdicts: Vec<(Scorer, bool)>,
}

fn pairs() -> Vec<Pair> {
    let pairs: Vec<Value> =
        serde_json::from_str(include_str!("scorers/pairs.json")).expect("pairs.json is JSON");
    assert!(pairs.len() >= 150, "there are pairs");
    let texts = |value: &Value| serde_json::from_value::<Vec<String>>(value.clone()).unwrap();
    let of_pair = |pair: Value| {
        let name = |scorer: Scorer| serde_json::to_value(scorer).unwrap();
        let verdict =
            |scorer| Some((scorer, pair.get(name(scorer).as_str().unwrap())?.as_bool().unwrap()));
        Pair {
            answer: pair["answer"].as_str().unwrap().to_owned(),
            forms: texts(&pair["forms"]),
            normalised: texts(&pair["normalised"]),
            ours: serde_json::from_value(pair["ours"].clone()).unwrap(),
            verdicts: Scorer::ALL.iter().copied().filter_map(verdict).collect(),
        }
    };
    pairs.into_iter().map(of_pair).collect()
}

fn accepts(scorer: Scorer, answer: &str, forms: &[&str], endings: bool) -> bool {
    let forms: Vec<String> = forms.iter().map(|&form| form.to_owned()).collect();
    let accepted = Accepted { forms: &forms, normalised: &[], endings };
    scorer.accepts(answer, &accepted).unwrap()
}

#[test]
fn official_scorers_say_what_their_scripts_say() {
    let mut wrong = Vec::new();
    for pair in pairs() {
        assert_eq!(pair.verdicts.len(), 5, "{:?}", pair.answer);
        for &(scorer, verdict) in &pair.verdicts {
            let Pair { answer, forms, normalised, .. } = &pair;
            let accepted = Accepted { forms, normalised, endings: false };
            if scorer.accepts(answer, &accepted) != Some(verdict) {
                wrong.push(format!("{scorer}: {answer:?} for {forms:?} is {verdict}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_of_our_scorers_accepts_what_it_should() {
    let ours = [Scorer::Exact, Scorer::Prefix, Scorer::Contains];
    let mut wrong = Vec::new();
    for Pair { answer, forms, normalised, ours: strictest, .. } in pairs() {
        let accepted = Accepted { forms: &forms, normalised: &normalised, endings: false };
        for scorer in ours {
            let verdict = strictest.is_some_and(|strictest| strictest <= scorer);
            if scorer.accepts(&answer, &accepted) != Some(verdict) {
                wrong.push(format!("{scorer}: {answer:?} for {forms:?} should be {verdict}"));
            }
        }
        assert_eq!(is_match(&answer, &forms), accepted_by(Scorer::Exact, &answer, &accepted));
        assert_eq!(begins_with(&answer, &forms), accepted_by(Scorer::Prefix, &answer, &accepted));
        let holds = contained(&answer, &forms).is_some();
        assert_eq!(holds, accepted_by(Scorer::Contains, &answer, &accepted));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn accepted_by(scorer: Scorer, answer: &str, accepted: &Accepted<'_>) -> bool {
    scorer.accepts(answer, accepted).unwrap()
}

#[test]
fn official_scorers_differ_from_each_other_and_from_ours() {
    let verdicts = |scorer: Scorer| -> Vec<Option<bool>> {
        let of_pair = |Pair { answer, forms, normalised, .. }: &Pair| {
            scorer.accepts(answer, &Accepted { forms, normalised, endings: false })
        };
        pairs().iter().map(of_pair).collect()
    };
    let all: Vec<_> = Scorer::automatic().map(verdicts).collect();
    for (i, a) in all.iter().enumerate() {
        assert!(all[i + 1..].iter().all(|b| a != b), "{}", Scorer::ALL[i]);
    }
    assert_eq!(verdicts(Scorer::Grader)[0], None);
}

#[test]
fn the_names_of_scorers_are_those_of_the_option() {
    let names: Vec<_> = Scorer::ALL.iter().map(|s| serde_json::to_value(s).unwrap()).collect();
    let wanted = [
        "exact",
        "prefix",
        "contains",
        "squad",
        "nq_open",
        "trivia_qa",
        "lm_eval_trivia_qa",
        "lm_eval_nq_open",
        "grader",
    ];
    assert_eq!(names, wanted);
}

#[test]
fn case_punctuation_articles_and_spaces_are_dropped() {
    for (text, want) in [
        ("Paris", "paris"),
        ("  a   Tale of\tTwo Cities ", "tale of two cities"),
        ("Ørsted’s", "ørsteds"),
        ("the", "the"),
        ("Theo", "theo"),
        ("…", "..."),
        ("U.S.A.", "usa"),
        ("B-52", "b 52"),
        ("答えは、東京 (2020) です。", "答えは東京 2020 です"),
        ("$5", "$ 5"),
        (" \u{200B}", ""),
    ] {
        assert_eq!(normalise_answer(text), want, "{text:?}");
    }
    assert_eq!(words("minus 5 or -1,000.50"), ["-5", "or", "-1000.5"]);
}

#[test]
fn the_form_that_begins_first_is_contained_and_of_these_the_longest() {
    assert_eq!(contained("New York City", &["York", "New York", "New York City"]), Some(2));
    assert_eq!(contained("Graz, then Vienna", &["Vienna", "Graz"]), Some(1));
    assert_eq!(contained("Graz", &["Vienna"]), None);
    assert_eq!(contained("not Graz, then Vienna", &["Graz", "Vienna"]), Some(1));
    assert_eq!(contained("Graz", &[] as &[&str]), None);
}

#[test]
fn endings_are_forgiven_if_asked_for() {
    for (answer, form) in [
        ("cats", "cat"),
        ("cat", "cats"),
        ("two potatoes", "two potato"),
        ("berry", "berries"),
        ("boxes", "box"),
        ("Boys", "boy"),
        ("Netherlands, the", "Netherlands"),
        ("Netherlands", "Netherlands, The"),
        ("Spider-Men films", "Spider-Men film"),
    ] {
        for scorer in [Scorer::Exact, Scorer::Prefix, Scorer::Contains] {
            assert!(accepts(scorer, answer, &[form], true), "{scorer}: {answer} for {form}");
        }
        assert!(!accepts(Scorer::Exact, answer, &[form], false), "{answer} for {form}");
    }
    for (answer, form) in [
        ("1930s", "1930"),
        ("As", "A"),
        ("princess", "princes"),
        ("princes", "princess"),
        ("cats food", "cat food"),
        ("Vitamin", "Vitamin A"),
        ("men", "man"),
    ] {
        assert!(!accepts(Scorer::Exact, answer, &[form], true), "{answer} for {form}");
    }
    assert!(accepts(Scorer::Contains, "It has two cats.", &["Cat"], true));
}

#[test]
fn who_does_not_try_is_told_from_titles() {
    for answer in [
        "I don't know",
        "I don’t know.",
        "I do not know the answer to this question.",
        "I DON'T KNOW",
        "I'm not sure who wrote that.",
        "Unknown",
        "unknown.",
        "Not sure",
        "N/A",
        "n/a.",
        "No answer",
        "As an AI language model, I cannot answer that.",
        "As an AI, I don't have access to such data.",
        "As an AI I cannot provide an answer.",
        "I cannot determine that from the question.",
        "I can't answer this. Please give me more context.",
        "I'm sorry, but I can't help with that.",
        "Sorry, I have no idea.",
        "Unfortunately, I do not have enough information.",
        "I am unable to find this.",
        "There is not enough information.",
        "idk",
        "It's unclear.",
        "I cannot.",
        "Sorry, I can't.",
        "I don't recall the name.",
        "As a language model, I don't have personal experiences.",
        "**I don't know**",
    ] {
        assert!(is_not_attempted(answer), "{answer}");
    }
    for answer in [
        "",
        "Unknown Pleasures",
        "The Unknown Soldier",
        "The Unknown",
        "I Can't Get No Satisfaction",
        "(I Can't Get No) Satisfaction",
        "Nobody Knows",
        "I Don't Know How to Love Him",
        "I Don't Know Much",
        "I'm Sorry",
        "I Can't Help Falling in Love with You",
        "I Cannot Tell a Lie",
        "i can't get no satisfaction",
        "I'm not sure, but I think it is Vienna.",
        "I don't know, maybe Paris",
        "I don't know. The capital might be Vienna.",
        "I Can't",
        "I Don't Remember",
        "Sorry",
        "No",
        "None",
        "Na",
        "Sodium (Na)",
        "Not Vienna",
        "As You Like It",
        "Paris. I am not sure.",
    ] {
        assert!(!is_not_attempted(answer), "{answer}");
    }
}

#[test]
fn long_answers_take_no_longer_than_they_are() {
    for part in ["1,1,", "1.", "1/", "- ", "the ", "a. ", "< ", "not it ", "‘", "5 ", "東"] {
        let answer = part.repeat(20_000);
        let begun = std::time::Instant::now();
        assert_eq!(contained(&answer, &["Vienna"]), None);
        assert!(!is_not_attempted(&answer) && num_words(&answer) <= 40_000, "{part}");
        assert!(begun.elapsed().as_secs() < 20, "{part}: {:?}", begun.elapsed());
    }
}

#[test]
fn words_are_counted_as_a_person_counts_them() {
    for (text, count) in [
        ("", 0),
        (" . ", 1),
        ("Paris", 1),
        ("Spider-Man", 1),
        ("don't", 1),
        ("U.S.A.", 1),
        ("well — yes", 2),
        ("well—yes", 2),
        ("New\u{A0}York", 2),
        ("1\u{A0}000 men", 2),
        ("東京", 2),
        ("iPhone 15は", 3),
        ("กรุงเทพ", 6),
        ("が", 1),
        ("か\u{3099}", 1),
    ] {
        assert_eq!(num_words(text), count, "{text:?}");
    }
}

/// Texts of what scorers stumble over, and any others.
fn texts() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        4 => proptest::sample::select(vec![
            " ", ".", ",", "-", "−", "–", "'", "’", "the", "The ", "a", "A ", "an ", "1", "5", "000",
            "½", "²", "⁻", "$", "%", "é", "e\u{301}", "İ", "ß", "Σ", "東", "が", "ก", "ำ", "+", "#",
            "&", "/", ":", "^", "not ", "is", "it", "minus ", "per cent", "\u{200B}", "\u{A0}", "😀",
            "\u{1F3F4}", "\u{E0067}", "\0", "\u{1F}", "Cat", "s", "cats", "x", "<", "√", "ʻ", "_",
        ]).prop_map(str::to_owned),
        1 => ".{0,3}",
    ];
    proptest::collection::vec(part, 0..9).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_form_is_accepted_as_an_answer(form in texts()) {
        // lm-eval removes the spaces around an answer, and not those around a form.
        let form = form.trim_matches(|c: char| c.is_whitespace() || ('\u{1C}'..='\u{1F}').contains(&c));
        for scorer in Scorer::automatic() {
            let ours = scorer <= Scorer::Contains;
            if !ours || !normalise_answer(form).is_empty() {
                for endings in [false, true] {
                    prop_assert!(accepts(scorer, form, &[form], endings), "{}: {:?}", scorer, form);
                }
            }
        }
    }

    #[test]
    fn each_of_ours_accepts_what_the_one_before_it_accepts(
        answer in texts(),
        form in texts(),
        endings: bool,
    ) {
        let [exact, prefix, contains] = [Scorer::Exact, Scorer::Prefix, Scorer::Contains]
            .map(|scorer| accepts(scorer, &answer, &[&form], endings));
        prop_assert!(exact <= prefix && prefix <= contains);
        prop_assert!(is_match(&answer, [&form]) <= accepts(Scorer::Exact, &answer, &[&form], true));
    }

    #[test]
    fn answers_of_equal_words_match(a in texts(), b in texts()) {
        if !words(&a).is_empty() && words(&a) == words(&b) {
            prop_assert!(is_match(&a, [&b]), "{a:?} {b:?}");
        }
        let _ = (is_not_attempted(&a), num_words(&a));
    }

    #[test]
    fn a_form_within_a_sentence_is_contained(form in "[A-Z][a-z]{4,9}( [a-z]{5,9})?", pad in "[b-z]{7}") {
        let sentence = format!("{pad} {pad}: {form}, {pad}.");
        prop_assert_eq!(contained(&sentence, &[&form]), Some(0));
        prop_assert!(contained(&sentence, &[&form[..form.len() - 1]]).is_none());
        let denied = format!("{pad} is not {form}");
        prop_assert!(contained(&denied, &[&form]).is_none());
    }
}

#[test]
fn a_sign_of_comparison_is_one_word_with_and_without_a_hyphen() {
    assert_eq!(words("<"), words("<-"));
    assert!(is_match("<", ["<-"]) && is_match("<-", ["<"]) && !is_match("<", [">-"]));
    assert!(!is_match("", ["<-"]) && !is_match("<-", ["?"]));
}

/// Each: an answer, a form, and whether `contains` accepts it.
#[test]
fn words_that_sentences_have_by_chance_are_told_from_answers() {
    for (answer, form, accepted) in [
        ("Let us say Canada.", "U.S.", false),
        ("Give it to us.", "U.S.", false),
        ("It is Stephen King.", "I.T.", false),
        ("I am not sure it is", "A.M.", false),
        ("It was made in the US.", "U.S.", true),
        ("It is the U.S.", "US", true),
        ("In the U.S.", "U.S.", true),
        ("The answer is no.", "no", true),
        ("The answer is yes.", "yes", true),
        ("No.", "no", true),
        ("There is no answer", "no", false),
        ("The symbol of iodine is I.", "I", true),
        ("He wasn't born in 1969.", "1969", false),
        ("It was not built in 1889.", "1889", false),
        ("It is not the city of Vienna.", "Vienna", false),
        ("It is none other than Vienna.", "Vienna", true),
        ("No one other than Elvis", "Elvis", true),
        ("Other than Vienna, all are", "Vienna", false),
        ("It cost 1.5bn", "1.5 billion", true),
    ] {
        let forms = [form.to_owned()];
        let by = Accepted { forms: &forms, normalised: &[], endings: false };
        assert_eq!(Scorer::Contains.accepts(answer, &by), Some(accepted), "{answer:?} {form:?}");
    }
}
