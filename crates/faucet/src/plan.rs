/// A claim that waits to be paid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The claim.
    pub claim_id: String,
    /// Where the coins go.
    pub address: String,
    /// How much, in the smallest unit.
    pub amount: u128,
    /// How many payouts it was in that failed.
    pub attempts: u32,
}

/// Which claims the next payout pays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan<'a> {
    /// The first ones of those that wait, in their order.
    pub claims: Vec<&'a Waiting>,
    /// What they are paid together.
    pub total: u128,
    /// Whether there was room for the next claim and no money.
    pub short: bool,
}

/// Plans a payout of at most `limit` claims that costs at most `spendable`.
///
/// It takes the claims from the first on and passes over none. One that was in a
/// failed payout goes alone: it may be why that failed.
#[must_use]
pub fn plan(waiting: &[Waiting], limit: usize, spendable: u128) -> Plan<'_> {
    let mut plan = Plan {
        claims: Vec::new(),
        total: 0,
        short: false,
    };
    for claim in waiting.iter().take(limit) {
        let alone = claim.attempts > 0;
        if alone && !plan.claims.is_empty() {
            break;
        }
        let total = plan.total.checked_add(claim.amount);
        let Some(total) = total.filter(|total| *total <= spendable) else {
            plan.short = true;
            break;
        };
        plan.total = total;
        plan.claims.push(claim);
        if alone {
            break;
        }
    }
    plan
}
