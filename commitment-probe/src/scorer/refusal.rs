//! Answers that do not try.

use super::{
    fold::characters,
    tokens::{Join, tokens},
};

/// Clauses that say that no answer is known or given.
const NO_ANSWER: &[&str] = &[
    "answer unknown",
    "answer is unknown",
    "cannot answer",
    "cannot be determined",
    "cannot determine",
    "cannot say",
    "cant answer",
    "cant say",
    "do not know",
    "dont know",
    "idk",
    "insufficient information",
    "it is not known",
    "its not known",
    "it is unclear",
    "it is unknown",
    "its unclear",
    "its unknown",
    "n a",
    "no answer",
    "no clue",
    "no comment",
    "no idea",
    "no information",
    "not applicable",
    "not available",
    "not certain",
    "not enough information",
    "not given",
    "not known",
    "not mentioned",
    "not provided",
    "not specified",
    "information not available",
    "not sure",
    "the answer is not known",
    "the answer is unknown",
    "unable to answer",
    "unable to determine",
    "unanswerable",
    "unclear",
    "unknown",
    "unsure",
    "i do not have an answer",
    "i dont have an answer",
    "i have no answer",
    "i have no clue",
    "i have no idea",
    "im not certain",
    "im not sure",
    "im uncertain",
    "im unsure",
    "there is no answer",
    "there is not enough information",
];

/// How a clause begins that says so of whoever speaks.
const OPENINGS: &[&str] = &[
    "dunno",
    "i do not have that",
    "i do not have personal",
    "i do not recall",
    "i do not remember",
    "i dont have that",
    "i dont have personal",
    "i dont recall",
    "i dont remember",
    "i dunno",
    "i have no knowledge",
    "it is impossible to determine",
    "it is impossible to know",
    "it is impossible to say",
    "it is not possible to determine",
    "the question cannot be answered",
    "this question cannot be answered",
    "we do not know",
    "we dont know",
    "i am not able to",
    "i am not aware of",
    "i am not certain",
    "i am not familiar with",
    "i am not sure",
    "i am unable to",
    "i am uncertain",
    "i am unsure",
    "i could not find",
    "i couldnt find",
    "i do not have access",
    "i do not have any information",
    "i do not have enough",
    "i do not have information",
    "i do not have sufficient",
    "i do not have the",
    "i do not know",
    "i dont have access",
    "i dont have any information",
    "i dont have enough",
    "i dont have information",
    "i dont have sufficient",
    "i dont have the",
    "i dont know",
    "i have no idea",
    "i have no information",
    "i was not able to",
    "i was unable to",
    "i wasnt able to",
    "im not able to",
    "im not aware of",
    "im not certain",
    "im not familiar with",
    "im not sure",
    "im unable to",
    "im uncertain",
    "im unsure",
    "no information is available",
    "there is no information",
    "there is not enough information",
    "there isnt enough information",
];

/// How a clause begins that says so if nothing or one of [`DEEDS`] follows.
const REFUSALS: &[&str] = &[
    "i am afraid i cannot",
    "i am afraid i cant",
    "i can not",
    "i cannot",
    "i cant",
    "i could not",
    "i couldnt",
    "i wont",
    "i will not",
    "im afraid i cannot",
    "im afraid i cant",
    "we cannot",
    "we cant",
];

/// What somebody who refuses does not do.
const DEEDS: &[&str] = &[
    "access",
    "answer",
    "assist",
    "be certain",
    "be sure",
    "comply",
    "confirm",
    "determine",
    "discuss",
    "find",
    "fulfil",
    "fulfill",
    "give you",
    "help with",
    "help you",
    "identify",
    "name",
    "predict",
    "provide",
    "recall",
    "remember the",
    "respond",
    "say",
    "speculate",
    "tell you",
    "verify",
];

/// What comes before a refusal, and is none.
const FILLERS: &[&str] = &[
    "apologies",
    "as a language model",
    "as a large language model",
    "as an ai",
    "as an artificial intelligence",
    "hello",
    "hm",
    "hmm",
    "honestly",
    "i am afraid",
    "i am an ai",
    "i am sorry",
    "i apologise",
    "i apologize",
    "im afraid",
    "im an ai",
    "im just an ai",
    "im sorry",
    "my apologies",
    "sorry",
    "to be honest",
    "unfortunately",
    "well",
];

/// What announces an answer after all.
const GUESSES: &[&str] = &[
    "i believe",
    "i guess",
    "i think",
    "i would guess",
    "i would say",
    "id guess",
    "id say",
    "it could be",
    "it is",
    "it may be",
    "it might be",
    "it was",
    "its",
    "likely",
    "maybe",
    "my best guess",
    "my guess",
    "perhaps",
    "possibly",
    "probably",
    "the answer is",
    "they are",
];

