//! What a cluster would answer: forwarders ask who they speak to, and set up templates and policies, before they send.
//!
//! They are answered as a fresh Elasticsearch would answer them, as far as they need it to begin: nothing is there yet
//! (404), and whatever they put is acknowledged. It is not kept, because the floor has its own idea of an event and
//! of how long it is held. Ingest pipelines are not run.

use std::net::SocketAddr;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::domain::words::excerpt;

/// The version that is answered. Beats refuse an Elasticsearch that is older than they are unless told otherwise
/// (`allow_older_versions`, on by default), and none that is newer; Logstash knows this one's way with data streams.
pub const VERSION: &str = "8.17.0";

/// What forwarders put before they send.
const SET_UP: [&str; 6] =
    ["_ilm/policy/", "_index_template/", "_template/", "_component_template/", "_data_stream/", "_ingest/pipeline/"];

/// The answer to a request that is no bulk request.
#[must_use]
pub fn answer(method: &Method, path: &str, address: SocketAddr, is_ready: bool) -> (StatusCode, Value) {
    let path = path.trim_matches('/');
    let reads = method == Method::GET || method == Method::HEAD;
    match path {
        "" if reads => (StatusCode::OK, root()),
        "_license" if reads => (StatusCode::OK, license()),
        "_xpack" if reads => (StatusCode::OK, features()),
        "_cluster/health" if reads => (StatusCode::OK, health(is_ready)),
        "_nodes/http" | "_nodes" if reads => (StatusCode::OK, nodes(address)),
        _ if SET_UP.iter().any(|place| path.starts_with(place) && path.len() > place.len()) => {
            if reads {
                (StatusCode::NOT_FOUND, error(StatusCode::NOT_FOUND, "resource_not_found_exception", path))
            } else if method == Method::PUT || method == Method::POST || method == Method::DELETE {
                (StatusCode::OK, json!({"acknowledged": true}))
            } else {
                not_offered(method, path)
            }
        }
        _ => not_offered(method, path),
    }
}

/// An error as Elasticsearch words it.
#[must_use]
pub fn error(status: StatusCode, kind: &str, reason: &str) -> Value {
    json!({"error": {"type": kind, "reason": reason, "root_cause": [{"type": kind, "reason": reason}]},
           "status": status.as_u16()})
}

fn not_offered(method: &Method, path: &str) -> (StatusCode, Value) {
    let shown = excerpt(path, 120);
    let reason = format!("watchfloor takes bulk requests and answers what they need: {method} /{shown} is not offered");
    (StatusCode::NOT_FOUND, error(StatusCode::NOT_FOUND, "resource_not_found_exception", &reason))
}

fn root() -> Value {
    json!({
        "name": "watchfloor",
        "cluster_name": "watchfloor",
        "cluster_uuid": "watchfloor",
        "version": {
            "number": VERSION,
            "build_flavor": "default",
            "build_type": "watchfloor",
            "build_hash": "unknown",
            "build_date": "2026-01-01T00:00:00.000Z",
            "build_snapshot": false,
            "lucene_version": "9.12.0",
            "minimum_wire_compatibility_version": "7.17.0",
            "minimum_index_compatibility_version": "7.0.0",
        },
        // Clients of 7.14 and later ask for these words.
        "tagline": "You Know, for Search",
    })
}

/// Beats and Logstash send to nobody without an active licence; the basic one promises nothing.
fn license() -> Value {
    json!({"license": {"status": "active", "uid": "watchfloor", "type": "basic", "issued_to": "watchfloor"}})
}

fn features() -> Value {
    json!({
        "build": {"hash": "unknown", "date": "2026-01-01T00:00:00.000Z"},
        "license": {"uid": "watchfloor", "type": "basic", "mode": "basic", "status": "active"},
        "features": {
            "ilm": {"available": true, "enabled": true},
            "security": {"available": true, "enabled": true},
            "monitoring": {"available": false, "enabled": false},
        },
        "tagline": "You know, for X",
    })
}

fn health(is_ready: bool) -> Value {
    let status = if is_ready { "green" } else { "red" };
    json!({"cluster_name": "watchfloor", "status": status, "timed_out": false, "number_of_nodes": 1,
           "number_of_data_nodes": 1, "active_primary_shards": 1, "active_shards": 1, "unassigned_shards": 0})
}

fn nodes(address: SocketAddr) -> Value {
    json!({
        "_nodes": {"total": 1, "successful": 1, "failed": 0},
        "cluster_name": "watchfloor",
        "nodes": {"watchfloor": {
            "name": "watchfloor", "version": VERSION, "host": address.ip().to_string(),
            "roles": ["data", "data_content", "data_hot", "ingest", "master"],
            "http": {"bound_address": [address.to_string()], "publish_address": address.to_string()},
        }},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: Method, path: &str) -> (StatusCode, Value) {
        answer(&method, path, "127.0.0.1:9200".parse().expect("an address"), true)
    }

    #[test]
    fn a_forwarder_learns_what_it_needs_to_begin() {
        for path in ["/", "/_license", "/_xpack", "/_cluster/health", "/_nodes/http"] {
            assert_eq!(asked(Method::GET, path).0, StatusCode::OK, "{path}");
        }
        assert_eq!(asked(Method::GET, "/").1["version"]["number"], VERSION);
        assert_eq!(asked(Method::HEAD, "/").0, StatusCode::OK);
        assert_eq!(asked(Method::GET, "/_license").1["license"]["status"], "active");
    }

    #[test]
    fn what_is_set_up_is_acknowledged_and_not_kept() {
        for path in ["/_index_template/winlogbeat", "/_ilm/policy/p", "/_template/t", "/_ingest/pipeline/p"] {
            assert_eq!(asked(Method::PUT, path), (StatusCode::OK, json!({"acknowledged": true})), "{path}");
            assert_eq!(asked(Method::HEAD, path).0, StatusCode::NOT_FOUND, "{path}");
        }
    }

    #[test]
    fn whatever_else_is_asked_is_not_offered() {
        for (method, path) in [(Method::POST, "/"), (Method::GET, "/a/_search"), (Method::PUT, "/_ilm/policy/")] {
            assert_eq!(asked(method, path).0, StatusCode::NOT_FOUND, "{path}");
        }
    }
}
