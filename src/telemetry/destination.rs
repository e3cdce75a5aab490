//! Where spans go, as OpenTelemetry's environment variables say; what cannot work is refused before anything starts.

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
const TRACES_PROTOCOL: &str = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL";

/// A variable has a value that cannot work.
#[derive(Debug, thiserror::Error)]
pub enum BadDestination {
    /// The endpoint is no URL.
    #[error("{variable} is `{endpoint}`, which is no URL such as http://localhost:4318")]
    NotAUrl {
        /// Where the endpoint was read.
        variable: &'static str,
        /// The endpoint.
        endpoint: String,
    },
    /// The endpoint wants TLS.
    #[error("{variable} is `{endpoint}`, but this build speaks no TLS; name a collector nearby by an http:// URL")]
    NeedsTls {
        /// Where the endpoint was read.
        variable: &'static str,
        /// The endpoint.
        endpoint: String,
    },
    /// The protocol is none of ours.
    #[error("{variable} is `{protocol}`; it can be `grpc` or `http/protobuf`")]
    UnknownProtocol {
        /// Where the protocol was read.
        variable: &'static str,
        /// The protocol.
        protocol: String,
    },
}

/// How the collector is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// OTLP over gRPC, by custom on port 4317.
    Grpc,
    /// OTLP as protobuf over HTTP, by custom on port 4318.
    HttpProtobuf,
}

/// Where spans go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The protocol.
    pub protocol: Protocol,
    /// The full URL, for HTTP with its path.
    pub endpoint: String,
}

impl Destination {
    /// The destination that OpenTelemetry's environment variables name, if they name one.
    ///
    /// # Errors
    /// If a variable has a value that cannot work.
    pub fn from_variables(read: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, BadDestination> {
        let first_of = |names: [&'static str; 2]| {
            names.into_iter().find_map(|name| Some((name, read(name).filter(|value| !value.is_empty())?)))
        };
        let Some((variable, endpoint)) = first_of([TRACES_ENDPOINT, ENDPOINT]) else { return Ok(None) };
        if endpoint.starts_with("https://") {
            return Err(BadDestination::NeedsTls { variable, endpoint });
        }
        let authority = endpoint.strip_prefix("http://").and_then(|rest| rest.split('/').next());
        let Some(authority) = authority.filter(|authority| !authority.is_empty()) else {
            return Err(BadDestination::NotAUrl { variable, endpoint });
        };
        let protocol = match first_of([TRACES_PROTOCOL, PROTOCOL]) {
            Some((_, name)) if name == "grpc" => Protocol::Grpc,
            Some((_, name)) if name == "http/protobuf" => Protocol::HttpProtobuf,
            Some((variable, protocol)) => return Err(BadDestination::UnknownProtocol { variable, protocol }),
            None if authority.ends_with(":4317") => Protocol::Grpc,
            None => Protocol::HttpProtobuf,
        };
        // An endpoint for traces alone is taken word for word, as the specification of OTLP has it.
        let endpoint = match protocol {
            Protocol::HttpProtobuf if variable == ENDPOINT => format!("{}/v1/traces", endpoint.trim_end_matches('/')),
            _ => endpoint,
        };
        Ok(Some(Self { protocol, endpoint }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(variables: &[(&str, &str)]) -> Result<Option<Destination>, String> {
        let read = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Destination::from_variables(read).map_err(|error| error.to_string())
    }

    fn to(protocol: Protocol, endpoint: &str) -> Result<Option<Destination>, String> {
        Ok(Some(Destination { protocol, endpoint: endpoint.to_owned() }))
    }

    #[test]
    fn without_an_endpoint_nothing_is_exported() {
        assert_eq!(from(&[]), Ok(None));
        assert_eq!(from(&[(ENDPOINT, ""), (PROTOCOL, "grpc")]), Ok(None));
    }

    #[test]
    fn the_port_tells_the_protocol_unless_it_is_named() {
        let http = to(Protocol::HttpProtobuf, "http://jaeger:4318/v1/traces");
        assert_eq!(from(&[(ENDPOINT, "http://jaeger:4318")]), http);
        assert_eq!(from(&[(ENDPOINT, "http://jaeger:4318/")]), http);
        assert_eq!(from(&[(ENDPOINT, "http://jaeger:4317/")]), to(Protocol::Grpc, "http://jaeger:4317/"));
        assert_eq!(
            from(&[(ENDPOINT, "http://jaeger:4317"), (PROTOCOL, "http/protobuf")]),
            to(Protocol::HttpProtobuf, "http://jaeger:4317/v1/traces")
        );
        assert_eq!(
            from(&[(ENDPOINT, "http://jaeger:9"), (PROTOCOL, "http/protobuf"), (TRACES_PROTOCOL, "grpc")]),
            to(Protocol::Grpc, "http://jaeger:9")
        );
    }

    #[test]
    fn an_endpoint_for_traces_is_taken_word_for_word_and_first() {
        assert_eq!(
            from(&[(ENDPOINT, "http://a:4317"), (TRACES_ENDPOINT, "http://b:4318/otlp")]),
            to(Protocol::HttpProtobuf, "http://b:4318/otlp")
        );
    }

    #[test]
    fn what_cannot_work_is_refused_in_a_sentence() {
        let refused = |variables: &[(&str, &str)]| from(variables).unwrap_err();
        assert_eq!(
            refused(&[(ENDPOINT, "localhost:4318")]),
            "OTEL_EXPORTER_OTLP_ENDPOINT is `localhost:4318`, which is no URL such as http://localhost:4318"
        );
        assert!(refused(&[(ENDPOINT, "http:///v1/traces")]).contains("no URL"));
        assert!(refused(&[(TRACES_ENDPOINT, "https://cloud/v1")]).contains("speaks no TLS"));
        assert_eq!(
            refused(&[(ENDPOINT, "http://a"), (PROTOCOL, "http/json")]),
            "OTEL_EXPORTER_OTLP_PROTOCOL is `http/json`; it can be `grpc` or `http/protobuf`"
        );
    }
}
