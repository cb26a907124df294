//! Logins and changes of password: delays, hashes, tokens, in the one order that tells an attacker nothing.
//!
//! Order of a login: delay → count the attempt as failed → hash (a known or a dummy one) → only then what the account is like.
//!
//! Invariant: an unknown identifier, a wrong password and an account whose role is over get the same answer in the same time.

use std::net::IpAddr;
use std::sync::Arc;

use common::limits::DEFAULT_PASSWORD_S;
use proto::code::{ErrorCode, Failure};
use zeroize::Zeroizing;

use super::attempts::{AttemptKey, Attempts};
use super::password::{Passwords, default_digest};
use super::policy;
use super::replaced;
use super::token::{self, TokenKind};
use crate::clock::Random;
use crate::control::Control;
use crate::control::accounts::{Account, StoredPassword};
use crate::control::audit::{Action, Event, Trace};
use crate::control::networks::admits;
use crate::grpc::caller::with_control;
use crate::grpc::status;
use crate::store::objects::Objects;

/// Longest identifier, in bytes.
const IDENTIFIER_BYTES_MAX: usize = 128;

/// An identifier and the password that came with it.
pub struct Credentials {
    /// As typed.
    pub identifier: String,
    /// As typed.
    pub password: Zeroizing<String>,
    /// Where from.
    pub address: IpAddr,
}

/// A login that was opened.
pub struct LoggedIn {
    /// The token, shown once.
    pub token: String,
    /// Nothing but changing the password is allowed.
    pub must_change_password: bool,
}

/// Opens logins and changes passwords.
#[derive(Clone)]
pub struct Logins {
    control: Arc<Control>,
    passwords: Passwords,
    attempts: Arc<Attempts>,
    random: Random,
    objects: Objects,
}

impl Logins {
    /// Works on the accounts of `control`; new passwords are noted among `objects`.
    pub fn new(control: Arc<Control>, passwords: Passwords, random: Random, objects: Objects) -> Self {
        Self { control, passwords, attempts: Arc::default(), random, objects }
    }

    /// Opens a login for an identifier and its password.
    ///
    /// # Errors
    /// `WRONG_CREDENTIALS`, `TOO_MANY_ATTEMPTS`, `DEFAULT_PASSWORD_EXPIRED`, `OVERLOADED`.
    pub async fn login(&self, credentials: &Credentials, trace: Trace) -> Result<LoggedIn, Failure> {
        let account = self.check(credentials, Action::Login, &trace).await?;
        let must_change_password = account.must_change_password();
        if account.password.default_expires_at_ns.is_some_and(|expires| expires <= trace.at_ns) {
            let failure = Failure::new(ErrorCode::DefaultPasswordExpired);
            self.refuse(&account.identifier, Action::Login, "default_password_expired", trace).await?;
            return Err(failure);
        }
        self.check_network(&account, credentials.address, &trace).await?;
        let token = self.open(account, trace).await?;
        Ok(LoggedIn { token, must_change_password })
    }

    /// Replaces a password by one that its owner chose, and opens a login with it; every other login ends.
    ///
    /// # Errors
    /// As [`Self::login`], or `WEAK_PASSWORD`.
    pub async fn change_password(
        &self,
        credentials: &Credentials,
        new: Zeroizing<String>,
        trace: Trace,
    ) -> Result<String, Failure> {
        let account = self.check(credentials, Action::ChangePassword, &trace).await?;
        let is_default = default_digest(&new) == account.password.default_digest || *new == *credentials.password;
        policy::check(&new, &account.identifier, is_default).map_err(status::of_weakness)?;
        let hash = self.passwords.hash(&new).await.map_err(|error| status::of_password(&error))?;
        let password =
            StoredPassword { hash, default_expires_at_ns: None, since_ns: trace.at_ns, ..account.password.clone() };
        let (identifier, subscription) = (account.identifier.clone(), account.subscription());
        let changed = trace.clone();
        let objects = self.objects.clone();
        with_control(&self.control, move |control| {
            let event = Event { action: Action::ChangePassword, subscription, object: &identifier, result: "done" };
            let since_ns = control.set_password(&identifier, &password, &changed, &event)?;
            subscription.inspect(|subscription| replaced::keep(&objects, subscription, &identifier, since_ns));
            Ok(())
        })
        .await?;
        self.open(account, trace).await
    }

