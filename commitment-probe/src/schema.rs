use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The version of the layout of a run's files and of `report.json`: the number
/// [`VERSION`](Self::VERSION). Nothing else is read.
///
/// ```
/// use commitment_probe::Report;
///
/// let error = serde_json::from_str::<Report>(r#"{"schema": 7, "runs": []}"#).unwrap_err();
/// assert!(error.to_string().starts_with("it has schema 7, and this version of commitment-probe"));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Schema;

impl Schema {
    /// The version that is written and read.
    pub const VERSION: u32 = 3;
}

impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Self::VERSION.fmt(f)
    }
}

impl Serialize for Schema {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(Self::VERSION)
    }
}

impl<'de> Deserialize<'de> for Schema {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // As an option, so that a field that is missing comes here as well.
        let found = Option::<serde_json::Value>::deserialize(deserializer)?;
        if found.as_ref().and_then(serde_json::Value::as_u64) == Some(Self::VERSION.into()) {
            return Ok(Self);
        }
        let found = found.map_or("no schema version".to_owned(), |found| format!("schema {found}"));
        Err(de::Error::custom(format_args!(
            "it has {found}, and this version of commitment-probe reads schema {}; use the \
             version that wrote it, or measure again into another folder",
            Self::VERSION
        )))
    }
}
