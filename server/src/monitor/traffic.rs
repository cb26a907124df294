//! Calls and connections, counted.
//!
//! A stream is counted when its answer begins: an error in the middle of it is in the log, not here.
//!
//! Invariant: bounded: services and methods are those of the access table, anything else is `unknown`; codes are those of gRPC.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

/// Labels of a call.
pub type CallLabels = Vec<(&'static str, &'static str)>;

/// Counts since the process began.
#[derive(Debug, Clone)]
pub struct Traffic {
    /// Calls by service, method and code.
    pub calls: Family<CallLabels, Counter>,
    /// Seconds until the answer begins, by service and method.
    pub seconds: Family<CallLabels, Histogram, fn() -> Histogram>,
    /// Open connections.
    pub connections: Gauge,
}

impl Default for Traffic {
    fn default() -> Self {
        // 1 ms to 32 s: the deadline of most calls is 30 s.
        let histogram: fn() -> Histogram = || Histogram::new(exponential_buckets(0.001, 2.0, 16));
        Self {
            calls: Family::default(),
            seconds: Family::new_with_constructor(histogram),
            connections: Gauge::default(),
        }
    }
}

impl Traffic {
    /// Counts a call that was answered.
    pub fn call(&self, (service, method): (&'static str, &'static str), code: &'static str, seconds: f64) {
        let mut labels = vec![("service", service), ("method", method)];
        self.seconds.get_or_create(&labels).observe(seconds);
        labels.push(("code", code));
        self.calls.get_or_create(&labels).inc();
    }

    /// Counts a connection for as long as the value lives.
    pub fn connection(&self) -> OpenConnection {
        self.connections.inc();
        OpenConnection(self.connections.clone())
    }
}

/// A connection that is open.
#[derive(Debug)]
pub struct OpenConnection(Gauge);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}
