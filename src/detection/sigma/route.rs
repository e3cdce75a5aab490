//! Which events a rule looks at: Sigma's log sources as Windows channels and event codes.

use std::collections::HashMap;

use rsigma_parser::LogSource;

use crate::domain::event::{Event, SYSMON};

const POWERSHELL: &[&str] = &["Microsoft-Windows-PowerShell/Operational", "PowerShellCore/Operational"];
const POWERSHELL_CLASSIC: &[&str] = &["Windows PowerShell"];
const SYSMON_ONLY: &[&str] = &[SYSMON];

/// What rules call the fields of Security 4688 when they look for the creation of a process. The names on the left
/// are Sysmon's; a level of integrity is a SID here, which rules name beside the word.
const AUDITED_PROCESS: &[(&str, &str)] = &[
    ("Image", "NewProcessName"),
    ("ParentImage", "ParentProcessName"),
    ("User", "SubjectUserName"),
    ("LogonId", "SubjectLogonId"),
    ("ProcessId", "NewProcessId"),
    ("ParentProcessId", "ProcessId"),
    ("IntegrityLevel", "MandatoryLabel"),
];

/// What rules on any antivirus call the fields of Defender's events.
const DEFENDER: &[(&str, &str)] = &[("Signature", "Threat Name"), ("Filename", "Path"), ("User", "Detection User")];

/// Categories: the events that feed them. A category may have several rows.
const CATEGORIES: [(&str, Feed); 36] = [
    ("process_creation", Feed::sysmon(&[1])),
    ("process_creation", Feed { names: AUDITED_PROCESS, stands_in: true, ..Feed::of(&["Security"], &[4688]) }),
    ("file_change", Feed::sysmon(&[2])),
    ("network_connection", Feed::sysmon(&[3])),
    ("sysmon_status", Feed::sysmon(&[4, 16])),
    ("process_termination", Feed::sysmon(&[5])),
    ("driver_load", Feed::sysmon(&[6])),
    ("image_load", Feed::sysmon(&[7])),
    ("create_remote_thread", Feed::sysmon(&[8])),
    ("raw_access_thread", Feed::sysmon(&[9])),
    ("process_access", Feed::sysmon(&[10])),
    ("file_event", Feed::sysmon(&[11])),
    // Sysmon 12 reports keys and values created and deleted alike.
    ("registry_add", Feed { event_types: &["CreateKey"], ..Feed::sysmon(&[12]) }),
    ("registry_delete", Feed { event_types: &["DeleteKey", "DeleteValue"], ..Feed::sysmon(&[12]) }),
    ("registry_set", Feed::sysmon(&[13])),
    ("registry_rename", Feed::sysmon(&[14])),
    ("registry_event", Feed::sysmon(&[12, 13, 14])),
    ("create_stream_hash", Feed::sysmon(&[15])),
    ("pipe_created", Feed::sysmon(&[17, 18])),
    ("wmi_event", Feed::sysmon(&[19, 20, 21])),
    ("dns_query", Feed::sysmon(&[22])),
    ("file_delete", Feed::sysmon(&[23, 26])),
    ("clipboard", Feed::sysmon(&[24])),
    ("clipboard_capture", Feed::sysmon(&[24])),
    ("process_tampering", Feed::sysmon(&[25])),
    ("file_block", Feed::sysmon(&[27])),
    ("file_block_executable", Feed::sysmon(&[27])),
    ("file_block_shredding", Feed::sysmon(&[28])),
    ("file_executable_detected", Feed::sysmon(&[29])),
    ("sysmon_error", Feed::sysmon(&[255])),
    ("ps_module", Feed::of(POWERSHELL, &[4103])),
    ("ps_script", Feed::of(POWERSHELL, &[4104])),
    ("ps_classic_start", Feed::of(POWERSHELL_CLASSIC, &[400])),
    ("ps_classic_provider_start", Feed::of(POWERSHELL_CLASSIC, &[600])),
    ("ps_classic_script", Feed::of(POWERSHELL_CLASSIC, &[800])),
    (
        "antivirus",
        Feed {
            names: DEFENDER,
            ..Feed::of(&["Microsoft-Windows-Windows Defender/Operational"], &[1006, 1015, 1116, 1117])
        },
    ),
];

