//! Texts that end an answer.

/// Texts that end an answer: it is cut before the first of them.
///
/// A stop is looked for in the text of an answer, not among its tokens, since a token may have more
/// in it than the stop: ` Paris,` ends at its comma, and `.\n\n` is a full stop with something after
/// it. So, while an answer is generated, all its tokens are decoded after each, and [`cut`](Self::cut)
/// says whether the last of them has brought a stop; it is too late only for the end of that token,
/// which is cut off.
///
/// White space is not removed first: a line break that is a stop, and comes first, leaves nothing.
///
/// ```
/// use commitment_probe::Stops;
///
/// let stops = Stops::new(["\n", ".", ","]);
/// assert_eq!(stops.cut(" Paris, the"), (" Paris", true));
/// assert_eq!(stops.cut(" Paris"), (" Paris", false));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stops(Vec<String>);

impl Stops {
    /// Stops, in any order. An empty text is none, for it would be found everywhere.
    ///
    /// ```
    /// use commitment_probe::Stops;
    ///
    /// assert!(Stops::new([""]).is_empty());
    /// ```
    pub fn new(stops: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self(stops.into_iter().map(Into::into).filter(|stop: &String| !stop.is_empty()).collect())
    }

    /// Whether there is none.
    ///
    /// ```
    /// use commitment_probe::Stops;
    ///
    /// assert!(Stops::default().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The texts, in their order; none is empty.
    ///
    /// ```
    /// use commitment_probe::Stops;
    ///
    /// assert_eq!(Stops::new([";", ""]).texts(), [";"]);
    /// ```
    pub fn texts(&self) -> &[String] {
        &self.0
    }

    /// `text` up to the first stop, and whether there is one.
    ///
    /// Of two stops that overlap, the one that begins first counts. Takes time proportional to the
    /// length of the text times the number of stops.
    ///
    /// ```
    /// use commitment_probe::Stops;
    ///
    /// let stops = Stops::new(["Q:", "\n\n"]);
    /// assert_eq!(stops.cut(" Paris\nQ: London\n\n"), (" Paris\n", true));
    /// assert_eq!(stops.cut("Q: Paris"), ("", true));
    /// ```
    pub fn cut<'a>(&self, text: &'a str) -> (&'a str, bool) {
        match self.0.iter().filter_map(|stop| text.find(stop.as_str())).min() {
            Some(at) => (&text[..at], true),
            None => (text, false),
        }
    }

    /// The answer that `text` gives: up to the first stop, without the white space around it, to
    /// which the four separators of ASCII count, as in Python.
    ///
    /// ```
    /// use commitment_probe::Stops;
    ///
    /// assert_eq!(Stops::new(["\n"]).answer(" Paris \nQ:"), "Paris");
    /// ```
    pub fn answer<'a>(&self, text: &'a str) -> &'a str {
        let is_space = |c: char| c.is_whitespace() || matches!(c, '\x1C'..='\x1F');
        self.cut(text).0.trim_matches(is_space)
    }
}

#[cfg(test)]
mod tests {
    use super::Stops;

    #[test]
    fn the_first_of_any_cuts() {
        let stops = Stops::new(["\n", ".", ",", "日本", "ab"]);
        for (text, cut) in [
            (" Paris.\n\nQ: ", " Paris"),
            (" Paris,", " Paris"),
            ("\nParis", ""),
            (" 東京、日本", " 東京、"),
            (" a b ab", " a b "),
        ] {
            assert_eq!(stops.cut(text), (cut, true), "{text:?}");
        }
        for text in ["", " ", " Paris", "日", "a"] {
            assert_eq!(stops.cut(text), (text, false));
        }
    }

    #[test]
    fn the_order_of_stops_makes_no_difference() {
        for stops in [["b", "ab"], ["ab", "b"]] {
            assert_eq!(Stops::new(stops).cut("xab"), ("x", true));
        }
    }

    #[test]
    fn an_empty_stop_is_none() {
        assert_eq!(Stops::new([""]).cut("a"), ("a", false));
        assert_eq!(Stops::default().cut("a"), ("a", false));
    }

    /// As generation does: the text of the tokens so far, after each.
    #[test]
    fn a_stop_within_a_token_and_over_several() {
        for (tokens, stop, said, cut) in [
            (&[" Par", "is", ".\n\n", "Q"][..], ".", 3, " Paris"),
            (&[" Paris", "\n", "\n", "Q"], "\n\n", 3, " Paris"),
            (&[" Par", "is, the", " city"], ",", 2, " Paris"),
        ] {
            let stops = Stops::new([stop]);
            let is_done = |n: &usize| stops.cut(&tokens[..*n].concat()).1;
            assert_eq!((1..=tokens.len()).find(is_done), Some(said));
            assert_eq!(stops.cut(&tokens[..said].concat()).0, cut);
        }
    }
}
