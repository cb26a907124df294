//! Error codes on gRPC statuses: a stable number and its parameters travel in the details.
//!
//! Texts are not here: `common::text` has them, in the user's language.

use common::text::Texts;
use prost::Message;
use tonic::{Code, Status};

use crate::v1::{ErrorDetail, ErrorParam};

pub use crate::v1::ErrorCode;

/// A failed call: what a client can act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The stable number.
    pub code: ErrorCode,
    /// Facts, by name, as `types.proto` lists them for each code.
    pub params: Vec<(String, String)>,
}

impl Failure {
    /// A failure without parameters.
    pub fn new(code: ErrorCode) -> Self {
        Self { code, params: Vec::new() }
    }

    /// Adds a parameter.
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.params.push((name.to_owned(), value.to_string()));
        self
    }

    /// The value of a parameter.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The status that carries it; `message` is its French text.
    pub fn into_status(self, message: String) -> Status {
        let code = status_code(self.code);
        let detail = ErrorDetail::from(self);
        Status::with_details(code, message, detail.encode_to_vec().into())
    }

    /// What a status carries; `None` if it does not come from this product's server.
    pub fn from_status(status: &Status) -> Option<Self> {
        ErrorDetail::decode(status.details()).ok().filter(|_| !status.details().is_empty()).map(Self::from)
    }

    /// What to tell a person: what happened and what to do next.
    pub fn text(&self, texts: Texts) -> String {
        texts.error(&text_key(self.code), &self.params)
    }

    /// True if the same call may succeed later without anybody doing anything.
    pub fn is_transient(&self) -> bool {
        matches!(self.code, ErrorCode::Overloaded | ErrorCode::Maintenance)
    }
}

impl From<Failure> for ErrorDetail {
    fn from(failure: Failure) -> Self {
        let params = failure.params.into_iter().map(|(name, value)| ErrorParam { name, value }).collect();
        Self { code: failure.code.into(), params }
    }
}

impl From<ErrorDetail> for Failure {
    fn from(detail: ErrorDetail) -> Self {
        let code = detail.code();
        Self { code, params: detail.params.into_iter().map(|param| (param.name, param.value)).collect() }
    }
}

/// The error code as the key of its text: `not-found`.
fn text_key(code: ErrorCode) -> String {
    code.as_str_name().trim_start_matches("ERROR_CODE_").to_ascii_lowercase().replace('_', "-")
}

/// The gRPC code of each error code.
fn status_code(code: ErrorCode) -> Code {
    match code {
        ErrorCode::Unspecified | ErrorCode::Internal => Code::Internal,
        ErrorCode::InvalidArgument | ErrorCode::WeakPassword => Code::InvalidArgument,
        ErrorCode::Unauthenticated | ErrorCode::WrongCredentials => Code::Unauthenticated,
        ErrorCode::TooManyAttempts | ErrorCode::LimitExceeded => Code::ResourceExhausted,
        ErrorCode::PermissionDenied | ErrorCode::NetworkRefused => Code::PermissionDenied,
        ErrorCode::NotFound | ErrorCode::SessionUnknown => Code::NotFound,
        ErrorCode::AlreadyExists => Code::AlreadyExists,
        ErrorCode::MustChangePassword
        | ErrorCode::DefaultPasswordExpired
        | ErrorCode::SourceNotContracted
        | ErrorCode::QuotaExceeded
        | ErrorCode::Suspended
        | ErrorCode::ProtocolVersion
        | ErrorCode::LocationRefused => Code::FailedPrecondition,
        ErrorCode::SessionSuperseded | ErrorCode::KeyringConflict | ErrorCode::SetConflict => Code::Aborted,
        ErrorCode::Maintenance | ErrorCode::Overloaded | ErrorCode::StoreFull | ErrorCode::StoreSuspect => {
            Code::Unavailable
        }
        ErrorCode::Damaged => Code::DataLoss,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_survives_its_status() {
        let failure = Failure::new(ErrorCode::QuotaExceeded).with("used_bytes", 12).with("contact", "01 02 03 04 05");
        let status = failure.clone().into_status("texte".into());
        assert_eq!(status.code(), Code::FailedPrecondition);
        assert_eq!(Failure::from_status(&status), Some(failure));
        assert_eq!(Failure::from_status(&Status::internal("proxy")), None);
    }

    #[test]
    fn every_code_has_its_text_in_both_languages() {
        for number in 0.. {
            let Ok(code) = ErrorCode::try_from(number) else { break };
            let bare = Failure::new(code);
            assert!(bare.text(Texts::FRENCH).len() > 30, "{code:?}");
            assert!(bare.text(Texts::ENGLISH).len() > 30, "{code:?}");
        }
        assert!(ErrorCode::try_from(26).is_ok());
    }
}
