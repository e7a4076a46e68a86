//! Several transfers in one transaction, without any contract on the chain.
//!
//! A transaction that creates a contract runs the code that it brings. This
//! code calls each recipient with its sum and leaves a contract without code
//! behind. If any call fails it takes all of them back, for a transaction that
//! pays some of its claims could not be settled.

use alloy_primitives::{Address, Bytes};

/// Gas that a recipient may use, if it is a contract. It costs the sender, so
/// no recipient may have as much as it likes.
const GAS_EACH: u16 = 30_000;

const STOP: u8 = 0x00;
const AND: u8 = 0x16;
const JUMPI: u8 = 0x57;
const JUMPDEST: u8 = 0x5b;
const PUSH1: u8 = 0x60;
const PUSH2: u8 = 0x61;
const PUSH20: u8 = 0x73;
const DUP1: u8 = 0x80;
const CALL: u8 = 0xf1;
const REVERT: u8 = 0xfd;

/// The code that pays these recipients, or nothing if it would be too long to
/// jump to its end.
pub(super) fn init_code(transfers: &[(Address, u128)]) -> Option<Bytes> {
    let mut code = vec![PUSH1, 1];
    for (to, amount) in transfers {
        // Neither arguments nor an answer. PUSH0 is not known to every chain.
        code.extend([PUSH1, 0, DUP1, DUP1, DUP1]);
        let amount = amount.to_be_bytes();
        let zeros = amount.iter().take_while(|byte| **byte == 0).count();
        let amount = &amount[zeros.min(amount.len() - 1)..];
        code.push(PUSH1 + u8::try_from(amount.len() - 1).ok()?);
        code.extend(amount);
        code.push(PUSH20);
        code.extend(to.as_slice());
        code.push(PUSH2);
        code.extend(GAS_EACH.to_be_bytes());
        // Adds 1 if the recipient took it, else 0, to what is on the stack.
        code.extend([CALL, AND]);
    }
    let end = u16::try_from(code.len() + 8).ok()?;
    code.push(PUSH2);
    code.extend(end.to_be_bytes());
    code.extend([JUMPI, PUSH1, 0, DUP1, REVERT, JUMPDEST, STOP]);
    Some(code.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The longest code of EIP-3860.
    const MAX_INIT_CODE: usize = 49_152;

    #[derive(Debug, PartialEq)]
    enum End {
        Stopped,
        Reverted,
    }

    /// What the code does: its calls, and how it ends. An interpreter of no
    /// more than the code uses; anything else fails the test.
    fn run(code: &[u8], takes: impl Fn(Address) -> bool) -> (Vec<(Address, u128)>, End) {
        let mut stack: Vec<Vec<u8>> = Vec::new();
        let mut calls = Vec::new();
        let mut at = 0;
        let number = |word: &[u8]| {
            word.iter()
                .fold(0_u128, |number, byte| number << 8 | u128::from(*byte))
        };
        loop {
            let op = code[at];
            at += 1;
            match op {
                0x60..=0x7f => {
                    let length = usize::from(op - 0x5f);
                    stack.push(code[at..at + length].to_vec());
                    at += length;
                }
                DUP1 => stack.push(stack.last().unwrap().clone()),
                AND => {
                    let [a, b] = [stack.pop().unwrap(), stack.pop().unwrap()];
                    stack.push(vec![u8::try_from(number(&a) & number(&b)).unwrap()]);
                }
                CALL => {
                    let gas = stack.pop().unwrap();
                    assert_eq!(number(&gas), u128::from(GAS_EACH));
                    let to = Address::from_slice(&stack.pop().unwrap());
                    let value = number(&stack.pop().unwrap());
                    for _ in 0..4 {
                        assert_eq!(number(&stack.pop().unwrap()), 0);
                    }
                    calls.push((to, value));
                    stack.push(vec![u8::from(takes(to))]);
                }
                JUMPI => {
                    let to = usize::try_from(number(&stack.pop().unwrap())).unwrap();
                    if number(&stack.pop().unwrap()) != 0 {
                        assert_eq!(code[to], JUMPDEST);
                        at = to;
                    }
                }
                JUMPDEST => {}
                STOP => {
                    assert!(stack.is_empty(), "{stack:?}");
                    return (calls, End::Stopped);
                }
                REVERT => {
                    for _ in 0..2 {
                        assert_eq!(number(&stack.pop().unwrap()), 0);
                    }
                    return (calls, End::Reverted);
                }
                op => panic!("{op:#x} at {}", at - 1),
            }
        }
    }

    fn recipients(sums: &[u128]) -> Vec<(Address, u128)> {
        let address = |index| Address::with_last_byte(100 + u8::try_from(index).unwrap());
        let pair = |(index, sum): (usize, &u128)| (address(index), *sum);
        sums.iter().enumerate().map(pair).collect()
    }

    #[test]
    fn the_longest_batch_is_short_enough() {
        let code = init_code(&recipients(&[u128::MAX; 90])).unwrap();
        assert_eq!(code.len(), 90 * 48 + 12);
        assert!(code.len() <= MAX_INIT_CODE);
    }

    proptest! {
        #[test]
        fn each_recipient_is_called_once_with_its_sum(
            sums in prop::collection::vec(any::<u128>(), 1..=90),
        ) {
            let recipients = recipients(&sums);
            let code = init_code(&recipients).unwrap();
            prop_assert_eq!(run(&code, |_| true), (recipients, End::Stopped));
        }

        #[test]
        fn one_recipient_that_does_not_take_it_undoes_all(
            sums in prop::collection::vec(0..u128::from(u64::MAX), 1..=90),
            one in any::<prop::sample::Index>(),
        ) {
            let recipients = recipients(&sums);
            let (refuses, _) = recipients[one.index(recipients.len())];
            let code = init_code(&recipients).unwrap();
            let (_, end) = run(&code, |to| to != refuses);
            prop_assert_eq!(end, End::Reverted);
        }
    }
}
