//! `run_advanced_hunt_query` and `run_kql_query`: the premade look at a device around a moment, and the hunting
//! language, which this version does not speak and says so.

use async_trait::async_trait;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::answer::{Answer, Header, Row, ToolError};
use super::timeline::{self, Timeline};
use super::tool::{Permission, Scope, Tool};

/// See the module.
pub struct RunAdvancedHuntQuery;

/// Which device, around when.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HuntArguments {
    /// The device's name.
    pub device: String,
    /// The moment, such as `2026-03-01T12:00:00Z`.
    pub at: Timestamp,
    /// Minutes before and after; 10 if left out.
    #[serde(default)]
    pub minutes: Option<u32>,
}

#[async_trait]
impl Tool for RunAdvancedHuntQuery {
    const NAME: &'static str = "run_advanced_hunt_query";
    const DESCRIPTION: &'static str = "The premade hunt: all that a device did around a moment, in order, events alike on one line. timeline takes more filters.";
    const PERMISSION: Permission = Permission::Read;
    type Arguments = HuntArguments;

    async fn call(&self, arguments: HuntArguments, scope: &Scope) -> Result<Answer, ToolError> {
        let HuntArguments { device, at, minutes } = arguments;
        let minutes = minutes.unwrap_or(10);
        Timeline.call(timeline::Arguments::around(device, at, minutes), scope).await
    }
}

/// See the module.
pub struct RunKqlQuery;

/// A query.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KqlArguments {
    /// The query, in the Kusto query language.
    pub query: String,
}

#[async_trait]
impl Tool for RunKqlQuery {
    const NAME: &'static str = "run_kql_query";
    const DESCRIPTION: &'static str = "Not available in this version: the hunting engine that runs Kusto queries is not part of it. Says what to use instead.";
    const PERMISSION: Permission = Permission::Read;
    type Arguments = KqlArguments;

    async fn call(&self, _: KqlArguments, _: &Scope) -> Result<Answer, ToolError> {
        let text = "the query was not run: the hunting engine is not part of this version, so this says nothing about \
                    what happened; search_winlog_events filters and counts the same events, timeline and \
                    run_advanced_hunt_query show a device around a moment";
        let header = Header { total: 1, ..Header::default() };
        let rows = vec![Row::said(text.into())];
        Ok(Answer { header, rows, cut: 0, data: json!({ "ran": false }), filing: None })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::event::SYSMON;
    use crate::fixtures::{BrokenStore, CASE, at, event, store};
    use crate::ports::events::Watermark;

    #[tokio::test]
    async fn the_premade_hunt_shows_a_device_around_a_moment() {
        let run = |id: &str, seconds| event(id, seconds, "WKS-1", (SYSMON, 1), json!({"Image": format!("{id}.exe")}));
        let (_folder, store) = store(vec![run("in", 300), run("out", 7_200)]).await;
        let scope = Scope { case: CASE, alerts: Arc::default(), events: store, watermark: Watermark(u64::MAX) };
        let asked = HuntArguments { device: "wks-1".into(), at: at(0), minutes: None };
        let answer = RunAdvancedHuntQuery.call(asked, &scope).await.expect("it answers");
        let shown: Vec<&str> =
            answer.rows.iter().filter_map(|row| row.view.as_ref()).map(|view| view.event.as_str()).collect();
        assert_eq!(shown, ["in"]);
    }

    #[tokio::test]
    async fn a_query_that_is_not_run_is_said_not_to_be() {
        let scope =
            Scope { case: CASE, alerts: Arc::default(), events: Arc::new(BrokenStore), watermark: Watermark(1) };
        let answer = RunKqlQuery.call(KqlArguments { query: "DeviceEvents".into() }, &scope).await.expect("it answers");
        assert!(answer.rows[0].text.starts_with("the query was not run") && answer.rows[0].exhibit.is_none());
        assert_eq!(answer.data["ran"], false);
    }
}
