//! A mail server for one test: takes every mail by SMTP (RFC 5321) and hands it on. Sends nothing.

use std::time::Duration;

use data_encoding::BASE64_MIME_PERMISSIVE;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// One mail.
#[derive(Debug)]
pub struct Mail {
    pub to: String,
    pub text: String,
}

impl Mail {
    /// The token of a link `#purpose=token`.
    pub fn token(&self, purpose: &str) -> String {
        let (_, token) = self.text.split_once(&format!("#{purpose}=")).unwrap_or_else(|| panic!("{}", self.text));
        token.split_whitespace().next().expect("a token").to_owned()
    }
}

/// Where it listens, and what comes in.
pub async fn server() -> (String, mpsc::UnboundedReceiver<Mail>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("smtp://{}", listener.local_addr().expect("an address"));
    let (sender, mails) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(talk(stream, sender.clone()));
        }
    });
    (url, mails)
}

pub async fn next(mails: &mut mpsc::UnboundedReceiver<Mail>) -> Mail {
    let wait = tokio::time::timeout(Duration::from_secs(20), mails.recv());
    wait.await.expect("a mail in time").expect("a mail")
}

async fn talk(stream: TcpStream, mails: mpsc::UnboundedSender<Mail>) {
    let mut stream = BufReader::new(stream);
    let (mut to, mut line) = (String::new(), String::new());
    let mut answer = "220 test\r\n";
    loop {
        stream.write_all(answer.as_bytes()).await.expect("a client that listens");
        line.clear();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return;
        }
        answer = match line.get(..4).unwrap_or_default() {
            "RCPT" => {
                to = line.split(['<', '>']).nth(1).expect("an address").to_owned();
                "250 ok\r\n"
            }
            "DATA" => {
                stream.write_all(b"354 go on\r\n").await.expect("a client that listens");
                let text = body(&data(&mut stream).await);
                mails.send(Mail { to: to.clone(), text }).expect("a test that listens");
                "250 taken\r\n"
            }
            "QUIT" => "221 bye\r\n",
            _ => "250 ok\r\n",
        };
    }
}

async fn data(stream: &mut BufReader<TcpStream>) -> String {
    let (mut whole, mut line) = (String::new(), String::new());
    while stream.read_line(&mut line).await.expect("a mail to its end") > 0 && line != ".\r\n" {
        whole.push_str(line.strip_prefix('.').unwrap_or(&line));
        line.clear();
    }
    whole
}

/// The text of a mail, whatever it was encoded in.
fn body(mail: &str) -> String {
    let (head, body) = mail.split_once("\r\n\r\n").expect("a head and a body");
    let head = head.to_lowercase();
    if head.contains("transfer-encoding: base64") {
        let bytes = BASE64_MIME_PERMISSIVE.decode(body.as_bytes()).expect("base64");
        return String::from_utf8(bytes).expect("UTF-8");
    }
    if !head.contains("transfer-encoding: quoted-printable") {
        return body.to_owned();
    }
    let body = body.replace("=\r\n", "");
    let mut bytes = Vec::new();
    let mut rest = body.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let code = (first == b'=').then(|| tail.get(..2)).flatten();
        let code = code.and_then(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok());
        bytes.push(code.unwrap_or(first));
        rest = if code.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8(bytes).expect("UTF-8")
}
