//! `logon_session`: how a session began, from where, with which rights, and what was done in it.

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::alerts::unavailable;
use super::answer::{Answer, Header, Row, ToolError};
use super::tool::{Permission, Scope, Tool};
use super::view::{EventView, IN_A_ROW};
use crate::domain::entity::HostName;
use crate::domain::event::{Event, SYSMON};
use crate::domain::taint;
use crate::ports::events::mention::Mention;
use crate::ports::events::{Comparison, Condition, EventQuery, Kind};

/// See the module.
pub struct LogonSession;

/// How long before the event the session's beginning is looked for, and how long after it its acts.
const BEFORE: SignedDuration = SignedDuration::from_hours(3 * 24);
const AFTER: SignedDuration = SignedDuration::from_hours(4);

/// Rows of the session's beginning, and of its acts.
const MOST_LOGONS: usize = 8;
const MOST_ACTS: usize = 12;

/// Which session.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Arguments {
    /// An event of the session, by its id: its machine, session and account are looked for.
    pub event: String,
    /// The session's id, such as `0x3e7a1`, where the event names several or none.
    #[serde(default)]
    pub session: Option<String>,
}

/// How a session began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logon {
    /// When.
    pub time: Timestamp,
    /// The kind of logon, by Windows' number: 2 at the machine, 3 over the network, 10 by remote desktop, …
    pub logon_type: Option<u32>,
    /// The account.
    pub account: Option<String>,
    /// The address it came from.
    pub address: Option<String>,
    /// The machine it says it came from: whoever logs on words this.
    pub workstation: Option<String>,
    /// How it was proven: `Kerberos`, `NTLM`, …
    pub package: Option<String>,
}

/// What the tool gives a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The machine.
    pub host: HostName,
    /// The session's id.
    pub id: String,
    /// Its beginning, if the log shows it.
    pub logon: Option<Logon>,
    /// It was given rights of an administrator (4672).
    pub privileged: bool,
    /// Logons with other credentials from within it (4648).
    pub explicit: u64,
    /// Programs started in it, as far as they are in the window.
    pub acts: u64,
}

/// The kind of a logon, in words.
const fn type_name(number: u32) -> &'static str {
    match number {
        2 => "at the machine",
        3 => "over the network",
        4 => "by a scheduled task",
        5 => "by a service",
        7 => "by unlocking",
        8 => "over the network, password in the clear",
        9 => "with other credentials for the network",
        10 => "by remote desktop",
        11 => "at the machine, without asking the domain",
        _ => "of an unknown kind",
    }
}

#[async_trait]
impl Tool for LogonSession {
    const NAME: &'static str = "logon_session";
    const DESCRIPTION: &'static str = "The logon session of an event: its beginning (Security 4624: kind, account, source), rights (4672), logons with other credentials (4648), and the programs started in it.";
    const PERMISSION: Permission = Permission::Read;
    type Arguments = Arguments;

