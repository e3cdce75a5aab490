//! `get_case`, `add_case_comment`, `update_case` and `close_case`.
//!
//! A case's thread is read from the desk, and only this case's: what analysts concluded on others is no evidence here.
//! Of a case's status a tool only says what it would wish: the wish is written in the thread, and the route decides on
//! a checked verdict. No tool can set a status.

use std::sync::Arc;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::alerts::unavailable;
use super::answer::{Answer, Filing, Header, Row, ToolError};
use super::surroundings::Surroundings;
use super::tool::{Permission, Scope, Tool};
use crate::domain::draft::Classification;
use crate::domain::ids::CaseId;
use crate::domain::person::PersonsVerdict;
use crate::domain::role::HostRole;
use crate::domain::taint;
use crate::domain::words::excerpt;

/// Comments that are shown, the newest.
const MOST_COMMENTS: usize = 12;

/// Machines whose part is shown.
const MOST_ROLES: usize = 10;

/// Characters of one of them.
const LONGEST_COMMENT: usize = 400;

/// See the module.
pub struct GetCase(pub Arc<Surroundings>);

/// Which case.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetArguments {
    /// The case's id, such as `WF-12`; this case if left out. Others are not shown.
    #[serde(default)]
    pub case: Option<String>,
}

/// Refuses any case but this one.
fn only(case: Option<&String>, scope: &Scope) -> Result<(), ToolError> {
    let named = case.map(|id| id.parse::<CaseId>());
    let is_own = named.is_none_or(|id| id.is_ok_and(|id| id == scope.case));
    let what = || format!("only this case, {}, is shown here: what was concluded on others is no evidence", scope.case);
    if is_own { Ok(()) } else { Err(ToolError::NotFound { what: what() }) }
}

#[async_trait]
impl Tool for GetCase {
    const NAME: &'static str = "get_case";
    const DESCRIPTION: &'static str = "This case as people see it at the desk: title, status, severity, hosts and their parts in it, who looks after it, what a person says it was, and its newest comments.";
    const PERMISSION: Permission = Permission::Read;
    type Arguments = GetArguments;

    async fn call(&self, arguments: GetArguments, scope: &Scope) -> Result<Answer, ToolError> {
        only(arguments.case.as_ref(), scope)?;
        let desk = self.0.desk()?;
        let Some(case) = desk.get(scope.case).await.map_err(unavailable)? else {
            let what = format!("the desk does not show {} yet: it is being written", scope.case);
            return Err(ToolError::NotFound { what });
        };
        let comments = desk.comments(scope.case).await.map_err(unavailable)?;
        let state = &case.state;
        let hosts: Vec<String> = state.hosts.iter().take(10).map(|host| taint::shown(&host.to_string())).collect();
        let mut rows = vec![Row::said(format!(
            "{}: {} — {}, {}, {} alerts on {}",
            case.id,
            taint::shown(&state.title),
            state.status,
            state.severity,
            state.alerts,
            hosts.join(", ")
        ))];
        if !state.roles.is_empty() {
            let role = |(host, role): (&String, &HostRole)| format!("{} ({role})", taint::shown(host));
            let shown: Vec<String> = state.roles.iter().take(MOST_ROLES).map(role).collect();
            let more = state.roles.len().saturating_sub(MOST_ROLES);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            rows.push(Row::said(format!("parts: {}{more}", shown.join(", "))));
        }
        rows.push(Row::said(match &state.assignee {
            Some(assignee) => format!("looked after by {}", taint::shown(assignee)),
            None => "nobody looks after it".into(),
        }));
        rows.push(Row::said(match &state.persons_verdict {
            Some(PersonsVerdict { ruling, by, because, at }) => {
                let because = taint::shown(because);
                let because = excerpt(&because, LONGEST_COMMENT);
                format!("{} judged it as {ruling} on {}: {because}", taint::shown(by), at.strftime("%F %T"))
            }
            None => "no person has judged it".into(),
        }));
        let shown = comments.len().saturating_sub(MOST_COMMENTS);
        rows.extend(comments[shown..].iter().map(|written| {
            let text = taint::shown(&written.comment.text);
            let text = excerpt(&text, LONGEST_COMMENT);
            Row::said(format!("#{} {}: {text}", written.number, taint::shown(&written.comment.author)))
        }));
        let header = Header { total: (rows.len() + shown) as u64, ..Header::default() };
        let data = json!({
            "case": case.id, "title": state.title, "status": state.status, "severity": state.severity,
            "alerts": state.alerts, "hosts": state.hosts, "comments": case.comments,
            "roles": state.roles, "assignee": state.assignee, "persons_verdict": state.persons_verdict,
        });
        Ok(Answer { header, rows, cut: 0, data, filing: None })
    }
}

