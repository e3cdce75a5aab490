//! `search_winlog_events` and `get_event`: typed filters over stored events, no query language.

use async_trait::async_trait;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::net::IpAddr;

use super::alerts::unavailable;
use super::answer::{Answer, Header, Row, ToolError};
use super::known_as;
use super::tool::{Permission, Scope, Tool};
use super::view::{ALONE, EventView, IN_A_ROW};
use crate::domain::alert::RuleCard;
use crate::domain::entity::HostName;
use crate::domain::event::{SYSMON, kind_name};
use crate::domain::evidence::{AbsenceClaim, Exhibit, Quote};
use crate::domain::ids::EventId;
use crate::domain::taint;
use crate::ports::events::mention::Mention;
use crate::ports::events::tally::{Bin, Dimension, Group, Grouping, TallyQuery};
use crate::ports::events::text::TextQuery;
use crate::ports::events::{Comparison, Condition, EventQuery, Kind};

/// Most rows of one answer.
const MOST_ROWS: usize = 25;

/// A kind of event, as an analyst names it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KindArgument {
    /// The channel; Sysmon's if it is left out.
    #[serde(default)]
    pub channel: Option<String>,
    /// The event id.
    pub code: u32,
}

impl From<&KindArgument> for Kind {
    fn from(kind: &KindArgument) -> Self {
        Self { channel: Some(kind.channel.clone().unwrap_or_else(|| SYSMON.into())), code: kind.code }
    }
}

/// A condition, as an analyst writes it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConditionArgument {
    /// Dotted path, such as `winlog.event_data.Image`.
    pub field: String,
    /// How it is compared, without regard to case.
    pub comparison: Comparison,
    /// With what.
    pub value: String,
}

/// What to search for.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchArguments {
    /// The machine; every machine if left out.
    #[serde(default)]
    pub host: Option<String>,
    /// Kinds of events; every kind if left out.
    #[serde(default)]
    pub kinds: Vec<KindArgument>,
    /// Only what this process did or started: Sysmon's `ProcessGuid`.
    #[serde(default)]
    pub process: Option<String>,
    /// An account, with or without its domain: who acted, was acted on or logged on.
    #[serde(default)]
    pub user: Option<String>,
    /// A file or program, by its whole path or by its name alone.
    #[serde(default)]
    pub file: Option<String>,
    /// A registry key or value as Sysmon writes it (`HKLM\\…`), or the key it lies in.
    #[serde(default)]
    pub registry: Option<String>,
    /// An IP address, at either end of a connection or in a DNS answer.
    #[serde(default)]
    pub address: Option<String>,
    /// The port at the far end of a connection.
    #[serde(default)]
    pub port: Option<u16>,
    /// A domain name that was resolved or connected to.
    #[serde(default)]
    pub domain: Option<String>,
    /// A file's hash: the strongest that the sensor gives (SHA-256, else SHA-1, else MD5).
    #[serde(default)]
    pub hash: Option<String>,
    /// Only events that this rule raised alerts of this case on: its id or title.
    #[serde(default)]
    pub rule: Option<String>,
    /// Words that begin words of the message, command line or script; all of them, in any order.
    #[serde(default)]
    pub text: Option<String>,
    /// All of these must hold.
    #[serde(default)]
    pub conditions: Vec<ConditionArgument>,
    /// First instant, such as `2026-03-01T12:00:00Z`.
    pub from: Timestamp,
    /// Last instant.
    pub to: Timestamp,
    /// Count by this field instead of listing rows; `host` and `kind` count by machine and by kind of event.
    #[serde(default)]
    pub group_by: Option<String>,
    /// Count by these fields too, up to two.
    #[serde(default)]
    pub then_by: Vec<String>,
    /// Count by stretches of time too.
    #[serde(default)]
    pub per: Option<Bin>,
    /// At most this many rows, up to 25.
    #[serde(default)]
    pub limit: Option<usize>,
}

impl SearchArguments {
    /// Everything in a window, to be narrowed.
    #[must_use]
    pub const fn within(from: Timestamp, to: Timestamp) -> Self {
        Self {
            host: None,
            kinds: vec![],
            process: None,
            user: None,
            file: None,
            registry: None,
            address: None,
            port: None,
            domain: None,
            hash: None,
            rule: None,
            text: None,
            conditions: vec![],
            from,
            to,
            group_by: None,
            then_by: vec![],
            per: None,
            limit: None,
        }
    }