    async fn call(&self, arguments: Arguments, scope: &Scope) -> Result<Answer, ToolError> {
        let event = scope.event(&arguments.event).await?;
        let named = ["LogonId", "TargetLogonId", "SubjectLogonId"].iter().find_map(|name| event.data(name));
        let id = arguments.session.as_deref().or(named).map(|id| id.trim().to_lowercase());
        let id = id.ok_or_else(|| ToolError::NotFound {
            what: format!("{} names no logon session: give an event that does, or `session`", event.kind()),
        })?;
        let look = Look { scope, event: &event, id: &id };
        let begun = look.of(&[("Security", 4624)], "TargetLogonId", MOST_LOGONS).await?;
        // A session's id is given again after a restart: the last beginning before the event is its own.
        let begun = begun.0.into_iter().rfind(|logon| logon.time <= event.time || logon.id == event.id);
        let from = begun.as_ref().map(|logon| logon.time);
        let since = |(events, _): (Vec<Event>, u64)| -> Vec<Event> {
            events
                .into_iter()
                .filter(|event| from.is_none_or(|from| event.time >= from - SignedDuration::from_secs(5)))
                .collect()
        };
        let rights = since(look.of(&[("Security", 4672)], "SubjectLogonId", MOST_LOGONS).await?);
        let explicit = since(look.of(&[("Security", 4648)], "SubjectLogonId", MOST_LOGONS).await?);
        let started = since(look.of(&[(SYSMON, 1)], "LogonId", 200).await?);
        // Where Sysmon tells of a start, Security tells of the same one again.
        let started = match started.is_empty() {
            false => started,
            true => since(look.of(&[("Security", 4688)], "SubjectLogonId", 200).await?),
        };
        let session = Session {
            host: event.host.clone(),
            id: id.clone(),
            logon: begun.as_ref().map(logon),
            privileged: !rights.is_empty(),
            explicit: explicit.len() as u64,
            acts: started.len() as u64,
        };
        let mut rows = vec![Row::said(said(&session))];
        let shown = |event: &Event| Row::of(EventView::row(event, IN_A_ROW));
        rows.extend(begun.iter().map(shown));
        rows.extend(rights.iter().take(1).map(shown));
        rows.extend(explicit.iter().take(3).map(shown));
        rows.extend(started.iter().take(MOST_ACTS).map(shown));
        let total = 1 + u64::from(begun.is_some()) + (rights.len() + explicit.len() + started.len()) as u64;
        let next = if total > rows.len() as u64 {
            "search_winlog_events with the session's id shows all".into()
        } else {
            String::new()
        };
        let window = format!("{} to {}", look.from(), look.to());
        let header = Header { total, window, next, ..Header::default() };
        let data = serde_json::to_value(session).unwrap_or_default();
        Ok(Answer { header, rows, cut: 0, data, filing: None })
    }
}

struct Look<'a> {
    scope: &'a Scope,
    event: &'a Event,
    id: &'a str,
}

impl Look<'_> {
    fn from(&self) -> Timestamp {
        self.event.time.checked_sub(BEFORE).unwrap_or(self.event.time)
    }

    fn to(&self) -> Timestamp {
        self.event.time.checked_add(AFTER).unwrap_or(self.event.time)
    }

    /// Events of the session, the oldest first, and how many there are.
    async fn of(&self, kinds: &[(&str, u32)], field: &str, limit: usize) -> Result<(Vec<Event>, u64), ToolError> {
        let kinds = kinds.iter().map(|(channel, code)| Kind { channel: Some((*channel).into()), code: *code });
        // An account narrows the search where the event names one; the session's id decides.
        let account = ["User", "TargetUserName", "SubjectUserName"].iter().find_map(|name| self.event.data(name));
        let conditions = vec![Condition {
            field: format!("winlog.event_data.{field}"),
            comparison: Comparison::Equals,
            value: self.id.to_owned(),
        }];
        let query = EventQuery {
            host: Some(self.event.host.clone()),
            kinds: kinds.collect(),
            mentions: account
                .filter(|_| self.event.data("LogonId").is_some())
                .map(Mention::account)
                .into_iter()
                .collect(),
            conditions,
            limit,
            ..EventQuery::within(self.from(), self.to(), self.scope.watermark)
        };
        let found = self.scope.events.search(&query).await.map_err(unavailable)?;
        Ok((found.rows, found.total))
    }
}

fn logon(event: &Event) -> Logon {
    let text = |name: &str| event.data(name).map(str::to_owned);
    Logon {
        time: event.time,
        logon_type: event.data("LogonType").and_then(|number| number.parse().ok()),
        account: text("TargetUserName"),
        address: text("IpAddress"),
        workstation: text("WorkstationName"),
        package: text("AuthenticationPackageName"),
    }
}

