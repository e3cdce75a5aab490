//! Turns logs and traces on for one command. Nothing in here can make the command fail.

use std::env;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use tracing::Subscriber;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

use super::destination::Destination;
use super::export::{CannotExport, Delivery, Pipeline};

/// The environment variable that says what is logged.
pub const LOG_VARIABLE: &str = "WATCHFLOOR_LOG";

/// What is logged when nobody says.
const DEFAULT_LOG: &str = "warn";

/// Crates whose logs tell of their own inner life, or quote whole answers of a model. They come first in the filter, so that asking for one brings it back.
const QUIET: &str = "hyper=off,hyper_util=off,reqwest=off,tonic=off,tower=off,h2=off,opentelemetry=off,ractor=off,\
    async_openai=off,rustls=off";

/// Holds traces open. Dropped, it sends the last of them and takes at most a short while for it.
#[derive(Debug)]
#[must_use = "dropped at once, it exports nothing"]
pub struct Telemetry {
    pipeline: Option<Pipeline>,
}

impl Telemetry {
    /// Whether spans leave this process.
    #[must_use]
    pub const fn exports(&self) -> bool {
        self.pipeline.is_some()
    }

    /// Sends what is queued without blocking the runtime, and tells what came of all spans, if any were exported.
    pub async fn shutdown(self) -> Option<Delivery> {
        Some(self.pipeline?.shutdown().await)
    }
}

/// Starts logging to standard error, and exporting where OpenTelemetry's environment variables name a collector.
///
/// `log_filter` is what the command line asks for; without it `WATCHFLOOR_LOG` counts, and without that `warn`.
/// May be called inside a runtime or outside of any.
pub fn init(log_filter: Option<&str>) -> Telemetry {
    let read = |name: &str| env::var(name).ok();
    let pipeline = match open(read) {
        Ok(pipeline) => pipeline,
        Err(cause) => {
            say(format_args!("traces are not exported: {cause}"));
            None
        }
    };
    let filter = log_filter.map(str::to_owned).or_else(|| read(LOG_VARIABLE)).filter(|filter| !filter.is_empty());
    let filter = log_targets(filter.as_deref()).unwrap_or_else(|cause| {
        say(cause);
        quiet(DEFAULT_LOG)
    });
    let subscriber = tracing_subscriber::registry().with(pipeline.as_ref().map(Pipeline::layer)).with(log(filter));
    if let Err(cause) = subscriber.try_init() {
        say(format_args!("logs and traces are off: {cause}"));
    }
    Telemetry { pipeline }
}

/// The pipeline to the collector that the environment names, if it names one.
fn open(read: impl Fn(&str) -> Option<String>) -> Result<Option<Pipeline>, CannotExport> {
    Destination::from_variables(read)?.as_ref().map(Pipeline::open).transpose()
}

/// Log lines on standard error, where they do not mix with what a command prints.
fn log<S>(filter: EnvFilter) -> impl Layer<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let plain = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal() && !plain).with_filter(filter)
}

fn log_targets(wanted: Option<&str>) -> Result<EnvFilter, String> {
    let wanted = wanted.unwrap_or(DEFAULT_LOG);
    // Checked alone first: a mistake should not be explained with directives nobody wrote.
    EnvFilter::try_new(wanted).map(|_| quiet(wanted)).map_err(|cause| {
        format!("the log filter `{wanted}` is not understood ({cause}); `{DEFAULT_LOG}` is used, try `info` or `watchfloor=debug`")
    })
}

fn quiet(wanted: &str) -> EnvFilter {
    EnvFilter::new(format!("{QUIET},{wanted}"))
}

/// A sentence to the person at the terminal, whatever is logged. A closed terminal is no reason to fail.
fn say(sentence: impl Display) {
    let _ = writeln!(io::stderr(), "watchfloor: {sentence}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noisy_crates_are_quiet_unless_asked_for() {
        let default = log_targets(None).unwrap().to_string();
        assert!(default.contains("ractor=off") && default.contains("warn"), "{default}");
        let asked = log_targets(Some("info,ractor=debug")).unwrap().to_string();
        assert!(asked.contains("ractor=debug") && !asked.contains("ractor=off"), "{asked}");
    }

    #[test]
    fn a_filter_that_is_not_understood_is_named() {
        assert!(log_targets(Some("watchfloor=loud")).unwrap_err().contains("`watchfloor=loud`"));
    }
}
