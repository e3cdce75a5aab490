//! Steps by which recovery is made impossible, one after another: what precedes encryption.

use std::collections::BTreeMap;

use super::super::content;
use super::super::feature::{Feature, VERY_STRONG};
use super::super::seen::{Seen, SeenEvent};
use crate::domain::evidence::Family;
use crate::domain::words::excerpt;
use crate::knowledge::{command, paths};

/// Most characters of one step in the sentence that lists them.
const LONGEST_STEP: usize = 40;

/// Two and more ways of making recovery impossible, each with its own evidence.
pub fn steps(seen: &Seen) -> Option<Feature> {
    let mut steps: BTreeMap<String, (&SeenEvent, usize)> = BTreeMap::new();
    for event in seen.related() {
        let Some(reading) = content::reading(event).filter(|reading| reading.recovery_steps > 0) else { continue };
        steps.entry(step(reading.layers.first()?)).or_insert((event, reading.recovery_steps));
    }
    let total: usize = steps.values().map(|(_, count)| count).sum();
    let mut in_order: Vec<(String, &SeenEvent)> = steps.into_iter().map(|(step, (event, _))| (step, event)).collect();
    in_order.sort_by_key(|(_, event)| (event.view.time, event.id));
    let event = in_order.last()?.1;
    let field = if event.get("CommandLine").is_some() { "CommandLine" } else { "ScriptBlockText" };
    let each = in_order.iter().map(|(step, event)| format!("`{}` ({})", excerpt(step, LONGEST_STEP), event.id));
    let says = format!("{total} steps that make recovery impossible: {}", each.collect::<Vec<_>>().join(", "));
    (total >= 2).then(|| {
        event.feature("recovery inhibited in steps", Family::Effect, VERY_STRONG, &[field], says).map(Feature::active)
    })?
}

/// A command as it is counted: told by a shell and by its child, with or without its folder, it is one step.
fn step(command: &str) -> String {
    let folded = command::folded(command);
    let bare = folded.rsplit("/c ").next().unwrap_or(&folded).trim();
    let (program, rest) = bare.split_once(' ').unwrap_or((bare, ""));
    let program = paths::base_name(program);
    format!("{} {rest}", program.strip_suffix(".exe").unwrap_or(&program)).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_told_by_a_shell_and_by_its_child_is_one_step() {
        let told = [
            "cmd.exe /c vssadmin delete shadows /all /quiet",
            "vssadmin  delete shadows /all /quiet",
            "\"C:\\Windows\\System32\\vssadmin.exe\" delete shadows /all /quiet",
        ];
        for command in told {
            assert_eq!(step(command), "vssadmin delete shadows /all /quiet", "{command}");
        }
    }
}
