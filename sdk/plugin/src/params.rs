use crate::PluginError;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeBounds;

/// A parameter's value.
#[derive(Debug, Clone, PartialEq)]
pub enum ParamValue {
    /// A whole number.
    Integer(i64),
    /// A number.
    Number(f64),
    /// A text.
    Text(String),
    /// Yes or no.
    Flag(bool),
}

impl ParamValue {
    fn kind(&self) -> &'static str {
        match self {
            Self::Integer(_) => "an integer",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::Flag(_) => "a flag",
        }
    }
}

impl From<i64> for ParamValue {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<f64> for ParamValue {
    fn from(value: f64) -> Self {
        Self::Number(value)
    }
}

impl From<&str> for ParamValue {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<bool> for ParamValue {
    fn from(value: bool) -> Self {
        Self::Flag(value)
    }
}

/// The parameters an instance starts with. The host fills in the manifest's defaults and checks its bounds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Params(BTreeMap<String, ParamValue>);

impl Params {
    /// No parameters.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a parameter, or replaces it.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<ParamValue>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    /// All parameters by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &ParamValue)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// An integer.
    ///
    /// # Errors
    /// `InvalidInput` when it is missing or of another type.
    pub fn integer(&self, name: &str) -> Result<i64, PluginError> {
        match self.get(name)? {
            ParamValue::Integer(value) => Ok(*value),
            other => Err(wrong_type(name, "an integer", other)),
        }
    }

    /// An integer inside bounds, such as `1..=100`, as the type asked for.
    ///
    /// # Errors
    /// `InvalidInput` when it is missing, of another type, outside the bounds or too large for the type.
    pub fn integer_in<T>(&self, name: &str, bounds: impl RangeBounds<i64> + std::fmt::Debug) -> Result<T, PluginError>
    where
        T: TryFrom<i64>,
    {
        let value = self.integer(name)?;
        T::try_from(value).ok().filter(|_| bounds.contains(&value)).ok_or_else(|| out_of_bounds(name, value, &bounds))
    }

    /// A number; an integer counts as one.
    ///
    /// # Errors
    /// `InvalidInput` when it is missing, of another type or NaN.
    pub fn number(&self, name: &str) -> Result<f64, PluginError> {
        match self.get(name)? {
            ParamValue::Number(value) if value.is_nan() => {
                Err(PluginError::InvalidInput(format!("parameter `{name}` is NaN; give a number")))
            }
            ParamValue::Number(value) => Ok(*value),
            ParamValue::Integer(value) => Ok(*value as f64),
            other => Err(wrong_type(name, "a number", other)),
        }
    }

    /// A number inside bounds, such as `0.0..=1.0`.
    ///
    /// # Errors
    /// `InvalidInput` when it is missing, of another type, NaN or outside the bounds.
    pub fn number_in(&self, name: &str, bounds: impl RangeBounds<f64> + std::fmt::Debug) -> Result<f64, PluginError> {
        let value = self.number(name)?;
        if bounds.contains(&value) { Ok(value) } else { Err(out_of_bounds(name, value, &bounds)) }
    }

    /// A text.
    ///
    /// # Errors
    /// `InvalidInput` when it is missing or of another type.
    pub fn text(&self, name: &str) -> Result<&str, PluginError> {
        match self.get(name)? {
            ParamValue::Text(value) => Ok(value),
            other => Err(wrong_type(name, "a text", other)),
        }
    }

    /// A flag.
    ///
    /// # Errors
    /// `InvalidInput` when it is missing or of another type.
    pub fn flag(&self, name: &str) -> Result<bool, PluginError> {
        match self.get(name)? {
            ParamValue::Flag(value) => Ok(*value),
            other => Err(wrong_type(name, "a flag", other)),
        }
    }

    fn get(&self, name: &str) -> Result<&ParamValue, PluginError> {
        self.0.get(name).ok_or_else(|| {
            PluginError::InvalidInput(format!(
                "parameter `{name}` is missing; declare it under [[param]] in plugin.toml with a default, or pass it"
            ))
        })
    }
}

impl FromIterator<(String, ParamValue)> for Params {
    fn from_iter<I: IntoIterator<Item = (String, ParamValue)>>(iter: I) -> Self {
        Self(iter.into_iter().collect())
    }
}

fn wrong_type(name: &str, wanted: &str, got: &ParamValue) -> PluginError {
    PluginError::InvalidInput(format!("parameter `{name}` is {}, not {wanted}", got.kind()))
}

fn out_of_bounds(name: &str, value: impl Display, bounds: &impl std::fmt::Debug) -> PluginError {
    PluginError::InvalidInput(format!("parameter `{name}` = {value} is outside {bounds:?}"))
}

/// What is traded, as of the trading day the instance starts on.
#[derive(Debug, Clone, PartialEq)]
pub struct Instrument {
    /// Such as `SHFE.cu2602`.
    pub symbol: String,
    /// CNY per quoted unit.
    pub price_tick: f64,
    /// Quoted units a lot.
    pub multiplier: f64,
}

/// A column that a feature or label makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputColumn {
    /// Name, such as `mid`.
    pub name: String,
    /// Free text, such as `CNY`, `lots` or `1`.
    pub unit: String,
}

impl OutputColumn {
    /// A column of that name and unit.
    pub fn new(name: impl Into<String>, unit: impl Into<String>) -> Self {
        Self { name: name.into(), unit: unit.into() }
    }
}
