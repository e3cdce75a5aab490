//! `asset` and `account`: what people declared of a machine or an account, and what a machine's events show it to be.

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::alerts::unavailable;
use super::answer::{Answer, Header, Row, ToolError};
use super::surroundings::Surroundings;
use super::tool::{Permission, Scope, Tool};
use super::view::{self, EventView, IN_A_ROW};
use crate::domain::entity::HostName;
use crate::domain::event::Event;
use crate::domain::taint;
use crate::ports::context::inferred::{Inferred, role_of};
use crate::ports::context::{Account, Act, Approval, Context, IndicatorKind, Isolation, Standing, Window};
use crate::ports::events::mention::{self, Sort};

/// What is announced and approved around an act, and what is watched for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Around {
    /// Windows open then that cover the machine and the account, by name, with their purpose.
    pub windows: Vec<Named>,
    /// Approvals that cover the act, by name, with their purpose.
    pub approved: Vec<Named>,
    /// Watchlists that hold something the event names, with the value. They only raise.
    pub watched: Vec<Named>,
}

/// Something declared, as it is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// Its name.
    pub name: String,
    /// What sort of thing it is: `maintenance window`, `scanner`, …
    pub kind: String,
    /// What it is for.
    pub purpose: String,
}

/// What is declared around an event.
#[must_use]
pub fn around(context: &Context, event: &Event) -> Around {
    let account = view::account(|name| event.data(name));
    let account = account.as_deref();
    let image = ["Image", "NewProcessName", "SourceImage", "ProcessName"].iter().find_map(|name| event.data(name));
    let source = event.data("IpAddress").or_else(|| event.data("SourceIp"));
    let source = source.and_then(|text| text.parse::<IpAddr>().ok());
    let is_valid = event.data("SignatureStatus").is_some_and(|status| status.eq_ignore_ascii_case("valid"));
    // A signature of something loaded is not that of the program that loads it.
    let is_own =
        event.data("ImageLoaded").is_some_and(|loaded| image.is_some_and(|image| image.eq_ignore_ascii_case(loaded)));
    let signer = event.data("Signature").filter(|_| is_valid && is_own);
    let act = Act { host: &event.host, image, signer, source, account };
    let window = |window: &&Window| Named {
        name: window.name.clone(),
        kind: window.kind.name().into(),
        purpose: window.purpose.clone(),
    };
    let approval = |approval: &&Approval| Named {
        name: approval.name.clone(),
        kind: serde_json::to_value(approval.kind)
            .ok()
            .and_then(|kind| kind.as_str().map(str::to_owned))
            .unwrap_or_default(),
        purpose: approval.purpose.clone(),
    };
    Around {
        windows: context.windows(&event.host, account, event.time).iter().map(window).collect(),
        approved: context.approvals(&act).iter().map(approval).collect(),
        watched: watched(context, event),
    }
}

fn watched(context: &Context, event: &Event) -> Vec<Named> {
    let mut found = Vec::new();
    for mention in mention::of(event) {
        let kind = match mention.sort() {
            Sort::Domain => IndicatorKind::Domain,
            Sort::Address => IndicatorKind::Address,
            Sort::Hash => IndicatorKind::Hash,
            Sort::Account => IndicatorKind::Account,
            Sort::FileName => IndicatorKind::FileName,
            Sort::Process | Sort::Registry | Sort::FilePath | Sort::Port => continue,
        };
        found.extend(context.watched(kind, mention.value()).into_iter().map(|list| Named {
            name: list.name.clone(),
            kind: mention.value().to_owned(),
            purpose: list.why.clone(),
        }));
    }
    found
}

fn told(what: &str, named: &[Named]) -> Option<Row> {
    let each = named.iter().take(5).map(|named| {
        let Named { name, kind, purpose } = named;
        format!("{} ({}): {}", taint::shown(name), taint::shown(kind), taint::shown(purpose))
    });
    (!named.is_empty()).then(|| Row::said(format!("{what}: {}", each.collect::<Vec<_>>().join("; "))))
}

fn rows_of(around: &Around) -> impl Iterator<Item = Row> {
    let told =
        [told("open then", &around.windows), told("approved", &around.approved), told("WATCHED FOR", &around.watched)];
    told.into_iter().flatten()
}

/// See the module.
pub struct AssetTool(pub Arc<Surroundings>);

/// Which machine.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AssetArguments {
    /// The machine's name.
    pub host: String,
    /// An event by its id: then what is announced, approved and watched for around it is told too.
    #[serde(default)]
    pub event: Option<String>,
}

/// What the tool gives a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssetFacts {
    /// What is known of the machine.
    pub standing: Standing,
    /// Why its role was inferred, and by which event.
    pub inferred: Option<Inferred>,
    /// Somebody declared it.
    pub declared: bool,
    /// What is declared around the event asked about.
    pub around: Option<Around>,
}

#[async_trait]
impl Tool for AssetTool {
    const NAME: &'static str = "asset";
    const DESCRIPTION: &'static str = "What is known of a machine: declared role, tier (0 controls the organisation), criticality, owner, whether it may be isolated; and what its events show it to be, marked inferred. With an event: windows open then, approvals that cover it, watchlists that hold something in it.";
    const PERMISSION: Permission = Permission::Read;
    type Arguments = AssetArguments;

