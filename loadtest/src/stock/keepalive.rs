//! Edge: one HTTP/1.1 connection that is used again and again, as lean as a load needs it.
//!
//! Knows what the server under test sends: answers with a Content-Length. Client and server share the machine's cores,
//! so what the client saves is measured as the server's.

use anyhow::{Context, bail};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// An answer's head and body are smaller than this.
const MAX_ANSWER: usize = 1024 * 1024;

/// A connection of somebody with a session.
pub struct KeepAlive {
    stream: TcpStream,
    host: String,
    cookie: String,
    request: Vec<u8>,
    answer: Vec<u8>,
}

/// Where an answer's parts are.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    /// Bytes before the body.
    len: usize,
    body_len: usize,
}

impl KeepAlive {
    /// Connects to `http://host:port`.
    pub async fn connect(base: &str, cookie: &str) -> anyhow::Result<Self> {
        let host = base.strip_prefix("http://").context("only plain HTTP is spoken here")?.to_owned();
        let stream = TcpStream::connect(&host).await.context("the server does not answer")?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, host, cookie: cookie.to_owned(), request: Vec::new(), answer: Vec::new() })
    }

    /// Sends a body under an idempotency key; status and body of the answer.
    pub async fn post(&mut self, path: &str, key: &str, body: &str) -> anyhow::Result<(u16, &[u8])> {
        let Self { host, cookie, .. } = self;
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {host}\r\ncookie: {cookie}\r\nidempotency-key: {key}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        self.ask(&head, body).await
    }

    /// Reads something.
    pub async fn get(&mut self, path: &str) -> anyhow::Result<(u16, &[u8])> {
        let Self { host, cookie, .. } = self;
        let head = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\ncookie: {cookie}\r\n\r\n");
        self.ask(&head, "").await
    }

    async fn ask(&mut self, head: &str, body: &str) -> anyhow::Result<(u16, &[u8])> {
        self.request.clear();
        self.request.extend_from_slice(head.as_bytes());
        self.request.extend_from_slice(body.as_bytes());
        self.stream.write_all(&self.request).await?;
        self.answer.clear();
        let mut head = None;
        loop {
            if head.is_none() {
                head = read_head(&self.answer)?;
            }
            match &head {
                Some(Head { status, len, body_len }) if self.answer.len() >= len + body_len => {
                    return Ok((*status, &self.answer[*len..len + body_len]));
                }
                _ if self.answer.len() > MAX_ANSWER => bail!("the answer is too long"),
                _ => {}
            }
            if self.stream.read_buf(&mut self.answer).await? == 0 {
                bail!("the server closed the connection");
            }
        }
    }
}

/// Reads the head once it is there as a whole.
fn read_head(bytes: &[u8]) -> anyhow::Result<Option<Head>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&bytes[..end]).context("the answer's head is no text")?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
    let length =
        lines.filter_map(|line| line.split_once(':')).find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let body_len = match (status, length) {
        (Some(204 | 304), None) => 0,
        (_, length) => length.and_then(|(_, value)| value.trim().parse().ok()).context("the answer has no length")?,
    };
    Ok(Some(Head { status: status.context("the answer has no status")?, len: end + 4, body_len }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_when_it_is_whole() {
        assert_eq!(read_head(b"HTTP/1.1 201 Created\r\ncontent-le").expect("not yet"), None);
        let answer = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\nx: y\r\n\r\n{}";
        assert_eq!(read_head(answer).expect("a head"), Some(Head { status: 201, len: answer.len() - 2, body_len: 2 }));
        assert!(read_head(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
        let nothing = read_head(b"HTTP/1.1 204 No Content\r\n\r\n").expect("a head").expect("whole");
        assert_eq!(nothing.body_len, 0);
    }

    #[tokio::test]
    async fn an_answer_in_pieces_is_put_together() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("its address"));
        let mut asking = JoinSetOfOne::new();
        asking.spawn(async move {
            let mut client = KeepAlive::connect(&base, "session=x").await?;
            let first = client.post("/a", "k1", "{}").await.map(|(status, body)| (status, body.to_vec()))?;
            let second = client.get("/b").await.map(|(status, body)| (status, body.to_vec()))?;
            anyhow::Ok((first, second))
        });
        let (mut server, _) = listener.accept().await.expect("the client");
        let mut asked = vec![0; 4_096];
        for pieces in [
            &["HTTP/1.1 200 OK\r\ncontent-", "length: 3\r\n\r\na", "bc"][..],
            &["HTTP/1.1 404 N\r\ncontent-length: 0\r\n\r\n"],
        ] {
            assert!(server.read(&mut asked).await.expect("a request") > 0);
            for piece in pieces {
                server.write_all(piece.as_bytes()).await.expect("it goes out");
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        }
        let (first, second) = asking.join_next().await.expect("it asked").expect("it ended").expect("two answers");
        assert_eq!((first, second), ((200, b"abc".to_vec()), (404, Vec::new())));
    }

    type JoinSetOfOne<T> = tokio::task::JoinSet<anyhow::Result<T>>;
}
