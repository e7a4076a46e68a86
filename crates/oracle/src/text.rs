//! Texts with exactly one spelling for each value, and the times of RFC 3339.

use jiff::Timestamp;

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

/// A type whose value is a text of a limited form.
macro_rules! text_type {
    ($(#[$doc:meta])* $name:ident, $error:ty, $refusal:expr, $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = $error;

            fn try_from(text: String) -> Result<Self, $error> {
                let valid: fn(&str) -> bool = $valid;
                if valid(&text) { Ok(Self(text)) } else { Err($refusal) }
            }
        }

        impl std::str::FromStr for $name {
            type Err = $error;

            fn from_str(text: &str) -> Result<Self, $error> {
                text.to_owned().try_into()
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(&self.0)
            }
        }

        $crate::text::serde_as_text!($name);
    };
}
pub(crate) use text_type;

/// A time of RFC 3339, section 5.6, of 1970 or later.
///
/// jiff reads more than that: other separators, annotations, and second 60 as
/// if it were 59. None of it passes here.
pub(crate) fn rfc3339(text: &str) -> Option<Timestamp> {
    const SHAPE: &[u8; 19] = b"dddd-dd-ddTdd:dd:dd";
    let (head, rest) = text.as_bytes().split_at_checked(SHAPE.len())?;
    let of_shape = SHAPE.iter().zip(head).all(|(shape, byte)| match shape {
        b'd' => byte.is_ascii_digit(),
        b'T' => matches!(byte, b'T' | b't'),
        _ => byte == shape,
    });
    let rest = match rest {
        [b'.', rest @ ..] => {
            let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if digits == 0 {
                return None;
            }
            &rest[digits..]
        }
        rest => rest,
    };
    let zone = match rest {
        [b'Z' | b'z'] => true,
        [b'+' | b'-', h1, h2, b':', m1, m2] => [h1, h2, m1, m2].into_iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if !of_shape || !zone || &head[17..] == b"60" {
        return None;
    }
    let time: Timestamp = text.parse().ok()?;
    (time >= Timestamp::UNIX_EPOCH).then_some(time)
}

/// The time without its fraction of a millisecond.
pub(crate) fn whole_millisecond(time: Timestamp) -> Timestamp {
    // Euclid's division rounds down before 1970, too.
    let ms = time.as_nanosecond().div_euclid(1_000_000);
    Timestamp::from_nanosecond(ms * 1_000_000).unwrap_or(time)
}

/// How a time is written: `2026-11-21T11:00:02.001Z`.
pub(crate) fn milliseconds(time: Timestamp) -> String {
    format!("{:.3}", whole_millisecond(time))
}

/// Serialises a time as text in UTC with exactly three digits after the second.
pub(crate) mod millisecond_text {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(time: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&super::milliseconds(*time))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        let text = String::deserialize(from)?;
        super::rfc3339(&text)
            .filter(|time| super::milliseconds(*time) == text)
            .ok_or_else(|| {
                Error::custom(
                    "expected a time since 1970 in whole milliseconds, \
                     such as 2030-01-31T12:00:00.000Z",
                )
            })
    }
}

/// Serialises an integer as text without needless characters, such as in `+1`,
/// `007` or `-0`. JSON's own number loses digits in many languages.
pub(crate) mod integer_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(number: &i128, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(number)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<i128, D::Error> {
        let text = String::deserialize(from)?;
        match text.parse::<i128>() {
            Ok(number) if number.to_string() == text => Ok(number),
            _ => Err(D::Error::custom(
                "expected a decimal integer without needless characters",
            )),
        }
    }
}

/// Bytes from lower-case hexadecimal.
pub(crate) fn hex_bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    (hex::encode(bytes) == text).then_some(bytes)
}