fn said(session: &Session) -> String {
    let id = taint::shown(&session.id);
    let host = taint::shown(&session.host.to_string());
    let begun = match &session.logon {
        None => "its beginning (4624) is not in the log".to_owned(),
        Some(logon) => {
            let account = taint::shown(logon.account.as_deref().unwrap_or("an unknown account"));
            let kind = logon.logon_type.map_or("of an unknown kind", type_name);
            let address =
                logon.address.as_deref().map_or_else(String::new, |from| format!(" from {}", taint::shown(from)));
            format!("{account} logged on {kind}{address} at {}", logon.time.strftime("%F %T"))
        }
    };
    let rights = if session.privileged { "; with an administrator's rights" } else { "" };
    let explicit = match session.explicit {
        0 => String::new(),
        n => format!("; {n} logons with other credentials"),
    };
    format!("session {id} on {host}: {begun}{rights}{explicit}; {} program starts", session.acts)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::fixtures::{BrokenStore, event, store};
    use crate::ports::events::Watermark;

    fn security(id: &str, seconds: i64, code: u32, data: Value) -> Event {
        event(id, seconds, "SRV-1", ("Security", code), data)
    }

    fn begin(id: &str, seconds: i64, session: &str) -> Event {
        let data = json!({
            "TargetLogonId": session, "TargetUserName": "m.vale", "LogonType": "3", "IpAddress": "192.0.2.7",
            "AuthenticationPackageName": "NTLM", "SubjectLogonId": "0x3e7",
        });
        security(id, seconds, 4624, data)
    }

    fn started(id: &str, seconds: i64, session: &str) -> Event {
        let data = json!({"LogonId": session, "User": r"CORP\m.vale", "Image": r"C:\Windows\System32\cmd.exe"});
        event(id, seconds, "SRV-1", (SYSMON, 1), data)
    }

    async fn ask(events: Vec<Event>, arguments: Value) -> Result<(Answer, Session), ToolError> {
        let (_folder, store) = store(events).await;
        let scope = Scope {
            case: crate::fixtures::CASE,
            alerts: Arc::default(),
            events: store,
            watermark: Watermark(u64::MAX),
        };
        let answer = LogonSession.call(serde_json::from_value(arguments).expect("they fit"), &scope).await?;
        let session = serde_json::from_value(answer.data.clone()).expect("it is typed");
        Ok((answer, session))
    }

    #[tokio::test]
    async fn a_session_is_told_from_its_beginning_to_its_acts() {
        let events = vec![
            begin("old", -90_000, "0xab"),
            started("before", -80_000, "0xab"),
            begin("new", 0, "0xAB"),
            security("rights", 0, 4672, json!({"SubjectLogonId": "0xab", "SubjectUserName": "m.vale"})),
            security(
                "other",
                20,
                4648,
                json!({"SubjectLogonId": "0xab", "SubjectUserName": "m.vale", "TargetUserName": "svc-x"}),
            ),
            started("one", 30, "0xab"),
            started("two", 40, "0xab"),
            started("stranger", 50, "0xcd"),
        ];
        let (answer, session) = ask(events, json!({"event": "one"})).await.expect("it answers");
        let logon = session.logon.expect("it is in the log");
        assert_eq!(
            (logon.logon_type, logon.address.as_deref(), logon.time),
            (Some(3), Some("192.0.2.7"), crate::fixtures::at(0))
        );
        assert_eq!(
            (session.privileged, session.explicit, session.acts),
            (true, 1, 2),
            "an earlier session of that id is another"
        );
        assert!(
            answer.rows[0].text.contains("m.vale logged on over the network from 192.0.2.7"),
            "{}",
            answer.rows[0].text
        );
        let shown: Vec<&str> =
            answer.rows.iter().filter_map(|row| row.view.as_ref()).map(|view| view.event.as_str()).collect();
        assert_eq!(shown, ["new", "rights", "other", "one", "two"]);
    }

    #[tokio::test]
    async fn what_the_log_does_not_show_is_said() {
        let (answer, session) =
            ask(vec![started("one", 30, "0xab")], json!({"event": "one"})).await.expect("it answers");
        assert_eq!((session.logon, session.privileged), (None, false));
        assert!(answer.rows[0].text.contains("its beginning (4624) is not in the log"));
        let none = event("n", 0, "SRV-1", (SYSMON, 5), json!({}));
        assert!(matches!(ask(vec![none], json!({"event": "n"})).await, Err(ToolError::NotFound { .. })));
        let scope = Scope {
            case: crate::fixtures::CASE,
            alerts: Arc::default(),
            events: Arc::new(BrokenStore),
            watermark: Watermark(1),
        };
        let arguments = serde_json::from_value(json!({"event": "n"})).expect("they fit");
        assert!(matches!(LogonSession.call(arguments, &scope).await, Err(ToolError::Unavailable { .. })));
    }
}
