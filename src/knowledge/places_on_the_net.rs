//! Public services through which attackers reach in, hand over and send out, by what they are for. Each of them has
//! honest users: a name on this list is a reason to look, never a verdict.

/// When the list was last looked through.
pub const LIST_DATE: &str = "2026-11-25";

/// What a service is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Service {
    /// Leads from outside to a machine inside.
    Tunnel,
    /// Shows text that anybody put there.
    Paste,
    /// Gives a name to an address that changes.
    DynamicName,
    /// Keeps files that anybody put there.
    FileDrop,
    /// Lets somebody work on a machine from afar.
    RemoteControl,
    /// Answers to whatever asks it, for tests of reach.
    Callback,
    /// Carries messages of programs.
    Messages,
    /// Leads on to another address.
    Shortener,
}

impl Service {
    /// What it is, in words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tunnel => "a tunnel",
            Self::Paste => "a paste service",
            Self::DynamicName => "a dynamic name",
            Self::FileDrop => "a file drop",
            Self::RemoteControl => "a remote control service",
            Self::Callback => "a callback service",
            Self::Messages => "a message service",
            Self::Shortener => "a link shortener",
        }
    }
}

/// Domains, with all that lies below them.
const SERVICES: [(&str, Service); 46] = [
    ("ngrok.io", Service::Tunnel),
    ("ngrok.app", Service::Tunnel),
    ("ngrok-free.app", Service::Tunnel),
    ("trycloudflare.com", Service::Tunnel),
    ("argotunnel.com", Service::Tunnel),
    ("loca.lt", Service::Tunnel),
    ("localtunnel.me", Service::Tunnel),
    ("serveo.net", Service::Tunnel),
    ("devtunnels.ms", Service::Tunnel),
    ("tunnels.api.visualstudio.com", Service::Tunnel),
    ("playit.gg", Service::Tunnel),
    ("pastebin.com", Service::Paste),
    ("paste.ee", Service::Paste),
    ("rentry.co", Service::Paste),
    ("hastebin.com", Service::Paste),
    ("dpaste.com", Service::Paste),
    ("gist.githubusercontent.com", Service::Paste),
    ("duckdns.org", Service::DynamicName),
    ("ddns.net", Service::DynamicName),
    ("hopto.org", Service::DynamicName),
    ("zapto.org", Service::DynamicName),
    ("no-ip.org", Service::DynamicName),
    ("dynu.net", Service::DynamicName),
    ("dyndns.org", Service::DynamicName),
    ("sytes.net", Service::DynamicName),
    ("mega.nz", Service::FileDrop),
    ("mega.co.nz", Service::FileDrop),
    ("transfer.sh", Service::FileDrop),
    ("file.io", Service::FileDrop),
    ("gofile.io", Service::FileDrop),
    ("anonfiles.com", Service::FileDrop),
    ("catbox.moe", Service::FileDrop),
    ("temp.sh", Service::FileDrop),
    ("anydesk.com", Service::RemoteControl),
    ("teamviewer.com", Service::RemoteControl),
    ("screenconnect.com", Service::RemoteControl),
    ("rustdesk.com", Service::RemoteControl),
    ("atera.com", Service::RemoteControl),
    ("interact.sh", Service::Callback),
    ("oast.fun", Service::Callback),
    ("webhook.site", Service::Callback),
    ("requestbin.net", Service::Callback),
    ("api.telegram.org", Service::Messages),
    ("discord.com", Service::Messages),
    ("bit.ly", Service::Shortener),
    ("tinyurl.com", Service::Shortener),
];

/// What a domain name is known for.
#[must_use]
pub fn of(domain: &str) -> Option<(&'static str, Service)> {
    let asked = domain.trim().trim_end_matches('.').to_lowercase();
    let is = |listed: &str| asked == listed || asked.strip_suffix(listed).is_some_and(|rest| rest.ends_with('.'));
    SERVICES.iter().find(|(listed, _)| is(listed)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_known_with_all_below_it_and_nothing_beside_it() {
        assert_eq!(of("Blue-Fish.TryCloudflare.com."), Some(("trycloudflare.com", Service::Tunnel)));
        assert_eq!(of("pastebin.com"), Some(("pastebin.com", Service::Paste)));
        for other in ["notpastebin.com", "pastebin.com.evil.example", "", "com"] {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
