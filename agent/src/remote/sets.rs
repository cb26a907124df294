//! Calls about what is backed up: backup sets, and the sources on the order form.
//!
//! It converts to domain types and decides nothing.

use bytes::Bytes;
use common::id::{AgentId, SourceId};
use common::limits::UNARY_MESSAGE_BYTES_MAX;
use common::source_kind::SourceKind;
use proto::convert::source_kind;
use proto::v1;
use proto::v1::sets_client::SetsClient;
use tonic::transport::Channel;

use super::account::id;
use super::{Remote, RemoteError, unary};
use crate::source::FileSet;

/// A source on the order form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contracted {
    /// The source.
    pub source: SourceId,
    /// Its name on the order form.
    pub name: String,
    /// What it is.
    pub kind: SourceKind,
}

/// What a source reads: one version of its backup set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupSet {
    /// The source.
    pub source: SourceId,
    /// 1, 2, 3 …; 0 before the first.
    pub version: u64,
    /// The source's name on the order form.
    pub name: String,
    /// What it is.
    pub kind: SourceKind,
    /// Who reads it.
    pub agent: AgentId,
    /// Paths and rules.
    pub files: FileSet,
    /// As `common::schedule` reads it; empty: not scheduled.
    pub schedule: String,
}

/// Sets of the caller, and every source on the order form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetList {
    /// Newest version of each set.
    pub sets: Vec<BackupSet>,
    /// Every source, with or without a set.
    pub contracted: Vec<Contracted>,
}

impl Remote {
    /// The caller's backup sets and the sources on the order form.
    ///
    /// # Errors
    /// Any [`RemoteError`].
    pub async fn sets(&self) -> Result<SetList, RemoteError> {
        let reply = unary(self.sets_client().list(self.request(v1::ListSetsRequest {}))).await?;
        let contracted = |source: v1::ContractedSource| {
            Ok::<_, RemoteError>(Contracted {
                source: id(&source.source)?,
                kind: kind(source.kind())?,
                name: source.name,
            })
        };
        Ok(SetList {
            sets: reply.sets.into_iter().map(backup_set).collect::<Result<_, _>>()?,
            contracted: reply.contracted.into_iter().map(contracted).collect::<Result<_, _>>()?,
        })
    }

    /// Stores the next version of a set, whose `version` is the one that it follows; the new version.
    ///
    /// # Errors
    /// Any [`RemoteError`]; a path that is not UTF-8 is [`RemoteError::Protocol`].
    pub async fn put_set(&self, set: &BackupSet) -> Result<u64, RemoteError> {
        let request = v1::PutSetRequest { set: Some(wire_set(set)?) };
        Ok(unary(self.sets_client().put(self.request(request))).await?.version)
    }

    fn sets_client(&self) -> SetsClient<Channel> {
        SetsClient::new(self.channel()).max_decoding_message_size(UNARY_MESSAGE_BYTES_MAX)
    }
}

fn backup_set(set: v1::Set) -> Result<BackupSet, RemoteError> {
    Ok(BackupSet {
        source: id(&set.source)?,
        version: set.version,
        kind: kind(set.kind())?,
        agent: id(&set.agent)?,
        files: FileSet {
            paths: set.paths.into_iter().map(Into::into).collect(),
            excludes: set.excludes,
            exclude_if_present: set.exclude_if_present,
            exclude_caches: set.exclude_caches,
            one_file_system: set.one_file_system,
            accept_unreadable: set.accept_unreadable,
        },
        name: set.name,
        schedule: set.schedule,
    })
}

fn wire_set(set: &BackupSet) -> Result<v1::Set, RemoteError> {
    let path = |path: &std::path::PathBuf| {
        let text = path.to_str().map(str::to_owned);
        text.ok_or_else(|| RemoteError::Protocol(format!("{} is not UTF-8: select a folder above it", path.display())))
    };
    Ok(v1::Set {
        source: Bytes::copy_from_slice(set.source.as_bytes()),
        version: set.version,
        name: set.name.clone(),
        kind: source_kind::to_wire(set.kind).into(),
        agent: Bytes::copy_from_slice(set.agent.as_bytes()),
        paths: set.files.paths.iter().map(path).collect::<Result<_, _>>()?,
        excludes: set.files.excludes.clone(),
        exclude_if_present: set.files.exclude_if_present.clone(),
        exclude_caches: set.files.exclude_caches,
        one_file_system: set.files.one_file_system,
        accept_unreadable: set.files.accept_unreadable.clone(),
        schedule: set.schedule.clone(),
        changed_at_ns: 0,
        changed_by: String::new(),
    })
}

/// A kind that this version does not know is not silently another one.
pub(super) fn kind(kind: v1::SourceKind) -> Result<SourceKind, RemoteError> {
    let unknown = || RemoteError::Protocol(format!("unknown kind of source {}", kind.as_str_name()));
    source_kind::from_wire(kind.into()).ok_or_else(unknown)
}
