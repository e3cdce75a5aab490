//! What a machine's own events show it to be. It is marked inferred, and only ever makes the floor more careful.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::entity::HostName;
use crate::domain::event::Event;
use crate::domain::ids::EventId;
use crate::ports::events::mention::Mention;
use crate::ports::events::tally::{Dimension, Grouping, TallyQuery};
use crate::ports::events::{Comparison, Condition, EventQuery, EventStore, Kind, Watermark};
use crate::ports::storage::StorageError;

/// What a machine shows itself to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InferredRole {
    /// It answers for the directory.
    DomainController,
    /// It runs what only servers run.
    Server,
    /// Its system is one for workstations.
    Workstation,
}

impl InferredRole {
    /// The role in a sentence.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DomainController => "domain controller",
            Self::Server => "server",
            Self::Workstation => "workstation",
        }
    }
}

/// A role that events show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inferred {
    /// The role.
    pub role: InferredRole,
    /// Why, in a sentence.
    pub because: String,
    /// An event that shows it.
    pub event: EventId,
}

const SECURITY: &str = "Security";

/// Events that only a domain controller writes into its Security log: Kerberos tickets issued, renewed and refused
/// (4768–4773), objects of the directory changed (5136–5141), computer accounts made, changed and removed (4741–4743).
const ONLY_CONTROLLERS: [u32; 13] = [4768, 4769, 4770, 4771, 4772, 4773, 5136, 5137, 5138, 5139, 5141, 4741, 4743];

/// Events of the log of a directory's own service: start, stop, online defragmentation, replication, expensive and
/// unsigned queries.
const DIRECTORY_SERVICE: [u32; 12] = [700, 701, 1000, 1004, 1083, 1126, 1394, 1644, 1869, 2886, 2887, 2889];

/// A member server checks passwords of its own accounts (4776). One that checks them for as many machines as this is
/// taken for a controller.
const MACHINES_ANSWERED: u64 = 3;

/// The messenger between sites, which Windows runs only where the directory is.
const SERVICE_OF_CONTROLLERS: &str = "C:\\Windows\\System32\\ismserv.exe";

/// Programs that only servers have, where Windows puts them.
const SERVICES_OF_SERVERS: [&str; 3] = [
    "C:\\Windows\\System32\\inetsrv\\w3wp.exe",
    "C:\\Windows\\System32\\ServerManager.exe",
    "C:\\Windows\\System32\\dns.exe",
];

/// What a machine's events that had arrived show it to be, if anything.
///
/// # Errors
/// When the store cannot be read.
pub async fn role_of(
    events: &dyn EventStore,
    host: &HostName,
    watermark: Watermark,
) -> Result<Option<Inferred>, StorageError> {
    if host.is_unknown() {
        return Ok(None);
    }
    let look = Look { events, host, watermark };
    if let Some(found) = look.controller().await? {
        return Ok(Some(found));
    }
    look.server_or_workstation().await
}

struct Look<'a> {
    events: &'a dyn EventStore,
    host: &'a HostName,
    watermark: Watermark,
}

