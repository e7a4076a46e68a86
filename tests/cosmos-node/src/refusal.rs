//! Why the node does not take a transaction, or why it failed in its block:
//! the SDK's codes and texts.

/// One of the SDK's errors.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reason {
    codespace: &'static str,
    code: u32,
    text: &'static str,
}

const fn sdk(code: u32, text: &'static str) -> Reason {
    Reason {
        codespace: "sdk",
        code,
        text,
    }
}

const fn bank(code: u32, text: &'static str) -> Reason {
    Reason {
        codespace: "bank",
        code,
        text,
    }
}

pub(crate) const TX_PARSE: Reason = sdk(2, "tx parse error");
pub(crate) const UNAUTHORIZED: Reason = sdk(4, "unauthorized");
pub(crate) const INSUFFICIENT_FUNDS: Reason = sdk(5, "insufficient funds");
pub(crate) const INVALID_ADDRESS: Reason = sdk(7, "invalid address");
pub(crate) const INVALID_PUBLIC_KEY: Reason = sdk(8, "invalid pubkey");
pub(crate) const UNKNOWN_ADDRESS: Reason = sdk(9, "unknown address");
pub(crate) const INVALID_COINS: Reason = sdk(10, "invalid coins");
pub(crate) const OUT_OF_GAS: Reason = sdk(11, "out of gas");
pub(crate) const MEMO_TOO_LARGE: Reason = sdk(12, "memo too large");
pub(crate) const INSUFFICIENT_FEE: Reason = sdk(13, "insufficient fee");
pub(crate) const NO_SIGNATURES: Reason = sdk(15, "no signatures supplied");
pub(crate) const INVALID_REQUEST: Reason = sdk(18, "invalid request");
pub(crate) const IN_CACHE: Reason = sdk(19, "");
pub(crate) const TIMED_OUT: Reason = sdk(30, "tx timeout height");
pub(crate) const EXTENSION_OPTIONS: Reason = sdk(31, "unknown extension options");
pub(crate) const WRONG_SEQUENCE: Reason = sdk(32, "incorrect account sequence");
pub(crate) const NOT_SUPPORTED: Reason = sdk(37, "feature not supported");
pub(crate) const NO_INPUTS: Reason = bank(2, "no inputs to send transaction");
pub(crate) const NO_OUTPUTS: Reason = bank(3, "no outputs to send transaction");
pub(crate) const SUMS_DIFFER: Reason = bank(4, "sum inputs != sum outputs");

impl Reason {
    pub(crate) fn refusal(&'static self) -> Refusal {
        Refusal {
            reason: self,
            log: self.text.to_owned(),
        }
    }

    pub(crate) fn of(&'static self, detail: impl AsRef<str>) -> Refusal {
        Refusal {
            reason: self,
            log: format!("{}: {}", detail.as_ref(), self.text),
        }
    }
}

/// An error with its details.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    reason: &'static Reason,
    pub(crate) log: String,
}

impl Refusal {
    pub(crate) fn codespace(&self) -> &'static str {
        self.reason.codespace
    }

    pub(crate) fn code(&self) -> u32 {
        self.reason.code
    }

    pub(crate) fn is(&self, reason: &Reason) -> bool {
        self.reason == reason
    }

    /// The same error, with its log changed.
    pub(crate) fn map_log(self, change: impl FnOnce(String) -> String) -> Self {
        Self {
            log: change(self.log),
            ..self
        }
    }
}
