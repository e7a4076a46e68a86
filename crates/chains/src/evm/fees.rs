//! What a transaction offers for its gas (EIP-1559).

use crate::ChainFault;

/// Wei a unit of gas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offer {
    /// At most.
    pub(super) max_fee: u128,
    /// For the block's producer.
    pub(super) priority_fee: u128,
}

/// What gas costs now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Market {
    /// What the next block burns of each unit's price.
    pub(super) base_fee: u128,
    /// What the node advises to offer the block's producer.
    pub(super) advised: u128,
}

/// What the settings say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// The most a unit of gas may cost.
    pub(super) max_fee: u128,
    /// The least for the block's producer.
    pub(super) priority_fee: u128,
}

impl Offer {
    /// An offer that the next blocks take, also if the base fee doubles. After
    /// `last`, one for which nodes give that up.
    pub(super) fn new(
        market: Market,
        limits: Limits,
        last: Option<Self>,
    ) -> Result<Self, ChainFault> {
        let raised = last.map(Self::raised);
        let least = limits
            .priority_fee
            .max(raised.map_or(0, |raised| raised.priority_fee));
        let needed = market
            .base_fee
            .saturating_add(least)
            .max(raised.map_or(0, |raised| raised.max_fee));
        if needed > limits.max_fee {
            return Err(ChainFault::TooDear {
                needed,
                most: limits.max_fee,
            });
        }
        // The node's advice gives way to the most.
        let priority_fee = market
            .advised
            .min(limits.max_fee - market.base_fee)
            .max(least);
        let max_fee = market
            .base_fee
            .saturating_mul(2)
            .saturating_add(priority_fee)
            .min(limits.max_fee)
            .max(needed);
        Ok(Self {
            max_fee,
            priority_fee,
        })
    }

    /// Nodes give a transaction up for one that offers a tenth more; some want
    /// an eighth.
    fn raised(self) -> Self {
        let raise = |fee: u128| fee.saturating_add(fee.div_ceil(8));
        Self {
            max_fee: raise(self.max_fee),
            priority_fee: raise(self.priority_fee),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits {
        max_fee: 100,
        priority_fee: 2,
    };

    fn offer(
        base_fee: u128,
        advised: u128,
        last: Option<(u128, u128)>,
    ) -> Result<(u128, u128), u128> {
        let last = last.map(|(max_fee, priority_fee)| Offer {
            max_fee,
            priority_fee,
        });
        match Offer::new(Market { base_fee, advised }, LIMITS, last) {
            Ok(offer) => Ok((offer.max_fee, offer.priority_fee)),
            Err(ChainFault::TooDear { needed, most }) => {
                assert_eq!(most, LIMITS.max_fee);
                Err(needed)
            }
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn an_offer_leaves_room_for_the_base_fee_to_double() {
        assert_eq!(offer(10, 0, None), Ok((22, 2)));
        assert_eq!(offer(10, 5, None), Ok((25, 5)));
        assert_eq!(offer(0, 0, None), Ok((2, 2)));
    }

    #[test]
    fn an_offer_stays_below_the_most() {
        assert_eq!(offer(60, 5, None), Ok((100, 5)));
        assert_eq!(offer(96, 50, None), Ok((100, 4)));
        assert_eq!(offer(98, 50, None), Ok((100, 2)));
        assert_eq!(offer(99, 0, None), Err(101));
        assert_eq!(offer(u128::MAX, u128::MAX, None), Err(u128::MAX));
    }

    #[test]
    fn a_second_offer_is_an_eighth_higher() {
        assert_eq!(offer(10, 0, Some((22, 2))), Ok((25, 3)));
        assert_eq!(offer(1, 0, Some((80, 8))), Ok((90, 9)));
        // The market rose by more than that.
        assert_eq!(offer(40, 4, Some((22, 2))), Ok((84, 4)));
        assert_eq!(offer(1, 0, Some((89, 8))), Err(101));
    }

    proptest! {
        #[test]
        fn an_offer_keeps_its_promises(
            base_fee in 0_u128..200, advised in 0_u128..200,
            last in prop::option::of((1_u128..120, 0_u128..120)),
        ) {
            let Ok((max_fee, priority)) = offer(base_fee, advised, last) else {
                // Only the dearest of all that is needed is refused.
                let raised = last.map_or(0, |(max, _)| max + max.div_ceil(8));
                let priority = last.map_or(0, |(_, tip)| tip + tip.div_ceil(8)).max(2);
                prop_assert!(raised > 100 || base_fee + priority > 100);
                return Ok(());
            };
            prop_assert!(max_fee <= LIMITS.max_fee && priority >= LIMITS.priority_fee);
            prop_assert!(max_fee >= base_fee + priority);
            if let Some((last_max, last_priority)) = last {
                prop_assert!(max_fee * 8 >= last_max * 9);
                prop_assert!(priority * 8 >= last_priority * 9);
            }
        }
    }
}
