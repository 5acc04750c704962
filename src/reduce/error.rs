use candle_core::{DType, DeviceLocation, Shape};

use super::BadRow;

/// Why logits cannot be reduced.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReduceError {
    /// Logits of a rank other than 1 or 2.
    #[error("logits must have shape [V] or [B, V], got {shape:?}; select the last position first")]
    LogitsRank {
        /// The shape of the tensor given.
        shape: Shape,
    },

    /// Logits for a vocabulary of another size than that of the map or the token sets.
    #[error(
        "logits have {got} columns, but the map or the token sets are for a vocabulary of \
         {expected} tokens; build them for the width of the model's output, padding included"
    )]
    LogitsWidth {
        /// The vocabulary size of the map or the token sets.
        expected: usize,
        /// The logits' last dimension.
        got: usize,
    },

    /// More rows than any device can be given, or a result that does not fit into memory; a view
    /// may have any number of rows, since it takes none.
    #[error(
        "{rows} rows of {width} numbers do not fit into memory; give fewer rows at a time, at most \
         {}",
        u32::MAX
    )]
    TooLarge {
        /// The rows of the logits.
        rows: usize,
        /// The numbers that a row of the result has.
        width: usize,
    },

    /// Logits of a dtype that is not reduced.
    #[error("logits of dtype {got:?} are not supported: convert to F32, F16 or BF16 first")]
    LogitsDType {
        /// The dtype of the tensor given.
        got: DType,
    },

    /// Logits on another device than the map; equal places are two candle devices of one GPU.
    #[error("{}", elsewhere("logits are", *got, *expected, "call to_device(logits.device()) on the map, once"))]
    LogitsDevice {
        /// Where the map is.
        expected: DeviceLocation,
        /// Where the logits are.
        got: DeviceLocation,
    },

    /// A GPU that is older than those for which there are kernels.
    #[error(
        "the GPU {device:?} has compute capability {}.{}, and the kernels need {}.{} or later; \
         use a newer GPU, or the CPU",
        found.0, found.1, needed.0, needed.1
    )]
    DeviceTooOld {
        /// The device.
        device: DeviceLocation,
        /// Its compute capability: major, minor.
        found: (u32, u32),
        /// The oldest compute capability that has kernels.
        needed: (u32, u32),
    },

    /// A driver that is older than the compiler of the kernels, and cannot load them for this GPU.
    #[error(
        "the driver of {device:?} is for CUDA {}.{}, and the kernels were compiled with CUDA \
         {}.{}: install a driver for that version or later, or build with an older nvcc",
        found.0, found.1, needed.0, needed.1
    )]
    DriverTooOld {
        /// The device.
        device: DeviceLocation,
        /// The version of CUDA that the driver is for: major, minor.
        found: (u32, u32),
        /// The version of CUDA that it should be for.
        needed: (u32, u32),
    },

    /// A CUDA device did not do what it was asked to.
    ///
    /// After a fault in any kernel, this crate's or another's, every call on the device fails.
    #[error(
        "{device:?} failed to {action}: if its memory ran out, free some; after any other fault, \
         start the process anew"
    )]
    DeviceFailed {
        /// The device.
        device: DeviceLocation,
        /// What was asked of it.
        action: &'static str,
        /// What the driver says.
        source: Box<candle_core::Error>,
    },

    /// Something that cannot be part of a CUDA graph, on a stream that is being captured.
    #[error(
        "the stream of {device:?} is being captured, and a graph cannot {action}: do it before or after"
    )]
    Captured {
        /// The device.
        device: DeviceLocation,
        /// What was asked for.
        action: &'static str,
    },

    /// Noise on another device than the map; equal places are two candle devices of one GPU.
    #[error("{}", elsewhere("the noise is", *got, *expected, "make the noise with Noise::new(seed, map.device())"))]
    NoiseDevice {
        /// Where the map is.
        expected: DeviceLocation,
        /// Where the noise is.
        got: DeviceLocation,
    },

    /// A row of logits that has no winner.
    #[error(transparent)]
    BadRow(#[from] BadRow),

    /// A temperature that masses cannot be sharpened by.
    #[error(
        "temperature = {value} is out of range: it must be above 0 and finite; for the likeliest \
         concept, use ArgMax, or decide"
    )]
    Temperature {
        /// The temperature.
        value: f64,
    },

    /// A set that is to hold more maps than one can.
    #[error("a set of at most {capacity} maps is too large: a set has room for {max} or fewer")]
    MapSetCapacity {
        /// The number of maps asked for.
        capacity: usize,
        /// The most that there may be.
        max: usize,
    },

    /// A set that holds as many maps as it has room for.
    #[error("the set holds {capacity} maps, which is all it has room for: remove one first")]
    MapSetFull {
        /// The number of maps.
        capacity: usize,
    },

    /// A map for a vocabulary of another size than that of the set.
    #[error(
        "the map is for a vocabulary of {got} tokens, and the set's maps are for one of {expected}; \
         build it for the width of the model's output, padding included"
    )]
    MapSetVocabulary {
        /// The vocabulary size of the set.
        expected: usize,
        /// That of the map.
        got: usize,
    },

    /// The id of a map that is no longer in the set, or is another set's.
    #[error(
        "the set holds no map of this id at place {place}: it was removed, or the id is another \
         set's; insert the map, and use the id that insert gives"
    )]
    NoSuchMap {
        /// The place that the id names.
        place: u32,
    },

    /// A tensor of numbers for each row that has another shape than the rows need.
    #[error("{tensor} must have shape {expected} beside these logits, got {got:?}")]
    RowsShape {
        /// What the tensor is for.
        tensor: &'static str,
        /// The shape that it must have, with `*` for any size.
        expected: String,
        /// Its shape.
        got: Shape,
    },

    /// A tensor of numbers for each row that are not `u32`.
    #[error("{tensor} must be of dtype U32, got {got:?}")]
    RowsDType {
        /// What the tensor is for.
        tensor: &'static str,
        /// Its dtype.
        got: DType,
    },

    /// A tensor of numbers for each row on another device than the maps; equal places are two candle
    /// devices of one GPU.
    #[error(
        "{tensor} is on {got:?}, but the maps are on {expected:?}, and must be on one Device with them"
    )]
    RowsDevice {
        /// What the tensor is for.
        tensor: &'static str,
        /// Where the maps are.
        expected: DeviceLocation,
        /// Where the tensor is.
        got: DeviceLocation,
    },

    /// A vocabulary that cannot be.
    #[error(transparent)]
    Map(#[from] crate::map::MapError),

    /// An error of candle.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

/// Says that something is not where the map is, and what to do.
fn elsewhere(what: &str, got: DeviceLocation, expected: DeviceLocation, remedy: &str) -> String {
    if got == expected {
        return format!(
            "{what} on another candle device of {got:?} than the map, and two of them share no \
             tensors; make one Device for the GPU, and clone it"
        );
    }
    format!("{what} on {got:?}, but the map is on {expected:?}; {remedy}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_candle_devices_of_one_gpu_are_not_told_to_move_to_where_they_are() {
        let (expected, cpu) = (DeviceLocation::Cuda { gpu_id: 0 }, DeviceLocation::Cpu);
        for got in [expected, cpu] {
            let logits = ReduceError::LogitsDevice { expected, got }.to_string();
            let noise = ReduceError::NoiseDevice { expected, got }.to_string();
            for (text, remedy) in [(logits, "call to_device"), (noise, "Noise::new")] {
                let (same, other) = (text.contains("clone it"), text.contains(remedy));
                assert_eq!((same, other), (got == expected, got != expected), "{text}");
            }
        }
    }
}
