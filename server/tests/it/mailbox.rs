//! A real mail server on loopback (Debian's `python3-aiosmtpd`), as a process of its own.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde::Deserialize;

/// Time within which a mail arrives that was accepted.
const ARRIVAL: Duration = Duration::from_secs(20);

/// A mail that was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Mail {
    pub to: Vec<String>,
    pub from: String,
    pub tls: bool,
    pub subject: String,
    pub id: String,
    pub thread: String,
    pub automatic: String,
    pub body: String,
}

/// The mail server. Ends when dropped.
pub struct MailServer {
    child: Child,
    mails: Receiver<Mail>,
}

impl MailServer {
    /// Starts it on a port that [`free_port`] gave.
    pub fn start(port: u16) -> Self {
        Self::run(port, &[])
    }

    /// The same, demanding STARTTLS and a login.
    pub fn start_closed(port: u16, certificate: &Path, key: &Path, (login, password): (&str, &str)) -> Self {
        Self::run(port, &[certificate.to_str().unwrap(), key.to_str().unwrap(), login, password])
    }

    fn run(port: u16, options: &[&str]) -> Self {
        // The system's interpreter: the package is installed for no other.
        let mut process = Command::new("/usr/bin/python3");
        process.args(["-c", include_str!("smtp.py"), &port.to_string()]).args(options);
        let mut child = process.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines.next().expect("python3-aiosmtpd is installed").unwrap();
        assert_eq!(ready, "ready");
        let (sender, mails) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // The test may have ended.
                let _ = sender.send(serde_json::from_str(&line).unwrap());
            }
        });
        Self { child, mails }
    }

    /// The next mail with these words in its subject; others are passed over.
    pub fn next(&self, about: &str) -> Mail {
        loop {
            let mail = self.mails.recv_timeout(ARRIVAL).expect("a mail arrives");
            if mail.subject.contains(about) {
                return mail;
            }
        }
    }

    /// True if a further mail with these words in its subject was accepted.
    pub fn has(&self, about: &str) -> bool {
        self.mails.try_iter().any(|mail| mail.subject.contains(about))
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port of loopback that nobody listens on.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A certificate for `localhost` and its key, in files.
pub fn certificate(folder: &Path) -> (std::path::PathBuf, std::path::PathBuf) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let files = (folder.join("smtp.pem"), folder.join("smtp.key"));
    std::fs::File::create(&files.0).unwrap().write_all(made.cert.pem().as_bytes()).unwrap();
    std::fs::File::create(&files.1).unwrap().write_all(made.signing_key.serialize_pem().as_bytes()).unwrap();
    files
}