/// A text to be written in the case's thread, with an answer that says so.
fn written(text: String, told: &str, data: serde_json::Value) -> Result<Answer, ToolError> {
    if text.trim().is_empty() {
        return Err(ToolError::NotFound { what: "there is nothing to write: give a text".into() });
    }
    let header = Header { total: 1, ..Header::default() };
    let filing = Some(Filing::Comment { text });
    Ok(Answer { header, rows: vec![Row::said(told.into())], cut: 0, data, filing })
}

/// See the module.
pub struct AddCaseComment;

/// What to write.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommentArguments {
    /// The comment.
    pub text: String,
}

#[async_trait]
impl Tool for AddCaseComment {
    const NAME: &'static str = "add_case_comment";
    const DESCRIPTION: &'static str =
        "Writes a comment in this case's thread. Comments on look-ups are written in any case.";
    const PERMISSION: Permission = Permission::Annotate;
    type Arguments = CommentArguments;

    async fn call(&self, arguments: CommentArguments, _: &Scope) -> Result<Answer, ToolError> {
        written(arguments.text, "the comment is filed: the case writer writes it", json!({}))
    }
}

/// A status that an analyst may wish for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WishedStatus {
    /// A person is needed.
    OnHold,
    /// It is handled.
    Resolved,
    /// Tier 2 should look.
    Escalated,
}

impl WishedStatus {
    const fn name(self) -> &'static str {
        match self {
            Self::OnHold => "on hold",
            Self::Resolved => "resolved",
            Self::Escalated => "escalated",
        }
    }
}

const DECIDED: &str = "the wish is in the thread and changes nothing by itself: the route decides on a verdict, so submit one (submit_verdict)";

/// See the module.
pub struct UpdateCase;

/// What is wished of the case.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateArguments {
    /// The status that it should have.
    pub status: WishedStatus,
    /// Why, in a sentence.
    pub because: String,
}

#[async_trait]
impl Tool for UpdateCase {
    const NAME: &'static str = "update_case";
    const DESCRIPTION: &'static str = "Says in the thread which status the case should have, and why. It changes nothing: the route decides on a verdict.";
    const PERMISSION: Permission = Permission::Annotate;
    type Arguments = UpdateArguments;

    async fn call(&self, arguments: UpdateArguments, _: &Scope) -> Result<Answer, ToolError> {
        let UpdateArguments { status, because } = arguments;
        let text = format!("Wishes the case {}: {because} (the route decides)", status.name());
        written(text, DECIDED, json!({ "wished": status, "changed": false }))
    }
}

/// See the module.
pub struct CloseCase;

/// As what it should be closed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CloseArguments {
    /// As what.
    pub classification: Classification,
    /// Why, in a sentence.
    pub because: String,
}

#[async_trait]
impl Tool for CloseCase {
    const NAME: &'static str = "close_case";
    const DESCRIPTION: &'static str = "Says in the thread that the case should be closed, as what and why. It closes nothing: the route decides on a verdict with proof.";
    const PERMISSION: Permission = Permission::Annotate;
    type Arguments = CloseArguments;

    async fn call(&self, arguments: CloseArguments, _: &Scope) -> Result<Answer, ToolError> {
        let CloseArguments { classification, because } = arguments;
        let text = format!("Wishes the case closed as {}: {because} (the route decides)", classification.name());
        written(text, DECIDED, json!({ "wished": "closed", "classification": classification, "changed": false }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{BrokenStore, CASE};
    use crate::ports::events::Watermark;

    fn scope() -> Scope {
        Scope { case: CASE, alerts: Arc::default(), events: Arc::new(BrokenStore), watermark: Watermark(1) }
    }

    #[tokio::test]
    async fn a_wish_for_a_status_is_a_comment_and_changes_nothing() {
        let asked = json!({"classification": "false_positive", "because": "it is ours"});
        let asked = serde_json::from_value(asked).expect("they fit");
        let answer = CloseCase.call(asked, &scope()).await.expect("it is filed");
        assert_eq!(answer.data["changed"], false);
        let Some(Filing::Comment { text }) = &answer.filing else { panic!("it is no comment") };
        assert!(text.starts_with("Wishes the case closed as") && text.ends_with("(the route decides)"), "{text}");
        let asked = UpdateArguments { status: WishedStatus::Resolved, because: "done".into() };
        let answer = UpdateCase.call(asked, &scope()).await.expect("it is filed");
        assert!(matches!(answer.filing, Some(Filing::Comment { .. })));
        assert!(answer.rows[0].text.contains("submit_verdict"));
        assert!(AddCaseComment.call(CommentArguments { text: " ".into() }, &scope()).await.is_err());
    }

    #[tokio::test]
    async fn another_case_is_not_shown() {
        let ask =
            async |case: &str| GetCase(Arc::default()).call(GetArguments { case: Some(case.into()) }, &scope()).await;
        for other in ["WF-2", "nonsense"] {
            let refused = ask(other).await.expect_err("it is refused").to_string();
            assert!(refused.contains("only this case, WF-1"), "{refused}");
        }
        assert!(matches!(ask("wf-1").await, Err(ToolError::Unavailable { .. })), "this floor has no desk");
    }
}