/// Services: the channels they stand for.
const SERVICES: [(&str, &[&str]); 45] = [
    ("security", &["Security"]),
    ("system", &["System"]),
    ("application", &["Application"]),
    ("sysmon", SYSMON_ONLY),
    ("powershell", POWERSHELL),
    ("powershell-classic", POWERSHELL_CLASSIC),
    ("taskscheduler", &["Microsoft-Windows-TaskScheduler/Operational"]),
    ("wmi", &["Microsoft-Windows-WMI-Activity/Operational"]),
    ("windefend", &["Microsoft-Windows-Windows Defender/Operational"]),
    (
        "applocker",
        &[
            "Microsoft-Windows-AppLocker/EXE and DLL",
            "Microsoft-Windows-AppLocker/MSI and Script",
            "Microsoft-Windows-AppLocker/Packaged app-Deployment",
            "Microsoft-Windows-AppLocker/Packaged app-Execution",
        ],
    ),
    ("appmodel-runtime", &["Microsoft-Windows-AppModel-Runtime/Admin"]),
    ("appxdeployment-server", &["Microsoft-Windows-AppXDeploymentServer/Operational"]),
    ("appxpackaging-om", &["Microsoft-Windows-AppxPackaging/Operational"]),
    ("bits-client", &["Microsoft-Windows-Bits-Client/Operational"]),
    ("capi2", &["Microsoft-Windows-CAPI2/Operational"]),
    (
        "certificateservicesclient-lifecycle-system",
        &["Microsoft-Windows-CertificateServicesClient-Lifecycle-System/Operational"],
    ),
    ("codeintegrity-operational", &["Microsoft-Windows-CodeIntegrity/Operational"]),
    ("dhcp", &["Microsoft-Windows-DHCP-Server/Operational"]),
    ("diagnosis-scripted", &["Microsoft-Windows-Diagnosis-Scripted/Operational"]),
    ("dns-client", &["Microsoft-Windows-DNS-Client/Operational", "Microsoft-Windows-DNS Client Events/Operational"]),
    ("dns-server", &["DNS Server"]),
    ("dns-server-analytic", &["Microsoft-Windows-DNSServer/Analytical", "Microsoft-Windows-DNS-Server/Analytical"]),
    ("dns-server-audit", &["Microsoft-Windows-DNSServer/Audit", "Microsoft-Windows-DNS-Server/Audit"]),
    ("driver-framework", &["Microsoft-Windows-DriverFrameworks-UserMode/Operational"]),
    ("firewall-as", &["Microsoft-Windows-Windows Firewall With Advanced Security/Firewall"]),
    ("hyper-v-worker", &["Microsoft-Windows-Hyper-V-Worker-Admin"]),
    ("iis-configuration", &["Microsoft-IIS-Configuration/Operational"]),
    ("kernel-event-tracing", &["Microsoft-Windows-Kernel-EventTracing/Admin"]),
    ("ldap", &["Microsoft-Windows-LDAP-Client/Debug"]),
    ("lsa-server", &["Microsoft-Windows-LSA/Operational"]),
    ("microsoft-servicebus-client", &["Microsoft-ServiceBus-Client"]),
    ("msexchange-management", &["MSExchange Management"]),
    ("ntfs", &["Microsoft-Windows-Ntfs/Operational"]),
    ("ntlm", &["Microsoft-Windows-NTLM/Operational"]),
    ("openssh", &["OpenSSH/Operational"]),
    ("printservice-admin", &["Microsoft-Windows-PrintService/Admin"]),
    ("printservice-operational", &["Microsoft-Windows-PrintService/Operational"]),
    (
        "security-mitigations",
        &[
            "Microsoft-Windows-Security-Mitigations/KernelMode",
            "Microsoft-Windows-Security-Mitigations/UserMode",
            "Microsoft-Windows-Security-Mitigations/Kernel Mode",
            "Microsoft-Windows-Security-Mitigations/User Mode",
        ],
    ),
    ("sense", &["Microsoft-Windows-SENSE/Operational"]),
    ("shell-core", &["Microsoft-Windows-Shell-Core/Operational"]),
    ("smbclient-connectivity", &["Microsoft-Windows-SmbClient/Connectivity"]),
    ("smbclient-security", &["Microsoft-Windows-SmbClient/Security"]),
    ("smbserver-connectivity", &["Microsoft-Windows-SMBServer/Connectivity"]),
    ("terminalservices-localsessionmanager", &["Microsoft-Windows-TerminalServices-LocalSessionManager/Operational"]),
    ("vhdmp", &["Microsoft-Windows-VHDMP/Operational", "Microsoft-Windows-VHDMP-Operational"]),
];

