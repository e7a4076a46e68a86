//! A captcha's provider on the loopback.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};

/// A server that answers one POST.
pub(super) struct Siteverify {
    /// Where it is asked.
    pub(super) url: String,
    asked: Receiver<String>,
}

impl Siteverify {
    /// One that answers so.
    pub(super) fn answering(status: &'static str, answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/siteverify", listener.local_addr().unwrap());
        let (tell, asked) = channel();
        std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let form = body(&mut socket);
            let length = answer.len();
            let reply = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{answer}");
            socket.write_all(reply.as_bytes()).unwrap();
            // The test may have ended.
            let _ = tell.send(form);
        });
        Self { url, asked }
    }

    /// The form that it was asked with, if it was.
    pub(super) fn asked(&self) -> Option<String> {
        self.asked
            .recv_timeout(std::time::Duration::from_secs(10))
            .ok()
    }

    /// Whether nobody asked.
    pub(super) fn is_idle(&self) -> bool {
        self.asked.try_recv().is_err()
    }
}

fn body(socket: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let (_, length) = head.split_once("content-length: ").unwrap();
    let length = length.split("\r\n").next().unwrap().parse().unwrap();
    let mut body = vec![0; length];
    socket.read_exact(&mut body).unwrap();
    String::from_utf8(body).unwrap()
}
