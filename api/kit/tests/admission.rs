//! The slow side of the public socket's doors: what is asked, how often, and what is told to whom. Time is turned, not waited for.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use api_kit::admission::{AT_ONCE_MAX, AdmissionIntake, Asker, Question, Verdict, WAITING_MAX, admission};
use api_kit::auth::{Authenticator, Identity, Refusal, Verdict as Answer};
use api_kit::principal::{Environment, Principal, Role, Scope};
use tokio::time::sleep;

const HOME: [u8; 4] = [127, 0, 0, 1];
const ABROAD: [u8; 4] = [203, 0, 113, 9];

/// What the accounts of a test say of a credential.
#[derive(Clone)]
enum Says {
    Good(Principal, Option<i64>),
    Bad(Refusal),
    Nothing,
    Panics,
}

#[derive(Default)]
struct Accounts {
    known: Mutex<HashMap<String, Says>>,
    asked: Mutex<HashMap<(String, IpAddr), usize>>,
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Accounts {
    fn say(&self, credential: &str, says: Says) {
        self.known.lock().unwrap().insert(credential.to_owned(), says);
    }

    /// How often a credential was asked about, from anywhere.
    fn asked(&self, credential: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|((asked, _), _)| asked == credential).map(|(_, times)| times).sum()
    }
}

impl Authenticator for Accounts {
    fn authenticate<'a>(&'a self, credential: &'a str, peer: IpAddr) -> Answer<'a> {
        Box::pin(async move {
            *self.asked.lock().unwrap().entry((credential.to_owned(), peer)).or_default() += 1;
            let says = self.known.lock().unwrap().get(credential).cloned();
            self.most.fetch_max(self.now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            let _one = Leaves(&self.now);
            match says.unwrap_or(Says::Bad(Refusal::Unknown)) {
                Says::Good(principal, expires_ms) => Ok(Identity { principal, expires_ms }),
                Says::Bad(refusal) => Err(refusal),
                Says::Nothing => std::future::pending().await,
                Says::Panics => panic!("a fault of the accounts"),
            }
        })
    }
}

/// Counts down also when the question is given up.
struct Leaves<'a>(&'a AtomicUsize);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection.
#[derive(Default)]
struct Socket {
    told: Mutex<Vec<Verdict>>,
    gone: AtomicBool,
    full: AtomicBool,
}

impl Socket {
    fn told(&self) -> Vec<Verdict> {
        self.told.lock().unwrap().clone()
    }
}

impl Asker for Socket {
    fn tell(&self, verdict: Verdict) -> Result<(), Verdict> {
        if self.full.load(Ordering::Relaxed) {
            return Err(verdict);
        }
        self.told.lock().unwrap().push(verdict);
        Ok(())
    }

    fn is_there(&self) -> bool {
        !self.gone.load(Ordering::Relaxed)
    }
}

fn user(id: &str) -> Principal {
    Principal::User { user_id: id.into(), session_id: "s".into(), roles: BTreeSet::from([Role::Viewer]) }
}

fn key(id: &str, scopes: &[Scope]) -> Principal {
    let scopes = scopes.iter().copied().collect();
    Principal::Key { user_id: "u".into(), key_id: id.into(), environment: Environment::Paper, scopes }
}

fn admitted(label: &str, expires_ms: Option<i64>) -> Verdict {
    Verdict::Admitted { expires_ms, label: label.into() }
}

/// A desk that runs, over accounts that are first counted and then quiet.
fn desk() -> (AdmissionIntake, Arc<Accounts>) {
    let accounts = Arc::new(Accounts::default());
    let (intake, desk) = admission(Arc::clone(&accounts) as _, Arc::clone(&accounts) as _);
    tokio::spawn(desk.run());
    (intake, accounts)
}

fn offer(intake: &AdmissionIntake, credential: &str, peer: [u8; 4]) -> Option<Arc<Socket>> {
    let socket = Arc::new(Socket::default());
    let asker = Arc::clone(&socket) as _;
    intake.offer(Question { credential: credential.into(), peer: peer.into(), asker }).is_ok().then_some(socket)
}

async fn show(intake: &AdmissionIntake, credential: &str) -> Arc<Socket> {
    let socket = offer(intake, credential, HOME).expect("there is room");
    sleep(Duration::from_millis(1)).await;
    socket
}

const SECONDS: fn(u64) -> Duration = Duration::from_secs;

