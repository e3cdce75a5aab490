//! The records of a log with their places, read by the plainest means there are.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use ::evtx::EvtxParser;
use flate2::bufread::MultiGzDecoder;
use serde_json::{Deserializer, Value};

use crate::domain::entity::HostName;
use crate::domain::evidence::Quote;

/// U+FEFF in UTF-8, with which some exporters begin a file.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Why a log could not be read again.
#[derive(Debug, thiserror::Error)]
pub enum RereadError {
    /// The system refuses.
    #[error("`{file}` could not be read again to check what is cited from it ({source}): leave it where it is")]
    Unreadable {
        /// The log.
        file: String,
        /// What the system said.
        source: io::Error,
    },
    /// It is no event log any more.
    #[error("`{file}` could not be read again to check what is cited from it ({source}): leave it as it is")]
    Evtx {
        /// The log.
        file: String,
        /// What is wrong with it.
        source: Box<::evtx::err::EvtxError>,
    },
}

/// Shows the records whose places are wanted.
pub(super) fn each(
    file: &Path,
    wanted: &dyn Fn(u64) -> bool,
    show: &mut dyn FnMut(u64, &Leaves),
) -> Result<(), RereadError> {
    let unreadable = |source| RereadError::Unreadable { file: file.display().to_string(), source };
    let mut log = open(file).map_err(unreadable)?;
    let head = log.fill_buf().map_err(unreadable)?;
    if head.starts_with(b"ElfFile\0") {
        let mut bytes = Vec::new();
        log.read_to_end(&mut bytes).map_err(unreadable)?;
        let broken = |source| RereadError::Evtx { file: file.display().to_string(), source: Box::new(source) };
        let mut parser = EvtxParser::from_buffer(bytes).map_err(broken)?;
        // A damaged record was cited by nobody.
        for record in parser.records_json_value().flatten() {
            if wanted(record.event_record_id) {
                show(record.event_record_id, &Leaves::of(&record.data));
            }
        }
        return Ok(());
    }
    let first = head.iter().find(|byte| !byte.is_ascii_whitespace() && !matches!(byte, 0xef | 0xbb | 0xbf));
    if first == Some(&b'[') || !lines(log, wanted, show).map_err(unreadable)? {
        elements(open(file).map_err(unreadable)?, wanted, show);
    }
    Ok(())
}

/// The bytes of a file, unpacked if it is packed.
fn open(file: &Path) -> io::Result<Box<dyn BufRead>> {
    let mut packed = BufReader::new(File::open(file)?);
    let head = packed.fill_buf()?;
    Ok(if head.starts_with(&[0x1f, 0x8b]) {
        Box::new(BufReader::new(MultiGzDecoder::new(packed)))
    } else if head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        Box::new(BufReader::new(zstd::stream::read::Decoder::with_buffer(packed)?))
    } else {
        Box::new(packed)
    })
}

