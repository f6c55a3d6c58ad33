//! Starts the real program on free ports, and talks to it with clients that are not ours.
#![allow(dead_code, missing_docs)] // each test file uses its own part of it; nobody outside does

pub mod accounts;

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Message, WebSocket};

/// A running platform; killed when dropped.
pub struct Bist {
    child: Child,
    pub api: SocketAddr,
    pub market_data: SocketAddr,
    pub users: SocketAddr,
    pub admin: SocketAddr,
}

/// Names a file for the program's log, among its environment.
pub const LOG_FILE: &str = "BIST_TEST_LOG_FILE";

/// The path of the shared data, if this checkout has it beside it.
pub fn shared_data() -> Option<std::path::PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data");
    let path = std::path::PathBuf::from(std::env::var("BIST_SHARED_DATA").unwrap_or_else(|_| beside.to_owned()));
    if path.is_dir() {
        return Some(path);
    }
    // Past the test runner's capture: who sees green should also see what did not run.
    let _ = writeln!(
        std::io::stderr(),
        "skipped: no recorded market data at ../shared/data (set BIST_SHARED_DATA to its folder)"
    );
    None
}

/// `bist` with these arguments, not started. It keeps nothing, so that tests run side by side.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bist"));
    command.args(arguments).stdin(Stdio::null()).env("BIST__STORAGE__EPHEMERAL", "true");
    command
}

fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port")
}

impl Bist {
    /// Starts `bist` and waits until its ports answer.
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, &[])
    }

    /// The same with environment variables.
    pub fn start_with(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        // Between the moment a port is found free and the moment `bist` takes it another program may have taken it; a
        // client that waits for a port may even be given it for its own end. `bist` then ends at once.
        (0..5).find_map(|_| Self::start_once(arguments, environment)).expect("a program that starts and stays")
    }

    /// The users service alone: at `users`, or at a port of its choice. Of the addresses only `users` means something.
    pub fn start_users(users: Option<SocketAddr>, environment: &[(&str, &str)]) -> Self {
        let start = || {
            let [api, market_data, any, admin] = [(); 4].map(|()| free_port());
            let users = users.unwrap_or(any);
            Self::start_at([api, market_data, users, admin], &[users], &["serve", "--target", "users"], environment)
        };
        (0..5).find_map(|_| start()).expect("a users service that starts and stays")
    }

    /// Everything but accounts, which are at `users`.
    pub fn start_without_users(arguments: &[&str], users: SocketAddr, environment: &[(&str, &str)]) -> Self {
        let url = format!("http://{users}");
        let environment = [environment, &[("BIST__USERS__URL", url.as_str())]].concat();
        let start = || {
            let [api, market_data, closed, admin] = [(); 4].map(|()| free_port());
            let wait = [api, market_data, admin];
            Self::start_at([api, market_data, closed, admin], &wait, arguments, &environment)
        };
        (0..5).find_map(|_| start()).expect("a program that starts and stays")
    }

    /// `None`: it ended before its ports answered.
    fn start_once(arguments: &[&str], environment: &[(&str, &str)]) -> Option<Self> {
        let ports = [(); 4].map(|()| free_port());
        Self::start_at(ports, &ports, arguments, environment)
    }

    /// The same at these ports, of which those of `wait` must answer.
    fn start_at(
        [api, market_data, users, admin]: [SocketAddr; 4],
        wait: &[SocketAddr],
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Option<Self> {
        let child = command(arguments)
            .env("BIST__API__LISTEN", api.to_string())
            .env("BIST__MARKET_DATA__LISTEN", market_data.to_string())
            .env("BIST__USERS__LISTEN", users.to_string())
            .env("BIST__ADMIN__LISTEN", admin.to_string())
            .envs(environment.iter().copied())
            .stderr(log(environment))
            .spawn()
            .expect("the program starts");
        let mut bist = Self { child, api, market_data, users, admin };
        let answers = wait_for("the ports to answer", Duration::from_secs(10), || {
            if bist.child.try_wait().expect("a child").is_some() {
                return Some(false);
            }
            wait.iter().all(|port| TcpStream::connect(port).is_ok()).then_some(true)
        });
        answers.then_some(bist)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(status.expect("kill").success());
    }

    /// Waits for the end, at most `limit`.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        wait_for("the program to end", limit, || self.child.try_wait().expect("a child"))
    }

    pub fn get(&self, path: &str) -> Value {
        serde_json::from_str(&get(self.api, path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    pub fn connect(&self) -> Socket {
        Socket::connect(self.market_data)
    }
}

/// Where the program's log goes: into the file of [`LOG_FILE`], to this test's own standard error, or nowhere.
fn log(environment: &[(&str, &str)]) -> Stdio {
    match environment.iter().find(|(name, _)| *name == LOG_FILE) {
        Some((_, path)) => std::fs::File::create(path).expect("our own file").into(),
        None if std::env::var_os("BIST_TEST_LOG").is_some() => Stdio::inherit(),
        None => Stdio::null(),
    }
}

impl Drop for Bist {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A page as text.
pub fn get(address: SocketAddr, path: &str) -> String {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut answer = agent.get(format!("http://{address}{path}")).call().unwrap_or_else(|e| panic!("{path}: {e}"));
    answer.body_mut().read_to_string().expect("text")
}

/// A WebSocket client.
pub struct Socket(WebSocket<MaybeTlsStream<TcpStream>>);

impl Socket {
    pub fn connect(address: SocketAddr) -> Self {
        let (socket, _) = tungstenite::connect(format!("ws://{address}/ws/v2")).expect("a WebSocket");
        if let MaybeTlsStream::Plain(stream) = socket.get_ref() {
            stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
        }
        Self(socket)
    }

    pub fn send(&mut self, request: &Value) {
        self.0.send(Message::text(request.to_string())).expect("sent");
    }

    /// The next frame; pings are answered on the way. `None` when the server closed.
    pub fn frame(&mut self) -> Option<Value> {
        loop {
            match self.0.read() {
                Ok(Message::Text(text)) => return Some(serde_json::from_str(&text).expect("JSON")),
                Ok(Message::Close(_)) | Err(tungstenite::Error::ConnectionClosed) => return None,
                Ok(_) => {}
                Err(error) => panic!("reading: {error}"),
            }
        }
    }
}

/// Waits for a state, not for a time; panics at `limit`.
pub fn wait_for<T>(what: &str, limit: Duration, mut state: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = state() {
            return found;
        }
        assert!(start.elapsed() < limit, "waited {limit:?} for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
