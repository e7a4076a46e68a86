//! Texts with exactly one spelling for each value.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// Serialises types as the text of their `Display` and `FromStr`.
macro_rules! serde_as_text {
    ($($type:ty),+) => {$(
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?
                    .parse()
                    .map_err(serde::de::Error::custom)
            }
        }
    )+};
}
pub(crate) use serde_as_text;

/// Bytes whose text is lower-case hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hex(pub(crate) Vec<u8>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("expected lower-case hexadecimal")]
pub(crate) struct HexError;

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl FromStr for Hex {
    type Err = HexError;

    fn from_str(text: &str) -> Result<Self, HexError> {
        match hex::decode(text) {
            Ok(bytes) if hex::encode(&bytes) == text => Ok(Self(bytes)),
            _ => Err(HexError),
        }
    }
}

/// An integer whose text has no needless character, such as in `+1`, `007` or
/// `-0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decimal<T>(pub(crate) T);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("expected a decimal {0} without needless characters")]
pub(crate) struct DecimalError(&'static str);

impl<T: FromStr + fmt::Display> FromStr for Decimal<T> {
    type Err = DecimalError;

    fn from_str(text: &str) -> Result<Self, DecimalError> {
        match text.parse::<T>() {
            Ok(number) if number.to_string() == text => Ok(Self(number)),
            _ => Err(DecimalError(std::any::type_name::<T>())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_has_one_text() {
        for text in ["0", "-1", "42", "-9223372036854775808"] {
            assert!(text.parse::<Decimal<i64>>().is_ok(), "{text}");
        }
        for text in [
            "",
            "+1",
            "-0",
            "007",
            "1.0",
            "1e3",
            " 1",
            "1 ",
            "0x1",
            "１",
            "9223372036854775808",
        ] {
            assert!(text.parse::<Decimal<i64>>().is_err(), "{text}");
        }
        assert!("00ff".parse::<Hex>().is_ok());
        assert!("".parse::<Hex>().is_ok());
        for text in ["0", "0F", "0g", "0x00", " 00"] {
            assert!(text.parse::<Hex>().is_err(), "{text}");
        }
    }
}
