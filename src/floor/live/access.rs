//! Who may send: API keys and users as Elasticsearch's clients present them, compared without telling by the time it
//! takes how near a guess came.

use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::floor::control::is_same;
use crate::knowledge::canonical;

/// A credential, kept as the digest of what a client presents.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential(String);

/// Who may send.
#[derive(Clone)]
pub enum Access {
    /// Anybody who reaches a loopback address.
    Anybody,
    /// Whoever presents one of these.
    Holders(Vec<Credential>),
}

/// Why nobody can be let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// A credential is not in the form `NAME:SECRET`.
    #[error(
        "{0} is not of the form NAME:SECRET, both not empty: write an API key as `id:key` and a user as `name:password`"
    )]
    Malformed(&'static str),
    /// Neither a credential nor the wish to go without.
    #[error(
        "nobody could send to {0}: set WATCHFLOOR_API_KEY to `id:key`, or name api_keys or users under [listen] in the \
         configuration, or allow everybody on this machine with --no-auth"
    )]
    Nobody(SocketAddr),
    /// No authentication asked for on an address that others reach.
    #[error(
        "--no-auth is for loopback alone, and {0} can be reached from elsewhere: listen on 127.0.0.1, or name a key"
    )]
    OpenToOthers(SocketAddr),
}

/// How a client presents itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    ApiKey,
    Basic,
}

impl Credential {
    /// An API key, `id:key` as Beats and Logstash are told it.
    ///
    /// # Errors
    /// When it is not of this form.
    pub fn api_key(text: &str) -> Result<Self, AccessError> {
        Self::of(Scheme::ApiKey, text).ok_or(AccessError::Malformed("an API key"))
    }

    /// A user, `name:password`.
    ///
    /// # Errors
    /// When it is not of this form.
    pub fn user(text: &str) -> Result<Self, AccessError> {
        Self::of(Scheme::Basic, text).ok_or(AccessError::Malformed("a user"))
    }

    fn of(scheme: Scheme, text: &str) -> Option<Self> {
        let is_whole = text.split_once(':').is_some_and(|(name, secret)| !name.is_empty() && !secret.is_empty());
        is_whole.then(|| Self::presented(scheme, text.as_bytes()))
    }

    fn presented(scheme: Scheme, text: &[u8]) -> Self {
        let mark: &[u8] = match scheme {
            Scheme::ApiKey => b"ApiKey ",
            Scheme::Basic => b"Basic ",
        };
        Self(canonical::sha256(&[mark, text].concat()))
    }
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credential")
    }
}

impl Access {
    /// Who may send to this address.
    ///
    /// # Errors
    /// When nobody could, or everybody on the network.
    pub fn new(address: SocketAddr, credentials: Vec<Credential>, no_auth: bool) -> Result<Self, AccessError> {
        match (no_auth, address.ip().is_loopback()) {
            (true, false) => Err(AccessError::OpenToOthers(address)),
            (true, true) => Ok(Self::Anybody),
            (false, _) if credentials.is_empty() => Err(AccessError::Nobody(address)),
            (false, _) => Ok(Self::Holders(credentials)),
        }
    }

    /// Whether the sender of this `Authorization` header may send.
    #[must_use]
    pub fn allows(&self, authorization: Option<&str>) -> bool {
        let Self::Holders(holders) = self else { return true };
        let Some(presented) = authorization.and_then(presented) else { return false };
        // All are compared, whichever fits.
        holders.iter().fold(false, |fits, holder| fits | is_same(&holder.0, &presented.0))
    }
}

fn presented(authorization: &str) -> Option<Credential> {
    let (scheme, text) = authorization.split_once(' ')?;
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "apikey" => Scheme::ApiKey,
        "basic" => Scheme::Basic,
        _ => return None,
    };
    Some(Credential::presented(scheme, &STANDARD.decode(text.trim()).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_holder_is_let_in_and_nobody_else() {
        let credentials =
            vec![Credential::api_key("beats:s3cret").expect("a key"), Credential::user("ls:pw").expect("a user")];
        let access = Access::new(address("192.0.2.1:9200"), credentials, false).expect("somebody may send");
        let header = |scheme: &str, text: &str| format!("{scheme} {}", STANDARD.encode(text));
        assert!(access.allows(Some(&header("ApiKey", "beats:s3cret"))));
        assert!(access.allows(Some(&header("apikey", "beats:s3cret"))));
        assert!(access.allows(Some(&header("Basic", "ls:pw"))));
        for wrong in [
            header("ApiKey", "beats:s3creT"),
            header("ApiKey", "beats:s3cre"),
            header("Basic", "beats:s3cret"),
            header("ApiKey", "ls:pw"),
            header("Bearer", "beats:s3cret"),
            "ApiKey beats:s3cret".into(),
            "ApiKey".into(),
        ] {
            assert!(!access.allows(Some(&wrong)), "{wrong}");
        }
        assert!(!access.allows(None));
    }

    #[test]
    fn nobody_is_let_in_by_forgetting_to_say_who() {
        assert_eq!(
            Access::new(address("127.0.0.1:9200"), vec![], false).err(),
            Some(AccessError::Nobody(address("127.0.0.1:9200")))
        );
        assert!(matches!(Access::new(address("0.0.0.0:9200"), vec![], true), Err(AccessError::OpenToOthers(_))));
        assert!(Access::new(address("[::1]:9200"), vec![], true).expect("loopback").allows(None));
    }

    #[test]
    fn a_credential_has_a_name_and_a_secret() {
        for broken in ["", "id", "id:", ":key"] {
            assert!(Credential::api_key(broken).is_err() && Credential::user(broken).is_err(), "{broken}");
        }
    }
}
