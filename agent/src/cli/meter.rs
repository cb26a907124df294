//! How far a long run is: a bar on a terminal, a line a minute elsewhere, an event a second with `--json`.
//!
//! It reads counters and disturbs nothing. What the counters mean is told by who starts it.

use std::collections::VecDeque;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use common::text::{Arg, Texts};
use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::output::{Output, note};

const BAR_EVERY: Duration = Duration::from_millis(100);
const EVENT_EVERY: Duration = Duration::from_secs(1);
const LINE_EVERY: Duration = Duration::from_secs(60);
/// The rate is that of the last readings, so that it follows what happens.
const RATE_OVER: Duration = Duration::from_secs(10);
const BAR_UNITS: u64 = 1_000;

/// Where a run stands, at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Message that names the current step: `step-` and a stable word.
    pub step: &'static str,
    /// Files dealt with.
    pub files_done: u64,
    /// Files in all, once known.
    pub files_total: Option<u64>,
    /// Plain bytes dealt with.
    pub bytes_done: u64,
    /// Plain bytes in all, once known.
    pub bytes_total: Option<u64>,
    /// Bytes that went over the network.
    pub bytes_moved: u64,
}

/// One line of `--json`: `{"event":"progress", …}`; absent totals are not known yet.
#[derive(Serialize)]
struct ProgressEvent {
    event: &'static str,
    step: &'static str,
    files_done: u64,
    files_total: Option<u64>,
    bytes_done: u64,
    bytes_total: Option<u64>,
    bytes_moved: u64,
    bytes_per_s: u64,
    remaining_s: Option<u64>,
}

/// A display that goes on until it is finished or dropped.
pub struct Meter {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Meter {
    /// Starts showing what `read` says; nothing with `--quiet`.
    pub fn start(output: Output, read: impl Fn() -> Reading + Send + 'static) -> Self {
        if output.quiet && !output.json {
            return Self { stop: None, thread: None };
        }
        let (stop, stopped) = bounded::<()>(1);
        let thread = std::thread::spawn(move || {
            let mut display = Display::new(output);
            let started = Instant::now();
            let mut rate = Rate::default();
            while stopped.recv_timeout(display.every()) == Err(RecvTimeoutError::Timeout) {
                let reading = read();
                rate.add(started.elapsed(), reading.bytes_done);
                display.show(&reading, &rate);
            }
            display.clear();
        });
        Self { stop: Some(stop), thread: Some(thread) }
    }

    /// Clears the display.
    pub fn finish(self) {}
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A display that failed is no reason to fail the run.
            let _ = thread.join();
        }
    }
}

/// Bytes per second over the last readings.
#[derive(Debug, Default)]
struct Rate {
    readings: VecDeque<(Duration, u64)>,
}

impl Rate {
    fn add(&mut self, at: Duration, bytes: u64) {
        while self.readings.front().is_some_and(|(first, _)| at.saturating_sub(*first) > RATE_OVER) {
            self.readings.pop_front();
        }
        self.readings.push_back((at, bytes));
    }

    fn bytes_per_s(&self) -> u64 {
        let (Some((from, first)), Some((to, last))) = (self.readings.front(), self.readings.back()) else { return 0 };
        let ms = u64::try_from(to.saturating_sub(*from).as_millis()).unwrap_or(u64::MAX);
        last.saturating_sub(*first).saturating_mul(1_000).checked_div(ms).unwrap_or(0)
    }

    /// Seconds until `reading` reaches its total at this rate.
    fn remaining_s(&self, reading: &Reading) -> Option<u64> {
        let left = reading.bytes_total?.saturating_sub(reading.bytes_done);
        match self.bytes_per_s() {
            0 => None,
            rate => Some(left.div_ceil(rate)),
        }
    }
}

/// Where readings go.
struct Display {
    output: Output,
    bar: Option<ProgressBar>,
}

