//! What a schedule's event is known by.

use jiff::Timestamp;
use sha2::{Digest, Sha256};

/// The id of `what` a schedule asks for at a time: a UUID that is the same
/// however often the event is delivered, by Scheduler, by Lambda or by a
/// redrive. Lambda's own id is another one with each of these.
#[must_use]
pub fn scheduled_id(what: &str, time: Timestamp) -> String {
    let digest = Sha256::digest(format!("{what}\n{time}"));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes)
        .into_uuid()
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_hangs_on_the_time_and_on_what_is_asked() {
        let noon: Timestamp = "2026-01-31T12:00:00Z".parse().unwrap();
        let later: Timestamp = "2026-01-31T12:01:00Z".parse().unwrap();
        let id = scheduled_id("vrf-request", noon);
        assert_eq!(uuid::Uuid::parse_str(&id).unwrap().get_version_num(), 8);
        assert_eq!(id, scheduled_id("vrf-request", noon));
        assert_ne!(id, scheduled_id("vrf-request", later));
        assert_ne!(id, scheduled_id("rotate", noon));
    }
}
