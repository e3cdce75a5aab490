//! What a question used: attempts, tokens and money, failed attempts included, since these are paid for as well.

use crate::model::answer::Usage;
use crate::model::limit::{Cost, Spending};

/// What one question or several used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bill {
    /// Attempts that went out.
    pub attempts: u64,
    /// Tokens, as far as servers said.
    pub usage: Usage,
    /// Money. An attempt whose price or size nobody knows is counted as unknown; one that the server refused costs nothing.
    pub spending: Spending,
}

impl Bill {
    /// Adds what other questions used.
    pub fn add(&mut self, other: &Self) {
        self.attempts = self.attempts.saturating_add(other.attempts);
        self.add_usage(other.usage);
        self.spending.add_all(&other.spending);
    }

    /// An attempt was answered.
    pub(super) fn answered(&mut self, usage: Option<Usage>, cost: Option<Cost>) {
        self.attempts = self.attempts.saturating_add(1);
        self.add_usage(usage.unwrap_or_default());
        self.spending.add(cost);
    }

    /// An attempt failed, and may have cost something or not.
    pub(super) fn failed(&mut self, may_have_used_tokens: bool) {
        self.attempts = self.attempts.saturating_add(1);
        if may_have_used_tokens {
            self.spending.add(None);
        }
    }

    const fn add_usage(&mut self, usage: Usage) {
        self.usage.input = self.usage.input.saturating_add(usage.input);
        self.usage.cached = self.usage.cached.saturating_add(usage.cached);
        self.usage.output = self.usage.output.saturating_add(usage.output);
        self.usage.reasoning = self.usage.reasoning.saturating_add(usage.reasoning);
    }
}
