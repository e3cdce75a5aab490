//! An event as Sigma rules see it: event data by its Windows names, the header by the names rules use for it.

use std::borrow::Cow;

use rsigma_eval::{Event as SigmaEvent, EventValue};
use serde_json::{Map, Value};

use crate::domain::event::Event;

/// Where event data lies in the document.
const EVENT_DATA: &str = "winlog.event_data.";

/// Header fields: the name in rules, the path in the document.
const HEADER: [(&str, &str); 5] = [
    ("EventID", "event.code"),
    ("Channel", "winlog.channel"),
    ("Provider_Name", "winlog.provider_name"),
    ("Computer", "winlog.computer_name"),
    ("Message", "message"),
];

/// A borrowed event, readable by the Sigma engine without copying it.
pub(super) struct View<'a> {
    event: &'a Event,
    data: Option<&'a Map<String, Value>>,
    names: &'static [(&'static str, &'static str)],
}

impl<'a> View<'a> {
    pub(super) fn of(event: &'a Event) -> Self {
        let data = event.document.get("winlog").and_then(|winlog| winlog.get("event_data")).and_then(Value::as_object);
        Self { event, data, names: &[] }
    }

    /// The same event where rules call some fields otherwise: pairs of the rules' name and the event's.
    pub(super) const fn called(&self, names: &'static [(&'static str, &'static str)]) -> Self {
        Self { event: self.event, data: self.data, names }
    }

    /// What the event calls a field of a rule.
    fn own_name<'b>(&self, field: &'b str) -> &'b str {
        self.names.iter().find(|(called, _)| *called == field).map_or(field, |(_, own)| *own)
    }

    /// The path in the document at which a rule's field is to be quoted.
    pub(super) fn path(&self, field: &str) -> String {
        let field = self.own_name(field);
        if self.data.is_some_and(|data| data.contains_key(field)) {
            return format!("{EVENT_DATA}{field}");
        }
        let header = HEADER.iter().find(|(name, _)| *name == field);
        match header {
            Some((_, path)) => (*path).to_owned(),
            None if field == "Data" => "message".to_owned(),
            None => field.to_owned(),
        }
    }

    /// The path at which a text stands, for matches on keywords.
    pub(super) fn path_of_text(&self, text: &str) -> Option<String> {
        let holds = |value: &Value| value.as_str() == Some(text);
        let in_data = self.data.into_iter().flatten().find(|(_, value)| holds(value));
        match in_data {
            Some((name, _)) => Some(format!("{EVENT_DATA}{name}")),
            None => self.event.document.get("message").filter(|value| holds(value)).map(|_| "message".to_owned()),
        }
    }

    fn at(&self, path: &str) -> Option<&'a Value> {
        let mut parts = path.split('.');
        let first = self.event.document.get(parts.next()?)?;
        parts.try_fold(first, |value, part| value.as_object()?.get(part))
    }

    fn texts(&self) -> impl Iterator<Item = &'a str> {
        let message = self.event.document.get("message");
        self.data.into_iter().flat_map(Map::values).chain(message).filter_map(Value::as_str)
    }
}

impl SigmaEvent for View<'_> {
    fn get_field(&self, path: &str) -> Option<EventValue<'_>> {
        let path = self.own_name(path);
        if let Some(value) = self.data.and_then(|data| data.get(path)) {
            return Some(EventValue::from(value));
        }
        match path {
            "EventID" => Some(EventValue::Int(i64::from(self.event.code))),
            // Text without a name: Windows calls it `Data`, and NXLog leaves it in the message only.
            "Data" => self.at("message").map(EventValue::from),
            _ => match HEADER.iter().find(|(name, _)| *name == path) {
                Some((_, path)) => self.at(path).map(EventValue::from),
                // Rules written for the stored shape name fields by their path.
                None if path.contains('.') => self.at(path).map(EventValue::from),
                None => None,
            },
        }
    }

    fn any_string_value(&self, pred: &dyn Fn(&str) -> bool) -> bool {
        self.texts().any(pred)
    }

    fn all_string_values(&self) -> Vec<Cow<'_, str>> {
        self.texts().map(Cow::Borrowed).collect()
    }

    fn visit_string_values(&self, visit: &mut dyn FnMut(&str)) {
        self.texts().for_each(visit);
    }

    fn to_json(&self) -> Value {
        Value::Object(self.event.document.clone())
    }

    fn top_level_keys(&self) -> Option<Vec<Cow<'_, str>>> {
        let mut keys = Vec::new();
        self.visit_top_level_keys(&mut |key| keys.push(Cow::Owned(key.to_owned())));
        Some(keys)
    }

    fn visit_top_level_keys(&self, visit: &mut dyn FnMut(&str)) -> bool {
        self.data.into_iter().flat_map(Map::keys).for_each(|key| visit(key));
        self.event.document.keys().for_each(|key| visit(key));
        HEADER.iter().chain(self.names).for_each(|(name, _)| visit(name));
        visit("Data");
        true
    }
}
