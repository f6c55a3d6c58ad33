//! Mails to people: links that verify an address or reset a password.
//!
//! Sending never holds up a request: a mail waits in a bounded queue ([`QUEUE_MAX`]); beyond it, and after a failure, it is
//! counted and logged without its link, and the person asks again. Never keeps a mail.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lettre::message::Mailbox;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::mpsc;

/// Mails that may wait.
pub const QUEUE_MAX: usize = 256;

/// Time for one mail to be taken by the mail server.
const SEND_MAX: Duration = Duration::from_secs(20);

api_kit::named_enum! {
    /// Why a mail is sent.
    Purpose {
        /// To verify an address.
        Verify = "verify",
        /// To reset a password.
        Reset = "reset",
        /// To say that somebody tried to register an address that has an account.
        Registered = "registered",
    }
}

/// One mail. Its link opens something: never logged but in development.
pub struct Mail {
    /// Whom to.
    pub to: String,
    /// Why.
    pub purpose: Purpose,
    /// Where its link leads; empty when it has none.
    pub link: SecretString,
}

/// What sends mails.
#[derive(Clone)]
pub struct Mailer {
    sender: Option<mpsc::Sender<Mail>>,
    counts: Arc<Counts>,
}

/// What a mailer counts.
#[derive(Debug, Default)]
pub struct Counts {
    pub(crate) sent: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) dropped: AtomicU64,
}

impl Mailer {
    /// Development: links stand in the log, where the person who started the program reads them.
    #[must_use]
    pub fn to_the_log() -> Self {
        Self { sender: None, counts: Arc::default() }
    }

    /// Mails through `url` (`smtps://user:password@host` or `smtp://host?tls=required`), from `from`. The future sends, and
    /// is to be spawned.
    ///
    /// # Errors
    /// The URL or the address is none.
    pub fn smtp(url: &SecretString, from: &str) -> Result<(Self, impl Future<Output = ()> + Send + 'static), String> {
        let from: Mailbox = from.parse().map_err(|_| "users.mail_from: not an e-mail address".to_owned())?;
        // Without the library's words, which may quote the URL and with it the password.
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.expose_secret())
            .map_err(|_| "users.smtp_url: not an smtp:// or smtps:// URL".to_owned())?
            .timeout(Some(SEND_MAX))
            .build();
        let (sender, mut mails) = mpsc::channel::<Mail>(QUEUE_MAX);
        let counts = Arc::<Counts>::default();
        let counted = Arc::clone(&counts);
        let run = async move {
            while let Some(mail) = mails.recv().await {
                let sent = match message(&from, &mail) {
                    Ok(message) => transport.send(message).await.map(drop).map_err(|error| error.to_string()),
                    Err(error) => Err(error),
                };
                match sent {
                    Ok(()) => counted.sent.fetch_add(1, Ordering::Relaxed),
                    Err(error) => {
                        tracing::error!(purpose = mail.purpose.name(), error, "a mail could not be sent");
                        counted.failed.fetch_add(1, Ordering::Relaxed)
                    }
                };
            }
        };
        Ok((Self { sender: Some(sender), counts }, run))
    }

    /// Whether mails leave this process.
    #[must_use]
    pub const fn sends(&self) -> bool {
        self.sender.is_some()
    }

    /// What it counts.
    #[must_use]
    pub fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }

    /// Sends when its turn comes. Never waits.
    pub fn send(&self, mail: Mail) {
        let Some(sender) = &self.sender else {
            tracing::info!(
                purpose = mail.purpose.name(),
                link = mail.link.expose_secret(),
                "development: no mail is sent"
            );
            return;
        };
        if sender.try_send(mail).is_err() {
            tracing::error!("a mail was dropped: more than {QUEUE_MAX} wait for the mail server");
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The texts, Turkish first.
fn texts(purpose: Purpose) -> (&'static str, &'static str) {
    match purpose {
        Purpose::Verify => (
            "E-posta adresinizi doğrulayın / Verify your e-mail address",
            "Hesabınızı kullanmak için bu bağlantıyı 24 saat içinde açın ve kayıtta seçtiğiniz parolayı girin. Siz kaydolmadıysanız \
             bağlantıyı açmayın.\n\
             Open this link within 24 hours and enter the password of your registration. Do not open it when you did not \
             register.",
        ),
        Purpose::Reset => (
            "Parolanızı yenileyin / Reset your password",
            "Yeni bir parola belirlemek için bu bağlantıyı bir saat içinde açın. Siz istemediyseniz bir şey yapmanız gerekmez.\n\
             Open this link within an hour to set a new password. Nothing needs to be done when you did not ask for it.",
        ),
        Purpose::Registered => (
            "Bu adresin bir hesabı var / This address has an account",
            "Bu adresle yeni bir kayıt denendi; adresin zaten bir hesabı var. Parolanızı unuttuysanız sayfada yenileyebilirsiniz.\n\
             Somebody tried to register this address, which has an account already. The page resets a forgotten password.",
        ),
    }
}

fn message(from: &Mailbox, mail: &Mail) -> Result<Message, String> {
    let (subject, text) = texts(mail.purpose);
    let to: Mailbox = mail.to.parse().map_err(|_| "not an e-mail address".to_owned())?;
    let body = format!("{text}\n\n{}\n", mail.link.expose_secret());
    Message::builder().from(from.clone()).to(to).subject(subject).body(body).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_holds_its_link_and_nothing_can_be_added_to_its_head() {
        let from: Mailbox = "BIST <no-reply@example.com>".parse().unwrap();
        let mail = |to: &str| Mail {
            to: to.to_owned(),
            purpose: Purpose::Reset,
            link: "https://example.com/#reset=abc".to_owned().into(),
        };
        let bytes = message(&from, &mail("ayse@example.com")).unwrap().formatted();
        assert!(String::from_utf8_lossy(&bytes).contains("To: ayse@example.com"));
        assert!(message(&from, &mail("ayse@example.com\r\nBcc: all@example.com")).is_err());
    }
}
