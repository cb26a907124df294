//! One answer to Fetch on its way to its reader, and how many of one subscription are on their way at once.
//!
//! A reader who asks for everything at once and takes nothing would otherwise hold all of it in memory: what is read for one answer and not taken is
//! around 4 MB, so a subscription holds [`FETCHES_PER_SUBSCRIPTION`] times that. Further calls wait for their turn; nobody else's do.
//!
//! Invariant: I9 — a place is held until the answer is taken to its end, or dropped.

use std::collections::{HashMap, HashSet};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use common::id::SubscriptionId;
use common::limits::{FETCHES_PER_SUBSCRIPTION, MESSAGE_TARGET_BYTES, STREAM_IDLE_MS};
use parking_lot::Mutex;
use proto::v1;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::Stream;
use tonic::Status;

use crate::session::error::SessionError;
use crate::session::fetch::{Fetched, Unavailable};
use crate::session::subscription::Subscription;

/// Messages that wait for a slow reader.
const MESSAGES_MAX: usize = 2;

type Reply = Result<v1::FetchReply, Status>;

/// The places of each subscription that ever restored.
#[derive(Default)]
pub struct Places(Mutex<HashMap<SubscriptionId, Arc<Semaphore>>>);

impl Places {
    /// Waits for a place; both ends of an answer.
    pub async fn enter(&self, subscription: SubscriptionId) -> (Batch, Replies) {
        self.enter_for(subscription, Duration::from_millis(STREAM_IDLE_MS)).await
    }

    async fn enter_for(&self, subscription: SubscriptionId, idle: Duration) -> (Batch, Replies) {
        let places = self
            .0
            .lock()
            .entry(subscription)
            .or_insert_with(|| Arc::new(Semaphore::new(FETCHES_PER_SUBSCRIPTION)))
            .clone();
        // Never closed, hence never an error.
        let place = places.acquire_owned().await.ok();
        let (sender, receiver) = mpsc::channel(MESSAGES_MAX);
        let was_cut = Arc::new(AtomicBool::new(false));
        let replies = Replies { receiver, was_cut: was_cut.clone(), _place: place };
        let batch =
            Batch { replies: sender, was_cut, idle, reply: v1::FetchReply::default(), bytes: 0, told: HashSet::new() };
        (batch, replies)
    }
}

/// What the reader takes.
pub struct Replies {
    receiver: mpsc::Receiver<Reply>,
    /// The end is not the end of the answer.
    was_cut: Arc<AtomicBool>,
    _place: Option<OwnedSemaphorePermit>,
}

impl Stream for Replies {
    type Item = Reply;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Reply>> {
        match self.receiver.poll_recv(cx) {
            Poll::Ready(None) if self.was_cut.swap(false, Ordering::Relaxed) => {
                Poll::Ready(Some(Err(Status::deadline_exceeded("délai dépassé"))))
            }
            reply => reply,
        }
    }
}

/// A reply that is being filled.
pub struct Batch {
    replies: mpsc::Sender<Reply>,
    was_cut: Arc<AtomicBool>,
    /// How long a reader may take nothing.
    idle: Duration,
    reply: v1::FetchReply,
    bytes: usize,
    /// Rows of sessions whose envelope was sent.
    told: HashSet<u32>,
}

impl Batch {
    /// Adds a chunk; false if the reader went away.
    ///
    /// # Errors
    /// If the envelope of its session cannot be read.
    pub fn add(&mut self, open: &Subscription, fetched: Fetched) -> Result<bool, SessionError> {
        match fetched {
            Fetched::Frame { session, is_data, frame } => {
                if self.bytes + frame.len() > MESSAGE_TARGET_BYTES && self.bytes > 0 && !self.send() {
                    return Ok(false);
                }
                if is_data && self.told.insert(session) {
                    let (session, envelope) = open.envelope(session)?;
                    self.bytes += envelope.len();
                    let session = session.as_bytes().to_vec().into();
                    self.reply.envelopes.push(v1::SessionEnvelope { session, envelope: envelope.into() });
                }
                self.bytes += frame.len();
                let activity = open.shared().objects.health().activity();
                activity.restored_bytes.inc_by(frame.len() as u64);
                self.reply.frames.push(frame);
            }
            Fetched::Unavailable(id, why) => {
                let why = match why {
                    Unavailable::NotFound => v1::unavailable::Why::NotFound,
                    Unavailable::Damaged => v1::unavailable::Why::Damaged,
                };
                let id = id.as_bytes().to_vec().into();
                self.reply.unavailable.push(v1::Unavailable { id, why: why.into() });
                self.bytes += 40;
            }
        }
        Ok(self.bytes < MESSAGE_TARGET_BYTES || self.send())
    }

    /// Sends what there is; false if the reader went away, or took nothing for [`STREAM_IDLE_MS`].
    pub fn send(&mut self) -> bool {
        let reply = std::mem::take(&mut self.reply);
        self.bytes = 0;
        reply == v1::FetchReply::default() || self.hand_over(Ok(reply))
    }

    /// Ends the answer with a reason, for a reader who is still there.
    pub fn fail(&self, why: Status) {
        self.hand_over(Err(why));
    }

    fn hand_over(&self, reply: Reply) -> bool {
        // Who took nothing for so long is not waited for once more.
        if self.was_cut.load(Ordering::Relaxed) {
            return false;
        }
        let sent = async { tokio::time::timeout(self.idle, self.replies.send(reply)).await };
        let sent = Handle::current().block_on(sent);
        self.was_cut.fetch_or(sent.is_err(), Ordering::Relaxed);
        matches!(sent, Ok(Ok(())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_stream::StreamExt;
    use tonic::Code;

    fn fill(batch: &mut Batch) -> bool {
        batch.reply.unavailable.push(v1::Unavailable::default());
        batch.send()
    }

    #[tokio::test]
    async fn who_takes_nothing_is_cut_told_so_and_gives_the_place_back() {
        let places = Places::default();
        let subscription = SubscriptionId::new([1; 16]);
        let (mut batch, mut replies) = places.enter_for(subscription, Duration::from_millis(50)).await;
        let reading = tokio::task::spawn_blocking(move || {
            let handed_over = (0..10).take_while(|_| fill(&mut batch)).count();
            // Nobody is waited for twice.
            batch.fail(Status::internal("-"));
            handed_over
        });
        assert_eq!(reading.await.unwrap(), MESSAGES_MAX);
        for _ in 0..MESSAGES_MAX {
            assert!(replies.next().await.unwrap().is_ok());
        }
        assert_eq!(replies.next().await.unwrap().unwrap_err().code(), Code::DeadlineExceeded);
        assert!(replies.next().await.is_none());
        drop(replies);
        let mut held = Vec::new();
        for _ in 0..FETCHES_PER_SUBSCRIPTION {
            let entered = tokio::time::timeout(Duration::from_secs(5), places.enter(subscription)).await;
            held.push(entered.expect("there is a place"));
        }
    }

    #[tokio::test]
    async fn who_takes_slowly_gets_everything() {
        let (mut batch, mut replies) =
            Places::default().enter_for(SubscriptionId::new([1; 16]), Duration::from_secs(60)).await;
        let reading = tokio::task::spawn_blocking(move || (0..10).all(|_| fill(&mut batch)));
        let mut taken = 0;
        while let Some(reply) = replies.next().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
            taken += usize::from(reply.is_ok());
        }
        assert!(reading.await.unwrap() && taken == 10);
    }
}
