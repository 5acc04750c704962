//! The layouts that are known: one table, for the documentation and for errors.

use std::fmt;

/// Makes the enumeration, its names, and the table of its documentation.
macro_rules! layouts {
    ($($layout:ident, $name:literal, $row:literal;)*) => {
        /// The layout of a data set of questions, by which its rows are read.
        ///
        /// A row is recognised by its fields, whatever else it has. Names are compared without
        /// regard to case and underscores: `QuestionId` is `question_id`.
        ///
        /// | layout | a row |
        /// | --- | --- |
        #[doc = concat!($("| ", $name, " | ", $row, " |\n"),*)]
        ///
        /// ```
        /// use commitment_probe::Layout;
        ///
        /// assert_eq!(Layout::PopQa.to_string(), "PopQA");
        /// assert!(Layout::ALL.contains(&Layout::PopQa));
        /// ```
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Layout {
            $(#[doc = $row] $layout,)*
        }

        impl Layout {
            /// All layouts, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$layout),*];

            /// Its name: that of the data set that has it first or foremost.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$layout => $name,)*
                }
            }

            /// The fields of its rows that are read.
            pub const fn row(self) -> &'static str {
                match self {
                    $(Self::$layout => $row,)*
                }
            }
        }
    };
}

layouts! {
    Own, "our own", "`{\"id\", \"question\", \"answers\": [forms…], \"others\": {name: [forms…], …}, \"group\", \"normalised\": [forms…]}`; only `question` and `answers` must be there";
    TriviaQa, "TriviaQA", "`{\"question_id\", \"question\", \"answer\": {\"value\", \"aliases\", \"normalized_aliases\", …}}`, by itself or in the list `Data`";
    NqOpen, "NQ-open", "`{\"question\", \"answer\": [forms…]}`; `answer` may be a text, as in HotpotQA";
    NaturalQuestions, "Natural Questions", "`{\"example_id\", \"question_text\", \"document_text\" or \"document_tokens\", \"annotations\"}`, or the Hub's `{\"id\", \"question\": {\"text\"}, \"annotations\": {\"short_answers\"}}`; those without a short answer are skipped";
    PopQa, "PopQA", "`{\"id\", \"question\", \"possible_answers\"}`; these are a list, or a text that is a JSON list";
    SimpleQa, "SimpleQA", "`{\"problem\", \"answer\"}`";
    WebQuestions, "WebQuestions", "`{\"utterance\", \"targetValue\": \"(list (description …) …)\"}`, or the Hub's `{\"url\", \"question\", \"answers\": [forms…]}`";
    Squad, "SQuAD", "`{\"id\", \"question\", \"answers\": [{\"text\"}, …]}`, in `data`, `paragraphs` and `qas`, or the Hub's `{\"id\", \"question\", \"answers\": {\"text\": [forms…]}}`; what is impossible to answer is skipped";
    Kilt, "KILT", "`{\"id\", \"input\", \"output\": [{\"answer\"}, …]}`";
    EntityQuestions, "EntityQuestions", "`{\"question\", \"answers\": [forms…]}`, without an id";
    Dpr, "DPR", "without a header, a question, a tab and a list of answers";
}

impl Layout {
    /// All names, as a sentence has them, and what their rows may stand in.
    pub(super) fn names() -> String {
        let names: Vec<_> = Self::ALL.iter().map(|layout| layout.name()).collect();
        format!(
            "{}, as JSON (lines, or an array), CSV, TSV or Parquet, or in rows exported by the \
             Hugging Face viewer or in samples of lm-evaluation-harness",
            names.join(", ")
        )
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
