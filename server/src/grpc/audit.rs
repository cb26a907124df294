//! The `Audit` service: the trail for operators, and the proof that it was not changed.

use std::sync::Arc;

use aws_lc_rs::signature::Ed25519KeyPair;
use common::limits::AUDIT_ROWS_MAX;
use proto::code::Failure;
use proto::v1;
use tonic::{Request, Response, Status};

use super::caller::{self, blocking, with_control};
use super::{records, status};
use crate::audit::chain::Tampered;
use crate::control::Control;
use crate::control::audit::{AuditRow, Trace};
use crate::control::audit_log::{Verified, Wanted};
use crate::store::control_copies::ControlCopies;

/// The trail.
#[derive(Clone)]
pub struct AuditService {
    /// The provider's records.
    pub control: Arc<Control>,
    /// Signs and verifies checkpoints.
    pub key: Arc<Ed25519KeyPair>,
    /// Copies of the control store.
    pub copies: ControlCopies,
}

#[tonic::async_trait]
impl v1::audit_server::Audit for AuditService {
    async fn list(&self, request: Request<v1::ListAuditRequest>) -> Result<Response<v1::ListAuditReply>, Status> {
        let trace = caller::trace(&request);
        let records = self.read(request.into_inner(), trace).await.map_err(status::of_failure)?;
        Ok(Response::new(v1::ListAuditReply { records }))
    }

    async fn verify(&self, request: Request<v1::VerifyAuditRequest>) -> Result<Response<v1::VerifyAuditReply>, Status> {
        let trace = caller::trace(&request);
        records::overview(&self.control, "audit", &trace).await.map_err(status::of_failure)?;
        let service = self.clone();
        let (verified, copied) = blocking(move || service.verified()).await.map_err(status::of_failure)?;
        let (problem, problem_number) = match verified.tampered {
            None => ("", 0),
            Some(Tampered::Record(number)) => ("record", number),
            Some(Tampered::Truncated { found, .. }) => ("truncated", found),
            Some(Tampered::Checkpoint(number)) => ("checkpoint", number),
            Some(Tampered::Signature(number)) => ("signature", number),
        };
        Ok(Response::new(v1::VerifyAuditReply {
            records: verified.records,
            checkpoints: verified.checkpoints,
            unsigned_records: verified.unsigned_records,
            problem: problem.to_owned(),
            problem_number,
            copied_checkpoints: copied,
        }))
    }
}

impl AuditService {
    /// The trail followed against its own checkpoints, then against those in the oldest and the
    /// newest copy of the control store; how many the newest holds.
    fn verified(&self) -> Result<(Verified, u64), Failure> {
        let verified = self.control.verify_audit(&self.key).map_err(|error| status::of_control(&error))?;
        let copies = self.copies.list().map_err(|error| status::of_store(&error))?;
        let mut copied = 0;
        // The oldest was made before anything that was done since, the newest holds the most.
        for name in [copies.first(), copies.last()].into_iter().flatten().take_while(|_| verified.tampered.is_none()) {
            let copy = self.copies.check(name).map_err(|error| status::of_store(&error))?;
            let compared = self.control.compare_with_copy(&copy, &self.key);
            let (agreed, tampered) = compared.map_err(|error| status::of_control(&error))?;
            if tampered.is_some() {
                return Ok((Verified { tampered, ..verified }, agreed));
            }
            copied = agreed;
        }
        Ok((verified, copied))
    }

    async fn read(&self, request: v1::ListAuditRequest, trace: Trace) -> Result<Vec<v1::AuditRecord>, Failure> {
        // A further page leaves a row too: whoever begins in the middle looks as much as whoever begins at the top.
        let subscription = records::look_or_overview(&self.control, request.subscription, "audit", &trace).await?;
        let bound = |ns: i64| Some(ns).filter(|ns| *ns != 0);
        let wanted = Wanted {
            subscription: subscription.map(|subscription| subscription.subscription),
            operators_only: false,
            from_ns: bound(request.from_ns),
            until_ns: bound(request.until_ns),
            after_number: request.after_number,
            ascending: !request.newest_first,
        };
        let limit = if request.limit == 0 { AUDIT_ROWS_MAX } else { request.limit.min(AUDIT_ROWS_MAX) };
        let read = move |control: &Control| Ok((control.audit_rows(&wanted, limit)?, control.references()?));
        let (rows, references) = with_control(&self.control, read).await?;
        let wire = |row: AuditRow| v1::AuditRecord {
            number: row.number,
            at_ns: row.trace.at_ns,
            who: row.trace.who,
            address: row.trace.address,
            action: row.action,
            subscription: row.subscription.and_then(|id| references.get(&id).cloned()).unwrap_or_default(),
            object: row.object,
            result: row.result,
        };
        Ok(rows.into_iter().map(wire).collect())
    }
}
