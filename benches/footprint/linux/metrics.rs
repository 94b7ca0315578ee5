//! The daemon's own page of metrics.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};

use super::Result;
use super::http::Messages;

/// A connection to the daemon's TCP port.
#[derive(Debug)]
pub(crate) struct Metrics {
    stream: TcpStream,
    answers: Messages,
}

/// The page as it was at one moment.
#[derive(Debug)]
pub(crate) struct Page(String);

impl Metrics {
    pub(crate) fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            answers: Messages::new(),
        })
    }

    pub(crate) fn page(&mut self) -> Result<Page> {
        self.stream
            .write_all(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")?;
        let (_, page) = self
            .answers
            .next(&mut self.stream)?
            .ok_or("the daemon closes the connection")?;
        Ok(Page(String::from_utf8_lossy(page).into_owned()))
    }
}

impl Page {
    /// The sum of a metric over its labels; an error when the page lacks it.
    pub(crate) fn sum(&self, name: &str) -> Result<u64> {
        let values: Vec<f64> = self
            .0
            .lines()
            .filter_map(|line| {
                let labels = line.strip_prefix(name)?;
                if !labels.starts_with([' ', '{']) {
                    return None;
                }
                labels.rsplit_once(' ')?.1.parse().ok()
            })
            .collect();
        if values.is_empty() {
            return Err(format!("the daemon's metrics lack {name}").into());
        }
        Ok(values.iter().sum::<f64>() as u64)
    }
}
