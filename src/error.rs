use crate::map::MapError;
use crate::phrase::PhraseError;
use crate::reduce::{BadRow, ReduceError};
use crate::sample::SampleError;
use crate::source::SourceError;

/// `Result` with this crate's [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong, by the module in which it does; for callers who need not tell the
/// modules apart.
///
/// Every function returns its own module's error. These, and this one, convert into
/// [`candle_core::Error`], so that `?` works inside a candle model or loop.
///
/// An error says what was wrong, with which value, and what to do about it. What caused it is in
/// [`source`](std::error::Error::source), and not repeated in its own text.
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
    /// A map or token sets.
    #[error(transparent)]
    Map(#[from] MapError),
    /// A source of maps.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Operations on logits.
    #[error(transparent)]
    Reduce(#[from] ReduceError),
    /// The sampler.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// Phrases.
    #[error(transparent)]
    Phrase(#[from] PhraseError),
    /// candle.
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

impl From<MapError> for candle_core::Error {
    fn from(error: MapError) -> Self {
        Self::wrap(error)
    }
}

/// Lets `?` turn errors into candle's; one that was candle's all along is itself again.
macro_rules! into_candle {
    ($($error:ident { $($wraps:ident),* })*) => {$(
        impl From<$error> for candle_core::Error {
            fn from(error: $error) -> Self {
                match error {
                    $($error::$wraps(error) => error.into(),)*
                    error => Self::wrap(error),
                }
            }
        }
    )*};
}

into_candle! {
    SourceError { Map, Candle }
    ReduceError { Candle }
    SampleError { Source, Reduce, Candle }
    PhraseError { Map, Source, Reduce, Candle }
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
