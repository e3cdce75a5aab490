//! `lookup`: what is known of a program, an access mask, an ATT&CK id or a domain, without asking anybody.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::{Answer, Header, Row, ToolError};
use super::tool::{Permission, Scope, Tool};
use crate::domain::{attack, taint};
use crate::knowledge::places_on_the_net::{self, Service};
use crate::knowledge::{access_mask, lolbins};

/// See the module.
pub struct Lookup;

/// What to look up.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Arguments {
    /// A program's name or path, an access mask (`0x1410`), an ATT&CK id (`T1562.001`), or a domain name.
    pub indicator: String,
}

/// What the tool gives a program.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// The technique under its newest number.
    pub technique: Option<String>,
    /// Rights that an access mask gives over another process.
    pub rights: Vec<String>,
    /// What the program can be used for.
    pub uses: Vec<String>,
    /// What the domain's service is for.
    pub service: Option<Service>,
}

#[async_trait]
impl Tool for Lookup {
    const NAME: &'static str = "lookup";
    const DESCRIPTION: &'static str = "What is known offline of a program of Windows (what attackers use it for and what to look at), an access mask, an ATT&CK id (old and new numbers), or a domain (tunnels, pastes, dynamic names, file drops). Not being listed says nothing.";
    const PERMISSION: Permission = Permission::Read;
    type Arguments = Arguments;

    async fn call(&self, arguments: Arguments, _: &Scope) -> Result<Answer, ToolError> {
        let asked = arguments.indicator.trim();
        let shown: String = taint::shown(asked).chars().take(200).collect();
        let (mut known, mut rows) = (Known::default(), Vec::new());
        if let Some(technique) = attack::technique(asked) {
            rows.push(Row::said(format!("{shown}: technique {technique} of ATT&CK version {}", attack::VERSION)));
            known.technique = Some(technique);
        }
        if let Some(mask) = access_mask::parse(asked) {
            known.rights = access_mask::rights(mask).into_iter().map(str::to_owned).collect();
            let reads = if access_mask::reads_memory(asked) {
                "may read the process' memory"
            } else {
                "cannot read its memory"
            };
            rows.push(Row::said(format!("{shown}: {reads}; {}", known.rights.join(", "))));
        }
        if let Some(lolbin) = lolbins::of(asked) {
            let word =
                |used: &lolbins::Use| serde_json::to_value(used).ok().and_then(|word| word.as_str().map(str::to_owned));
            known.uses = lolbin.uses.iter().filter_map(word).collect();
            let uses = known.uses.join(", ").replace('_', " ");
            rows.push(Row::said(format!("{}: can be used to {uses}; look at {}", lolbin.name, lolbin.look_at)));
        }
        if let Some((listed, service)) = places_on_the_net::of(asked) {
            known.service = Some(service);
            let date = places_on_the_net::LIST_DATE;
            rows.push(Row::said(format!(
                "{shown}: {} ({listed}, list of {date}); it has honest users too",
                service.name()
            )));
        }
        if rows.is_empty() {
            rows.push(Row::said(format!("{shown} is on no list here, which says nothing about it")));
        }
        let header = Header { total: rows.len() as u64, ..Header::default() };
        let data = serde_json::to_value(known).unwrap_or_default();
        Ok(Answer { header, rows, cut: 0, data, filing: None })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::fixtures::BrokenStore;
    use crate::ports::events::Watermark;

    async fn ask(indicator: &str) -> (String, Known) {
        let scope = Scope {
            case: crate::fixtures::CASE,
            alerts: Arc::default(),
            events: Arc::new(BrokenStore),
            watermark: Watermark(1),
        };
        let answer = Lookup.call(Arguments { indicator: indicator.into() }, &scope).await.expect("it answers");
        (answer.rows[0].text.clone(), serde_json::from_value(answer.data).expect("it is typed"))
    }

    #[tokio::test]
    async fn each_sort_of_thing_is_known_by_its_own_list() {
        let (text, known) = ask("t1562.001").await;
        assert_eq!(
            (known.technique.as_deref(), text.as_str()),
            (Some("T1685"), "t1562.001: technique T1685 of ATT&CK version 19")
        );
        let (text, known) = ask("0x1410").await;
        assert!(text.starts_with("0x1410: may read the process' memory; "), "{text}");
        assert_eq!(known.rights, ["read memory", "query information", "query limited information"]);
        assert!(ask("0x1400").await.0.contains("cannot read its memory"));
        let (text, known) = ask(r"C:\Windows\System32\certutil.exe").await;
        assert_eq!(known.uses, ["download", "decode"]);
        assert!(text.contains("look at urlcache"), "{text}");
        let (text, known) = ask("a.trycloudflare.com").await;
        assert_eq!(known.service, Some(Service::Tunnel));
        assert!(text.contains("list of 2026-") && text.contains("honest users"), "{text}");
    }

    #[tokio::test]
    async fn what_is_not_listed_is_said_not_to_be() {
        let (text, known) = ask("harmless.example").await;
        assert_eq!(
            (known, text.as_str()),
            (Known::default(), "harmless.example is on no list here, which says nothing about it")
        );
    }
}
