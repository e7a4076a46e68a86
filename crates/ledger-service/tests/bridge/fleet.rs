//! Cars that are made and leased, and coins that are split: transactions as the
//! people of a chain sign them.

use serde_json::{Value, json};

use crate::dice::Dice;
use crate::people::{create, input, output, signed, transfer};

pub(crate) const LESSOR: u8 = 1;
pub(crate) const DRIVERS: [u8; 4] = [10, 11, 12, 13];

/// An output that is not spent.
#[derive(Clone, Debug)]
struct Coin {
    asset: Value,
    transaction: Value,
    index: u32,
    owner: u8,
    amount: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Fleet {
    made: u64,
    cars: Vec<Coin>,
    coins: Vec<Coin>,
}

impl Fleet {
    /// Makes a car of this value.
    pub(crate) fn car(&mut self, value: u64) -> Value {
        self.made += 1;
        let data = json!({"car": {"model": "é", "value": value}, "number": self.made});
        let made = signed(create(data, vec![output(LESSOR, 1)]), &[LESSOR]);
        self.cars.push(Coin {
            asset: made.clone(),
            transaction: made.clone(),
            index: 0,
            owner: LESSOR,
            amount: 1,
        });
        made
    }

    /// Hands a car on.
    pub(crate) fn hand(&mut self, car: usize, to: u8, incidents: u64) -> Value {
        let coin = &mut self.cars[car];
        let spent = input(coin.owner, Some((&coin.transaction, 0)));
        let mut made = transfer(&coin.asset, vec![spent], vec![output(to, 1)]);
        if incidents > 0 {
            made["metadata"] = json!({"incidents": incidents});
        }
        let made = signed(made, &[coin.owner]);
        (coin.owner, coin.transaction) = (to, made.clone());
        made
    }

    /// Makes coins that are no car.
    fn mint(&mut self) -> Value {
        self.made += 1;
        let made = create(json!({"number": self.made}), vec![output(LESSOR, 100)]);
        let made = signed(made, &[LESSOR]);
        self.coins.push(Coin {
            asset: made.clone(),
            transaction: made.clone(),
            index: 0,
            owner: LESSOR,
            amount: 100,
        });
        made
    }

    /// Pays a part of some coins to somebody.
    fn pay(&mut self, coin: usize, to: u8) -> Value {
        let coin = self.coins.swap_remove(coin);
        let spent = input(coin.owner, Some((&coin.transaction, coin.index)));
        let half = coin.amount / 2;
        let parts = match half {
            0 => vec![(to, coin.amount)],
            _ => vec![(to, half), (coin.owner, coin.amount - half)],
        };
        let outputs = parts.iter().map(|(who, amount)| output(*who, *amount));
        let made = transfer(&coin.asset, vec![spent], outputs.collect());
        let made = signed(made, &[coin.owner]);
        for (index, (owner, amount)) in (0..).zip(parts) {
            self.coins.push(Coin {
                asset: coin.asset.clone(),
                transaction: made.clone(),
                index,
                owner,
                amount,
            });
        }
        made
    }

    /// Something that somebody may do now.
    pub(crate) fn something(&mut self, dice: &mut Dice) -> Value {
        let any =
            |count: usize, dice: &mut Dice| usize::try_from(dice.below(count as u64)).unwrap();
        match dice.below(10) {
            0 | 1 if self.cars.len() < 6 => self.car(1_000_000 + dice.below(1_000_000)),
            2 if self.coins.len() < 6 => self.mint(),
            3 | 4 if !self.coins.is_empty() => {
                let coin = any(self.coins.len(), dice);
                self.pay(coin, dice.one(&DRIVERS))
            }
            _ if self.cars.is_empty() => self.car(2_000_000),
            _ => {
                let car = any(self.cars.len(), dice);
                let to = match dice.once_in(3) {
                    true => LESSOR,
                    false => dice.one(&DRIVERS),
                };
                let incidents = dice.below(5).saturating_sub(2);
                self.hand(car, to, incidents)
            }
        }
    }
}
