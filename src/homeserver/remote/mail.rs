//! Sending e-mail: by one's own SMTP server, one letter to one address.

use std::time::Duration;

use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use tokio::sync::Semaphore;
use tokio_rustls::rustls::pki_types::CertificateDer;

use crate::config::{Mail, MailSecurity};
use crate::error::{Error, Result};
use crate::meters::Letters;

/// How long connecting to the SMTP server may take.
const CONNECTED_WITHIN: Duration = Duration::from_secs(20);
/// How long giving it a letter may take, all steps together, and waiting for other letters: the transport itself gives up
/// nothing but connecting.
const SENT_WITHIN: Duration = Duration::from_mins(1);
/// How many letters are sent at a time.
const AT_ONCE: usize = 4;
/// The longest address that SMTP has room for, in bytes.
const LONGEST: usize = 254;

/// A letter.
#[derive(Debug, Clone)]
pub struct Letter {
    /// To whom, as [`address`] gives it.
    pub to: String,
    /// What about.
    pub subject: String,
    /// What it says, for people who read text.
    pub text: String,
    /// The same as HTML.
    pub html: String,
    /// Where one click ends letters of this sort (RFC 8058).
    pub unsubscribe: Option<String>,
}

/// Sends letters.
#[derive(Debug)]
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    server_name: String,
    at_once: Semaphore,
    within: Duration,
    /// What is counted.
    pub letters: Letters,
}

/// An address in the form by which it is compared: people do not heed capitals, nor do mail servers. None where it is no
/// address.
#[must_use]
pub fn address(text: &str) -> Option<String> {
    let text = text.trim().to_lowercase();
    let legal = text.len() <= LONGEST && !text.contains(char::is_control) && text.parse::<Address>().is_ok();
    legal.then_some(text)
}

/// Whether a text is an address with a name or without, as letters are sent from.
#[must_use]
pub fn is_mailbox(text: &str) -> bool {
    text.parse::<Mailbox>().is_ok()
}

impl Mailer {
    /// By the server that the configuration names; `authorities` are trusted beside those of the system.
    ///
    /// # Errors
    /// A part of the configuration is not what it must be.
    pub fn new(mail: &Mail, authorities: &[CertificateDer<'static>], server_name: &str) -> Result<Self> {
        let tls = || {
            let mut parameters = TlsParameters::builder(mail.host.clone());
            for authority in authorities {
                let certificate = Certificate::from_der(authority.to_vec()).map_err(Error::internal)?;
                parameters = parameters.add_root_certificate(certificate);
            }
            parameters.build_rustls().map_err(Error::internal)
        };
        let security = match mail.security {
            MailSecurity::Tls => Tls::Wrapper(tls()?),
            MailSecurity::StartTls => Tls::Required(tls()?),
            MailSecurity::None => Tls::None,
        };
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&mail.host)
            .port(mail.port)
            .tls(security)
            .timeout(Some(CONNECTED_WITHIN));
        if let (Some(username), Some(password)) = (&mail.username, &mail.password) {
            transport = transport.credentials(Credentials::new(username.clone(), password.clone()));
        }
        Ok(Self {
            transport: transport.build(),
            from: mail.from.parse().map_err(Error::internal)?,
            server_name: server_name.to_owned(),
            at_once: Semaphore::new(AT_ONCE),
            within: SENT_WITHIN,
            letters: Letters::default(),
        })
    }

    /// Sends a letter.
    ///
    /// # Errors
    /// It cannot be written, or the SMTP server does not take it, or does not answer.
    pub async fn send(&self, letter: &Letter) -> Result<()> {
        let _waiting = self.letters.waiting.enter();
        let message = self.message(letter)?;
        // Waiting for the letters before it is part of the time: nobody waits longer because others do.
        let sent = tokio::time::timeout(self.within, async {
            let _permit = self.at_once.acquire().await.map_err(Error::internal)?;
            self.transport.send(message).await.map(drop).map_err(Error::internal)
        });
        let sent = sent.await.unwrap_or_else(|_| Err(Error::internal("it does not answer")));
        let count = if sent.is_ok() { &self.letters.sent } else { &self.letters.failed };
        count.add(1);
        sent
    }

