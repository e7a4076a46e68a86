//! The stream of a node.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{Sink, Stream as _};
use offchain_ledger::Notice;
use offchain_outbound::{OutboundError, Socket, Url};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, timeout};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::{NodeError, Notices};

/// A message is a few hundred bytes.
const MAX_MESSAGE: usize = 1024 * 1024;
/// How much is read at once.
const BUFFER: usize = 8 * 1024;
const BEAT: Duration = Duration::from_secs(10);
/// How many pings may be unanswered.
const MAX_UNANSWERED: u32 = 2;

/// A node's stream of the transactions that come into blocks. It pings, and is
/// given up when nothing comes back.
pub struct Stream {
    socket: WebSocketStream<Socket>,
    beat: Interval,
    /// Pings since anything came.
    unanswered: u32,
    /// A ping is to be sent.
    due: bool,
    /// Something sent is to be flushed.
    unsent: bool,
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").finish_non_exhaustive()
    }
}

impl Stream {
    /// Opens the stream that `url` names at the far end of `socket`.
    pub(super) async fn open(
        url: &Url,
        socket: Socket,
        limit: Duration,
    ) -> Result<Self, NodeError> {
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER)
            .write_buffer_size(BUFFER)
            .max_message_size(Some(MAX_MESSAGE))
            .max_frame_size(Some(MAX_MESSAGE));
        let opening = client_async_with_config(url.as_str(), socket, Some(config));
        let (socket, _) = timeout(limit, opening)
            .await
            .map_err(|_| NodeError::StreamClosed(OutboundError::TimedOut))?
            .map_err(|error| match error {
                Error::Http(answer) => {
                    NodeError::StreamClosed(OutboundError::Status(answer.status().as_u16()))
                }
                error => broken(&error),
            })?;
        let mut beat = interval_at(Instant::now() + BEAT, BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            socket,
            beat,
            unanswered: 0,
            due: false,
            unsent: false,
        })
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Notice, NodeError>> {
        loop {
            // What came while nobody waited comes before the question whether
            // anything came.
            match Pin::new(&mut self.socket).poll_next(context) {
                Poll::Ready(message) => {
                    self.unanswered = 0;
                    if let Some(result) = read(message) {
                        return Poll::Ready(result);
                    }
                    continue;
                }
                Poll::Pending => {}
            }
            self.poll_send(context)?;
            if self.beat.poll_tick(context).is_pending() {
                return Poll::Pending;
            }
            if self.unanswered == MAX_UNANSWERED {
                return Poll::Ready(Err(NodeError::StreamSilent(self.unanswered)));
            }
            self.unanswered += 1;
            self.due = true;
        }
    }

    /// Sends what is due as far as the connection takes it.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Result<(), NodeError> {
        let mut socket = Pin::new(&mut self.socket);
        if self.due
            && let Poll::Ready(ready) = socket.as_mut().poll_ready(context)
        {
            let ping = Message::Ping(Bytes::new());
            ready
                .and_then(|()| socket.as_mut().start_send(ping))
                .map_err(|error| broken(&error))?;
            self.due = false;
            self.unsent = true;
        }
        if self.unsent
            && let Poll::Ready(flushed) = socket.poll_flush(context)
        {
            flushed.map_err(|error| broken(&error))?;
            self.unsent = false;
        }
        Ok(())
    }
}

impl Notices for Stream {
    async fn next(&mut self) -> Result<Notice, NodeError> {
        // What was begun is kept in `self`, so the wait may end at any time.
        poll_fn(|context| self.poll(context)).await
    }
}

/// What a message means to who waits for a notice, if anything.
fn read(message: Option<Result<Message, Error>>) -> Option<Result<Notice, NodeError>> {
    Some(match message {
        None => Err(NodeError::StreamBroken("it has ended".to_owned())),
        Some(Err(error)) => Err(broken(&error)),
        Some(Ok(Message::Text(text))) => Notice::parse(&text).map_err(NodeError::Notice),
        Some(Ok(Message::Binary(_))) => Err(NodeError::NoticeBinary),
        Some(Ok(Message::Close(frame))) => {
            // What else it says is the node's words.
            let reason = match frame {
                Some(frame) => format!("the node closed it with {}", u16::from(frame.code)),
                None => "the node closed it".to_owned(),
            };
            Err(NodeError::StreamBroken(reason))
        }
        Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => return None,
    })
}

fn broken(error: &Error) -> NodeError {
    NodeError::StreamBroken(error.to_string())
}
