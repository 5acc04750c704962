//! Numbers for each row of a batch, such as the place of its map: the checks of their tensors.

use candle_core::{DType, Device, Tensor};

use super::ReduceError;
use super::logits::{room, view_on_host};

/// Fails unless `tensor` is `u32`, of these sizes, of which `None` may be any, and on `device`.
pub(crate) fn check_numbers(
    tensor: &Tensor,
    name: &'static str,
    sizes: &[Option<usize>],
    device: &Device,
) -> Result<(), ReduceError> {
    let dims = tensor.dims();
    let fits = |(&dim, size): (&usize, &Option<usize>)| size.is_none_or(|size| size == dim);
    if dims.len() != sizes.len() || !dims.iter().zip(sizes).all(fits) {
        let size = |size: &Option<usize>| size.map_or("*".to_owned(), |size| size.to_string());
        let sizes: Vec<String> = sizes.iter().map(size).collect();
        let expected = format!("[{}]", sizes.join(", "));
        return Err(ReduceError::RowsShape { tensor: name, expected, got: tensor.shape().clone() });
    }
    if tensor.dtype() != DType::U32 {
        return Err(ReduceError::RowsDType { tensor: name, got: tensor.dtype() });
    }
    if !tensor.device().same_device(device) {
        let (expected, got) = (device.location(), tensor.device().location());
        return Err(ReduceError::RowsDevice { tensor: name, expected, got });
    }
    Ok(())
}

/// The numbers of a tensor that has been [checked](check_numbers), in order, copied to the host.
pub(crate) fn numbers_on_host(tensor: &Tensor) -> Result<Vec<u32>, ReduceError> {
    // A view may repeat its numbers without end, and candle would abort where they do not fit.
    let dims = tensor.dims();
    room::<u32>(dims.iter().fold(1, |len, &dim| len.saturating_mul(dim)), 1)?;
    Ok(view_on_host(&tensor.flatten_all()?)?.to_vec1()?)
}
