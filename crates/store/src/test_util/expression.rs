//! DynamoDB's expressions, as far as the tables use them. Whatever else is
//! written fails the test.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

/// An item or its absence, as DynamoDB's JSON: each attribute with its type.
pub type Item = BTreeMap<String, Value>;

/// An expression, and what its placeholders stand for.
pub(crate) struct Expression<'a> {
    tokens: Vec<String>,
    at: usize,
    item: &'a Item,
    names: &'a Value,
    values: &'a Value,
}

impl<'a> Expression<'a> {
    pub(crate) fn new(text: &str, item: &'a Item, request: &'a Value) -> Self {
        Self {
            tokens: tokens(text),
            at: 0,
            item,
            names: &request["ExpressionAttributeNames"],
            values: &request["ExpressionAttributeValues"],
        }
    }

    /// Whether a condition holds.
    pub(crate) fn holds(mut self) -> bool {
        let holds = self.any();
        assert_eq!(self.at, self.tokens.len(), "{:?}", self.tokens);
        holds
    }

    /// The item after an update.
    pub(crate) fn updated(mut self) -> Item {
        let mut item = self.item.clone();
        while let Some(clause) = self.next() {
            loop {
                let name = self.name();
                match clause.as_str() {
                    "SET" => {
                        self.expect("=");
                        let value = self.sum();
                        item.insert(name, value);
                    }
                    "ADD" => {
                        let added = self.operand().expect("a value");
                        let after = match (item.get(&name), texts(&added)) {
                            (None, _) => added,
                            (Some(before), None) => {
                                json!({"N": (number(before) + number(&added)).to_string()})
                            }
                            (Some(before), Some(added)) => {
                                let before = texts(before).expect("a set of texts");
                                json!({"SS": before.union(&added).collect::<Vec<_>>()})
                            }
                        };
                        item.insert(name, after);
                    }
                    "DELETE" => {
                        let taken = self.operand().expect("a value");
                        let taken = texts(&taken).expect("a set of texts");
                        let before = item
                            .get(&name)
                            .map(|set| texts(set).expect("a set of texts"));
                        let left: Vec<_> = before
                            .iter()
                            .flatten()
                            .filter(|text| !taken.contains(*text))
                            .collect();
                        // There is no empty set.
                        match left.is_empty() {
                            true => item.remove(&name),
                            false => item.insert(name, json!({"SS": left})),
                        };
                    }
                    "REMOVE" => {
                        item.remove(&name);
                    }
                    other => panic!("what is {other}?"),
                }
                if !self.take(",") {
                    break;
                }
            }
        }
        item
    }

    /// Of a condition on a key: the attribute and its value. What it demands of
    /// the second part of the key is for [`Expression::holds`].
    pub(crate) fn key(mut self) -> (String, Value) {
        let name = self.name();
        self.expect("=");
        let value = self.operand().expect("a value");
        assert!(
            self.at == self.tokens.len() || self.take("AND"),
            "{:?}",
            self.tokens
        );
        (name, value)
    }

    fn any(&mut self) -> bool {
        let mut holds = self.all();
        while self.take("OR") {
            holds |= self.all();
        }
        holds
    }

    fn all(&mut self) -> bool {
        let mut holds = self.one();
        while self.take("AND") {
            holds &= self.one();
        }
        holds
    }

    fn one(&mut self) -> bool {
        if self.take("(") {
            let holds = self.any();
            self.expect(")");
            return holds;
        }
        for (function, wanted) in [("attribute_exists", true), ("attribute_not_exists", false)] {
            if self.take(function) {
                self.expect("(");
                let found = self.attribute().is_some();
                self.expect(")");
                return found == wanted;
            }
        }
        let left = self.operand();
        let comparison = self.next().expect("a comparison");
        if comparison == "IN" {
            self.expect("(");
            let mut found = false;
            loop {
                found |= left.is_some() && left == self.operand();
                if !self.take(",") {
                    break;
                }
            }
            self.expect(")");
            return found;
        }
        let right = self.operand();
        // What is not there compares with nothing, but differs from everything.
        let (Some(left), Some(right)) = (&left, &right) else {
            return comparison == "<>";
        };
        let order = compare(left, right);
        match comparison.as_str() {
            "=" => left == right,
            "<>" => left != right,
            "<" => order.is_some_and(|order| order.is_lt()),
            "<=" => order.is_some_and(|order| order.is_le()),
            ">" => order.is_some_and(|order| order.is_gt()),
            ">=" => order.is_some_and(|order| order.is_ge()),
            other => panic!("what is {other}?"),
        }
    }

    fn sum(&mut self) -> Value {
        let mut left = self.operand().expect("a value that is there");
        while self.take("+") {
            let right = self.operand().expect("a value that is there");
            left = json!({"N": (number(&left) + number(&right)).to_string()});
        }
        left
    }

    /// A value: a placeholder, an attribute, or what a function makes of them.
    fn operand(&mut self) -> Option<Value> {
        let token = self.tokens[self.at].clone();
        if token.starts_with(':') {
            self.at += 1;
            let value = &self.values[&token];
            assert!(!value.is_null(), "{token} has no value");
            return Some(value.clone());
        }
        match token.as_str() {
            "size" => {
                self.call();
                let value = self.operand();
                self.expect(")");
                value.map(|value| json!({"N": length(&value).to_string()}))
            }
            "if_not_exists" => {
                self.call();
                let value = self.operand();
                self.expect(",");
                let other = self.operand();
                self.expect(")");
                value.or(other)
            }
            "list_append" => {
                self.call();
                let mut list = self.operand().expect("a list");
                self.expect(",");
                let more = self.operand().expect("a list");
                self.expect(")");
                let all = list["L"].as_array_mut().unwrap();
                all.extend(more["L"].as_array().unwrap().iter().cloned());
                Some(list)
            }
            _ => self.attribute(),
        }
    }

