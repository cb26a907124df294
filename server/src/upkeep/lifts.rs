//! Protections set by an operator, and the ends of protections and holds that two operators agreed on.
//!
//! Setting takes one operator, ending before the date takes two, seven days and a notice to the customer, as
//! `control::approvals` records them. What a request covers is settled when it is made: the holds that stood then, or one
//! protection.
//!
//! Invariant: the request is checked in the step of the writer that publishes the end, and serves once.
//! Invariant: who is told that a snapshot is protected finds it protected: removing and protecting exclude each other.

use common::id::{FactId, SessionId, SubscriptionId};
use common::text::date::moment;

use crate::contract::guards::NotYet;
use crate::control::approvals::{Approval, ApprovalKind};
use crate::control::audit::{Action, Event, Trace};
use crate::control::{Control, ControlError};
use crate::session::error::SessionError;
use crate::session::subscription::Subscription;
use crate::store::error::StoreError;
use crate::store::name::ObjectName;
use crate::upkeep::facts::{self, Hold, Lift, NewProtection, Protection};

/// Hexadecimal digits of a protection's id at the head of a request's detail.
const HEAD_DIGITS: usize = 16;

/// Why nothing was set or ended.
#[derive(Debug, thiserror::Error)]
pub enum LiftError {
    /// There is no such snapshot, hold, protection or request.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The request may not be carried out yet.
    #[error("the request may not be carried out yet: {0:?}")]
    NotYet(NotYet),
    /// The storage failed.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The control store failed.
    #[error(transparent)]
    Control(#[from] ControlError),
}

/// Who decides on what.
#[derive(Clone, Copy)]
pub struct Decision<'a> {
    /// The provider's records.
    pub control: &'a Control,
    /// Whose history.
    pub open: &'a Subscription,
    /// Who, from where and when.
    pub trace: &'a Trace,
}

impl Decision<'_> {
    fn id(&self) -> SubscriptionId {
        self.open.shared().subscription
    }

    fn known(&self) -> Result<facts::Facts, SessionError> {
        self.open.read(facts::known)
    }

    /// Protects a snapshot until a moment: durable when this returns.
    ///
    /// # Errors
    /// [`LiftError::NotFound`] if the snapshot is gone or about to go.
    pub fn protect(&self, snapshot: SessionId, until_ns: i64, reason: &str) -> Result<FactId, LiftError> {
        let shared = self.open.shared();
        let _alone = shared.removal.lock();
        let row = self.open.read(|catalog| Ok(catalog.snapshot(&snapshot)?))?;
        if row.is_none_or(|row| row.expired_at_ns != 0) {
            return Err(LiftError::NotFound("snapshot"));
        }
        // One with a tombstone was on its way out when the server stopped.
        match shared.objects.bytes(&shared.subscription, &ObjectName::Tombstone(snapshot)) {
            Ok(_) => return Err(LiftError::NotFound("snapshot")),
            Err(StoreError::NotFound(_)) => {}
            Err(error) => return Err(SessionError::from(error).into()),
        }
        let (by, at_ns) = (self.trace.who.clone(), self.trace.at_ns);
        let new = NewProtection { snapshot, until_ns, reason: reason.to_owned(), by, at_ns };
        let protected = self.open.writer().run(move |writer| {
            let shared = &writer.shared;
            facts::protect(&shared.objects, &shared.subscription, &writer.catalog, &new)
        })?;
        self.record(Action::Protect, &snapshot.to_string())?;
        Ok(protected)
    }

    /// Lifts the holds that the standing request covers; they, and how many came later and still stand.
    ///
    /// # Errors
    /// [`LiftError::NotFound`] without a request, [`LiftError::NotYet`] before its time.
    pub fn lift_holds(&self) -> Result<(Vec<Hold>, usize), LiftError> {
        let asked = self.standing(ApprovalKind::LiftHold)?.ok_or(LiftError::NotFound("approval"))?;
        let holds = self.known()?.standing().holds;
        let (covered, later): (Vec<Hold>, Vec<Hold>) =
            holds.into_iter().partition(|hold| hold.at_ns <= asked.asked_at_ns);
        self.end(&asked, covered.iter().map(|hold| hold.id).collect(), &asked.detail)?;
        self.record(Action::LiftHold, &format!("{} of request {}", covered.len(), asked.number))?;
        Ok((covered, later.len()))
    }

    /// Ends a protection before its date: asks for it if nobody did, carries it out if two operators agreed; the request, and
    /// whether it is carried out.
    ///
    /// # Errors
    /// [`LiftError::NotFound`] without such a protection; [`ControlError::Exists`] while a request for another one stands.
    pub fn unprotect(&self, protection: &Protection, reason: &str) -> Result<(Approval, bool), LiftError> {
        if protection.lifted.is_some() {
            return Err(LiftError::NotFound("protection"));
        }
        let head = &protection.id.to_string()[..HEAD_DIGITS];
        let covers = |asked: &Approval| asked.detail.starts_with(head);
        match self.standing(ApprovalKind::Unprotect)? {
            Some(asked) if covers(&asked) && asked.check(moment(self.trace.at_ns)).is_ok() => {
                let why = asked.detail[HEAD_DIGITS..].trim_start();
                self.end(&asked, vec![protection.id], why)?;
                self.record(Action::Unprotect, &protection.snapshot.to_string())?;
                Ok((asked, true))
            }
            Some(asked) if covers(&asked) => Ok((asked, false)),
            _ => {
                let detail = format!("{head} {reason}");
                self.control.propose(ApprovalKind::Unprotect, &self.id(), &detail, self.trace)?;
                let asked = self.standing(ApprovalKind::Unprotect)?;
                Ok((asked.ok_or(LiftError::NotFound("approval"))?, false))
            }
        }
    }

    fn standing(&self, kind: ApprovalKind) -> Result<Option<Approval>, ControlError> {
        self.control.standing(kind, &self.id(), self.trace.at_ns)
    }

    /// Publishes the ends and closes the request; a crash in between leaves one that covers nothing any more.
    fn end(&self, asked: &Approval, ended: Vec<FactId>, reason: &str) -> Result<(), LiftError> {
        asked.check(moment(self.trace.at_ns)).map_err(LiftError::NotYet)?;
        let approved_by = asked.approved.clone().map(|(by, _)| by).unwrap_or_default();
        let (at_ns, asked_by) = (self.trace.at_ns, asked.asked_by.clone());
        let lift = Lift { at_ns, reason: reason.to_owned(), asked_by, approved_by };
        self.open.writer().run(move |writer| {
            let shared = &writer.shared;
            ended
                .iter()
                .try_for_each(|id| facts::lift(&shared.objects, &shared.subscription, &writer.catalog, (id, &lift)))
        })?;
        Ok(self.control.carried_out(asked.number, self.trace)?)
    }

    fn record(&self, action: Action, object: &str) -> Result<(), ControlError> {
        let event = Event { action, subscription: Some(self.id()), object, result: "done" };
        self.control.record(self.trace, &event)
    }
}
