//! The tables of the faucet, against a fake AWS.

mod account;
mod claims;
mod limits;
mod payouts;
mod reserve;

use aws_sdk_dynamodb::Client;
use jiff::{SignedDuration, Timestamp};
use offchain_faucet::{ClaimStatus, PayoutStatus};
use serde_json::Value;

use super::{
    Claim, Claims, Desk, Given, Lease, Limits, Locks, Payout, PayoutVersion, Payouts, Transferred,
};
use crate::Moment;
use crate::test_util::{FakeAws, Reply, assert_just_now, assert_now, cancelled, parts, updated};

const HELD: &str = "ConditionalCheckFailed";
const NONE: &str = "None";

fn client(aws: &FakeAws) -> Client {
    Client::new(&aws.sdk_config())
}

fn locks(aws: &FakeAws) -> Locks {
    Locks::new(client(aws), "locks".into())
}

fn limits(aws: &FakeAws) -> Limits {
    Limits::new(client(aws), "limits".into())
}

fn claims(aws: &FakeAws) -> Claims {
    Claims::new(client(aws), "claims".into())
}

fn payouts(aws: &FakeAws) -> Payouts {
    Payouts::new(client(aws), "payouts".into())
}

fn desk(aws: &FakeAws) -> Desk {
    Desk {
        claims: claims(aws),
        limits: limits(aws),
    }
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A time in the middle of a second, which a table of milliseconds can hold.
fn noon() -> Timestamp {
    time("2026-11-21T12:00:00.250Z")
}

/// A claim that waits, with everything reserved for it.
fn claim() -> Claim {
    Claim {
        claim_id: "c1".into(),
        address: "addr1".into(),
        amount: "1000".into(),
        status: ClaimStatus::Queued,
        reason: None,
        sequence: None,
        hash: None,
        height: None,
        attempts: 0,
        created_time: noon().into(),
        updated_time: noon().into(),
        deadline: Moment::from(noon() + SignedDuration::from_hours(1)),
        reserved: Some(Given {
            address: "address#addr1".into(),
            source: "source#192.0.2.1#20413".into(),
            budget: "budget#2026-11-21".into(),
        }),
        expiration: 2_000_000_000,
    }
}

fn version(hash: &str) -> PayoutVersion {
    PayoutVersion {
        hash: hash.into(),
        bytes: "beef".into(),
        terms: "{}".into(),
        created_time: noon().into(),
    }
}

/// A payout of two claims that was just signed.
fn payout() -> Payout {
    let transfer = |claim_id: &str| Transferred {
        claim_id: claim_id.into(),
        address: format!("addr-{claim_id}"),
        amount: "1000".into(),
    };
    Payout {
        account: "payer".into(),
        sequence: 7,
        status: PayoutStatus::Signed,
        transfers: vec![transfer("c1"), transfer("c2")],
        versions: vec![version("H1")],
        reason: None,
        hash: None,
        height: None,
        used_height: None,
        wants_version: false,
        created_time: noon().into(),
        updated_time: noon().into(),
        deadline: noon().into(),
    }
}

fn lease() -> Lease {
    Lease {
        name: "suite-testnet-sequence".into(),
        holder: 42,
        token: 9,
        value: Some("7".into()),
    }
}

/// A cancelled transaction of so many parts, of which these did not hold.
fn cancelled_at(parts: usize, failed: &[usize]) -> Reply {
    let reasons: Vec<_> = (0..parts)
        .map(|part| (if failed.contains(&part) { HELD } else { NONE }, None))
        .collect();
    cancelled(&reasons)
}