    /// What an attribute holds, or a member of it.
    fn attribute(&mut self) -> Option<Value> {
        let name = self.name();
        let mut found = self.item.get(&name).cloned();
        while self.take(".") {
            let member = self.name();
            found = found.and_then(|value| value["M"].get(&member).cloned());
        }
        found
    }

    fn call(&mut self) {
        self.at += 1;
        self.expect("(");
    }

    fn name(&mut self) -> String {
        let token = self.next().expect("a name");
        if token.starts_with('#') {
            return self.names[&token].as_str().expect("a name").to_owned();
        }
        assert!(
            !RESERVED.contains(&token.to_uppercase().as_str()),
            "DynamoDB reserves {token}"
        );
        token
    }

    fn next(&mut self) -> Option<String> {
        self.at += 1;
        self.tokens.get(self.at - 1).cloned()
    }

    fn take(&mut self, token: &str) -> bool {
        let found = self.tokens.get(self.at).is_some_and(|found| found == token);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, token: &str) {
        assert!(self.take(token), "{token} in {:?}", self.tokens);
    }
}

/// Of the words that DynamoDB reserves, those that somebody may well use.
const RESERVED: [&str; 12] = [
    "STATUS", "OPEN", "HASH", "SEQUENCE", "NAME", "VALUE", "TOKEN", "UNTIL", "LIMIT", "TIME",
    "COUNT", "STATE",
];

fn tokens(text: &str) -> Vec<String> {
    let is_word = |c: char| c.is_alphanumeric() || "_#:".contains(c);
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let end = if is_word(first) {
            rest.find(|c| !is_word(c)).unwrap_or(rest.len())
        } else if ["<=", "<>", ">="].iter().any(|two| rest.starts_with(two)) {
            2
        } else {
            1
        };
        tokens.push(rest[..end].to_owned());
        rest = rest[end..].trim_start();
    }
    tokens
}

/// A set of texts, where it is one.
fn texts(value: &Value) -> Option<BTreeSet<String>> {
    let texts = value["SS"].as_array()?.iter();
    Some(
        texts
            .map(|text| text.as_str().expect("a text").to_owned())
            .collect(),
    )
}

/// A number.
pub(crate) fn number(value: &Value) -> i128 {
    let digits = value["N"].as_str().expect("a number");
    digits
        .parse()
        .unwrap_or_else(|_| panic!("{digits} is no number"))
}

fn compare(left: &Value, right: &Value) -> Option<std::cmp::Ordering> {
    if let (Some(left), Some(right)) = (left["S"].as_str(), right["S"].as_str()) {
        return Some(left.cmp(right));
    }
    (left.get("N").is_some() && right.get("N").is_some()).then(|| number(left).cmp(&number(right)))
}

fn length(value: &Value) -> usize {
    match (&value["L"], &value["S"]) {
        (Value::Array(list), _) => list.len(),
        (_, Value::String(text)) => text.len(),
        _ => panic!("{value} has no size"),
    }
}

#[test]
fn expressions_mean_what_they_say() {
    let item: Item = serde_json::from_value(json!({
        "a": {"N": "5"}, "status": {"S": "sent"}, "list": {"L": [{"N": "1"}, {"N": "2"}]},
        "map": {"M": {"m": {"N": "4"}}}, "texts": {"SS": ["x", "y"]}, "gone": {"SS": ["x"]},
    }))
    .unwrap();
    let request = json!({
        "ExpressionAttributeNames": {"#status": "status"},
        "ExpressionAttributeValues": {
            ":5": {"N": "5"}, ":6": {"N": "6"}, ":2": {"N": "2"}, ":sent": {"S": "sent"},
            ":more": {"L": [{"N": "3"}]}, ":x": {"SS": ["x"]}, ":yz": {"SS": ["y", "z"]},
        },
    });
    let holds = |text: &str| Expression::new(text, &item, &request).holds();
    for text in [
        "a = :5 AND #status = :sent",
        "a <> :6 AND a < :6 AND a <= :5",
        "attribute_not_exists(b) AND (a = :6 OR a = :5)",
        "a = :6 OR a = :5 AND attribute_exists(a)",
        "#status IN (:5, :sent)",
        "size(list) = :2",
        "b <> :5",
        "map.m < :5 AND attribute_exists(map.m) AND attribute_not_exists(map.n)",
    ] {
        assert!(holds(text), "{text}");
    }
    for text in [
        "a > :5",
        "b = :5",
        "b < :5",
        "map.m < :2",
        "attribute_exists(b)",
        "#status IN (:5, :6)",
    ] {
        assert!(!holds(text), "{text}");
    }
    let update = "SET b = if_not_exists(b, :6), a = a + :2, list = list_append(list, :more) \
                  REMOVE #status ADD c :2, texts :yz DELETE gone :x";
    let after = Expression::new(update, &item, &request).updated();
    let expected = json!({
        "a": {"N": "7"}, "b": {"N": "6"}, "c": {"N": "2"},
        "list": {"L": [{"N": "1"}, {"N": "2"}, {"N": "3"}]}, "map": {"M": {"m": {"N": "4"}}},
        "texts": {"SS": ["x", "y", "z"]},
    });
    assert_eq!(json!(after), expected);
}
