//! What results are keyed by. A new decoder, detector or outcome is a variant here, and an arm
//! where it is computed; files, tables and plots follow.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An enum whose variants are the keys of a collection: named in `snake_case` in files, labelled
/// in reports, and listed in [`ALL`](Decoder::ALL).
macro_rules! keys {
    ($(#[$meta:meta])* pub enum $Key:ident {
        $($(#[$doc:meta])* $Variant:ident => $label:literal,)*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum $Key {
            $($(#[$doc])* $Variant,)*
        }

        impl $Key {
            /// All of them, in the order in which reports show them.
            pub const ALL: &'static [Self] = &[$(Self::$Variant),*];
        }

        /// The label in reports.
        impl fmt::Display for $Key {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self {
                    $(Self::$Variant => $label,)*
                })
            }
        }
    };
}

keys! {
    /// A way of choosing an answer.
    ///
    /// ```
    /// use commitment_probe::Decoder;
    ///
    /// assert_eq!(serde_json::to_string(&Decoder::Spelling)?, r#""spelling""#);
    /// assert_eq!(Decoder::Phrases.to_string(), "whole phrases");
    /// assert!(Decoder::Phrases.knows_the_answer() && !Decoder::Spelling.knows_the_answer());
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub enum Decoder {
        /// The likeliest token at each step: what all others are compared with.
        Greedy => "tokens",
        /// The likeliest concept at the first step, where tokens that spell one word are a concept.
        Spelling => "spelling",
        /// The same, where the likeliest tokens are pooled by the model's own embedding.
        Embedding => "embedding",
        /// The same, where the tokens that begin a form of one known answer are a concept.
        Aliases => "aliases",
        /// The likeliest whole answer, among the known ones and the greedy one.
        Phrases => "whole phrases",
    }
}

impl Decoder {
    /// Whether it uses the acceptable forms of the answer. Then it bounds what counting meanings
    /// can gain, and cannot be used on a question whose answer is unknown.
    pub fn knows_the_answer(self) -> bool {
        matches!(self, Self::Aliases | Self::Phrases)
    }

    /// All but [`Greedy`](Self::Greedy).
    pub fn others() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(|&decoder| decoder != Self::Greedy)
    }
}

keys! {
    /// A score that should be higher for wrong answers than for right ones.
    ///
    /// ```
    /// use commitment_probe::Detector;
    ///
    /// assert!(Detector::ConceptEntropyAliases.knows_the_answer());
    /// assert_eq!(serde_json::to_string(&Detector::TokenEntropy)?, r#""token_entropy""#);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub enum Detector {
        /// The probability of the greedy token, negated.
        MaxProbability => "max probability",
        /// How far the second token is behind the greedy one, negated.
        Margin => "margin",
        /// The entropy over the first tokens.
        TokenEntropy => "token entropy",
        /// The entropy over concepts by spelling.
        ConceptEntropySpelling => "concept entropy (spelling)",
        /// The entropy over concepts by embedding.
        ConceptEntropyEmbedding => "concept entropy (embedding)",
        /// The entropy over concepts by aliases.
        ConceptEntropyAliases => "concept entropy (aliases)",
        /// The log-probability of the whole greedy answer, negated.
        Sequence => "sequence",
        /// The same, divided by the number of its tokens.
        SequencePerToken => "sequence, per token",
        /// The probability that the model gives to its own answer being true, negated (Kadavath et
        /// al., 2022).
        PTrue => "P(True)",
        /// The entropy over clusters of sampled answers that a judge of entailment makes.
        SemanticEntropy => "semantic entropy",
        /// The entropy over clusters of sampled answers that contain the same form, or are equal.
        LexicalClusterEntropy => "lexical-cluster entropy",
        /// The P-mass of the right concept, negated: the oracle.
        PMass => "P-mass",
    }
}

impl Detector {
    /// Whether it uses the acceptable forms of the answer.
    pub fn knows_the_answer(self) -> bool {
        matches!(self, Self::ConceptEntropyAliases | Self::LexicalClusterEntropy | Self::PMass)
    }
}

