//! As much of HTTP as the tests need: one request a connection.

use std::io;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) body: Value,
}

/// Sends a request; `UnexpectedEof` where the connection is closed without an
/// answer.
pub(crate) async fn request(method: &str, url: &str, body: Option<&Value>) -> io::Result<Response> {
    let (host, path) = url
        .strip_prefix("http://")
        .map(|rest| rest.split_at(rest.find('/').unwrap_or(rest.len())))
        .unwrap();
    let path = if path.is_empty() { "/" } else { path };
    let body = body.map(Value::to_string).unwrap_or_default();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(host).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let answer = String::from_utf8(answer).unwrap();
    let Some((head, body)) = answer.split_once("\r\n\r\n") else {
        return Err(io::ErrorKind::UnexpectedEof.into());
    };
    let content_type = head
        .lines()
        .find_map(|line| line.strip_prefix("content-type: "));
    Ok(Response {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        content_type: content_type.unwrap_or_default().to_owned(),
        body: serde_json::from_str(body).unwrap_or(Value::Null),
    })
}

pub(crate) async fn get(url: &str) -> Response {
    request("GET", url, None).await.unwrap()
}

pub(crate) async fn post(url: &str, body: &Value) -> Response {
    request("POST", url, Some(body)).await.unwrap()
}
