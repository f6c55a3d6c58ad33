//! A server to stand beside ours in `bist bench fanout --url`: lines in over TCP at 127.0.0.1:9000, each one to every
//! WebSocket client of 127.0.0.1:9001. In the manner that the libraries' own examples show: one thread, one task and one
//! broadcast receiver per client.
//!
//!     relay tungstenite          one `send` per message
//!     relay tungstenite-flush    everything that is there, then one flush
//!     relay axum                 one `send` per message
//!
//! Never leaves a line out: a client that falls behind by more than [`LINES_MAX`] is disconnected.

use std::error::Error;

use axum::extract::ws::{Message as AxumMessage, WebSocket, WebSocketUpgrade};
use axum::serve::ListenerExt;
use futures_util::{Sink, SinkExt, StreamExt};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast::error::TryRecvError;
use tokio::sync::broadcast::{Receiver, Sender, channel};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

/// Lines kept for clients that are behind.
const LINES_MAX: usize = 65_536;
/// Bytes read from the feed at once.
const FEED_BYTES: usize = 1 << 18;

type Line = Utf8Bytes;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let kind = std::env::args().nth(1).unwrap_or_default();
    let (lines, _) = channel(LINES_MAX);
    let feeds = TcpListener::bind("127.0.0.1:9000").await?;
    let clients = TcpListener::bind("127.0.0.1:9001").await?;
    tokio::spawn(take_feeds(feeds, lines.clone()));
    match kind.as_str() {
        "tungstenite" => take_clients(clients, lines, false).await,
        "tungstenite-flush" => take_clients(clients, lines, true).await,
        "axum" => serve_axum(clients, lines).await,
        other => Err(format!("`{other}`: say tungstenite, tungstenite-flush or axum").into()),
    }
}

async fn take_feeds(listener: TcpListener, lines: Sender<Line>) {
    while let Ok((feed, _)) = listener.accept().await {
        let lines = lines.clone();
        tokio::spawn(async move {
            let mut feed = BufReader::with_capacity(FEED_BYTES, feed).lines();
            while let Ok(Some(line)) = feed.next_line().await {
                // OK because without clients there is nobody to send to.
                let _ = lines.send(Line::from(line));
            }
        });
    }
}

async fn take_clients(listener: TcpListener, lines: Sender<Line>, batches: bool) -> Result<(), Box<dyn Error>> {
    loop {
        let (client, _) = listener.accept().await?;
        client.set_nodelay(true)?;
        tokio::spawn(serve_tungstenite(client, lines.clone(), batches));
    }
}

/// One client, until it goes or falls behind.
async fn serve_tungstenite(client: TcpStream, lines: Sender<Line>, batches: bool) {
    let Ok(socket) = tokio_tungstenite::accept_async(client).await else { return };
    let mut lines = lines.subscribe();
    let (mut sink, mut stream) = socket.split();
    loop {
        tokio::select! {
            line = lines.recv() => {
                let Ok(line) = line else { return };
                if sink.feed(Message::Text(line)).await.is_err() {
                    return;
                }
                if batches && feed_waiting(&mut sink, &mut lines).await.is_none() {
                    return;
                }
                if sink.flush().await.is_err() {
                    return;
                }
            }
            said = stream.next() => if !matches!(said, Some(Ok(_))) { return },
        }
    }
}

/// Gives the sink every line that is there already; `None` when some were missed or the client is gone.
async fn feed_waiting(sink: &mut (impl Sink<Message> + Unpin), lines: &mut Receiver<Line>) -> Option<()> {
    loop {
        match lines.try_recv() {
            Ok(line) => sink.feed(Message::Text(line)).await.ok()?,
            Err(TryRecvError::Empty) => return Some(()),
            Err(_) => return None,
        }
    }
}

async fn serve_axum(listener: TcpListener, lines: Sender<Line>) -> Result<(), Box<dyn Error>> {
    let upgrade = move |upgrade: WebSocketUpgrade| {
        let lines = lines.clone();
        async move { upgrade.on_upgrade(move |socket| axum_client(socket, lines.subscribe())) }
    };
    let app = axum::Router::new().fallback(upgrade);
    let no_delay = listener.tap_io(|client| {
        // OK because a socket that refuses it is only slower.
        let _ = client.set_nodelay(true);
    });
    Ok(axum::serve(no_delay, app).await?)
}

/// One client, until it goes or falls behind.
async fn axum_client(mut socket: WebSocket, mut lines: Receiver<Line>) {
    loop {
        tokio::select! {
            line = lines.recv() => {
                let Ok(line) = line else { return };
                if socket.send(AxumMessage::Text(line.as_str().into())).await.is_err() {
                    return;
                }
            }
            said = socket.recv() => if !matches!(said, Some(Ok(_))) { return },
        }
    }
}