impl Display {
    fn new(output: Output) -> Self {
        let bar = output.fancy.then(|| {
            let style = ProgressStyle::with_template("{bar:24} {msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(BAR_UNITS).with_style(style)
        });
        Self { output, bar }
    }

    fn every(&self) -> Duration {
        match (&self.bar, self.output.json) {
            (_, true) => EVENT_EVERY,
            (Some(_), false) => BAR_EVERY,
            (None, false) => LINE_EVERY,
        }
    }

    fn show(&mut self, reading: &Reading, rate: &Rate) {
        if self.output.json {
            // If the reader is gone the run ends with its summary all the same.
            let _ = self.output.event(&event(reading, rate));
        } else if let Some(bar) = &self.bar {
            bar.set_position(share(reading));
            bar.set_message(line(self.output.texts, reading, rate));
        } else {
            note(&line(self.output.texts, reading, rate));
        }
    }

    fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

fn event(reading: &Reading, rate: &Rate) -> ProgressEvent {
    ProgressEvent {
        event: "progress",
        step: reading.step.trim_start_matches("step-"),
        files_done: reading.files_done,
        files_total: reading.files_total,
        bytes_done: reading.bytes_done,
        bytes_total: reading.bytes_total,
        bytes_moved: reading.bytes_moved,
        bytes_per_s: rate.bytes_per_s(),
        remaining_s: rate.remaining_s(reading),
    }
}

/// Position of the bar, in [`BAR_UNITS`]; zero while the total is unknown.
fn share(reading: &Reading) -> u64 {
    match reading.bytes_total {
        None | Some(0) => 0,
        Some(total) => {
            let units = u128::from(reading.bytes_done.min(total)) * u128::from(BAR_UNITS) / u128::from(total);
            u64::try_from(units).unwrap_or(BAR_UNITS)
        }
    }
}

/// `lecture : 12 345 / 78 579 fichiers, 0,8 / 1,3 Go, 250 Mo/s, encore 2 s`
fn line(texts: Texts, reading: &Reading, rate: &Rate) -> String {
    let of = |done: String, total: Option<String>| total.map_or(done.clone(), |total| format!("{done} / {total}"));
    let args = [
        ("step", Arg::from(texts.say(reading.step))),
        ("files", of(texts.integer(reading.files_done), reading.files_total.map(|total| texts.integer(total))).into()),
        ("bytes", of(texts.size(reading.bytes_done), reading.bytes_total.map(|total| texts.size(total))).into()),
        ("moved", texts.size(reading.bytes_moved).into()),
        ("rate", texts.rate(rate.bytes_per_s()).into()),
    ];
    let line = texts.say_with("progress-line", &args);
    match rate.remaining_s(reading) {
        None => line,
        Some(seconds) => {
            let left = texts.duration(seconds.saturating_mul(1_000));
            format!("{line}{}", texts.say_with("progress-remaining", &[("remaining", left.into())]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READING: Reading = Reading {
        step: "step-reading",
        files_done: 12_345,
        files_total: Some(78_579),
        bytes_done: 800_000_000,
        bytes_total: Some(1_300_000_000),
        bytes_moved: 150_000_000,
    };

    fn rate() -> Rate {
        let mut rate = Rate::default();
        rate.add(Duration::from_secs(1), 300_000_000);
        rate.add(Duration::from_secs(3), 800_000_000);
        rate
    }

    #[test]
    fn a_line_says_what_is_done_how_fast_and_how_long_still() {
        let unknown = Reading { files_total: None, bytes_total: None, ..READING };
        let lines: Vec<String> = [Texts::FRENCH.plain(), Texts::ENGLISH]
            .into_iter()
            .flat_map(|texts| [line(texts, &READING, &rate()), line(texts, &unknown, &Rate::default())])
            .collect();
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn an_event_has_integers_only() {
        insta::assert_json_snapshot!(event(&READING, &rate()));
    }

    #[test]
    fn the_rate_forgets_what_is_long_past() {
        let mut rate = rate();
        assert_eq!(rate.bytes_per_s(), 250_000_000);
        assert_eq!(rate.remaining_s(&READING), Some(2));
        rate.add(Duration::from_secs(60), 800_000_000);
        assert_eq!(rate.bytes_per_s(), 0);
        assert_eq!(rate.remaining_s(&READING), None);
        assert_eq!(share(&READING), 615);
        assert_eq!(share(&Reading { bytes_total: Some(0), ..READING }), 0);
    }
}
