//! Calls about who is who: login, enrolment, keyring, today's account, the server's description.
//!
//! It converts to domain types and decides nothing.

use bytes::Bytes;
use common::id::{AgentId, ScopeId, SubscriptionId};
use common::limits::UNARY_MESSAGE_BYTES_MAX;
use proto::v1;
use proto::v1::account_client::AccountClient;
use proto::v1::server_client::ServerClient;
use tonic::transport::Channel;

use super::{Remote, RemoteError, Token, unary};

/// A login of a person.
pub struct Login {
    /// The credential of the calls that follow.
    pub token: Token,
    /// Only [`Remote::change_password`] works until then.
    pub must_change_password: bool,
}

/// Where the data lies.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    /// The site's name.
    pub site: String,
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// Who runs it.
    pub owner: String,
}

/// What a new agent asks for.
#[derive(Debug, Clone, Default)]
pub struct EnrollRequest {
    /// Name shown to people.
    pub host: String,
    /// An existing scope to join; a scope of its own otherwise.
    pub scope: Option<ScopeId>,
    /// The dead agent whose scope and sources it takes.
    pub replace: Option<AgentId>,
}

/// What a new agent is given.
pub struct Enrolled {
    /// The agent.
    pub agent: AgentId,
    /// Its dedup domain.
    pub scope: ScopeId,
    /// Its subscription.
    pub subscription: SubscriptionId,
    /// Its credential.
    pub token: Token,
    /// Where its data will lie.
    pub location: Place,
}

/// An enrolled agent as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentInfo {
    /// The agent.
    pub agent: AgentId,
    /// Its dedup domain.
    pub scope: ScopeId,
    /// Name shown to people.
    pub host: String,
    /// When it was last seen, nanoseconds since 1970.
    pub seen_at_ns: Option<i64>,
    /// True if its credential no longer works.
    pub revoked: bool,
}

/// What happens above a day's allowance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangePolicy {
    /// Accepted; the day is over, its snapshot outside the guarantee.
    #[default]
    Flag,
    /// What the day allows is accepted; the rest goes on the next day.
    Defer,
    /// What would exceed is refused.
    Refuse,
}

/// How close a day is to its allowance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DayState {
    /// No source has a first complete backup.
    #[default]
    NotStarted,
    /// Under 80 %.
    Inside,
    /// From 80 % to exactly 100 %.
    Near,
    /// Strictly above.
    Over,
}

/// Today's account of the subscription, in plain bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct DayUse {
    /// `2026-11-22`, Europe/Paris.
    pub day: String,
    /// Changed today.
    pub changed_bytes: u64,
    /// Laid again today.
    pub relaid_bytes: u64,
    /// Laid again after a loss of memory.
    pub reseed_bytes: u64,
    /// Accepted and not committed.
    pub uncommitted_bytes: u64,
    /// Allowed today; 0 while there is no baseline.
    pub allowed_bytes: u64,
    /// First snapshots of all sources; 0 while there is none.
    pub baseline_bytes: u64,
    /// On the order form.
    pub contracted_bytes: u64,
    /// Latest snapshots of all sources.
    pub used_bytes: u64,
    /// Never exceeded.
    pub hard_volume_bytes: u64,
    /// Contractual rate of daily change.
    pub per_mille: u32,
    /// What counts against `allowed_bytes`.
    pub counted_bytes: u64,
    /// What happens above it.
    pub policy: ChangePolicy,
    /// How close the day is to it.
    pub state: DayState,
    /// The day on which `state` began.
    pub since: String,
    /// Most days of change that one source's runs carry today.
    pub days: u32,
    /// Whom to call about it.
    pub contact: String,
}

/// Whether a subscription takes backups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubscriptionState {
    /// It does.
    Active,
    /// It does not for now; nothing is deleted.
    Suspended,
    /// The contract is over.
    Ended,
    /// A state that this version does not know.
    Unknown,
}

/// Who the caller is, and where the subscription stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Who {
    /// Of the person; empty for an agent.
    pub identifier: String,
    /// The subscription.
    pub subscription: SubscriptionId,
    /// Name of the customer.
    pub customer: String,
    /// Reference of the order form.
    pub reference: String,
    /// Whether backups are accepted.
    pub state: SubscriptionState,
    /// Where the data lies.
    pub location: Place,
    /// Whether the caller may read content.
    pub can_restore: bool,
    /// Today's account.
    pub today: DayUse,
    /// Why backups are suspended, while they are, in a stable English word.
    pub suspension: Option<String>,
    /// Until when, in nanoseconds since 1970, if that is known.
    pub suspended_until_ns: Option<i64>,
    /// Maintenance under way, or the next announced one: its beginning, and its end if that is known.
    pub maintenance_ns: Option<(i64, Option<i64>)>,
}

