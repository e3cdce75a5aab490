//! `get_events_for_host` and `get_events_for_user`: the search of `search_winlog_events` for one machine or account.

use async_trait::async_trait;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;

use super::answer::{Answer, ToolError};
use super::events::{KindArgument, SearchArguments, SearchWinlogEvents};
use super::tool::{Permission, Scope, Tool};

/// See the module.
pub struct GetEventsForHost;

/// Which events of a machine.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HostArguments {
    /// The machine.
    pub host: String,
    /// First instant, such as `2026-03-01T12:00:00Z`.
    pub from: Timestamp,
    /// Last instant.
    pub to: Timestamp,
    /// Kinds of events; every kind if left out.
    #[serde(default)]
    pub kinds: Vec<KindArgument>,
    /// Count by this field instead of listing rows; `kind` counts by kind of event.
    #[serde(default)]
    pub group_by: Option<String>,
    /// At most this many rows, up to 25.
    #[serde(default)]
    pub limit: Option<usize>,
}

#[async_trait]
impl Tool for GetEventsForHost {
    const NAME: &'static str = "get_events_for_host";
    const DESCRIPTION: &'static str = "Stored events of one machine in a window, the oldest first, or counted by a field. search_winlog_events narrows further.";
    const PERMISSION: Permission = Permission::Read;
    type Arguments = HostArguments;

    async fn call(&self, arguments: HostArguments, scope: &Scope) -> Result<Answer, ToolError> {
        let HostArguments { host, from, to, kinds, group_by, limit } = arguments;
        let host = Some(host);
        SearchWinlogEvents
            .call(SearchArguments { host, kinds, group_by, limit, ..SearchArguments::within(from, to) }, scope)
            .await
    }
}

/// See the module.
pub struct GetEventsForUser;

/// Which events of an account.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UserArguments {
    /// The account, with or without its domain: who acted, was acted on or logged on.
    pub user: String,
    /// First instant, such as `2026-03-01T12:00:00Z`.
    pub from: Timestamp,
    /// Last instant.
    pub to: Timestamp,
    /// Only on this machine.
    #[serde(default)]
    pub host: Option<String>,
    /// Kinds of events; every kind if left out.
    #[serde(default)]
    pub kinds: Vec<KindArgument>,
    /// Count by this field instead of listing rows; `host` and `kind` count by machine and by kind of event.
    #[serde(default)]
    pub group_by: Option<String>,
    /// At most this many rows, up to 25.
    #[serde(default)]
    pub limit: Option<usize>,
}

#[async_trait]
impl Tool for GetEventsForUser {
    const NAME: &'static str = "get_events_for_user";
    const DESCRIPTION: &'static str =
        "Stored events of one account in a window on all machines or one, the oldest first, or counted by a field.";
    const PERMISSION: Permission = Permission::Read;
    type Arguments = UserArguments;

    async fn call(&self, arguments: UserArguments, scope: &Scope) -> Result<Answer, ToolError> {
        let UserArguments { user, from, to, host, kinds, group_by, limit } = arguments;
        let user = Some(user);
        let search = SearchArguments { user, host, kinds, group_by, limit, ..SearchArguments::within(from, to) };
        SearchWinlogEvents.call(search, scope).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::domain::event::SYSMON;
    use crate::fixtures::{CASE, at, event, store};
    use crate::ports::events::Watermark;

    #[tokio::test]
    async fn events_are_those_of_the_machine_or_the_account() {
        let run = |id: &str, host: &str, user: &str| event(id, 10, host, (SYSMON, 1), json!({"User": user}));
        let events =
            vec![run("a", "WKS-1", r"CORP\m.vale"), run("b", "WKS-2", r"CORP\m.vale"), run("c", "WKS-1", "SYSTEM")];
        let (_folder, store) = store(events).await;
        let scope = Scope { case: CASE, alerts: Arc::default(), events: store, watermark: Watermark(u64::MAX) };
        let shown = |answer: Answer| -> Vec<String> {
            answer.rows.iter().filter_map(|row| row.view.as_ref()).map(|view| view.event.to_string()).collect()
        };
        let asked = serde_json::from_value(json!({"host": "wks-1", "from": at(0), "to": at(20)})).expect("they fit");
        assert_eq!(shown(GetEventsForHost.call(asked, &scope).await.expect("it answers")), ["a", "c"]);
        let asked = serde_json::from_value(json!({"user": "M.Vale", "from": at(0), "to": at(20)})).expect("they fit");
        assert_eq!(shown(GetEventsForUser.call(asked, &scope).await.expect("it answers")), ["a", "b"]);
        let asked = json!({"user": "m.vale", "from": at(0), "to": at(20), "group_by": "host"});
        let counted = GetEventsForUser.call(serde_json::from_value(asked).expect("they fit"), &scope).await;
        assert_eq!(counted.expect("it answers").header.total, 2);
    }
}
