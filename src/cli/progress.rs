//! How far a long command has come: a bar when a person watches, nothing otherwise.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::detection::read::Progress;

/// A bar over the bytes of the inputs.
pub struct Bar {
    bar: ProgressBar,
    drawing: Option<tokio::task::JoinHandle<()>>,
}

impl Bar {
    /// A bar over these inputs, if standard error is a terminal.
    #[must_use]
    pub fn over(inputs: Vec<Progress>) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self { bar: ProgressBar::hidden(), drawing: None };
        }
        let bar = ProgressBar::new(inputs.iter().map(Progress::total).sum());
        let style = ProgressStyle::with_template("{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {eta}");
        // The template is a constant; should it ever be wrong, the default style serves.
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message("reading");
        let drawn = bar.clone();
        let drawing = tokio::spawn(async move {
            loop {
                drawn.set_position(inputs.iter().map(Progress::read).sum());
                tokio::time::sleep(Duration::from_millis(100)).await;
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
            self.bar.enable_steady_tick(Duration::from_millis(100));
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