/// Something that an operator of the provider did to the subscription, reads included.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct OperatorAccess {
    /// When, in nanoseconds since 1970.
    #[serde(skip)]
    pub at_ns: i64,
    /// Who.
    pub operator: String,
    /// A stable English word.
    pub action: String,
    /// What was read or changed.
    pub object: String,
    /// `done`, or the name of an error.
    pub result: String,
}

/// Something that the provider told through the service.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Notice {
    /// When, in nanoseconds since 1970.
    #[serde(skip)]
    pub at_ns: i64,
    /// A stable English word.
    pub kind: String,
    /// The provider's words.
    pub detail: String,
}

/// What anyone may know of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Of the server program.
    pub version: String,
    /// Where the data lies.
    pub location: Place,
    /// Receipt keys as claimed; `signers` checks them.
    pub signers: Vec<ClaimedSigner>,
}

/// A receipt key with the root's signature over it, not yet checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedSigner {
    /// Ed25519 public key.
    pub public_key: Vec<u8>,
    /// Signature of the root key.
    pub certificate: Vec<u8>,
}

impl Remote {
    /// A person's identifier and password against a token.
    ///
    /// # Errors
    /// Any [`RemoteError`].
    pub async fn login(&self, identifier: &str, password: &str) -> Result<Login, RemoteError> {
        let request = v1::LoginRequest { identifier: identifier.to_owned(), password: password.to_owned() };
        let reply = unary(self.account().login(self.request(request))).await?;
        Ok(Login { token: Token::new(reply.token), must_change_password: reply.must_change_password })
    }

    /// Ends the caller's login.
    ///
    /// # Errors
    /// Any [`RemoteError`].
    pub async fn logout(&self) -> Result<(), RemoteError> {
        unary(self.account().logout(self.request(v1::LogoutRequest {}))).await.map(drop)
    }

    /// Changes the caller's password; the token of the new login.
    ///
    /// # Errors
    /// Any [`RemoteError`].
    pub async fn change_password(&self, old: &str, new: &str) -> Result<Token, RemoteError> {
        let request = v1::ChangePasswordRequest { old_password: old.to_owned(), new_password: new.to_owned() };
        let reply = unary(self.account().change_password(self.request(request))).await?;
        Ok(Token::new(reply.token))
    }

