//! The questions every investigation answers, and what each is worth. Coverage is counted over them.

use crate::domain::verdict::Question;

/// What exactly fired?
pub const TRIGGER: &str = "trigger";
/// Who or what acted?
pub const ACTOR: &str = "actor";
/// What launched it?
pub const LAUNCH: &str = "launch";
/// Under which account?
pub const ACCOUNT: &str = "account";
/// What did it do?
pub const EFFECT: &str = "effect";
/// Has it happened before?
pub const HISTORY: &str = "history";
/// What else is near?
pub const NEARBY: &str = "nearby";

/// The general playbook. What happened, what started it and what it did weigh double: without them the rest
/// decides nothing.
pub const GENERAL: [Question; 7] = [
    Question { id: TRIGGER, asks: "What exactly fired: the behaviour, or only a keyword?", weight: 2.0 },
    Question { id: ACTOR, asks: "Which program acted, and does it lie where it belongs?", weight: 1.0 },
    Question { id: LAUNCH, asks: "What launched it?", weight: 2.0 },
    Question { id: ACCOUNT, asks: "Under which account did it run?", weight: 1.0 },
    Question { id: EFFECT, asks: "What did it do to the machine and whom did it talk to?", weight: 2.0 },
    Question { id: HISTORY, asks: "Has it happened before, here or elsewhere?", weight: 1.0 },
    Question { id: NEARBY, asks: "What else was raised near it?", weight: 1.0 },
];
