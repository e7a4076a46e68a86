//! The contract between an error in Rust and everything that reacts to it.
//!
//! A code is a PascalCase name that never changes once published. The same
//! name is the `errorType` a Lambda function reports, the name a state machine
//! lists in `Retry` and `Catch`, and the last part of the `type` of an HTTP
//! problem document.

/// An error with a stable code.
pub trait Coded: std::error::Error {
    /// The stable name, such as `StoreUnavailable`.
    fn code(&self) -> &'static str;

    /// Whether the same call may succeed when it is made again unchanged.
    fn retryable(&self) -> bool;
}

/// The whole chain of causes as one line for a log. It is internal text: it
/// may name resources, so it never goes into an HTTP reply. A cause that the
/// error before it has repeated is named once.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Outer(&'static str, std::num::ParseIntError);

    impl std::fmt::Display for Outer {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(self.0)
        }
    }

    impl std::error::Error for Outer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.1)
        }
    }

    #[test]
    fn a_chain_names_every_cause_once() {
        for outer in [
            "the height is not a number",
            "the height is not a number: invalid digit found in string",
        ] {
            let inner = "x".parse::<u64>().unwrap_err();
            assert_eq!(
                chain(&Outer(outer, inner)),
                "the height is not a number: invalid digit found in string"
            );
        }
    }
}