/// Whether an answer does not try: *I don't know*, *unknown*, *N/A*, *I cannot answer that*, *As an
/// AI, I …*. It does if it goes on to guess.
///
/// It is conservative, since a real answer that is taken for none is a mistake in the results:
/// clauses of which most words are in capitals, as titles are, try; so does an empty answer, which
/// is an outcome of its own. English alone is understood.
///
/// ```
/// use commitment_probe::is_not_attempted;
///
/// assert!(is_not_attempted("I'm sorry, but I don't know who wrote Hamlet."));
/// assert!(is_not_attempted("Unknown.") && !is_not_attempted("Unknown Pleasures"));
/// assert!(!is_not_attempted("I Can't Get No Satisfaction"));
/// assert!(!is_not_attempted("I'm not sure, but I think it is Vienna."));
/// ```
pub fn is_not_attempted(answer: &str) -> bool {
    let clauses = clauses(answer);
    let mut clauses = clauses.iter().skip_while(|clause| is_filler(clause));
    let refuses = clauses.next().is_some_and(|clause| is_refusal(clause));
    refuses && !clauses.any(|clause| is_guess(&spelt(clause)))
}

/// The parts of a text between punctuation and before conjunctions that turn it.
fn clauses(text: &str) -> Vec<String> {
    let mut clauses = vec![String::new()];
    for word in text.split_whitespace() {
        let turns = ["but", "however", "although", "though", "so", "and"];
        let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
        if turns.contains(&bare) {
            clauses.push(String::new());
            continue;
        }
        if let Some(clause) = clauses.last_mut() {
            if !clause.is_empty() {
                clause.push(' ');
            }
            clause.push_str(word);
        }
        let ends = [',', '.', ';', ':', '!', '?', '…', '—', '–', '-'];
        if word.trim_end_matches(['"', '”', ')', '*', '\'', '’']).ends_with(ends) {
            clauses.push(String::new());
        }
    }
    clauses.retain(|clause| !spelt(clause).is_empty());
    clauses
}

fn is_guess(clause: &str) -> bool {
    let supposes = [" could be ", " may be ", " might be "].iter().any(|be| clause.contains(be));
    supposes || GUESSES.iter().any(|guess| begins(clause, guess))
}

/// The words of a clause, with single spaces; articles are words, too.
fn spelt(clause: &str) -> String {
    let mut spelt = String::with_capacity(clause.len());
    for token in tokens(clause) {
        if !spelt.is_empty() && token.join != Join::Genitive {
            spelt.push(' ');
        }
        spelt.push_str(&token.text);
    }
    spelt
}

/// Whether a clause begins with these words.
fn begins(clause: &str, words: &str) -> bool {
    clause.strip_prefix(words).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

fn is_filler(clause: &str) -> bool {
    let spelt = spelt(clause);
    !is_title(clause) && !is_refusal(clause) && FILLERS.iter().any(|filler| begins(&spelt, filler))
}

fn is_refusal(clause: &str) -> bool {
    let mut spelt = spelt(clause);
    if NO_ANSWER.contains(&spelt.as_str()) && !(is_title(clause) && begins(&spelt, "i")) {
        return true;
    }
    // Sorry I cannot; unfortunately I do not know; as an AI I cannot.
    for filler in FILLERS.iter().chain(&["that", "model", "assistant", "language model"]) {
        if let Some(rest) = spelt.strip_prefix(filler).and_then(|rest| rest.strip_prefix(' ')) {
            spelt = rest.to_owned();
        }
    }
    let opens = OPENINGS.iter().any(|opening| begins(&spelt, opening));
    let refuses = REFUSALS.iter().filter_map(|refusal| spelt.strip_prefix(refusal)).any(|rest| {
        let rest = rest.trim_start();
        rest.is_empty() || DEEDS.iter().any(|deed| begins(rest, deed))
    });
    (opens || refuses) && !is_title(clause)
}

/// Whether most words after the first have a capital, as in a title. A text without small letters
/// says nothing.
fn is_title(clause: &str) -> bool {
    if !clause.chars().any(char::is_lowercase) || characters(clause).is_empty() {
        return false;
    }
    let words = || clause.split_whitespace().skip(1).filter(|word| !is_first_person(word));
    let capitals = words()
        .filter(|word| word.chars().find(|c| c.is_alphabetic()).is_some_and(char::is_uppercase));
    words().count() > 0 && 2 * capitals.count() > words().count()
}

/// I, I'm, I've and AI have capitals anywhere.
fn is_first_person(word: &str) -> bool {
    let word = word.trim_matches(|c: char| !c.is_alphabetic());
    matches!(word, "I" | "AI" | "A.I") || word.starts_with("I'") || word.starts_with("I’")
}
