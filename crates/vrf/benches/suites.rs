//! Proofs and verifications per second, of this crate and of the independent
//! `vrf-rfc9381`, measured in alternating rounds of one run.
//!
//! Both start from prepared keys and both handle proofs as bytes. `cargo bench
//! -p offchain-vrf` prints a table, with `-- --json` JSON.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and may fail anywhere"
)]

use std::{hint::black_box, time::Instant};

use offchain_vrf::{Proof, SecretKey, Suite};
use serde_json::json;
use vrf_rfc9381::{
    Prover, VRF,
    ec::{edwards25519::tai::EdVrfEdwards25519Tai, p256::tai::EcVrfP256Tai},
};

const ROUNDS: usize = 31;
/// Inputs of a round, many because the work of try-and-increment differs.
const INPUTS: u8 = 128;

struct Row {
    suite: Suite,
    operation: &'static str,
    alpha_bytes: usize,
    ours: f64,
    theirs: f64,
}

/// The median rates per second of two operations over the same inputs.
fn rates<T>(inputs: &[T], mut ours: impl FnMut(&T), mut theirs: impl FnMut(&T)) -> (f64, f64) {
    fn rate<T>(inputs: &[T], operation: &mut impl FnMut(&T)) -> f64 {
        let start = Instant::now();
        inputs.iter().for_each(operation);
        inputs.len() as f64 / start.elapsed().as_secs_f64()
    }
    fn median(rates: &mut [f64]) -> f64 {
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    }
    let (mut of_ours, mut of_theirs) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let pair = if round % 2 == 0 {
            let ours = rate(inputs, &mut ours);
            (ours, rate(inputs, &mut theirs))
        } else {
            let theirs = rate(inputs, &mut theirs);
            (rate(inputs, &mut ours), theirs)
        };
        // The first round warms up.
        if round > 0 {
            of_ours.push(pair.0);
            of_theirs.push(pair.1);
        }
    }
    (median(&mut of_ours), median(&mut of_theirs))
}

fn measure<Other: VRF>(rows: &mut Vec<Row>, suite: Suite, other: &Other, alpha_bytes: usize) {
    let secret = [0x42; Suite::SECRET_KEY_LEN];
    let key = SecretKey::from_bytes(suite, &secret).unwrap();
    let public_key = key.public_key();
    let prover = Other::Prover::from_slice(&secret).unwrap();
    let verifier = prover.verifier();

    let alphas: Vec<_> = (0..INPUTS).map(|input| vec![input; alpha_bytes]).collect();
    let (ours, theirs) = rates(
        &alphas,
        |alpha| drop(black_box(key.prove(alpha).unwrap().to_bytes())),
        |alpha| drop(black_box(other.prove(&prover, alpha).unwrap())),
    );
    rows.push(Row {
        suite,
        operation: "prove",
        alpha_bytes,
        ours,
        theirs,
    });

    let prove = |alpha: Vec<u8>| (key.prove(&alpha).unwrap().to_bytes(), alpha);
    let proofs: Vec<_> = alphas.into_iter().map(prove).collect();
    let (ours, theirs) = rates(
        &proofs,
        |(pi, alpha)| {
            let proof = Proof::from_bytes(suite, pi).unwrap();
            black_box(public_key.verify(alpha, &proof).unwrap());
        },
        |(pi, alpha)| {
            black_box(other.verify(&verifier, alpha, pi).unwrap());
        },
    );
    rows.push(Row {
        suite,
        operation: "verify",
        alpha_bytes,
        ours,
        theirs,
    });
}

fn main() {
    let mut rows = Vec::new();
    for alpha_bytes in [32, 100] {
        let suite = Suite::Edwards25519Sha512Tai;
        measure(&mut rows, suite, &EdVrfEdwards25519Tai, alpha_bytes);
        measure(&mut rows, Suite::P256Sha256Tai, &EcVrfP256Tai, alpha_bytes);
    }
    if std::env::args().any(|argument| argument == "--json") {
        let rows = rows.iter().map(|row| {
            json!({
                "suite": row.suite,
                "operation": row.operation,
                "alpha_bytes": row.alpha_bytes,
                "ours_per_second": row.ours.round(),
                "theirs_per_second": row.theirs.round(),
                "ratio": (row.ours / row.theirs * 1000.0).round() / 1000.0,
            })
        });
        println!("{:#}", json!(rows.collect::<Vec<_>>()));
        return;
    }
    println!(
        "{:<30} {:<9} {:>5} {:>10} {:>12} {:>6}",
        "suite", "operation", "alpha", "ours/s", "theirs/s", "ratio"
    );
    for row in rows {
        println!(
            "{:<30} {:<9} {:>5} {:>10.0} {:>12.0} {:>6.2}",
            row.suite,
            row.operation,
            row.alpha_bytes,
            row.ours,
            row.theirs,
            row.ours / row.theirs
        );
    }
}