    /// Makes an agent.
    ///
    /// # Errors
    /// Any [`RemoteError`].
    pub async fn enroll(&self, wanted: &EnrollRequest) -> Result<Enrolled, RemoteError> {
        let request = v1::EnrollRequest {
            host: wanted.host.clone(),
            scope: wanted.scope.map_or(Bytes::new(), |scope| Bytes::copy_from_slice(scope.as_bytes())),
            replace: wanted.replace.map_or(Bytes::new(), |agent| Bytes::copy_from_slice(agent.as_bytes())),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let reply = unary(self.account().enroll(self.request(request))).await?;
        Ok(Enrolled {
            agent: id(&reply.agent)?,
            scope: id(&reply.scope)?,
            subscription: id(&reply.subscription)?,
            token: Token::new(reply.token),
            location: place(reply.location),
        })
    }

    /// Every generation of the keyring, oldest first, not yet checked.
    ///
    /// # Errors
    /// Any [`RemoteError`].
    pub async fn keyring(&self) -> Result<Vec<Vec<u8>>, RemoteError> {
        let reply = unary(self.account().get_keyring(self.request(v1::GetKeyringRequest {}))).await?;
        Ok(reply.generations.into_iter().map(Vec::from).collect())
    }

    /// Adds a generation to the keyring.
    ///
    /// # Errors
    /// Any [`RemoteError`].
    pub async fn append_keyring(&self, generation: Vec<u8>) -> Result<(), RemoteError> {
        let request = v1::AppendKeyringRequest { generation: generation.into() };
        unary(self.account().append_keyring(self.request(request))).await.map(drop)
    }

    /// The agents of the subscription.
    ///
    /// # Errors
    /// Any [`RemoteError`].
    pub async fn agents(&self) -> Result<Vec<AgentInfo>, RemoteError> {
        let reply = unary(self.account().list_agents(self.request(v1::ListAgentsRequest {}))).await?;
        let agent = |agent: v1::Agent| {
            Ok(AgentInfo {
                agent: id(&agent.agent)?,
                scope: id(&agent.scope)?,
                host: agent.host,
                seen_at_ns: (agent.seen_at_ns != 0).then_some(agent.seen_at_ns),
                revoked: agent.revoked,
            })
        };
        reply.agents.into_iter().map(agent).collect()
    }

    /// Who the caller is.
    ///
    /// # Errors
    /// Any [`RemoteError`].
    pub async fn whoami(&self) -> Result<Who, RemoteError> {
        let reply = unary(self.account().whoami(self.request(v1::WhoamiRequest {}))).await?;
        Ok(Who {
            subscription: id(&reply.subscription)?,
            state: state(reply.state()),
            identifier: reply.identifier,
            customer: reply.customer,
            reference: reply.subscription_reference,
            location: place(reply.location),
            can_restore: reply.can_restore,
            today: day_use(reply.today.unwrap_or_default()),
            suspension: Some(reply.suspension).filter(|reason| !reason.is_empty()),
            suspended_until_ns: some_time(reply.suspended_until_ns),
            maintenance_ns: some_time(reply.maintenance_from_ns)
                .map(|from| (from, some_time(reply.maintenance_until_ns))),
        })
    }

    /// What operators of the provider did to the subscription since a moment, and what the provider told; newest first.
    ///
    /// # Errors
    /// Any [`RemoteError`].
    pub async fn operator_accesses(&self, from_ns: i64) -> Result<(Vec<OperatorAccess>, Vec<Notice>), RemoteError> {
        let request = v1::OperatorAccessesRequest { from_ns, limit: 0 };
        let reply = unary(self.account().operator_accesses(self.request(request))).await?;
        let access = |access: v1::OperatorAccess| OperatorAccess {
            at_ns: access.at_ns,
            operator: access.operator,
            action: access.action,
            object: access.object,
            result: access.result,
        };
        let notice = |notice: v1::Notice| Notice { at_ns: notice.at_ns, kind: notice.kind, detail: notice.detail };
        Ok((reply.accesses.into_iter().map(access).collect(), reply.notices.into_iter().map(notice).collect()))
    }

    /// What anyone may know of the server.
    ///
    /// # Errors
    /// Any [`RemoteError`].
    pub async fn describe(&self) -> Result<Description, RemoteError> {
        let mut client = ServerClient::new(self.channel()).max_decoding_message_size(UNARY_MESSAGE_BYTES_MAX);
        let reply = unary(client.describe(self.request(v1::DescribeRequest {}))).await?;
        let signer = |key: v1::SignerKey| ClaimedSigner {
            public_key: key.public_key.into(),
            certificate: key.certificate.into(),
        };
        Ok(Description {
            version: reply.version,
            location: place(reply.location),
            signers: reply.signers.into_iter().map(signer).collect(),
        })
    }

    fn account(&self) -> AccountClient<Channel> {
        AccountClient::new(self.channel()).max_decoding_message_size(UNARY_MESSAGE_BYTES_MAX)
    }
}

/// Today's account as a domain value.
pub(super) fn day_use(day: v1::DayUse) -> DayUse {
    DayUse {
        policy: match day.policy() {
            v1::ChangePolicy::Defer => ChangePolicy::Defer,
            v1::ChangePolicy::Refuse => ChangePolicy::Refuse,
            v1::ChangePolicy::Flag | v1::ChangePolicy::Unspecified => ChangePolicy::Flag,
        },
        state: match day.state() {
            v1::DayState::Inside => DayState::Inside,
            v1::DayState::Near => DayState::Near,
            v1::DayState::Over => DayState::Over,
            v1::DayState::NotStarted | v1::DayState::Unspecified => DayState::NotStarted,
        },
        day: day.day,
        changed_bytes: day.changed_bytes,
        relaid_bytes: day.relaid_bytes,
        reseed_bytes: day.reseed_bytes,
        uncommitted_bytes: day.uncommitted_bytes,
        allowed_bytes: day.allowed_bytes,
        baseline_bytes: day.baseline_bytes,
        contracted_bytes: day.contracted_bytes,
        used_bytes: day.used_bytes,
        hard_volume_bytes: day.hard_volume_bytes,
        per_mille: day.per_mille,
        counted_bytes: day.counted_bytes,
        since: day.since,
        days: day.days,
        contact: day.contact,
    }
}

/// A location as a domain value; an absent one is empty, hence refused by whoever checks it.
pub(super) fn place(location: Option<v1::Location>) -> Place {
    let location = location.unwrap_or_default();
    Place { site: location.site, country: location.country, owner: location.owner }
}

fn some_time(ns: i64) -> Option<i64> {
    (ns != 0).then_some(ns)
}

fn state(state: v1::SubscriptionState) -> SubscriptionState {
    match state {
        v1::SubscriptionState::Active => SubscriptionState::Active,
        v1::SubscriptionState::Suspended => SubscriptionState::Suspended,
        v1::SubscriptionState::Ended => SubscriptionState::Ended,
        v1::SubscriptionState::Unspecified => SubscriptionState::Unknown,
    }
}

/// An id of the wire as a domain value.
pub(super) fn id<'a, T: TryFrom<&'a [u8], Error = common::id::InvalidId>>(bytes: &'a Bytes) -> Result<T, RemoteError> {
    T::try_from(bytes).map_err(|error| RemoteError::Protocol(error.to_string()))
}
