//! One GET at a time: for warming, for counters, and for the time to an answer's first byte.

use anyhow::{Context as _, ensure};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const TIMEOUT: Duration = Duration::from_secs(30);
/// More than any body asked for here.
const BODY_BYTES_MAX: usize = 64 << 20;

/// A connection that is kept.
pub struct Connection {
    socket: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub fn open(port: u16) -> anyhow::Result<Connection> {
        let socket = TcpStream::connect(("127.0.0.1", port))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(TIMEOUT))?;
        Ok(Connection { socket, buffer: vec![0; 256 << 10] })
    }

    /// Asks and reads all of the answer, which has a length. Gives its head, its body, and the time to its first byte.
    pub fn get(&mut self, host: &str, path: &str) -> anyhow::Result<(String, Vec<u8>, Duration)> {
        let asked = Instant::now();
        write!(self.socket, "GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")?;
        let mut bytes = Vec::new();
        let mut first = None;
        loop {
            let count = self.socket.read(&mut self.buffer)?;
            first.get_or_insert_with(|| asked.elapsed());
            ensure!(count > 0 && bytes.len() < BODY_BYTES_MAX, "{path}: the answer breaks off");
            bytes.extend_from_slice(&self.buffer[..count]);
            let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
            let head = String::from_utf8(bytes[..end].to_vec())?;
            let length = field(&head, "content-length").context("no length")?.parse::<usize>()?;
            let there = bytes.len() - end - 4;
            let mut body = bytes.split_off(end + 4);
            if there < length {
                body.resize(length, 0);
                self.socket.read_exact(&mut body[there..])?;
            }
            return Ok((head, body, first.unwrap_or_default()));
        }
    }
}

/// One GET on a connection of its own: the head, and a body of any form.
pub fn whole(port: u16, host: &str, path: &str) -> anyhow::Result<(String, Vec<u8>)> {
    let mut socket = TcpStream::connect(("127.0.0.1", port))?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    write!(socket, "GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n")?;
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes)?;
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").context("no head")?;
    let body = bytes.split_off(end + 4);
    Ok((String::from_utf8(bytes)?, body))
}

/// The status of a head.
pub fn status(head: &str) -> &str {
    head.split(' ').nth(1).unwrap_or_default()
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    Some(fields.find(|(found, _)| found.eq_ignore_ascii_case(name))?.1.trim())
}
