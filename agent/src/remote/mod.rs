//! The server as the agent sees it: one encrypted HTTP/2 connection, a credential, deadlines, typed errors.
//!
//! The calls themselves are in the modules beside this one, which convert to domain types; nothing else in the agent touches
//! the wire. It does not keep addresses or tokens.
//!
//! Invariant: I7 — the only home of `tonic` and of generated wire types in the agent.
//! Invariant: every call has a deadline, every stream an idle limit.

pub mod account;
pub mod backup;
pub mod pace;
pub mod restore;
pub mod retry;
pub mod sets;
pub mod signers;
pub mod tls;
pub mod transfer;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use common::limits::{
    CLIENT_CONNECTION_WINDOW_BYTES, CLIENT_STREAM_WINDOW_BYTES, HEADER_BYTES_MAX, HTTP2_FRAME_BYTES,
    KEEP_ALIVE_INTERVAL_MS, KEEP_ALIVE_TIMEOUT_MS, UNARY_DEADLINE_MS,
};
use proto::code::{ErrorCode, Failure};
use rustls::pki_types::ServerName;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};
use zeroize::{Zeroize, ZeroizeOnDrop};

use pace::Pace;

/// Where the server is and which root it must show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// `https://host:port`; the port is 443 if left out.
    pub url: String,
    /// The provider's root certificate, PEM.
    pub root_pem: String,
}

/// A credential: an agent's token, a person's login or a one-use enrolment token.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Token(String);

impl Token {
    /// Takes the text as the server gave it.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text, to be stored with mode 0600. Never to be shown or logged.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// Why a call gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RemoteError {
    /// The server understood and said no.
    #[error("the server refused: {:?}", .0.code)]
    Refused(Failure),
    /// No connection, a cut, or no answer in time; may pass by itself.
    #[error("the server cannot be reached: {0}")]
    Unreachable(String),
    /// The server is not who it should be; never passes by itself.
    #[error("the server cannot be trusted: {0}")]
    Tls(String),
    /// The server's certificate is not valid yet, or no more, by this machine's clock; passes once one of them is right.
    #[error("the server's certificate is not valid by this machine's clock: {0}")]
    OutOfDate(String),
    /// The answer is not one of this protocol.
    #[error("unexpected answer of the server: {0}")]
    Protocol(String),
    /// The address in the configuration is not one.
    #[error("{0:?} is not an address like https://host:port")]
    InvalidAddress(String),
}

impl RemoteError {
    /// True if the same call may succeed later without anybody doing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Refused(failure) => failure.is_transient(),
            Self::Unreachable(_) => true,
            Self::Tls(_) | Self::OutOfDate(_) | Self::Protocol(_) | Self::InvalidAddress(_) => false,
        }
    }

    /// The delay that the server asked for, in seconds.
    pub fn retry_after_s(&self) -> Option<u64> {
        match self {
            Self::Refused(failure) => failure.param("retry_s")?.parse().ok(),
            _ => None,
        }
    }

    /// The code of a refusal.
    pub fn refusal(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused(failure) => Some(failure.code),
            _ => None,
        }
    }

    fn from_chain(error: &(dyn std::error::Error + 'static)) -> Option<Self> {
        let mut link = Some(error);
        while let Some(error) = link {
            if let Some(connect) = error.downcast_ref::<tls::ConnectError>() {
                return Some(connect.into());
            }
            link = error.source();
        }
        None
    }
}

impl From<Status> for RemoteError {
    fn from(status: Status) -> Self {
        if let Some(failure) = Failure::from_status(&status) {
            return Self::Refused(failure);
        }
        if let Some(error) = Self::from_chain(&status) {
            return error;
        }
        let text = format!("{:?}: {}", status.code(), status.message());
        match status.code() {
            // Without details of ours the status comes from the transport, or from a proxy on the way.
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown | Code::ResourceExhausted => {
                Self::Unreachable(text)
            }
            Code::Internal if std::error::Error::source(&status).is_some() => Self::Unreachable(text),
            _ => Self::Protocol(text),
        }
    }
}

/// A parsed address.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    host: String,
    port: u16,
    server_name: ServerName<'static>,
}