    /// The question, or what is wrong with it.
    fn query(&self, scope: &Scope) -> Result<EventQuery, String> {
        if self.from > self.to {
            return Err("`from` lies after `to`".into());
        }
        let no_address = |text: &String| format!("`address` takes an IP address, not `{}`", taint::shown(text));
        let address = self.address.as_ref().map(|text| text.parse::<IpAddr>().map_err(|_| no_address(text)));
        let mentions = [
            self.user.as_deref().map(Mention::account),
            self.file.as_deref().map(Mention::file),
            self.registry.as_deref().map(Mention::registry),
            address.transpose()?.map(Mention::address),
            self.port.map(Mention::port),
            self.domain.as_deref().map(Mention::domain),
            self.hash.as_deref().map(Mention::hash),
        ];
        let no_words = || "`text` has no words: name the beginning of at least one".to_owned();
        let text = self.text.as_deref().map(|text| TextQuery::new(text).ok_or_else(no_words)).transpose()?;
        let conditions = self.conditions.iter().map(|c| Condition {
            field: c.field.clone(),
            comparison: c.comparison,
            value: c.value.clone(),
        });
        Ok(EventQuery {
            host: self.host.clone().map(HostName::new),
            kinds: self.kinds.iter().map(Kind::from).collect(),
            process: self.process.clone(),
            mentions: mentions.into_iter().flatten().collect(),
            text,
            among: self.rule.as_deref().map(|rule| raised_by(rule, scope)).transpose()?,
            conditions: conditions.collect(),
            limit: self.limit.unwrap_or(MOST_ROWS).clamp(1, MOST_ROWS),
            ..EventQuery::within(self.from, self.to, scope.watermark)
        })
    }

    /// What is counted by, if anything is.
    fn grouping(&self) -> Result<Option<Grouping>, String> {
        let field = |name: &String| match name.as_str() {
            "host" => Dimension::Host,
            "kind" => Dimension::Kind,
            _ => Dimension::Field(name.clone()),
        };
        let fields = self.group_by.iter().chain(&self.then_by).map(field);
        let dimensions: Vec<Dimension> = fields.chain(self.per.map(Dimension::Time)).collect();
        if dimensions.is_empty() {
            return Ok(None);
        }
        Grouping::new(dimensions).map(Some).map_err(|error| error.to_string())
    }
}

/// The events of a rule's alerts.
fn raised_by(rule: &str, scope: &Scope) -> Result<Vec<EventId>, String> {
    let named = |card: &RuleCard| card.id.as_str() == rule || card.title.eq_ignore_ascii_case(rule);
    let raised: Vec<EventId> =
        scope.alerts.iter().filter(|alert| named(&alert.rule)).map(|alert| alert.event.clone()).collect();
    let unknown = || format!("no alert of this case is by the rule `{}`: get_alert names its rule", taint::shown(rule));
    if raised.is_empty() { Err(unknown()) } else { Ok(raised) }
}

/// See the module.
pub struct SearchWinlogEvents;

#[async_trait]
impl Tool for SearchWinlogEvents {
    const NAME: &'static str = "search_winlog_events";
    const DESCRIPTION: &'static str = "Stored Windows events in a window: by host, kind, process, user, file, registry path, address, domain, hash, rule, words and field conditions. Lists rows, or counts them by up to three of fields and time. An empty result counts as evidence only while the sensor is proven alive.";
    const PERMISSION: Permission = Permission::Read;
    type Arguments = SearchArguments;

