//! What a process is called in a sentence, `cmd.exe (pid 712)`: a sensor's own id says nothing to a person.

use jiff::Timestamp;

use crate::domain::entity::HostName;
use crate::domain::event::Event;
use crate::knowledge::{guid, paths};
use crate::ports::events::{EventQuery, EventStore, Watermark};
use crate::ports::storage::StorageError;

/// Fields that name a process, with those of its program and its number.
const NAMED_BY: [(&str, &str, &str); 4] = [
    ("ProcessGuid", "Image", "ProcessId"),
    ("SourceProcessGUID", "SourceImage", "SourceProcessId"),
    ("SourceProcessGuid", "SourceImage", "SourceProcessId"),
    ("ParentProcessGuid", "ParentImage", "ParentProcessId"),
];

/// The program and number of a process, by the first event on its machine that names it; nothing if none does.
///
/// # Errors
/// When the store cannot be read.
pub async fn process(
    store: &dyn EventStore,
    host: Option<&HostName>,
    process: &str,
    watermark: Watermark,
) -> Result<Option<String>, StorageError> {
    let query = EventQuery {
        host: host.cloned(),
        process: Some(process.to_owned()),
        limit: 1,
        ..EventQuery::within(Timestamp::MIN, Timestamp::MAX, watermark)
    };
    Ok(store.search(&query).await?.rows.first().and_then(|event| of(event, process)))
}

/// What the event calls this process.
fn of(event: &Event, process: &str) -> Option<String> {
    let process = guid::folded(process);
    let is_it = |field: &&str| event.data(field).is_some_and(|id| guid::same(id, &process));
    let (_, image, number) = NAMED_BY.iter().find(|(field, ..)| is_it(field))?;
    let name = paths::base_name(event.data(image)?);
    Some(event.data(number).map_or_else(|| name.clone(), |number| format!("{name} (pid {number})")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::event::SYSMON;
    use crate::fixtures::{event, store};

    #[tokio::test]
    async fn a_process_is_called_by_its_program_and_number() {
        let start = json!({"ProcessGuid": "{AA-1}", "Image": "C:\\Windows\\System32\\cmd.exe", "ProcessId": "712",
            "ParentProcessGuid": "{BB-1}", "ParentImage": "C:\\Windows\\explorer.exe"});
        let (_folder, store) = store(vec![event("p", 100, "WKS-1", (SYSMON, 1), start)]).await;
        let host = HostName::new("WKS-1");
        for (id, name) in [("{aa-1}", Some("cmd.exe (pid 712)")), ("{bb-1}", Some("explorer.exe")), ("{cc-1}", None)] {
            let known = process(store.as_ref(), Some(&host), id, Watermark(u64::MAX)).await.expect("it is read");
            assert_eq!(known.as_deref(), name, "{id}");
        }
    }
}
