//! Reads a function's configuration from its environment and reports every
//! mistake at once, each with the variable's name and what was expected.

use std::fmt::Display;
use std::str::FromStr;

use offchain_codes::Coded;

/// Everything that is wrong with a function's environment.
#[derive(Debug, thiserror::Error)]
#[error("the configuration is unusable: {}", .0.join("; "))]
pub struct ConfigError(Vec<String>);

impl Coded for ConfigError {
    fn code(&self) -> &'static str {
        "ConfigInvalid"
    }

    fn retryable(&self) -> bool {
        false
    }
}

type Lookup<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// A reader that remembers what it could not use.
pub struct Env<'a> {
    lookup: Box<Lookup<'a>>,
    problems: Vec<String>,
}

impl Env<'static> {
    /// The environment of this process.
    #[must_use]
    pub fn of_process() -> Self {
        Self::new(|name| std::env::var(name).ok())
    }
}

impl<'a> Env<'a> {
    /// An environment answered by `lookup`.
    pub fn new(lookup: impl Fn(&str) -> Option<String> + 'a) -> Self {
        Self {
            lookup: Box::new(lookup),
            problems: Vec::new(),
        }
    }

    /// A variable that must be set; `expected` completes "expected …".
    pub fn required<T>(&mut self, name: &str, expected: &str) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        let value = self.optional(name, expected);
        if value.is_none() && self.raw(name).is_none() {
            self.problems
                .push(format!("{name} is not set (expected {expected})"));
        }
        value
    }

    /// A variable that may be absent or empty.
    pub fn optional<T>(&mut self, name: &str, expected: &str) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        let raw = self.raw(name)?;
        match raw.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                // A URL may hold an access key, and this is logged.
                let found = if raw.contains("://") {
                    "unusable".to_owned()
                } else {
                    format!("{raw:?}")
                };
                self.problems
                    .push(format!("{name} is {found} (expected {expected}): {error}"));
                None
            }
        }
    }

    /// Ends the reading: an error that names every problem, or nothing.
    pub fn finish(self) -> Result<(), ConfigError> {
        if self.problems.is_empty() {
            Ok(())
        } else {
            Err(ConfigError(self.problems))
        }
    }

    fn raw(&self, name: &str) -> Option<String> {
        (self.lookup)(name).filter(|value| !value.is_empty())
    }
}

/// Reads a configuration struct: names each field's variable once, and builds
/// the struct only when every variable was usable.
///
/// ```
/// use offchain_function::{config, config::Env};
///
/// struct Config {
///     table: String,
///     days: u32,
/// }
///
/// let env = Env::new(|name| (name == "TABLE").then(|| "vrf".to_owned()));
/// let read = config!(env => Config {
///     table: required "TABLE", "a table name",
///     days: required "DAYS", "a number of days",
/// });
/// assert_eq!(
///     read.err().unwrap().to_string(),
///     "the configuration is unusable: DAYS is not set (expected a number of days)"
/// );
/// ```
#[macro_export]
macro_rules! config {
    ($env:expr => $name:ident { $($field:ident: $kind:ident $variable:literal, $expected:literal),+ $(,)? }) => {{
        let mut env = $env;
        $(let $field = env.$kind($variable, $expected);)+
        env.finish().and_then(|()| {
            $($crate::config!(@take $kind $field $variable);)+
            Ok($name { $($field),+ })
        })
    }};
    (@take optional $field:ident $variable:literal) => {};
    (@take required $field:ident $variable:literal) => {
        let Some($field) = $field else {
            return Err($crate::config::ConfigError::missing($variable));
        };
    };
}

impl ConfigError {
    /// One variable that is missing; what `config!` falls back on.
    #[must_use]
    pub fn missing(name: &str) -> Self {
        Self(vec![format!("{name} is not set")])
    }

    /// One variable whose value could not be put to use.
    #[must_use]
    pub fn unusable(name: &str, reason: &dyn std::error::Error) -> Self {
        Self(vec![format!("{name}: {}", offchain_codes::chain(reason))])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_is_reported_at_once() {
        let mut env = Env::new(|name| (name == "DAYS").then(|| "ten".to_owned()));
        assert_eq!(env.required::<String>("TABLE", "a table name"), None);
        assert_eq!(env.required::<u32>("DAYS", "a number of days"), None);
        assert_eq!(env.optional::<u32>("DELAY", "seconds"), None);
        assert_eq!(
            env.finish().unwrap_err().to_string(),
            "the configuration is unusable: TABLE is not set (expected a table name); \
             DAYS is \"ten\" (expected a number of days): invalid digit found in string"
        );
    }

    #[test]
    fn no_url_is_repeated() {
        let mut env = Env::new(|_| Some("https://node.test/key".to_owned()));
        assert_eq!(env.optional::<u32>("NODE", "a number"), None);
        assert_eq!(
            env.finish().unwrap_err().to_string(),
            "the configuration is unusable: NODE is unusable (expected a number): \
             invalid digit found in string"
        );
    }

    #[test]
    fn an_empty_variable_counts_as_absent() {
        let mut env = Env::new(|_| Some(String::new()));
        assert_eq!(env.optional::<u32>("DELAY", "seconds"), None);
        env.finish().unwrap();
    }
}
