//! A small HTTP client: one request, one connection, the answer whole.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    head: String,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let named = |line: &&str| line.split_once(':').is_some_and(|(found, _)| found.eq_ignore_ascii_case(name));
        self.head.lines().find(named)?.split_once(':').map(|(_, value)| value.trim())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }
}

/// The head of a request that closes its connection.
pub fn head(method: &str, path: &str, headers: &[(&str, &str)], length: usize) -> String {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("{method} {path} HTTP/1.1\r\nHost: floor\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n")
}

pub fn connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    let connection = TcpStream::connect(address)?;
    connection.set_read_timeout(Some(Duration::from_secs(30)))?;
    Ok(connection)
}

/// Reads the answer to a request that was sent.
pub fn answer(mut connection: TcpStream) -> std::io::Result<Answer> {
    let mut text = Vec::new();
    let read = connection.read_to_end(&mut text);
    let text = String::from_utf8_lossy(&text).into_owned();
    // A server that answers before it has read everything may reset the connection after its answer.
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        read?;
        return Err(std::io::Error::other(format!("no answer: {text}")));
    };
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| std::io::Error::other(format!("no status: {head}")))?;
    Ok(Answer { status, head: head.to_owned(), body: body.to_owned() })
}

/// Sends a request.
pub fn try_send(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> std::io::Result<Answer> {
    let mut connection = connect(address)?;
    connection.write_all(head(method, path, headers, body.len()).as_bytes())?;
    connection.write_all(body)?;
    answer(connection)
}

/// Sends a request that is answered.
#[track_caller]
pub fn send(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    try_send(address, method, path, headers, body).unwrap_or_else(|error| panic!("{method} {path}: {error}"))
}

/// A bulk request that creates these documents.
pub fn bulk<'a>(documents: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    let action = "{\"create\":{\"_index\":\"winlogbeat\"}}";
    documents.into_iter().map(|document| format!("{action}\n{document}\n")).collect::<String>().into_bytes()
}