impl Look<'_> {
    fn ever(&self) -> EventQuery {
        EventQuery {
            host: Some(self.host.clone()),
            limit: 1,
            ..EventQuery::within(Timestamp::MIN, Timestamp::MAX, self.watermark)
        }
    }

    fn kinds(&self, channel: &str, codes: &[u32]) -> EventQuery {
        let kind = |code: &u32| Kind { channel: Some(channel.into()), code: *code };
        EventQuery { kinds: codes.iter().map(kind).collect(), ..self.ever() }
    }

    async fn first(&self, query: &EventQuery) -> Result<Option<Event>, StorageError> {
        Ok(self.events.search(query).await?.rows.into_iter().next())
    }

    async fn controller(&self) -> Result<Option<Inferred>, StorageError> {
        let is = |event: Event, because: String| {
            Some(Inferred { role: InferredRole::DomainController, because, event: event.id })
        };
        if let Some(event) = self.first(&self.kinds(SECURITY, &ONLY_CONTROLLERS)).await? {
            let because = format!("it wrote {}, which only domain controllers write", event.kind());
            return Ok(is(event, because));
        }
        let conditions = vec![Condition {
            field: "winlog.event_data.ObjectServer".into(),
            comparison: Comparison::Equals,
            value: "DS".into(),
        }];
        if let Some(event) = self.first(&EventQuery { conditions, ..self.kinds(SECURITY, &[4662]) }).await? {
            return Ok(is(event, "objects of its directory were accessed (Security 4662)".into()));
        }
        if let Some(event) = self.first(&self.kinds("Directory Service", &DIRECTORY_SERVICE)).await? {
            return Ok(is(event, "it has the log of a directory service".into()));
        }
        let checked = self.kinds(SECURITY, &[4776]);
        if let Some(event) = self.first(&checked).await? {
            let by = Grouping::new(vec![Dimension::Field("winlog.event_data.Workstation".into())]);
            let machines = match by {
                Ok(by) => self.events.tally(&TallyQuery { events: checked, by }).await?.groups_total,
                Err(_) => 0,
            };
            if machines >= MACHINES_ANSWERED {
                return Ok(is(event, format!("it checked passwords for {machines} machines (Security 4776)")));
            }
        }
        let mentions = vec![Mention::file(SERVICE_OF_CONTROLLERS)];
        let service = self.first(&EventQuery { mentions, ..self.ever() }).await?;
        if let Some(event) = service {
            return Ok(is(event, format!("{SERVICE_OF_CONTROLLERS} runs there, which only domain controllers have")));
        }
        Ok(None)
    }

    async fn server_or_workstation(&self) -> Result<Option<Inferred>, StorageError> {
        if let Some(event) = self.first(&self.ever()).await?
            && let Some(system) = event.field("host.os.name").filter(|name| name.contains("Windows"))
        {
            let role = if system.contains("Server") { InferredRole::Server } else { InferredRole::Workstation };
            let because = format!("its log says that it runs {system}");
            return Ok(Some(Inferred { role, because, event: event.id }));
        }
        for service in SERVICES_OF_SERVERS {
            let mentions = vec![Mention::file(service)];
            if let Some(event) = self.first(&EventQuery { mentions, ..self.ever() }).await? {
                let because = format!("{service} runs there, which only servers have");
                return Ok(Some(Inferred { role: InferredRole::Server, because, event: event.id }));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::event::SYSMON;
    use crate::fixtures::{BrokenStore, event, store};

    async fn role(events: Vec<Event>) -> Option<InferredRole> {
        let (_folder, store) = store(events).await;
        let found = role_of(store.as_ref(), &HostName::new("srv-1"), Watermark(u64::MAX)).await.expect("it is read");
        found.map(|inferred| inferred.role)
    }

    fn of(code: u32, data: Value) -> Event {
        event("e", 0, "SRV-1.corp.example", (SECURITY, code), data)
    }

    #[tokio::test]
    async fn who_issues_tickets_or_answers_for_the_directory_is_a_domain_controller() {
        use InferredRole::DomainController;
        for code in [4768, 4769, 5136] {
            assert_eq!(role(vec![of(code, json!({}))]).await, Some(DomainController), "{code}");
        }
        assert_eq!(role(vec![of(4662, json!({"ObjectServer": "DS"}))]).await, Some(DomainController));
        assert_eq!(role(vec![of(4662, json!({"ObjectServer": "WMI"}))]).await, None);
        let directory = event("e", 0, "srv-1", ("Directory Service", 1000), json!({}));
        assert_eq!(role(vec![directory]).await, Some(DomainController));
        let elsewhere = event("e", 0, "srv-2", (SECURITY, 4768), json!({}));
        assert_eq!(role(vec![elsewhere]).await, None, "another machine issued them");
    }

    #[tokio::test]
    async fn checking_passwords_of_its_own_accounts_makes_no_controller() {
        let checks = |machines: &[&str]| -> Vec<Event> {
            let check = |(number, machine): (usize, &&str)| {
                event(&format!("e{number}"), 0, "srv-1", (SECURITY, 4776), json!({"Workstation": machine}))
            };
            machines.iter().enumerate().map(check).collect()
        };
        assert_eq!(role(checks(&["A", "A", "B"])).await, None);
        assert_eq!(role(checks(&["A", "B", "C"])).await, Some(InferredRole::DomainController));
    }

    #[tokio::test]
    async fn servers_and_workstations_are_told_apart_where_it_shows() {
        let runs = |image: &str| vec![event("e", 0, "srv-1", (SYSMON, 1), json!({"Image": image}))];
        assert_eq!(role(runs(r"C:\Windows\System32\inetsrv\w3wp.exe")).await, Some(InferredRole::Server));
        assert_eq!(role(runs(r"C:\Users\Public\w3wp.exe")).await, None, "a name is no place");
        assert_eq!(role(runs(r"C:\Windows\explorer.exe")).await, None);
        let mut on = event("e", 0, "srv-1", (SYSMON, 1), json!({}));
        on.document.insert("host".into(), json!({"os": {"name": "Windows 11 Pro"}}));
        assert_eq!(role(vec![on]).await, Some(InferredRole::Workstation));
    }

    #[tokio::test]
    async fn a_store_that_cannot_be_read_shows_nothing() {
        assert!(role_of(&BrokenStore, &HostName::new("srv-1"), Watermark(1)).await.is_err());
        let unknown = role_of(&BrokenStore, &HostName::new(""), Watermark(1)).await.expect("nothing is read");
        assert_eq!(unknown, None);
    }
}
