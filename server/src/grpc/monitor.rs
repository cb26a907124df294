//! The `Monitor` service: what operators see of alarms.

use common::text::date::nanoseconds;
use std::sync::Arc;

use proto::v1;
use tonic::{Request, Response, Status};

use super::caller::{self, blocking, with_control};
use super::{records, status};
use crate::control::Control;
use crate::control::audit::{Action, Event};
use crate::monitor::alarm::{Active, Key};
use crate::monitor::deliver::{DeliveryError, Recipient};
use crate::monitor::watch::Monitor;

/// Shows alarms, tries channels.
#[derive(Clone)]
pub struct MonitorService {
    /// The provider's records.
    pub control: Arc<Control>,
    /// What watches over the server.
    pub monitor: Arc<Monitor>,
}

#[tonic::async_trait]
impl v1::monitor_server::Monitor for MonitorService {
    async fn list_alarms(
        &self,
        request: Request<v1::ListAlarmsRequest>,
    ) -> Result<Response<v1::ListAlarmsReply>, Status> {
        let trace = caller::trace(&request);
        records::overview(&self.control, "alarms", &trace).await.map_err(status::of_failure)?;
        let monitor = self.monitor.clone();
        let read = move || {
            let states = monitor.channel_states().map_err(|error| status::of_control(&error))?;
            Ok((states, monitor.active()))
        };
        let (channels, active) = blocking(read).await.map_err(status::of_failure)?;
        let alarms = active.into_iter().map(alarm).collect();
        let channel = |state: crate::control::alarms::ChannelState| v1::AlarmChannel {
            channel: state.channel.word().to_owned(),
            delivered_at_ns: state.delivered_at_ns.unwrap_or_default(),
            failing_since_ns: state.failing_since_ns.unwrap_or_default(),
            failures: state.failures,
            dropped: state.dropped,
            queued: state.queued,
            error: state.error,
        };
        Ok(Response::new(v1::ListAlarmsReply { alarms, channels: channels.into_iter().map(channel).collect() }))
    }

    async fn test_alarms(
        &self,
        request: Request<v1::TestAlarmsRequest>,
    ) -> Result<Response<v1::TestAlarmsReply>, Status> {
        let trace = caller::trace(&request);
        let record = move |control: &Control| {
            control
                .record(&trace, &Event { action: Action::TestAlarms, subscription: None, object: "", result: "done" })
        };
        with_control(&self.control, record).await.map_err(status::of_failure)?;
        let monitor = self.monitor.clone();
        let results = blocking(move || Ok(monitor.test())).await.map_err(status::of_failure)?;
        Ok(Response::new(v1::TestAlarmsReply { results: results.into_iter().map(tested).collect() }))
    }
}

fn alarm((key, active): (Key, Active)) -> v1::Alarm {
    v1::Alarm {
        kind: key.kind.word().to_owned(),
        subscription: key.subscription,
        subject: key.subject,
        since_ns: nanoseconds(active.since),
        said_at_ns: nanoseconds(active.said_at),
        used: active.measures.used,
        allowed: active.measures.allowed,
        at_ns: active.measures.at_ns,
    }
}

fn tested((to, result): (Recipient, Result<(), DeliveryError>)) -> v1::TestedAlarmChannel {
    v1::TestedAlarmChannel {
        channel: to.channel.word().to_owned(),
        recipient: to.address,
        error: result.err().map(|error| error.to_string()).unwrap_or_default(),
    }
}