    /// A default password: what is shown once and what is kept.
    ///
    /// # Errors
    /// `OVERLOADED`.
    pub async fn make_default(&self, now_ns: i64) -> Result<(Zeroizing<String>, StoredPassword), Failure> {
        let password = self.passwords.make_default();
        let hash = self.passwords.hash(&password).await.map_err(|error| status::of_password(&error))?;
        let stored = default_password(&password, hash, now_ns);
        Ok((password, stored))
    }

    /// The account of right credentials.
    async fn check(&self, credentials: &Credentials, action: Action, trace: &Trace) -> Result<Account, Failure> {
        let identifier = normal_identifier(&credentials.identifier);
        let key = AttemptKey::new(&identifier, credentials.address);
        if let Err(retry_s) = self.attempts.begin(&key, trace.at_ns) {
            return Err(Failure::new(ErrorCode::TooManyAttempts).with("retry_s", retry_s));
        }
        let wanted = identifier.clone();
        let account = with_control(&self.control, move |control| control.account(&wanted)).await?;
        let hash = account.as_ref().map(|account| account.password.hash.as_str());
        let right = self.passwords.verify(&credentials.password, hash).await;
        let right = right.map_err(|error| status::of_password(&error))?;
        match account.filter(|account| right && !account.is_over(trace.at_ns)) {
            Some(account) => {
                self.attempts.succeeded(&key);
                Ok(account)
            }
            None => {
                self.refuse(&identifier, action, "wrong_credentials", trace.clone()).await?;
                Err(Failure::new(ErrorCode::WrongCredentials))
            }
        }
    }

    /// Refuses an operator who logs in from outside the networks of the account.
    async fn check_network(&self, account: &Account, address: IpAddr, trace: &Trace) -> Result<(), Failure> {
        let identifier = account.identifier.clone();
        let networks = with_control(&self.control, move |control| control.networks(&identifier)).await?;
        if admits(&networks, address) {
            return Ok(());
        }
        self.refuse(&account.identifier, Action::Login, "network_refused", trace.clone()).await?;
        Err(Failure::new(ErrorCode::NetworkRefused))
    }

    async fn open(&self, account: Account, trace: Trace) -> Result<String, Failure> {
        let (token, digest) = token::make(TokenKind::Login, &self.random);
        with_control(&self.control, move |control| control.open_login(&account, &digest, &trace)).await?;
        Ok(token)
    }

    async fn refuse(
        &self,
        identifier: &str,
        action: Action,
        result: &'static str,
        trace: Trace,
    ) -> Result<(), Failure> {
        let object = identifier.to_owned();
        with_control(&self.control, move |control| {
            control.record(&trace, &Event { action, subscription: None, object: &object, result })
        })
        .await
    }
}

/// What is kept of a default password that was made now.
pub fn default_password(password: &str, hash: String, now_ns: i64) -> StoredPassword {
    let expires_at_ns = now_ns.saturating_add(DEFAULT_PASSWORD_S * 1_000_000_000);
    let default_digest = default_digest(password);
    StoredPassword { hash, default_digest, default_expires_at_ns: Some(expires_at_ns), since_ns: now_ns }
}

/// An identifier as it is kept and compared: lower case, of bounded length.
pub fn normal_identifier(identifier: &str) -> String {
    let mut normal = identifier.trim().to_lowercase();
    let end = normal.floor_char_boundary(IDENTIFIER_BYTES_MAX);
    normal.truncate(end);
    normal
}

/// True for an identifier that an account may be made with.
pub fn is_identifier(identifier: &str) -> bool {
    let allowed = |letter: char| letter.is_alphanumeric() || "@._+-".contains(letter);
    identifier.len() >= 2 && normal_identifier(identifier) == identifier && identifier.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_compared_in_lower_case_and_within_bounds() {
        assert_eq!(normal_identifier(" Anna@Acme.FR "), "anna@acme.fr");
        assert!(normal_identifier(&"é".repeat(500)).len() <= IDENTIFIER_BYTES_MAX);
        assert!(is_identifier("anna.b+c@acme.fr"));
        for bad in ["", "a", "Anna", "anna b", "anna\n", "anna/..", " anna"] {
            assert!(!is_identifier(bad), "{bad:?}");
        }
    }
}
