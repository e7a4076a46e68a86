//! Why a node is of no use.

use offchain_codes::Coded;
use offchain_ledger::StreamError;
use offchain_outbound::OutboundError;

/// Why a node gave nothing that can be used. No text holds a URL: it may hold
/// an access key, and errors are logged.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The node's API root names no stream.
    #[error("the node's API root, /api/v1/, names no `streams`: {found}")]
    StreamsMissing {
        /// What is there instead.
        found: String,
    },
    /// The node answered something else than its interface promises.
    #[error("the node's answer is not {expected}: {reason}")]
    AnswerInvalid {
        /// What was expected.
        expected: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The node names a stream that only the node's own host can reach.
    #[error(
        "the node names a stream at a loopback address, which is not where the node is: it has to \
         advertise a host that can be reached from here (wsserver.advertised_host)"
    )]
    StreamElsewhere(#[source] OutboundError),
    /// The stream that the node names cannot be opened.
    #[error("the stream that the node names cannot be opened")]
    StreamClosed(#[source] OutboundError),
    /// The stream's connection is over, or the node broke its rules.
    #[error("the node's stream broke off: {0}")]
    StreamBroken(String),
    /// Nothing came of the stream, not even answers to pings.
    #[error("the node's stream is silent: {0} pings were not answered")]
    StreamSilent(u32),
    /// The stream stands, and tells nothing of blocks that are there. Only who
    /// looks at both can see it.
    #[error("the node's stream is open and tells nothing of the newest blocks")]
    StreamStarved,
    /// A message of the stream is not one about a transaction.
    #[error("a message of the node's stream is not one about a transaction")]
    Notice(#[source] StreamError),
    /// A message of the stream is not text.
    #[error("a message of the node's stream is not text")]
    NoticeBinary,
    /// The node could not be asked.
    #[error(transparent)]
    Remote(#[from] OutboundError),
}

impl Coded for NodeError {
    fn code(&self) -> &'static str {
        match self {
            Self::StreamsMissing { .. } => "StreamsMissing",
            Self::AnswerInvalid { .. } | Self::StreamElsewhere(_) => "NodeAnswerInvalid",
            Self::StreamBroken(_) => "StreamBroken",
            Self::StreamSilent(_) => "StreamSilent",
            Self::StreamStarved => "StreamStarved",
            Self::Notice(error) => error.code(),
            Self::NoticeBinary => "NoticeInvalid",
            Self::StreamClosed(error) | Self::Remote(error) => error.code(),
        }
    }

    fn retryable(&self) -> bool {
        match self {
            // The next answer may be another's, or the node's after it was
            // mended.
            Self::StreamsMissing { .. }
            | Self::AnswerInvalid { .. }
            | Self::StreamElsewhere(_)
            | Self::StreamBroken(_)
            | Self::StreamSilent(_)
            | Self::StreamStarved
            | Self::Notice(_)
            | Self::NoticeBinary => true,
            Self::StreamClosed(error) | Self::Remote(error) => error.retryable(),
        }
    }
}
