use std::{fmt, path::PathBuf};

use crate::map::MapError;
use crate::phrase::PhraseError;
use crate::reduce::{BadRow, ReduceError};
use crate::sample::SampleError;
use crate::source::SourceError;

/// `Result` with this crate's [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The sum of the modules' errors, for callers who do not tell the modules apart.
///
/// Every function returns the error of its own module, and each of these converts into this one.
/// They all convert into [`candle_core::Error`] too, so that `?` works inside a candle model or
/// loop; such an error has no source, so its text includes the causes.
///
/// An error says what was wrong, with which value, and what to do. The cause is in
/// [`source`](std::error::Error::source) and is not repeated in the error's own text: print the
/// whole chain, as `anyhow` and `eyre` do.
///
/// ```
/// use concept_mass::{ConceptMap, map::MapError};
///
/// let error = ConceptMap::builder(10).concept("too far", [3, 10]).unwrap_err();
/// assert!(matches!(error, MapError::TokenOutOfRange { token: 10, vocab_size: 10, .. }));
/// println!("{error}");
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An error of [`map`](crate::map).
    #[error(transparent)]
    Map(#[from] MapError),
    /// An error of [`source`](crate::source).
    #[error(transparent)]
    Source(#[from] SourceError),
    /// An error of [`reduce`](mod@crate::reduce).
    #[error(transparent)]
    Reduce(#[from] ReduceError),
    /// An error of [`sample`](mod@crate::sample).
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// An error of [`phrase`](crate::phrase).
    #[error(transparent)]
    Phrase(#[from] PhraseError),
    /// An error of candle.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

impl From<Error> for candle_core::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Map(error) => error.into(),
            Error::Source(error) => error.into(),
            Error::Reduce(error) => error.into(),
            Error::Sample(error) => error.into(),
            Error::Phrase(error) => error.into(),
            Error::Candle(error) => error,
        }
    }
}

/// An error with its causes, for where only the text is kept.
struct WithCauses<E>(E);

impl<E: std::error::Error> fmt::Display for WithCauses<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// Lets `?` turn errors into candle's; an error that wraps one of candle's becomes that again.
macro_rules! into_candle {
    ($($error:ident { $($wraps:ident),* })*) => {$(
        impl From<$error> for candle_core::Error {
            fn from(error: $error) -> Self {
                match error {
                    $($error::$wraps(error) => error.into(),)*
                    error => Self::wrap(WithCauses(error)),
                }
            }
        }
    )*};
}

into_candle! {
    MapError { }
    SourceError { Map, Candle }
    ReduceError { Map, Candle }
    SampleError { Source, Reduce, Candle }
    PhraseError { Map, Source, Reduce, Candle }
}

/// A file within a sentence, or what it is if there is none.
pub(crate) fn file_or(path: &Option<PathBuf>, text: &str) -> String {
    path.as_ref().map_or_else(|| text.to_owned(), |path| path.display().to_string())
}

/// Lets `?` work on a [`BadRow`] wherever it works on a [`ReduceError`].
macro_rules! from_bad_row {
    ($($error:ty)*) => {$(
        impl From<BadRow> for $error {
            fn from(error: BadRow) -> Self {
                ReduceError::from(error).into()
            }
        }
    )*};
}

from_bad_row! { Error SampleError PhraseError candle_core::Error }

/// The first few of `things`, described.
pub(crate) fn listed<T>(things: &[T], describe: impl Fn(&T) -> String) -> String {
    const FEW: usize = 4;
    let few: Vec<_> = things.iter().take(FEW).map(describe).collect();
    match things.len().saturating_sub(FEW) {
        0 => few.join(", "),
        more => format!("{}, and {more} more", few.join(", ")),
    }
}
