use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{Misread, RideError};

/// The name of a ride: 16 to 64 characters out of `A-Z`, `a-z`, `0-9`, `_` and
/// `-`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RideId(String);

pub(crate) const EXPECTED: &str =
    "a ride id of 16 to 64 characters out of A-Z, a-z, 0-9, `_` and `-`";

impl RideId {
    /// A UUID of version 7 (RFC 9562, section 5.7): the ids of later
    /// milliseconds sort after those of earlier ones. Of the random bits 74 are
    /// used.
    #[must_use]
    pub fn v7(now: Timestamp, random: [u8; 10]) -> Self {
        // The format has no time before 1970.
        let millisecond = u64::try_from(now.as_millisecond()).unwrap_or(0);
        let [_, _, time @ ..] = millisecond.to_be_bytes();
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&time);
        bytes[6..].copy_from_slice(&random);
        bytes[6] = 0x70 | (bytes[6] & 0x0f);
        bytes[8] = 0x80 | (bytes[8] & 0x3f);
        let digits = format!("{:032x}", u128::from_be_bytes(bytes));
        let groups = [0..8, 8..12, 12..16, 16..20, 20..32].map(|group| &digits[group]);
        Self(groups.join("-"))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn read(text: String) -> Option<Self> {
        let of_id = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        let valid = (16..=64).contains(&text.len()) && text.bytes().all(of_id);
        valid.then_some(Self(text))
    }
}

impl FromStr for RideId {
    type Err = RideError;

    fn from_str(text: &str) -> Result<Self, RideError> {
        Self::read(text.to_owned())
            .ok_or_else(|| RideError::Ride(Misread::member("RideId", EXPECTED)))
    }
}

impl fmt::Display for RideId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Serialize for RideId {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for RideId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?
            .parse()
            .map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use offchain_codes::Coded;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_id_is_the_example_of_rfc_9562() {
        // Appendix A.6: 2022-02-22T19:22:22.000Z, rand_a 0xCC3, rand_b
        // 0b01 and 0x8C4DC0C0C07398F.
        let now = "2022-02-22T19:22:22Z".parse().unwrap();
        let random = [0x0c, 0xc3, 0x18, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f];
        assert_eq!(
            RideId::v7(now, random).as_str(),
            "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"
        );
    }

    #[test]
    fn an_id_of_wild_rydes_is_one() {
        for text in [
            "SvLnijIAtg6inAFUBRT-Fg",
            "0123456789abcdef",
            "ABCDEFGHIJKLMNO_",
        ] {
            assert_eq!(text.parse::<RideId>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn another_text_is_no_id() {
        let long = "a".repeat(65);
        for text in [
            "",
            "0123456789abcde",
            &long,
            "0123456789abcde ",
            "0123456789abcde.",
            "0123456789abcdé",
            "0123456789abcde\n",
        ] {
            let error = text.parse::<RideId>().unwrap_err();
            assert_eq!((error.code(), error.retryable()), ("RideInvalid", false));
            assert_eq!(
                error.to_string(),
                "expected a ride id of 16 to 64 characters out of A-Z, a-z, 0-9, `_` and `-` in \
                 `RideId`"
            );
        }
    }

    #[test]
    fn before_1970_an_id_has_the_time_of_1970() {
        let id = RideId::v7(Timestamp::MIN, [0xff; 10]);
        assert_eq!(id.as_str(), "00000000-0000-7fff-bfff-ffffffffffff");
    }

    proptest! {
        #[test]
        fn every_id_made_is_one_and_holds_its_time_version_and_variant(
            millisecond in 0_i64..253_402_207_200_000,
            random: [u8; 10],
        ) {
            let now = Timestamp::from_millisecond(millisecond).unwrap();
            let id = RideId::v7(now, random);
            prop_assert_eq!(&id.to_string().parse::<RideId>().unwrap(), &id);
            let digits = id.as_str().replace('-', "");
            prop_assert_eq!(i64::from_str_radix(&digits[..12], 16).unwrap(), millisecond);
            prop_assert_eq!(&digits[12..13], "7");
            prop_assert!("89ab".contains(&digits[16..17]));
        }

        #[test]
        fn a_later_millisecond_sorts_later(
            millisecond in 0_i64..253_402_207_199_999,
            one: [u8; 10],
            other: [u8; 10],
        ) {
            let at = |time| Timestamp::from_millisecond(time).unwrap();
            prop_assert!(RideId::v7(at(millisecond), one) < RideId::v7(at(millisecond + 1), other));
        }
    }
}