/// Events that feed a log source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Feed {
    channels: &'static [&'static str],
    /// One of these codes, unless there are none.
    codes: &'static [u32],
    /// If a category has to be told apart from another of the same code: Sysmon's event type.
    event_types: &'static [&'static str],
    /// What rules call a field, and what the event calls it, where the two differ.
    pub(super) names: &'static [(&'static str, &'static str)],
    /// These events tell what others tell better: what they raise counts only where the others are missing.
    pub(super) stands_in: bool,
}

impl Feed {
    const fn of(channels: &'static [&'static str], codes: &'static [u32]) -> Self {
        Self { channels, codes, event_types: &[], names: &[], stands_in: false }
    }

    const fn sysmon(codes: &'static [u32]) -> Self {
        Self::of(SYSMON_ONLY, codes)
    }

    fn takes(&self, event: &Event) -> bool {
        let type_fits = || event.data("EventType").is_some_and(|own| self.event_types.contains(&own));
        (self.codes.is_empty() || self.codes.contains(&event.code)) && (self.event_types.is_empty() || type_fits())
    }
}

/// Every event, under its own names.
const ANY: Feed = Feed::of(&[], &[]);

/// Where the events of a log source come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Route {
    /// From everywhere: the rule names Windows and nothing else.
    Everywhere,
    /// From these feeds; from nowhere if there are none.
    Feeds(Vec<Feed>),
}

impl Route {
    /// Where a log source leads.
    pub(super) fn to(source: &LogSource) -> Self {
        if source.product.as_deref().is_some_and(|product| !product.eq_ignore_ascii_case("windows")) {
            return Self::Feeds(vec![]);
        }
        let logs = source.service.as_deref().map(|name| {
            SERVICES
                .iter()
                .find(|(known, _)| known.eq_ignore_ascii_case(name))
                .map_or(&[][..], |(_, channels)| *channels)
        });
        let of_category = |name: &str| {
            let rows = CATEGORIES.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, feed)| *feed);
            rows.collect::<Vec<_>>()
        };
        match (source.category.as_deref(), logs) {
            (None, None) => Self::Everywhere,
            (None, Some([])) => Self::Feeds(vec![]),
            (None, Some(channels)) => Self::Feeds(vec![Feed::of(channels, &[])]),
            (Some(category), None) => Self::Feeds(of_category(category)),
            // A service beside a category narrows it to one of its logs, which then stands in for nothing.
            (Some(category), Some(logs)) => {
                let mut feeds = of_category(category);
                feeds.retain(|feed| feed.channels.iter().any(|channel| logs.contains(channel)));
                feeds.iter_mut().for_each(|feed| feed.stands_in = false);
                Self::Feeds(feeds)
            }
        }
    }

    /// No event of this version comes here.
    pub(super) fn is_nowhere(&self) -> bool {
        matches!(self, Self::Feeds(feeds) if feeds.is_empty())
    }
}

/// Finds the routes that take an event without asking all of them.
#[derive(Debug, Default)]
pub(super) struct LogSources {
    everywhere: Vec<(usize, Feed)>,
    /// By the channel's name in lower case: exporters write it in their own.
    by_channel: HashMap<String, Vec<(usize, Feed)>>,
}

impl LogSources {
    pub(super) fn new<'a>(routes: impl Iterator<Item = &'a Route>) -> Self {
        let mut sources = Self::default();
        for (position, route) in routes.enumerate() {
            match route {
                Route::Everywhere => sources.everywhere.push((position, ANY)),
                Route::Feeds(feeds) => {
                    for (feed, channel) in
                        feeds.iter().flat_map(|feed| feed.channels.iter().map(move |name| (feed, name)))
                    {
                        sources.by_channel.entry(channel.to_ascii_lowercase()).or_default().push((position, *feed));
                    }
                }
            }
        }
        sources
    }

    /// The positions of the routes that take the event, with the feed by which they do.
    pub(super) fn of<'a>(&'a self, event: &'a Event) -> impl Iterator<Item = (usize, &'a Feed)> + 'a {
        let of_channel = self.by_channel.get(&event.channel.to_ascii_lowercase()).into_iter().flatten();
        let all = self.everywhere.iter().chain(of_channel);
        all.filter(|(_, feed)| feed.takes(event)).map(|(position, feed)| (*position, feed))
    }
}
