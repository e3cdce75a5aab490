//! `watchfloor events stats|prune`: what the event store holds, and how old and large it may be.

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use jiff::SignedDuration;

use super::ask::ask;
use super::say::{say, say_json};
use super::{Common, Verdict};
use crate::domain::words::{agreeing, counted};
use crate::floor::assembly::Stores;
use crate::floor::faults::Faults;
use crate::floor::queries::{EventStats, Query};
use crate::floor::retention;
use crate::floor::state_folder::StateFolder;
use crate::ports::clock::{Clock, SystemClock};
use crate::ports::events::retention::{Pruned, RetentionPolicy};

/// What to do with the events.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// How many events there are, of what, from when to when, and how much room they take
    Stats(Common),
    /// Remove old events; what an alert or a case rests on always stays
    Prune(Prune),
}

/// How old and how large the store may be.
#[derive(Debug, Args)]
pub struct Prune {
    /// Remove events that happened longer ago than this: 90d, 12w, 36h
    #[arg(long, value_name = "AGE", value_parser = age, required_unless_present = "larger_than")]
    older_than: Option<SignedDuration>,
    /// Remove the oldest events until the contents take no more than this: 20GB, 500MiB
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    larger_than: Option<u64>,
    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    common: Common,
}

/// Runs the command.
///
/// # Errors
/// When the folder cannot be read; for `prune` without `--dry-run` also when a floor is at work on it.
pub async fn run(command: Command) -> Result<Verdict> {
    match command {
        Command::Stats(Common { data, json }) => {
            let stats: EventStats = ask(&data, Query::EventStats).await?;
            if json { say_json(&stats)? } else { say(stats_text(&stats))? }
        }
        Command::Prune(Prune { older_than, larger_than, dry_run, common: Common { data, json } }) => {
            let before = older_than.map(|age| SystemClock.now().checked_sub(age)).transpose();
            let before = before.context("--older-than reaches back further than there is time: name less")?;
            let policy = RetentionPolicy { before, larger_than, dry_run };
            let pruned: Pruned = if dry_run {
                ask(&data, Query::WouldPrune { policy }).await?
            } else {
                // The folder is taken for it: nobody investigates on events that are being removed.
                let held = StateFolder::take_existing(&data)?;
                let stores = Stores::open(held.path(), &Faults::default())?;
                retention::prune(&stores, &policy).await?
            };
            if json { say_json(&pruned)? } else { say(pruned_text(&pruned, dry_run))? }
        }
    }
    Ok(Verdict::Quiet)
}

fn stats_text(EventStats { history, size, hosts, kinds }: &EventStats) -> String {
    let (Some(oldest), Some(newest)) = (history.oldest, history.newest) else { return "No events.".into() };
    let mut text = format!(
        "{} of {}, from {oldest} to {newest}.\nContents: {}; {} of the file are free.\n",
        counted(history.events, "event"),
        counted(*hosts, "host"),
        megabytes(size.bytes),
        megabytes(size.free),
    );
    if let Some(since) = history.complete_since {
        text.push_str(&format!("Events before {since} may have been removed.\n"));
    }
    if size.unindexed > 0 {
        let are = agreeing(size.unindexed, "is", "are");
        let (events, asked) = (counted(size.unindexed, "event"), "it catches up when text is asked for");
        text.push_str(&format!("{events} {are} not in the full-text index yet; {asked}.\n"));
    }
    for group in &kinds.groups {
        text.push_str(&format!("  {:>9}  {}\n", group.events, group.key.join(" ")));
    }
    let more = kinds.groups_total.saturating_sub(kinds.groups.len() as u64);
    if more > 0 {
        text.push_str(&format!("             and {}\n", counted(more, "more kind")));
    }
    text
}

fn pruned_text(pruned: &Pruned, dry_run: bool) -> String {
    let Pruned { removed, kept, bytes_before, bytes_after, .. } = pruned;
    let range = pruned.from.zip(pruned.to);
    let range = range.map_or_else(String::new, |(from, to)| format!(", from {from} to {to}"));
    let (verb, about) = if dry_run { ("would be removed", "about ") } else { ("removed", "") };
    format!(
        "{} {verb}{range}; {kept} kept because an alert or a case rests on them.\n\
         Contents: {} before, {about}{} after. The space is used again; the file does not shrink.",
        counted(*removed, "event"),
        megabytes(*bytes_before),
        megabytes(*bytes_after),
    )
}

/// `1.4 MB`: millions of bytes, rounded down to a tenth.
fn megabytes(bytes: u64) -> String {
    format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000)
}

/// A number and a unit behind it.
fn measure(text: &str) -> Option<(i64, String)> {
    let digits = text.chars().take_while(char::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit.trim().to_lowercase()))
}

fn age(text: &str) -> Result<SignedDuration, String> {
    let hours = measure(text).and_then(|(number, unit)| {
        let of_unit = match unit.as_str() {
            "h" => 1,
            "d" => 24,
            "w" => 24 * 7,
            _ => return None,
        };
        number.checked_mul(of_unit)
    });
    let whole = hours.and_then(|hours| SignedDuration::try_from_hours(hours).filter(|_| hours > 0));
    whole.ok_or_else(|| "write hours, days or weeks, such as 36h, 90d or 12w".into())
}

fn bytes(text: &str) -> Result<u64, String> {
    let bytes = measure(text).and_then(|(number, unit)| {
        let of_unit: u64 = match unit.as_str() {
            "b" => 1,
            "kb" => 1_000,
            "mb" => 1_000_000,
            "gb" => 1_000_000_000,
            "tb" => 1_000_000_000_000,
            "kib" => 1 << 10,
            "mib" => 1 << 20,
            "gib" => 1 << 30,
            "tib" => 1 << 40,
            _ => return None,
        };
        u64::try_from(number).ok()?.checked_mul(of_unit)
    });
    bytes.ok_or_else(|| "write a size with its unit, such as 500MB or 20GB".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_and_sizes_are_read_with_their_units_and_nothing_is_guessed() {
        assert_eq!(age("90d"), Ok(SignedDuration::from_hours(2_160)));
        assert_eq!((age("36H"), age("1w")), (Ok(SignedDuration::from_hours(36)), Ok(SignedDuration::from_hours(168))));
        assert_eq!((bytes("20GB"), bytes("1 MiB")), (Ok(20_000_000_000), Ok(1_048_576)));
        for wrong in ["90", "d", "-1d", "0d", "9m", "1.5d", "99999999999999999999d", "9223372036854775807w"] {
            assert!(age(wrong).is_err(), "{wrong}");
        }
        for wrong in ["20", "GB", "-1GB", "1.5GB", "20 gigs", "99999999999999TB"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn one_bound_at_least_is_asked_for() {
        use clap::Parser;
        let parse = |words: &[&str]| crate::cli::Arguments::try_parse_from(words).is_ok();
        assert!(!parse(&["watchfloor", "events", "prune"]));
        assert!(parse(&["watchfloor", "events", "prune", "--larger-than", "20GB"]));
        assert!(parse(&["watchfloor", "events", "prune", "--older-than", "90d", "--larger-than", "20GB", "--dry-run"]));
    }
}