    async fn call(&self, arguments: SearchArguments, scope: &Scope) -> Result<Answer, ToolError> {
        let bad = |what: String| ToolError::BadArguments { tool: Self::NAME.into(), what };
        let query = arguments.query(scope).map_err(bad)?;
        let window = format!("{} to {}", arguments.from, arguments.to);
        if let Some(by) = arguments.grouping().map_err(bad)? {
            return count(TallyQuery { events: query, by }, window, scope).await;
        }
        let found = scope.events.search(&query).await.map_err(unavailable)?;
        let mut header = Header { total: found.total, window, ..Header::default() };
        if found.total > found.rows.len() as u64 {
            header.next = "narrow the window, add a condition, or count with group_by".into();
        }
        let mut rows: Vec<Row> = found.rows.iter().map(|event| row(EventView::row(event, IN_A_ROW))).collect();
        if let ([], Some(absence)) = (rows.as_slice(), absence(&query)) {
            let kind = Kind { channel: Some(absence.channel.clone()), code: absence.code };
            let sensor = scope.events.sensor(&absence.host, &kind, absence.from, absence.to, scope.watermark);
            let sensor = sensor.await.map_err(unavailable)?;
            let name = kind_name(&absence.channel, absence.code);
            header.sensor =
                if sensor.is_alive() { format!("{name} alive") } else { format!("{name} not proven alive") };
            if sensor.is_alive() {
                let known_as = match &query.process {
                    Some(process) => {
                        let (store, host) = (scope.events.as_ref(), query.host.as_ref());
                        known_as::process(store, host, process, scope.watermark).await.map_err(unavailable)?
                    }
                    None => None,
                };
                let (from, to) = (query.from.strftime("%T"), query.to.strftime("%T"));
                let text = format!(
                    "{} from {from} to {to}; the sensor reported before and after",
                    absence.asked(known_as.as_deref())
                );
                rows.push(Row { exhibit: Some(Exhibit::Absence { absence }), view: None, text });
            }
        }
        Ok(Answer { header, rows, cut: 0, data: json!({ "total": found.total }), filing: None })
    }
}

/// Counts instead of rows. Nothing of it can be cited: it stands for no single event.
async fn count(query: TallyQuery, window: String, scope: &Scope) -> Result<Answer, ToolError> {
    let tally = scope.events.tally(&query).await.map_err(unavailable)?;
    let mut header = Header { total: tally.events_total, window, ..Header::default() };
    if tally.groups_total > tally.groups.len() as u64 {
        header.next =
            format!("these are the largest of {} groups: narrow the window to see others", tally.groups_total);
    }
    let rows = tally.groups.iter().map(|group| {
        let Group { events, hosts, days, .. } = group;
        let key: Vec<String> = group.key.iter().map(|value| taint::shown(value)).collect();
        let spread = if *hosts > 1 || *days > 1 { format!(" (hosts: {hosts}, days: {days})") } else { String::new() };
        Row { exhibit: None, view: None, text: format!("{events} × {}{spread}", key.join(" | ")) }
    });
    // A text first, because that is where the door looks for texts that address their reader.
    let counts = tally.groups.iter().map(|group| json!([group.key.join(" | "), group.events, group.hosts, group.days]));
    let data = json!({ "counts": counts.collect::<Vec<_>>(), "groups": tally.groups_total });
    Ok(Answer { header, rows: rows.collect(), cut: 0, data, filing: None })
}

/// A row that shows an event.
pub(super) fn row(view: EventView) -> Row {
    Row { exhibit: Some(view.exhibit()), text: view.line(), view: Some(view) }
}

/// An empty result that could be cited: one host, one kind of event, and nothing asked for that a claim cannot say.
fn absence(query: &EventQuery) -> Option<AbsenceClaim> {
    if !query.mentions.is_empty() || query.text.is_some() || query.among.is_some() {
        return None;
    }
    let [Kind { channel: Some(channel), code }] = query.kinds.as_slice() else { return None };
    let conditions = query.conditions.iter().map(|c| Quote { field: c.field.clone(), value: c.value.clone() });
    Some(AbsenceClaim {
        host: query.host.clone()?,
        channel: channel.clone(),
        code: *code,
        process: query.process.clone(),
        conditions: conditions.collect(),
        from: query.from,
        to: query.to,
    })
}

/// See the module.
pub struct GetEvent;

/// Which event.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetArguments {
    /// The event's id, as a tool's data gave it.
    pub event: String,
}

#[async_trait]
impl Tool for GetEvent {
    const NAME: &'static str = "get_event";
    const DESCRIPTION: &'static str = "One event with all its fields, long values up to 4,000 characters.";
    const PERMISSION: Permission = Permission::Read;
    type Arguments = GetArguments;

    async fn call(&self, arguments: GetArguments, scope: &Scope) -> Result<Answer, ToolError> {
        let event = scope.events.get(&EventId::new(&arguments.event)).await.map_err(unavailable)?;
        let event =
            event.ok_or_else(|| ToolError::NotFound { what: format!("the store has no event {}", arguments.event) })?;
        let view = EventView::whole(&event, ALONE);
        let header = Header { total: 1, ..Header::default() };
        let data = serde_json::to_value(&event.origin).unwrap_or_default();
        Ok(Answer { header, rows: vec![row(view)], cut: 0, data, filing: None })
    }
}

#[cfg(test)]
mod tests;