    async fn call(&self, arguments: AssetArguments, scope: &Scope) -> Result<Answer, ToolError> {
        let host = HostName::new(arguments.host);
        let inferred = role_of(scope.events.as_ref(), &host, scope.watermark).await.map_err(unavailable)?;
        let context = &self.0.context;
        let (standing, declared) = (context.standing(&host, inferred.as_ref()), context.asset(&host).is_some());
        let mut rows = vec![Row::said(described(&host, &standing, declared))];
        if let Some(inferred) = &inferred {
            let event = scope.event(inferred.event.as_str()).await?;
            let view = EventView::row(&event, IN_A_ROW);
            let text =
                format!("inferred {}: {}; {}", inferred.role.name(), taint::shown(&inferred.because), view.line());
            rows.push(Row { text, ..Row::of(view) });
        }
        let around = match &arguments.event {
            Some(id) => Some(around(context, &scope.event(id).await?)),
            None => None,
        };
        rows.extend(around.iter().flat_map(rows_of));
        let header = Header { total: rows.len() as u64, ..Header::default() };
        let data = serde_json::to_value(AssetFacts { standing, inferred, declared, around }).unwrap_or_default();
        Ok(Answer { header, rows, cut: 0, data, filing: None })
    }
}

fn described(host: &HostName, standing: &Standing, declared: bool) -> String {
    let host = taint::shown(&host.to_string());
    if !declared {
        let protected = if standing.is_protected() { "; protected by what it shows itself to be" } else { "" };
        return format!("{host}: nobody declared it{protected}");
    }
    let mut parts: Vec<String> = standing.role.iter().map(|role| role.name().to_owned()).collect();
    parts.extend(standing.tier.map(|tier| format!("tier {}", tier.number())));
    parts.extend(standing.criticality.map(|criticality| format!("criticality {}", criticality.name())));
    parts.extend(standing.owner.as_ref().map(|owner| format!("owner {}", taint::shown(owner))));
    parts.push(match standing.isolation {
        Isolation::Allowed => "isolation allowed".into(),
        Isolation::Forbidden => "isolation forbidden".into(),
        Isolation::NotSaid => "isolation: nobody said".into(),
    });
    format!("{host}: declared {}", parts.join(", "))
}

/// See the module.
pub struct AccountTool(pub Arc<Surroundings>);

/// Which account.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountArguments {
    /// The account's name, with its domain if it is known: `CORP\\name`.
    pub account: String,
    /// The machine on which it acted, to find windows that were open.
    #[serde(default)]
    pub host: Option<String>,
    /// When it acted.
    #[serde(default)]
    pub at: Option<Timestamp>,
}

/// What the tool gives a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountFacts {
    /// What is declared of it.
    pub declared: Option<Account>,
    /// It has rights that ordinary accounts have not, as declared.
    pub privileged: bool,
    /// Windows that cover it at that time, if a time was given.
    pub windows: Vec<Named>,
    /// Watchlists that hold it. They only raise.
    pub watched: Vec<Named>,
}

#[async_trait]
impl Tool for AccountTool {
    const NAME: &'static str = "account";
    const DESCRIPTION: &'static str = "What is declared of an account: role (standard, admin, help_desk, service, break_glass), privilege, owner; windows open for it at a time, watchlists that hold it. An account that nobody declared is unknown, not ordinary.";
    const PERMISSION: Permission = Permission::Read;
    type Arguments = AccountArguments;

    async fn call(&self, arguments: AccountArguments, _: &Scope) -> Result<Answer, ToolError> {
        let context = &self.0.context;
        let declared = context.account(&arguments.account).cloned();
        let host = HostName::new(arguments.host.unwrap_or_default());
        let at = arguments.at.into_iter();
        let windows = at.flat_map(|at| context.windows(&host, Some(&arguments.account), at)).map(|window| Named {
            name: window.name.clone(),
            kind: window.kind.name().into(),
            purpose: window.purpose.clone(),
        });
        let windows: Vec<Named> = windows.collect();
        let watched = context.watched(IndicatorKind::Account, &arguments.account).into_iter().map(|list| Named {
            name: list.name.clone(),
            kind: "account".into(),
            purpose: list.why.clone(),
        });
        let watched: Vec<Named> = watched.collect();
        let name = taint::shown(&arguments.account);
        let text = match &declared {
            None => format!("{name}: nobody declared it"),
            Some(account) => {
                let privileged = if account.is_privileged() { ", privileged" } else { "" };
                let owner =
                    account.owner.as_ref().map_or_else(String::new, |owner| format!(", owner {}", taint::shown(owner)));
                let by = taint::shown(account.name.as_str());
                format!("{name}: declared {}{privileged}{owner} (as `{by}`)", account.role.name())
            }
        };
        let mut rows = vec![Row::said(text)];
        rows.extend(told("open then", &windows).into_iter().chain(told("WATCHED FOR", &watched)));
        let header = Header { total: rows.len() as u64, ..Header::default() };
        let privileged = declared.as_ref().is_some_and(Account::is_privileged);
        let data = serde_json::to_value(AccountFacts { declared, privileged, windows, watched }).unwrap_or_default();
        Ok(Answer { header, rows, cut: 0, data, filing: None })
    }
}

#[cfg(test)]
mod tests;
