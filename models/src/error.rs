use std::{error::Error, fmt};

/// Why a model could not be loaded.
///
/// Its text names the file and says what the file must be; the cause is in
/// [`source`](Error::source), and is not repeated.
///
/// ```
/// use std::{error::Error, path::Path};
/// use candle_core::Device;
///
/// let error = concept_mass_models::load(Path::new("nowhere"), None, &Device::Cpu, None).unwrap_err();
/// assert!(error.to_string().contains("config.json"));
/// assert!(error.source().is_some()); // no such file
/// ```
pub struct LoadError(anyhow::Error);

impl LoadError {
    // No `From`, which would make `anyhow` a part of the public API.
    pub(crate) fn new(error: anyhow::Error) -> Self {
        Self(error)
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Error for LoadError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}
