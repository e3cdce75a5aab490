//! ECS copies of event data, so that tools can ask for `process.executable` whatever log it came from.
//!
//! Copies are added and originals stay: Sigma rules and quotes go by the original names. Which field goes where follows
//! Elastic's own pipelines for these logs, where they have one.

mod arguments;
mod logs;
mod powershell;
mod security;
mod sysmon;

use std::mem;

use serde_json::{Map, Value};

use crate::domain::event::SYSMON;

/// Adds the ECS copies of `data` to `document`. Gives back what stood in their places and said something else, by
/// its path.
pub(super) fn copy(
    channel: &str,
    code: u32,
    data: &Map<String, Value>,
    message: Option<&str>,
    document: &mut Map<String, Value>,
) -> Vec<(String, Value)> {
    let mut copies = Copies { data, document, replaced: Vec::new() };
    match channel {
        SYSMON => sysmon::copy(code, &mut copies),
        "Security" => security::copy(code, &mut copies),
        "Microsoft-Windows-PowerShell/Operational" | "PowerShellCore/Operational" => {
            powershell::operational(code, &mut copies);
        }
        "Windows PowerShell" => powershell::classic(code, message, &mut copies),
        "System" => logs::system(code, &mut copies),
        "Microsoft-Windows-TaskScheduler/Operational" => logs::task_scheduler(code, &mut copies),
        "Microsoft-Windows-Windows Defender/Operational" => logs::defender(code, &mut copies),
        _ => {}
    }
    copies.replaced
}

/// The data to copy from and the document to copy to.
struct Copies<'a> {
    data: &'a Map<String, Value>,
    document: &'a mut Map<String, Value>,
    replaced: Vec<(String, Value)>,
}

impl<'a> Copies<'a> {
    /// A value that says something: `""`, `-` and the null GUID are how Windows writes "not known".
    fn said(&self, name: &str) -> Option<&'a str> {
        let text = self.data.get(name)?.as_str()?;
        let silent = text.is_empty() || text == "-" || is_null_guid(text);
        (!silent).then_some(text)
    }

    fn text(&mut self, name: &str, path: &str) {
        if let Some(text) = self.said(name) {
            self.put(path, text.into());
        }
    }

    /// A decimal or, as the Security log writes process ids, hexadecimal number.
    fn number(&mut self, name: &str, path: &str) {
        let parse = |text: &str| match text.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16).ok(),
            None => text.parse().ok(),
        };
        if let Some(number) = self.said(name).and_then(parse) {
            self.put(path, number.into());
        }
    }

    fn flag(&mut self, name: &str, path: &str) {
        match self.said(name) {
            Some(text) if text.eq_ignore_ascii_case("true") => self.put(path, true.into()),
            Some(text) if text.eq_ignore_ascii_case("false") => self.put(path, false.into()),
            _ => {}
        }
    }

    /// A program by its path, and by its name.
    fn program(&mut self, name: &str, executable: &str, base: &str) {
        if let Some(path) = self.said(name) {
            self.put(executable, path.into());
            self.put(base, base_name(path).into());
        }
    }

    /// A file by its path, and the path's parts.
    fn file(&mut self, name: &str) {
        if let Some(path) = self.said(name) {
            self.file_at(path);
        }
    }

    fn file_at(&mut self, path: &str) {
        let base = base_name(path);
        self.put("file.path", path.into());
        self.put("file.name", base.into());
        // The separator before the name is one byte.
        if let Some(end) = (path.len() - base.len()).checked_sub(1) {
            self.put("file.directory", path[..end].into());
        }
        if let Some((stem, extension)) = base.rsplit_once('.')
            && !stem.is_empty()
            && !extension.is_empty()
        {
            self.put("file.extension", extension.into());
        }
    }

    /// A command line, and its arguments as the program receives them.
    fn command_line(&mut self, text: &str) {
        self.put("process.command_line", text.into());
        let arguments = arguments::of(text).into_iter().map(Value::from).collect();
        self.put("process.args", Value::Array(arguments));
    }

    /// `DOMAIN\name`, or a name alone.
    fn account(&mut self, account: &str) {
        let (domain, name) = account.split_once('\\').unwrap_or(("", account));
        if !domain.is_empty() {
            self.put("user.domain", domain.into());
        }
        self.put("user.name", name.into());
        self.relate("user", name);
    }

    fn address(&mut self, name: &str, path: &str) {
        if let Some(address) = self.said(name) {
            self.put(path, address.into());
            self.relate("ip", address);
        }
    }

    /// Adds to `related`, where everything of one kind in the event is found together.
    fn relate(&mut self, kind: &str, text: &str) {
        let related = self.document.entry("related").or_insert_with(|| Value::Object(Map::new()));
        let Value::Object(related) = related else { return };
        let list = related.entry(kind).or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(list) = list
            && !list.iter().any(|known| known.as_str() == Some(text))
        {
            list.push(text.into());
        }
    }

    fn put(&mut self, path: &str, value: Value) {
        if let Some(replaced) = insert(self.document, path, value) {
            self.replaced.push((path.to_owned(), replaced));
        }
    }
}

/// Puts a value at a dotted path, and gives back what was there if it is another.
fn insert(object: &mut Map<String, Value>, path: &str, value: Value) -> Option<Value> {
    let Some((branch, rest)) = path.split_once('.') else {
        return match object.get_mut(path) {
            Some(there) if *there == value => None,
            Some(there) => Some(mem::replace(there, value)),
            None => object.insert(path.to_owned(), value),
        };
    };
    if !object.contains_key(branch) {
        object.insert(branch.to_owned(), Value::Object(Map::new()));
    }
    match object.get_mut(branch) {
        Some(Value::Object(inner)) => insert(inner, rest, value),
        _ => None,
    }
}

/// What follows the last backslash or slash.
fn base_name(path: &str) -> &str {
    path.rsplit(['\\', '/']).next().unwrap_or(path)
}

/// `{00000000-0000-0000-0000-000000000000}`: the sensor did not know the process.
pub(in crate::detection) fn is_null_guid(text: &str) -> bool {
    text.len() == 38 && text.starts_with('{') && text.bytes().all(|byte| matches!(byte, b'{' | b'}' | b'-' | b'0'))
}