    fn message(&self, letter: &Letter) -> Result<Message> {
        let to: Address = letter.to.parse().map_err(Error::internal)?;
        let id: u128 = rand::random();
        let mut message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(&letter.subject)
            .date_now()
            .message_id(Some(format!("<{id:032x}@{}>", self.server_name)))
            // So that nobody's holiday answers it (RFC 3834).
            .raw_header(header("Auto-Submitted", "auto-generated"));
        if let Some(url) = &letter.unsubscribe {
            message = message
                .raw_header(header("List-Unsubscribe", &format!("<{url}>")))
                .raw_header(header("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"));
        }
        let body = MultiPart::alternative_plain_html(letter.text.clone(), letter.html.clone());
        message.multipart(body).map_err(Error::internal)
    }
}

fn header(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

/// A text inside HTML.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            char => escaped.push(char),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::net::TcpListener;

    use super::{Letter, Mailer, address, escaped};
    use crate::config::{Mail, MailSecurity};

    fn mailer(port: u16) -> Mailer {
        let mail = Mail {
            host: "127.0.0.1".to_owned(),
            port,
            security: MailSecurity::None,
            username: None,
            password: None,
            from: "Ward Chat <chat@trust.example>".to_owned(),
            client_url: None,
            hide_addresses: true,
            required: false,
        };
        Mailer::new(&mail, &[], "trust.example").unwrap()
    }

    fn letter() -> Letter {
        Letter {
            to: "ann@trust.example".to_owned(),
            subject: "Zwei Nachrichten für Sie\r\nBcc: eve@evil.example".to_owned(),
            text: "hello".to_owned(),
            html: "<p>hello</p>".to_owned(),
            unsubscribe: Some("https://chat.trust.example/end".to_owned()),
        }
    }

    #[tokio::test]
    async fn a_server_that_says_nothing_is_given_up() {
        // It takes connections, and never greets.
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mailer = mailer(silent.local_addr().unwrap().port());
        let mailer = Mailer { within: Duration::from_millis(100), ..mailer };
        let refused = mailer.send(&letter()).await.unwrap_err();
        assert!(refused.to_string().contains("does not answer"), "{refused}");
        assert_eq!((mailer.letters.failed.get(), mailer.letters.waiting.get()), (1, 0));
    }

    #[tokio::test]
    async fn a_letter_that_gets_no_turn_is_given_up() {
        let mailer = Mailer { within: Duration::from_millis(100), ..mailer(25) };
        let _others = mailer.at_once.acquire_many(4).await.unwrap();
        let refused = mailer.send(&letter()).await.unwrap_err();
        assert!(refused.to_string().contains("does not answer"), "{refused}");
        assert_eq!((mailer.letters.failed.get(), mailer.letters.waiting.get()), (1, 0));
    }

    #[test]
    fn addresses_have_one_form() {
        assert_eq!(address(" Ann.Bell@Trust.Example ").as_deref(), Some("ann.bell@trust.example"));
        for bad in ["", "ann", "ann@", "@trust.example", "a b@c.d", "a@b@c", "a@b\r\nRCPT TO:<x@y>", "a\0@b.c"] {
            assert_eq!(address(bad), None, "{bad}");
        }
        assert_eq!(address(&format!("{}@b.c", "a".repeat(300))), None);
    }

    #[test]
    fn letters_have_both_forms_and_one_click_ends_them() {
        let message = String::from_utf8(mailer(25).message(&letter()).unwrap().formatted()).unwrap();
        for part in [
            "From: \"Ward Chat\" <chat@trust.example>\r\n",
            "To: ann@trust.example\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "List-Unsubscribe: <https://chat.trust.example/end>\r\n",
            "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n",
            "@trust.example>\r\n",
            "text/plain",
            "text/html",
        ] {
            assert!(message.contains(part), "{part}: {message}");
        }
        assert!(!message.contains("\r\nBcc:"), "a subject cannot bring a header: {message}");
    }

    #[test]
    fn html_is_escaped() {
        assert_eq!(escaped("<b a=\"1\">'&'</b>"), "&lt;b a=&quot;1&quot;&gt;&#39;&amp;&#39;&lt;/b&gt;");
    }
}
