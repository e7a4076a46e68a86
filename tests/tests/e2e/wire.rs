//! Just enough of HTTP/1.1 for a server of a test: one request a connection.

use std::fmt::Write;
use std::io;
use std::net::Ipv4Addr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A request, as it came.
pub(crate) struct Call {
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Call {
    /// Reads a request; `None` where the client closes before it is complete.
    pub(crate) async fn read(stream: &mut TcpStream) -> io::Result<Option<Self>> {
        let mut bytes = Vec::new();
        let head_end = loop {
            if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break at;
            }
            if stream.read_buf(&mut bytes).await? == 0 {
                return Ok(None);
            }
        };
        let body = bytes.split_off(head_end + 4);
        let head = String::from_utf8(bytes).map_err(io::Error::other)?;
        let mut call = Self { head, body };
        let length = call
            .header("content-length")
            .map_or(0, |length| length.parse().unwrap());
        while call.body.len() < length {
            if stream.read_buf(&mut call.body).await? == 0 {
                return Ok(None);
            }
        }
        Ok(Some(call))
    }

    /// The request line and the headers.
    pub(crate) fn head(&self) -> &str {
        &self.head
    }

    /// The path and what follows it.
    pub(crate) fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The AWS operation that is called: the JSON protocols name it in a header,
    /// SNS's at the head of the body, Lambda's by the path.
    pub(crate) fn operation(&self) -> &str {
        if let Some(target) = self.header("x-amz-target") {
            return target.rsplit('.').next().unwrap_or_default();
        }
        if self.path().ends_with("/invocations") {
            return "Invoke";
        }
        let body = std::str::from_utf8(&self.body).unwrap_or_default();
        let named = body.strip_prefix("Action=").unwrap_or_default();
        named.split('&').next().unwrap_or_default()
    }

    /// Makes the same call at `address` and returns the reply as it came. All
    /// that is signed stays as it is.
    pub(crate) async fn forward(&self, address: &str) -> io::Result<Vec<u8>> {
        let mut head = String::new();
        for line in self.head.trim_end().lines() {
            let name = line.split(':').next().unwrap_or_default();
            if !name.eq_ignore_ascii_case("connection") {
                head.push_str(line);
                head.push_str("\r\n");
            }
        }
        head.push_str("Connection: close\r\n\r\n");
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(&self.body).await?;
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).await?;
        Ok(reply)
    }
}

/// A JSON reply after which the connection closes.
pub(crate) fn reply(status: u16, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut text = format!(
        "HTTP/1.1 {status} Test\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n",
        body.len()
    );
    for (name, value) in headers {
        let _ = write!(text, "{name}: {value}\r\n");
    }
    text.push_str("\r\n");
    text.push_str(body);
    text.into_bytes()
}

/// Serves each call by `answer`, until the runtime ends; where it answers
/// nothing, the connection is closed. Returns the address.
pub(crate) async fn serve<Answer>(
    answer: impl Fn(Call) -> Answer + Clone + Send + 'static,
) -> String
where
    Answer: Future<Output = Option<Vec<u8>>> + Send + 'static,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let answer = answer.clone();
            tokio::spawn(async move {
                // A function that is killed breaks its connections off.
                if let Ok(Some(call)) = Call::read(&mut stream).await
                    && let Some(reply) = answer(call).await
                {
                    let _ = stream.write_all(&reply).await;
                }
            });
        }
    });
    address
}