impl Endpoint {
    fn parse(url: &str) -> Result<Self, RemoteError> {
        let invalid = || RemoteError::InvalidAddress(url.to_owned());
        let uri: tonic::transport::Uri = url.trim_end_matches('/').parse().map_err(|_| invalid())?;
        let authority = uri.authority().ok_or_else(invalid)?;
        let plain = matches!(uri.path(), "" | "/") && uri.query().is_none() && !authority.as_str().contains('@');
        if uri.scheme_str() != Some("https") || !plain {
            return Err(invalid());
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let server_name = ServerName::try_from(host.clone()).map_err(|_| invalid())?;
        Ok(Self { host, port: authority.port_u16().unwrap_or(443), server_name })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// A connection to the server, cheap to clone, with the credential of its calls.
#[derive(Clone)]
pub struct Remote {
    channel: Channel,
    authorization: Option<AsciiMetadataValue>,
    pace: Option<Arc<Pace>>,
}

impl Remote {
    /// Connects and verifies the server. Must run inside a tokio runtime, which the connection then needs.
    ///
    /// # Errors
    /// [`RemoteError::Unreachable`], [`RemoteError::Tls`], [`RemoteError::OutOfDate`] or [`RemoteError::InvalidAddress`].
    pub async fn connect(address: &Address, credential: Option<Token>) -> Result<Self, RemoteError> {
        let endpoint = Endpoint::parse(&address.url)?;
        // tonic insists on TLS of its own for https://; the connector below encrypts whatever the scheme says.
        let uri = match endpoint.host.contains(':') {
            true => format!("http://[{}]:{}", endpoint.host, endpoint.port),
            false => format!("http://{endpoint}"),
        };
        let connector = tls::Connector::new(endpoint, &address.root_pem)?;
        let channel = tonic::transport::Endpoint::from_shared(uri)
            .map_err(|_| RemoteError::InvalidAddress(address.url.clone()))?
            .initial_stream_window_size(CLIENT_STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CLIENT_CONNECTION_WINDOW_BYTES)
            .max_frame_size(HTTP2_FRAME_BYTES)
            .http2_max_header_list_size(HEADER_BYTES_MAX)
            .http2_keep_alive_interval(Duration::from_millis(KEEP_ALIVE_INTERVAL_MS))
            .keep_alive_timeout(Duration::from_millis(KEEP_ALIVE_TIMEOUT_MS))
            .connect_with_connector(connector)
            .await
            .map_err(|error| {
                RemoteError::from_chain(&error).unwrap_or_else(|| RemoteError::Unreachable(error.to_string()))
            })?;
        Self { channel, authorization: None, pace: None }.with_optional(credential)
    }

    /// The same connection with another credential.
    ///
    /// # Errors
    /// [`RemoteError::Protocol`] if the token cannot be a header.
    pub fn with_credential(&self, credential: Token) -> Result<Self, RemoteError> {
        self.clone().with_optional(Some(credential))
    }

    /// The same connection, on which frames leave at that pace.
    #[must_use]
    pub fn paced(self, pace: Option<Arc<Pace>>) -> Self {
        Self { pace, ..self }
    }

    /// The pace at which frames leave.
    pub(crate) fn pace(&self) -> Option<Arc<Pace>> {
        self.pace.clone()
    }

    fn with_optional(mut self, credential: Option<Token>) -> Result<Self, RemoteError> {
        self.authorization = match credential {
            None => None,
            Some(token) => {
                let mut header: String = format!("Bearer {}", token.expose());
                let value = AsciiMetadataValue::try_from(header.as_str());
                header.zeroize();
                // Kept out of logs and of HTTP/2's header table.
                let mut value = value.map_err(|_| RemoteError::Protocol("the token is not ASCII".into()))?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        Ok(self)
    }

    /// A connection to a server of this test, on this machine.
    #[cfg(test)]
    pub(crate) async fn without_tls(port: u16) -> Self {
        let endpoint = tonic::transport::Endpoint::from_shared(format!("http://127.0.0.1:{port}")).unwrap();
        Self { channel: endpoint.connect().await.unwrap(), authorization: None, pace: None }
    }

    /// What generated clients are made of; their message limits are set by who makes them.
    pub(crate) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// A request with the credential.
    pub(crate) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(value) = &self.authorization {
            request.metadata_mut().insert("authorization", value.clone());
        }
        request
    }
}

/// Waits for the answer of a unary call, at most [`UNARY_DEADLINE_MS`].
///
/// # Errors
/// As [`within`].
pub(crate) async fn unary<T>(call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, RemoteError> {
    within(UNARY_DEADLINE_MS, call).await.map(Response::into_inner)
}

/// Waits for a call, or for the next message of a stream, at most `limit_ms`.
///
/// # Errors
/// The status as a [`RemoteError`]; [`RemoteError::Unreachable`] when time is over.
pub(crate) async fn within<T>(limit_ms: u64, call: impl Future<Output = Result<T, Status>>) -> Result<T, RemoteError> {
    match tokio::time::timeout(Duration::from_millis(limit_ms), call).await {
        Ok(answer) => answer.map_err(RemoteError::from),
        Err(_) => Err(RemoteError::Unreachable(format!("no answer within {limit_ms} ms"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_or_refused() {
        for (url, shown) in [
            ("https://backup.example.fr", "backup.example.fr:443"),
            ("https://backup.example.fr:7443/", "backup.example.fr:7443"),
            ("https://192.0.2.1:7443", "192.0.2.1:7443"),
            ("https://[2001:db8::1]:7443", "2001:db8::1:7443"),
        ] {
            assert_eq!(Endpoint::parse(url).unwrap().to_string(), shown);
        }
        for bad in
            ["", "backup.example.fr", "http://a.fr", "https://", "https://a.fr/x", "https://u@a.fr", "https://a b"]
        {
            assert!(matches!(Endpoint::parse(bad), Err(RemoteError::InvalidAddress(_))), "{bad}");
        }
    }

    #[test]
    fn statuses_become_what_a_caller_treats_differently() {
        let refused = Failure::new(ErrorCode::Suspended).with("reason", "x");
        assert_eq!(RemoteError::from(refused.clone().into_status("texte".into())), RemoteError::Refused(refused));
        for (status, transient) in [
            (Status::unavailable("connection refused"), true),
            (Status::deadline_exceeded("late"), true),
            (Status::unimplemented("no such call"), false),
            (Status::internal("broken"), false),
        ] {
            assert_eq!(RemoteError::from(status.clone()).is_transient(), transient, "{status:?}");
        }
    }
}
