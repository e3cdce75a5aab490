//! An event as a tool shows it: the fields that say something, long values cut, nothing raw.

use std::collections::{BTreeMap, HashSet};
use std::sync::LazyLock;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::entity::HostName;
use crate::domain::event::{Event, kind_name, says_something};
use crate::domain::evidence::{Exhibit, Quote};
use crate::domain::ids::EventId;
use crate::domain::taint;

/// Fields of `event_data` in the order in which they are worth reading.
const TELLING: [&str; 42] = [
    "Image",
    "CommandLine",
    "NewProcessName",
    "ParentImage",
    "ParentCommandLine",
    "ParentProcessName",
    "User",
    "IntegrityLevel",
    "OriginalFileName",
    "CurrentDirectory",
    "SourceImage",
    "TargetImage",
    "GrantedAccess",
    "CallTrace",
    "StartModule",
    "StartFunction",
    "TargetFilename",
    "ImageLoaded",
    "Signed",
    "SignatureStatus",
    "TargetObject",
    "Details",
    "DestinationIp",
    "DestinationPort",
    "DestinationHostname",
    "QueryName",
    "PipeName",
    "ScriptBlockText",
    "Path",
    "ServiceName",
    "ImagePath",
    "ServiceFileName",
    "AccountName",
    "TaskName",
    "TaskContent",
    "TargetUserName",
    "SubjectUserName",
    "LogonType",
    "IpAddress",
    "ShareName",
    "RelativeTargetName",
    "ObjectName",
];

/// Fields that connect events with one another, or that only a program reads: kept with a row, and not in its line.
const CONNECTING: [&str; 45] = [
    "ProcessGuid",
    "ParentProcessGuid",
    "SourceProcessGUID",
    "SourceProcessGuid",
    "TargetProcessGUID",
    "TargetProcessGuid",
    "LogonId",
    "SubjectLogonId",
    "TargetLogonId",
    "ProcessId",
    "ParentProcessId",
    "NewProcessId",
    "SubjectUserSid",
    "SubjectDomainName",
    "TargetDomainName",
    "MemberName",
    "PrivilegeList",
    "SourceIp",
    "SourceHostname",
    "Initiated",
    "WorkstationName",
    "LogonProcessName",
    "ProcessName",
    "Properties",
    "TicketEncryptionType",
    "PreAuthType",
    "TargetSid",
    "MemberSid",
    "AttributeLDAPDisplayName",
    "ObjectDN",
    "ObjectClass",
    "OperationType",
    "MessageNumber",
    "MessageTotal",
    "ScriptBlockId",
    "Destination",
    "Type",
    "param3",
    "param4",
    "Hashes",
    "TargetOutboundUserName",
    "TargetServerName",
    "Consumer",
    "ObjectType",
    "Payload",
];

/// Both, as a set: an event has few fields, and each is looked up here.
static KEPT: LazyLock<HashSet<&str>> = LazyLock::new(|| TELLING.into_iter().chain(CONNECTING).collect());

/// Of several quotes the one that says most: what was run before who ran it, and both before codes and flags.
#[must_use]
pub fn most_telling(quotes: &[Quote]) -> Option<&Quote> {
    const FIRST: [&str; 12] = [
        "CommandLine",
        "ScriptBlockText",
        "ImagePath",
        "ServiceFileName",
        "Details",
        "TargetFilename",
        "ImageLoaded",
        "TaskContent",
        "PipeName",
        "TargetObject",
        "IpAddress",
        "GrantedAccess",
    ];
    let name = |quote: &Quote| quote.field.rsplit('.').next().unwrap_or_default().to_owned();
    let place = |quote: &&Quote| {
        let name = name(quote);
        let first = FIRST.iter().position(|known| *known == name);
        first
            .or_else(|| TELLING.iter().position(|known| *known == name).map(|at| FIRST.len() + at))
            .unwrap_or(usize::MAX)
    };
    quotes.iter().min_by_key(place)
}

/// Fields that name an account, who acted before who was acted on, each with the field of its domain. Sysmon writes both
/// into one.
const ACCOUNTS: [(&str, Option<&str>); 4] = [
    ("User", None),
    ("SourceUser", None),
    ("SubjectUserName", Some("SubjectDomainName")),
    ("TargetUserName", Some("TargetDomainName")),
];

