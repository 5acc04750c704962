use candle_core::Tensor;

use super::backend::Found;
use super::{BadRow, Decision, ReduceError, Row};

/// What [`DeviceMap::reduce`](crate::DeviceMap::reduce) found: a [`Row`] for each row of logits,
/// still on the device.
///
/// ```
/// # use candle_core::{Device, Tensor};
/// # use concept_mass::ConceptMap;
/// # let device = Device::Cpu;
/// # let map = ConceptMap::singletons(3)?.to_device(&device)?;
/// let reduction = map.reduce(&Tensor::new(&[[0f32, 1., 0.], [3., 1., 0.]], &device)?)?;
/// assert_eq!(reduction.len(), 2);
/// assert_eq!(reduction.tokens()?.to_vec1::<u32>()?, [1, 0]);
/// assert!(reduction.rows()?.iter().all(|row| row.is_ok()));
/// # Ok::<(), concept_mass::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Reduction(pub(super) Found<Row>);

/// What [`DeviceMap::decide`](crate::DeviceMap::decide) found: a [`Decision`] for each row of
/// logits, still on the device.
///
/// ```
/// # use candle_core::{Device, Tensor};
/// # use concept_mass::{ConceptMap, reduce::NO_TOKEN};
/// # let device = Device::Cpu;
/// # let map = ConceptMap::singletons(2)?.to_device(&device)?;
/// let decisions = map.decide(&Tensor::new(&[[0f32, 1.], [0., f32::NAN]], &device)?)?;
/// assert_eq!(decisions.tokens()?.to_vec1::<u32>()?, [1, NO_TOKEN]);
/// let rows = decisions.rows()?;
/// assert_eq!(rows[0]?.representative, 1);
/// assert!(rows[1].is_err());
/// # Ok::<(), concept_mass::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Decisions(pub(super) Found<Decision>);

impl Reduction {
    /// The rows, copied to the host, which waits for them; an error for each row that has no
    /// winner. Any thread may ask: [`threads`](crate::reduce::threads).
    ///
    /// # Errors
    ///
    /// [`ReduceError::Candle`].
    pub fn rows(&self) -> Result<Vec<Result<Row, BadRow>>, ReduceError> {
        self.0.rows()
    }
}

impl Decisions {
    /// The decisions, copied to the host, which waits for them; an error for each row that has no
    /// winner. Any thread may ask: [`threads`](crate::reduce::threads).
    ///
    /// # Errors
    ///
    /// [`ReduceError::Candle`].
    pub fn rows(&self) -> Result<Vec<Result<Decision, BadRow>>, ReduceError> {
        self.0.rows()
    }
}

/// What both have.
macro_rules! batch {
    ($($batch:ident)*) => {$(
        impl $batch {
            /// `B`: the number of rows; 1 for logits `[V]`.
            pub fn len(&self) -> usize {
                self.0.len()
            }

            /// Whether there are no rows.
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// The tokens to emit, `u32` `[B]`, on the device of the logits; nothing waits for
            /// them. A row without a winner has [`NO_TOKEN`](crate::reduce::NO_TOKEN). The tensor
            /// is candle's, and on the stream of the thread that asks:
            /// [`threads`](crate::reduce::threads). On CUDA it is a view of the whole result,
            /// which candle copies if the tokens are copied to the host: to read everything there,
            /// `rows` is cheaper.
            ///
            /// # Errors
            ///
            /// [`ReduceError::Candle`].
            pub fn tokens(&self) -> Result<Tensor, ReduceError> {
                self.0.tokens()
            }
        }
    )*};
}

batch! { Reduction Decisions }