keys! {
    /// What is said of a greedy answer; each has exactly one. They are tried in this order.
    ///
    /// ```
    /// use commitment_probe::Verdict;
    ///
    /// assert!(Verdict::Wrong.is_counted() && !Verdict::NotAttempted.is_counted());
    /// assert_eq!(serde_json::to_string(&Verdict::NotAttempted)?, r#""not_attempted""#);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub enum Verdict {
        /// No form can begin an answer after the prompt: there is no P-mass.
        Unmeasured => "unmeasured",
        /// The scorer accepts it.
        Right => "right",
        /// It has no visible character.
        Empty => "empty",
        /// It declines to answer.
        NotAttempted => "not attempted",
        /// It has as many tokens as it may, and did not end.
        Cut => "cut at the limit",
        /// Any other: a hallucination.
        Wrong => "wrong",
    }
}

impl Verdict {
    /// Whether it is in the populations of the measures: right or wrong.
    pub fn is_counted(self) -> bool {
        matches!(self, Self::Right | Self::Wrong)
    }
}

keys! {
    /// What there is to see in an answer that is not right; each has exactly one. They are tried in
    /// this order, after the verdicts of [`Unmeasured`](Kind::Unmeasured),
    /// [`Empty`](Kind::Empty), [`NotAttempted`](Kind::NotAttempted) and [`Cut`](Kind::Cut), which are
    /// those of [`Verdict`]; the others are of wrong answers.
    ///
    /// ```
    /// use commitment_probe::Kind;
    ///
    /// assert_eq!(Kind::BeginsRight.to_string(), "winner begins the right answer");
    /// assert_eq!(serde_json::to_string(&Kind::StrictFailure)?, r#""strict_failure""#);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub enum Kind {
        /// The P-mass is τ or more, and the winner is not the right concept's own.
        StrictFailure => "strict failure",
        /// The P-mass is τ or more; the winner is the right concept's own and says something.
        BeginsRight => "winner begins the right answer",
        /// The winner at the informative step is right: the P-mass is below τ, or what came before
        /// it says nothing.
        GoesWrongLater => "goes wrong later",
        /// The winner says nothing, and what comes after it is not right.
        Uninformative => "winner says nothing",
        /// Any other wrong answer.
        OtherWrong => "other wrong answer",
        /// It declines to answer.
        NotAttempted => "not attempted",
        /// It has as many tokens as it may, and did not end.
        Cut => "cut at the limit",
        /// It has no visible character.
        Empty => "empty",
        /// No form can begin an answer after the prompt.
        Unmeasured => "unmeasured",
    }
}

keys! {
    /// What became of a greedy answer that is right or wrong. Outcomes may contain each other; those
    /// of [`PARTS`](Outcome::PARTS) do not.
    ///
    /// ```
    /// use commitment_probe::Outcome;
    ///
    /// assert_eq!(Outcome::Right.to_string(), "Right answers");
    /// assert!(Outcome::StrictFailure.is_wrong());
    /// ```
    pub enum Outcome {
        /// Every answer that is right or wrong.
        All => "All answers",
        /// A wrong answer.
        Hallucination => "Hallucinations",
        /// A hallucination although the P-mass of the right concept is τ or more.
        CommitmentFailure => "Commitment failures",
        /// A commitment failure whose first token is not the right concept's own.
        StrictFailure => "Strict failures",
        /// A hallucination that is no commitment failure.
        OtherHallucination => "Other hallucinations",
        /// A right answer.
        Right => "Right answers",
    }
}

impl Outcome {
    /// Those of which each answer has exactly one.
    pub const PARTS: &'static [Self] =
        &[Self::CommitmentFailure, Self::OtherHallucination, Self::Right];

    /// Whether no right answer is among them.
    pub fn is_wrong(self) -> bool {
        !matches!(self, Self::All | Self::Right)
    }
}