/// The account that acted, as `DOMAIN\\name` where its domain is recorded, by an event's fields. What people declared of
/// an account of a domain is not declared of every account of that name.
pub fn account<'e>(get: impl Fn(&str) -> Option<&'e str>) -> Option<String> {
    ACCOUNTS.iter().find_map(|(name, domain)| {
        let name = get(name)?;
        let domain = domain.and_then(&get).filter(|_| !name.contains(['\\', '@']));
        Some(domain.map_or_else(|| name.to_owned(), |domain| format!("{domain}\\{name}")))
    })
}

/// Most characters of one value in a row of many.
pub const IN_A_ROW: usize = 300;

/// Most characters of one value where an event is shown alone.
pub const ALONE: usize = 4_000;

/// Most characters of one row's text: an event never crowds out the row beside it.
const LONGEST_LINE: usize = 3_500;

/// What a tool shows of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventView {
    /// The event.
    pub event: EventId,
    /// When it happened.
    pub time: Timestamp,
    /// Where.
    pub host: HostName,
    /// Its channel.
    pub channel: String,
    /// Its code.
    pub code: u32,
    /// The process that wrote the record, by the log's own header, as text.
    #[serde(default)]
    pub writer_pid: Option<String>,
    /// The account of the record's header, as a SID.
    #[serde(default)]
    pub writer_sid: Option<String>,
    /// `winlog.event_data` fields by name, values cut at their end.
    pub fields: BTreeMap<String, String>,
    /// Some value was cut; `get_event` shows more.
    pub cut: bool,
}

impl EventView {
    /// The telling fields, each cut to `longest` characters.
    #[must_use]
    pub fn row(event: &Event, longest: usize) -> Self {
        Self::of(event, |name| KEPT.contains(name), longest)
    }

    /// All fields, each cut to `longest` characters.
    #[must_use]
    pub fn whole(event: &Event, longest: usize) -> Self {
        Self::of(event, |_| true, longest)
    }

    fn of(event: &Event, is_shown: impl Fn(&str) -> bool, longest: usize) -> Self {
        let mut cut = false;
        let data = event.every_data().into_iter().flatten().filter(|(name, _)| is_shown(name));
        let fields = data.filter_map(|(name, value)| {
            let value = says_something(value)?;
            let kept = first_characters(value, longest);
            cut |= kept.len() < value.len();
            Some((name.clone(), kept.to_owned()))
        });
        let fields = fields.collect();
        Self {
            event: event.id.clone(),
            time: event.time,
            host: event.host.clone(),
            channel: event.channel.clone(),
            code: event.code,
            writer_pid: event.field("winlog.process.pid"),
            writer_sid: event.field("winlog.user.identifier"),
            fields,
            cut,
        }
    }

    /// A field's value, if the event has it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    /// `Sysmon 1`.
    #[must_use]
    pub fn kind(&self) -> String {
        kind_name(&self.channel, self.code)
    }

    /// This is Sysmon's event `code`.
    #[must_use]
    pub fn is_sysmon(&self, code: u32) -> bool {
        self.code == code && self.channel == crate::domain::event::SYSMON
    }

    /// What the row stands for.
    #[must_use]
    pub fn exhibit(&self) -> Exhibit {
        Exhibit::Event { event: self.event.clone() }
    }

    /// The row as one line: time, host, kind and the telling fields.
    #[must_use]
    pub fn line(&self) -> String {
        let time = self.time.strftime("%F %T%.3f");
        let mut line = format!("{time} {} {}", self.host, self.kind());
        let order = TELLING.iter().filter_map(|name| Some((*name, self.get(name)?)));
        for (name, value) in order {
            line.extend([" ", name, "="]);
            line.push_str(&taint::shown(value));
        }
        let kept = first_characters(&line, LONGEST_LINE).len();
        let whole = kept == line.len();
        line.truncate(kept);
        if self.cut || !whole {
            line.push_str(" (cut: get_event shows more)");
        }
        line
    }
}

/// The beginning of a text, up to so many characters.
fn first_characters(text: &str, most: usize) -> &str {
    if text.len() <= most {
        return text;
    }
    text.char_indices().nth(most).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests;