/// One record a line, counted from 1. `false` if the first line with something on it is no record, or
/// holds all of them.
fn lines(
    mut log: Box<dyn BufRead>,
    wanted: &dyn Fn(u64) -> bool,
    show: &mut dyn FnMut(u64, &Leaves),
) -> io::Result<bool> {
    let (mut line, mut number, mut is_first) = (Vec::new(), 0, true);
    loop {
        line.clear();
        number += 1;
        if log.read_until(b'\n', &mut line)? == 0 {
            return Ok(true);
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_start_matches('\u{feff}').trim();
        if text.is_empty() || !(is_first || wanted(number)) {
            continue;
        }
        match parse(text) {
            Some(record) if is_first && record.pointer("/hits/hits").is_some() => return Ok(false),
            Some(record) if wanted(number) => show(number, &Leaves::of(&record)),
            Some(_) => {}
            None if is_first => return Ok(false),
            None => {}
        }
        is_first = false;
    }
}

/// Control characters that JSON forbids are taken as if they had been escaped.
fn parse(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok().or_else(|| {
        let escaped = |c: char| if c.is_control() { format!("\\u{:04x}", c as u32) } else { c.to_string() };
        serde_json::from_str(&text.chars().map(escaped).collect::<String>()).ok()
    })
}

/// A list of records, records one after another, or what a search answered; counted from 1.
fn elements(mut log: Box<dyn BufRead>, wanted: &dyn Fn(u64) -> bool, show: &mut dyn FnMut(u64, &Leaves)) {
    let mut number = 0;
    // A mark of the byte order is no part of the text.
    if log.fill_buf().is_ok_and(|head| head.starts_with(BYTE_ORDER_MARK)) {
        log.consume(BYTE_ORDER_MARK.len());
    }
    let mut take = |record: &Value| {
        number += 1;
        if wanted(number) {
            show(number, &Leaves::of(record));
        }
    };
    for value in Deserializer::from_reader(log).into_iter::<Value>().map_while(Result::ok) {
        match (&value, value.pointer("/hits/hits")) {
            (_, Some(Value::Array(records))) | (Value::Array(records), _) => records.iter().for_each(&mut take),
            _ => take(&value),
        }
    }
}

/// The values of a record as text, each with the name it has there, however deep.
pub(super) struct Leaves(Vec<(String, String)>);

impl Leaves {
    pub(super) fn of(record: &Value) -> Self {
        let mut leaves = Self(Vec::new());
        leaves.take("", record);
        leaves
    }

    fn take(&mut self, name: &str, value: &Value) {
        match value {
            Value::Null => {}
            Value::Bool(_) | Value::Number(_) => self.put(name, value.to_string()),
            Value::String(text) => {
                // Some exporters write what belongs to an event as JSON within JSON.
                if text.starts_with('{')
                    && let Ok(inner @ Value::Object(_)) = serde_json::from_str(text)
                {
                    self.take(name, &inner);
                }
                self.put(name, text.clone());
            }
            Value::Array(items) => {
                items.iter().for_each(|item| self.take(name, item));
                let text = |item: &Value| item.as_str().map_or_else(|| item.to_string(), str::to_owned);
                let is_flat = !items.iter().any(|item| item.is_array() || item.is_object());
                if is_flat && items.len() > 1 {
                    let said = items.iter().filter(|item| !item.is_null());
                    self.put(name, said.map(text).collect::<Vec<_>>().join("\n"));
                }
            }
            Value::Object(object) => {
                if let (Some(name), Some(text)) = (value.pointer("/#attributes/Name"), value.get("#text")) {
                    self.take(name.as_str().unwrap_or_default(), text);
                }
                for (inner, value) in object {
                    let is_own = matches!(inner.as_str(), "#text" | "#attributes");
                    // Names may be written with their branches in front.
                    let inner = inner.rsplit('.').next().unwrap_or(inner);
                    self.take(if is_own { name } else { inner }, value);
                }
            }
        }
    }

    fn put(&mut self, name: &str, text: String) {
        if name.to_ascii_lowercase().ends_with("guid") && !text.starts_with('{') {
            self.0.push((name.to_owned(), format!("{{{}}}", text.to_ascii_uppercase())));
        }
        self.0.push((name.to_owned(), text));
    }

    /// It is a record of this machine and with this event id.
    pub(super) fn is_of(&self, host: &HostName, code: u32) -> bool {
        let code = code.to_string();
        let is_id = |name: &str| matches!(name.to_ascii_lowercase().as_str(), "eventid" | "event_id" | "code" | "id");
        let has_code = self.0.iter().any(|(name, text)| is_id(name) && *text == code);
        let names_host = || self.0.iter().any(|(_, text)| HostName::new(text.as_str()) == *host);
        has_code && (host.is_unknown() || names_host())
    }

    /// This process did it, or started what it tells of.
    pub(super) fn is_by(&self, process: &str) -> bool {
        let plain = |id: &str| id.trim_matches(['{', '}']).to_ascii_lowercase();
        let names_doer = |name: &str| {
            let name = name.rsplit('.').next().unwrap_or(name).to_ascii_lowercase();
            matches!(name.as_str(), "processguid" | "sourceprocessguid" | "parentprocessguid")
        };
        self.0.iter().any(|(name, text)| names_doer(name) && plain(text) == plain(process))
    }

    /// It says all of this.
    pub(super) fn says(&self, quotes: &[Quote]) -> bool {
        quotes.iter().all(|quote| {
            let under = quote.field.strip_prefix("winlog.event_data.");
            // What Windows left without a name is numbered when it is read.
            let under = under.filter(|name| *name != "Data" && !name.starts_with("param"));
            let is_there = |name: &str| under.is_none_or(|under| name == under.rsplit('.').next().unwrap_or(under));
            self.0.iter().any(|(name, text)| is_there(name) && text.contains(&quote.value))
        })
    }
}
