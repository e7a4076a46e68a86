use std::collections::BTreeMap;

use jiff::Timestamp;

/// A message of a dead-letter queue, as SQS hands it out.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Its message id.
    pub id: &'a str,
    /// Its body.
    pub body: &'a str,
    /// Its message attributes, those of text and number.
    pub attributes: &'a BTreeMap<String, String>,
    /// When it was sent, `SentTimestamp`.
    pub sent: Option<Timestamp>,
    /// How often it was received, `ApproximateReceiveCount`.
    pub receives: u32,
}

impl<'a> Message<'a> {
    /// The attribute of this name, if it says anything.
    pub(crate) fn attribute(&self, name: &str) -> Option<&'a str> {
        let text = self.attributes.get(name)?.as_str();
        (!text.is_empty()).then_some(text)
    }
}
