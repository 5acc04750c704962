//! What a parameter may be; it is refused where it is given.

use crate::sample::SampleError;

/// Refuses a number of 0.
pub(super) fn at_least_1(parameter: &'static str, k: usize) -> Result<(), SampleError> {
    let requirement = "it must be at least 1, or nothing is left to choose from";
    if k > 0 { Ok(()) } else { Err(refuse(parameter, 0.0, requirement)) }
}

/// Refuses what is not above 0, or not finite.
pub(super) fn above_0(parameter: &'static str, value: f64) -> Result<(), SampleError> {
    let is_fit = value > 0.0 && value.is_finite();
    if is_fit { Ok(()) } else { Err(refuse(parameter, value, "it must be above 0 and finite")) }
}

/// Refuses what is below 0, or not finite.
pub(super) fn at_least_0(parameter: &'static str, value: f64) -> Result<(), SampleError> {
    let is_fit = value >= 0.0 && value.is_finite();
    if is_fit { Ok(()) } else { Err(refuse(parameter, value, "it must be at least 0 and finite")) }
}

/// Refuses what is not finite.
pub(super) fn finite(parameter: &'static str, value: f64) -> Result<(), SampleError> {
    if value.is_finite() { Ok(()) } else { Err(refuse(parameter, value, "it must be finite")) }
}

/// Refuses NaN and `+inf`.
pub(super) fn below_inf(parameter: &'static str, value: f64) -> Result<(), SampleError> {
    let is_fit = value < f64::INFINITY;
    if is_fit { Ok(()) } else { Err(refuse(parameter, value, "it must be finite, or -inf")) }
}

/// Refuses what is not from 0 to 1.
pub(super) fn share(parameter: &'static str, value: f64) -> Result<(), SampleError> {
    let is_fit = (0.0..=1.0).contains(&value);
    if is_fit { Ok(()) } else { Err(refuse(parameter, value, "it must be from 0 to 1")) }
}

/// The error of a parameter that is out of range.
pub(super) fn refuse(
    parameter: &'static str,
    value: f64,
    requirement: &'static str,
) -> SampleError {
    SampleError::Parameter { parameter, value, requirement }
}
