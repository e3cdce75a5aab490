//! How far a long command has come: a bar when a person watches, a plain line now and then when the output goes
//! elsewhere, nothing when it is quick.

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanCount, HumanDuration, ProgressBar, ProgressStyle};

use super::say::complain;
use crate::domain::taint;
use crate::domain::words::agreeing;
use crate::floor::import::Watch;

/// How often a bar is drawn.
const DRAWN: Duration = Duration::from_millis(100);

/// How often a line is printed where there is no bar.
const TOLD: Duration = Duration::from_secs(5);

/// Rates are those of the last so many seconds: what was faster or slower before says little of what is left.
const RECENTLY: Duration = Duration::from_secs(30);

/// How far an import has come, on standard error.
pub struct Bar {
    bar: ProgressBar,
    drawing: Option<tokio::task::JoinHandle<()>>,
}

impl Bar {
    /// Shows how far an import of so many bytes has come; `None` if nobody knows how many there are.
    #[must_use]
    pub fn over(watch: Arc<Watch>, total: Option<u64>) -> Self {
        let watched = std::io::stderr().is_terminal();
        let bar = if watched { ProgressBar::new(total.unwrap_or_default()) } else { ProgressBar::hidden() };
        let template = if total.is_some() { "reading [{bar:30}] {msg}" } else { "reading {spinner} {msg}" };
        // The templates are constants; should one ever be wrong, the default style serves.
        bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
        let drawn = bar.clone();
        let drawing = tokio::spawn(async move {
            let mut pace = Pace::default();
            loop {
                tokio::time::sleep(if watched { DRAWN } else { TOLD }).await;
                pace.note(Instant::now(), watch.bytes(), watch.events());
                if watched {
                    drawn.set_position(watch.bytes());
                    drawn.set_message(pace.told(total));
                } else {
                    complain(format!("read {}", pace.told(total)));
                }
            }
        });
        Self { bar, drawing: Some(drawing) }
    }

    /// From here on cases are investigated.
    pub fn investigating(&mut self) {
        if let Some(drawing) = self.drawing.take() {
            drawing.abort();
            self.bar.set_style(ProgressStyle::default_spinner());
            self.bar.set_message("investigating");
            self.bar.enable_steady_tick(DRAWN);
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(drawing) = self.drawing.take() {
            drawing.abort();
        }
        self.bar.finish_and_clear();
    }
}

/// How many of many things are done: a bar when a person watches, and otherwise a line for each.
pub struct Count {
    bar: ProgressBar,
    watched: bool,
    total: u64,
}

impl Count {
    /// Of so many things, none of which is done.
    #[must_use]
    pub fn of(total: usize) -> Self {
        let watched = std::io::stderr().is_terminal();
        let total = total as u64;
        let bar = if watched { ProgressBar::new(total) } else { ProgressBar::hidden() };
        let template = "playing [{bar:30}] {pos} of {len} {wide_msg}";
        bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
        if watched {
            bar.enable_steady_tick(DRAWN);
        }
        Self { bar, watched, total }
    }

    /// Another one is done.
    pub fn done(&self, what: &str) {
        self.bar.inc(1);
        if self.watched {
            self.bar.set_message(taint::shown(what));
        } else {
            complain(format!("{} of {}: {what}", self.bar.position(), self.total));
        }
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// How fast it went lately.
#[derive(Debug, Default)]
struct Pace {
    /// Moments with the bytes and events that were done by then.
    seen: VecDeque<(Instant, u64, u64)>,
}

impl Pace {
    fn note(&mut self, now: Instant, bytes: u64, events: u64) {
        self.seen.push_back((now, bytes, events));
        // One moment from before stays, so that the whole time is covered.
        while self.seen.get(1).is_some_and(|(then, ..)| now.duration_since(*then) >= RECENTLY) {
            self.seen.pop_front();
        }
    }

    /// Bytes and events a second; `None` before there are two moments.
    fn rates(&self) -> Option<(f64, f64)> {
        let ((began, first_bytes, first_events), (now, bytes, events)) = (self.seen.front()?, self.seen.back()?);
        let seconds = now.duration_since(*began).as_secs_f64();
        let rate = |first: &u64, last: &u64| last.saturating_sub(*first) as f64 / seconds;
        (seconds > 0.0).then(|| (rate(first_bytes, bytes), rate(first_events, events)))
    }

    /// What is left at this pace; `None` while there is none, or nobody knows how much there is.
    fn left(&self, total: Option<u64>) -> Option<Duration> {
        let (_, bytes, _) = self.seen.back()?;
        let (rate, _) = self.rates().filter(|(bytes, _)| *bytes > 0.0)?;
        Duration::try_from_secs_f64(total?.saturating_sub(*bytes) as f64 / rate).ok()
    }

    fn told(&self, total: Option<u64>) -> String {
        let (_, bytes, events) = self.seen.back().copied().unwrap_or((Instant::now(), 0, 0));
        let mut told = HumanBytes(bytes).to_string();
        if let Some(total) = total {
            told.push_str(&format!(" of {}", HumanBytes(total)));
        }
        told.push_str(&format!(", {} {}", HumanCount(events), agreeing(events, "event", "events")));
        if let Some((_, rate)) = self.rates() {
            told.push_str(&format!(", {} a second", HumanCount(rate as u64)));
        }
        if let Some(left) = self.left(total) {
            told.push_str(&format!(", about {} left", HumanDuration(left)));
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_follows_from_the_recent_pace() {
        let began = Instant::now();
        let mut pace = Pace::default();
        assert_eq!(pace.left(Some(100)), None);
        pace.note(began, 0, 0);
        assert_eq!(pace.left(Some(100)), None, "one moment is no pace");
        // A hundred seconds of 10 bytes each, then forty of 1 byte each.
        for second in 1..=100 {
            pace.note(began + Duration::from_secs(second), second * 10, second);
        }
        assert_eq!(pace.left(Some(2_000)), Some(Duration::from_secs(100)));
        for second in 1..=40 {
            pace.note(began + Duration::from_secs(100 + second), 1_000 + second, 100 + second);
        }
        assert_eq!(pace.left(Some(2_040)), Some(Duration::from_secs(1_000)));
        assert_eq!(pace.left(None), None, "of a pipe nobody knows");
        assert_eq!(pace.told(Some(2_040)), "1.02 KiB of 1.99 KiB, 140 events, 1 a second, about 17 minutes left");
        assert_eq!(pace.told(None), "1.02 KiB, 140 events, 1 a second");
    }

    #[test]
    fn while_nothing_moves_nothing_is_promised() {
        let began = Instant::now();
        let mut pace = Pace::default();
        pace.note(began, 500, 5);
        pace.note(began + Duration::from_secs(40), 500, 5);
        assert_eq!(pace.left(Some(1_000)), None);
    }
}