#[tokio::test(start_paused = true)]
async fn every_answer_of_the_accounts_becomes_one_verdict() {
    let (intake, accounts) = desk();
    accounts.say("token", Says::Good(user("u1"), Some(7_000)));
    accounts.say("key", Says::Good(key("k1", &[Scope::MarketRead]), None));
    accounts.say("trader", Says::Good(key("k2", &[Scope::TradingPlace]), None));
    accounts.say("nobody", Says::Good(Principal::Anonymous, None));
    assert_eq!(show(&intake, "token").await.told(), [admitted("user u1", Some(7_000))]);
    assert_eq!(show(&intake, "key").await.told(), [admitted("key k1", None)]);
    assert_eq!(show(&intake, "trader").await.told(), [Verdict::NotEntitled]);
    assert_eq!(show(&intake, "nobody").await.told(), [Verdict::Refused]);
    for &refusal in Refusal::ALL {
        accounts.say("bad", Says::Bad(refusal));
        let verdict = if refusal == Refusal::Unavailable { Verdict::Unavailable } else { Verdict::Refused };
        assert_eq!(show(&intake, "bad").await.told(), [verdict], "{refusal:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn w6_public_a_revoked_credential_is_told_to_all_its_sockets_within_two_seconds_and_a_half() {
    let (intake, accounts) = desk();
    accounts.say("key", Says::Good(key("k1", &[Scope::MarketRead]), None));
    accounts.say("other", Says::Good(user("u1"), None));
    let sockets = [show(&intake, "key").await, show(&intake, "key").await, show(&intake, "key").await];
    let (abroad, other) = (offer(&intake, "key", ABROAD).unwrap(), show(&intake, "other").await);
    let before = accounts.asked("key");
    assert_eq!(before, 4, "each that came was asked about");
    sleep(SECONDS(20)).await;
    let rounds = accounts.asked("key") - before;
    assert!((18..=22).contains(&rounds), "{rounds}: two places, once in two seconds each, however many sockets");
    assert!(sockets.iter().all(|socket| socket.told() == [admitted("key k1", None)]), "no news is not told");
    for reason in [Refusal::Revoked, Refusal::Disabled] {
        accounts.say("key", Says::Bad(reason));
        sleep(Duration::from_millis(2_500)).await;
        for socket in sockets.iter().chain([&abroad]) {
            assert_eq!(socket.told(), [admitted("key k1", None), Verdict::Revoked], "once");
        }
    }
    let asked = accounts.asked("key");
    sleep(SECONDS(10)).await;
    assert_eq!(accounts.asked("key"), asked, "what is revoked is forgotten");
    assert_eq!(other.told(), [admitted("user u1", None)]);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_lost_its_scope_is_told_so() {
    let (intake, accounts) = desk();
    accounts.say("key", Says::Good(key("k1", &[Scope::MarketRead]), None));
    let socket = show(&intake, "key").await;
    accounts.say("key", Says::Good(key("k1", &[]), None));
    sleep(SECONDS(3)).await;
    assert_eq!(socket.told(), [admitted("key k1", None), Verdict::NotEntitled]);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_asked_about_a_socket_that_has_gone() {
    let (intake, accounts) = desk();
    accounts.say("key", Says::Good(key("k1", &[Scope::MarketRead]), None));
    let (first, second) = (show(&intake, "key").await, show(&intake, "key").await);
    first.gone.store(true, Ordering::Relaxed);
    sleep(SECONDS(10)).await;
    assert!(accounts.asked("key") >= 6, "the second is there");
    second.gone.store(true, Ordering::Relaxed);
    sleep(SECONDS(3)).await;
    let asked = accounts.asked("key");
    sleep(SECONDS(10)).await;
    assert_eq!(accounts.asked("key"), asked);
}

#[tokio::test(start_paused = true)]
async fn an_outage_and_its_end_and_a_new_end_of_the_credential_are_told_once() {
    let (intake, accounts) = desk();
    accounts.say("token", Says::Good(user("u1"), Some(1)));
    let socket = show(&intake, "token").await;
    for _ in 0..2 {
        accounts.say("token", Says::Bad(Refusal::Unavailable));
        sleep(SECONDS(7)).await;
        accounts.say("token", Says::Good(user("u1"), Some(1)));
        sleep(SECONDS(7)).await;
    }
    accounts.say("token", Says::Good(user("u1"), Some(2)));
    sleep(SECONDS(7)).await;
    let good = |expires_ms| admitted("user u1", Some(expires_ms));
    assert_eq!(socket.told(), [good(1), Verdict::Unavailable, good(1), Verdict::Unavailable, good(1), good(2)]);
}

/// Whoever comes between two rounds of an outage knows as much as whoever was there.
#[tokio::test(start_paused = true)]
async fn an_answer_to_one_socket_is_news_for_all_with_its_credential() {
    let (intake, accounts) = desk();
    accounts.say("token", Says::Good(user("u1"), Some(1)));
    let first = show(&intake, "token").await;
    accounts.say("token", Says::Bad(Refusal::Unavailable));
    sleep(SECONDS(2)).await;
    accounts.say("token", Says::Good(user("u1"), Some(1)));
    let second = show(&intake, "token").await;
    accounts.say("token", Says::Bad(Refusal::Unavailable));
    sleep(SECONDS(3)).await;
    let good = admitted("user u1", Some(1));
    assert_eq!(first.told(), [good.clone(), Verdict::Unavailable, good.clone(), Verdict::Unavailable]);
    assert_eq!(second.told(), [good, Verdict::Unavailable]);
}

#[tokio::test(start_paused = true)]
async fn silent_accounts_are_asked_a_bounded_number_of_questions_and_count_as_away() {
    let (intake, accounts) = desk();
    accounts.say("silence", Says::Nothing);
    let first: Vec<_> = (0..AT_ONCE_MAX).map(|_| offer(&intake, "silence", HOME).expect("there is room")).collect();
    sleep(Duration::from_millis(10)).await;
    assert_eq!(accounts.asked("silence"), AT_ONCE_MAX);
    let waiting: Vec<_> = (0..WAITING_MAX).map(|_| offer(&intake, "silence", HOME).expect("there is room")).collect();
    assert!(offer(&intake, "silence", HOME).is_none(), "no more may wait");
    for socket in &waiting[AT_ONCE_MAX..] {
        socket.gone.store(true, Ordering::Relaxed);
    }
    sleep(Duration::from_millis(1_480)).await;
    assert!(first.iter().all(|socket| socket.told().is_empty()));
    sleep(Duration::from_millis(20)).await;
    assert!(first.iter().all(|socket| socket.told() == [Verdict::Unavailable]));
    sleep(SECONDS(2)).await;
    assert!(waiting[..AT_ONCE_MAX].iter().all(|socket| socket.told() == [Verdict::Unavailable]));
    assert_eq!(accounts.asked("silence"), 2 * AT_ONCE_MAX, "nobody is asked for who has gone");
    assert_eq!(accounts.most.load(Ordering::Relaxed), AT_ONCE_MAX);
    assert!(offer(&intake, "silence", HOME).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_slow_round_leaves_room_for_who_is_at_the_door() {
    let (intake, accounts) = desk();
    let mut sockets = Vec::new();
    for n in 0..200 {
        accounts.say(&format!("key {n}"), Says::Good(key("k", &[Scope::MarketRead]), None));
        sockets.push(show(&intake, &format!("key {n}")).await);
    }
    for n in 0..200 {
        accounts.say(&format!("key {n}"), Says::Nothing);
    }
    sleep(SECONDS(2)).await;
    accounts.say("new", Says::Good(user("u1"), None));
    for _ in 0..20 {
        let socket = show(&intake, "new").await;
        assert_eq!(socket.told(), [admitted("user u1", None)]);
        sleep(Duration::from_millis(100)).await;
    }
    sleep(SECONDS(10)).await;
    assert!(sockets.iter().all(|socket| socket.told().last() == Some(&Verdict::Unavailable)));
    assert!(accounts.most.load(Ordering::Relaxed) < AT_ONCE_MAX);
}

#[tokio::test(start_paused = true)]
async fn what_found_no_room_is_told_later_and_in_order() {
    let (intake, accounts) = desk();
    accounts.say("key", Says::Good(key("k1", &[Scope::MarketRead]), None));
    let socket = Arc::new(Socket { full: AtomicBool::new(true), ..Socket::default() });
    let question = Question { credential: "key".into(), peer: HOME.into(), asker: Arc::clone(&socket) as _ };
    assert!(intake.offer(question).is_ok());
    sleep(Duration::from_millis(100)).await;
    accounts.say("key", Says::Bad(Refusal::Revoked));
    let later = offer(&intake, "key", HOME).unwrap();
    sleep(SECONDS(5)).await;
    assert_eq!((socket.told(), later.told()), (vec![], vec![]), "new questions wait behind");
    socket.full.store(false, Ordering::Relaxed);
    sleep(Duration::from_millis(50)).await;
    assert_eq!(socket.told(), [admitted("key k1", None), Verdict::Revoked]);
    assert_eq!(later.told(), [Verdict::Refused]);
}

#[tokio::test(start_paused = true)]
async fn a_fault_of_the_accounts_lets_nobody_in_and_ends_nothing_else() {
    let (intake, accounts) = desk();
    accounts.say("fault", Says::Panics);
    accounts.say("token", Says::Good(user("u1"), None));
    assert_eq!(show(&intake, "fault").await.told(), []);
    let socket = show(&intake, "token").await;
    assert_eq!(socket.told(), [admitted("user u1", None)]);
    accounts.say("token", Says::Panics);
    sleep(SECONDS(5)).await;
    accounts.say("token", Says::Bad(Refusal::Revoked));
    sleep(SECONDS(3)).await;
    assert_eq!(socket.told(), [admitted("user u1", None), Verdict::Revoked], "it is asked about again");
}
