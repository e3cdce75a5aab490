//! Which events a rule looks at: Sigma's log sources as Windows channels and event codes.

use std::collections::HashMap;

use rsigma_parser::LogSource;

use crate::domain::event::{Event, SYSMON};

const POWERSHELL: &[&str] = &["Microsoft-Windows-PowerShell/Operational", "PowerShellCore/Operational"];
const POWERSHELL_CLASSIC: &[&str] = &["Windows PowerShell"];
const SYSMON_ONLY: &[&str] = &[SYSMON];

/// Categories: the channels and event codes they stand for.
const CATEGORIES: [(&str, &[&str], &[u32]); 34] = [
    ("process_creation", SYSMON_ONLY, &[1]),
    ("file_change", SYSMON_ONLY, &[2]),
    ("network_connection", SYSMON_ONLY, &[3]),
    ("sysmon_status", SYSMON_ONLY, &[4, 16]),
    ("process_termination", SYSMON_ONLY, &[5]),
    ("driver_load", SYSMON_ONLY, &[6]),
    ("image_load", SYSMON_ONLY, &[7]),
    ("create_remote_thread", SYSMON_ONLY, &[8]),
    ("raw_access_thread", SYSMON_ONLY, &[9]),
    ("process_access", SYSMON_ONLY, &[10]),
    ("file_event", SYSMON_ONLY, &[11]),
    ("registry_add", SYSMON_ONLY, &[12]),
    ("registry_delete", SYSMON_ONLY, &[12]),
    ("registry_set", SYSMON_ONLY, &[13]),
    ("registry_rename", SYSMON_ONLY, &[14]),
    ("registry_event", SYSMON_ONLY, &[12, 13, 14]),
    ("create_stream_hash", SYSMON_ONLY, &[15]),
    ("pipe_created", SYSMON_ONLY, &[17, 18]),
    ("wmi_event", SYSMON_ONLY, &[19, 20, 21]),
    ("dns_query", SYSMON_ONLY, &[22]),
    ("file_delete", SYSMON_ONLY, &[23, 26]),
    ("clipboard", SYSMON_ONLY, &[24]),
    ("clipboard_capture", SYSMON_ONLY, &[24]),
    ("process_tampering", SYSMON_ONLY, &[25]),
    ("file_block_executable", SYSMON_ONLY, &[27]),
    ("file_block_shredding", SYSMON_ONLY, &[28]),
    ("file_executable_detected", SYSMON_ONLY, &[29]),
    ("sysmon_error", SYSMON_ONLY, &[255]),
    ("ps_module", POWERSHELL, &[4103]),
    ("ps_script", POWERSHELL, &[4104]),
    ("ps_classic_start", POWERSHELL_CLASSIC, &[400]),
    ("ps_classic_provider_start", POWERSHELL_CLASSIC, &[600]),
    ("ps_classic_script", POWERSHELL_CLASSIC, &[800]),
    ("antivirus", &["Microsoft-Windows-Windows Defender/Operational"], &[1006, 1015, 1116, 1117]),
];

/// Services: the channels they stand for.
const SERVICES: [(&str, &[&str]); 43] = [
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
    ("dns-client", &["Microsoft-Windows-DNS Client Events/Operational"]),
    ("dns-server", &["DNS Server"]),
    ("dns-server-analytic", &["Microsoft-Windows-DNS-Server/Analytical"]),
    ("dns-server-audit", &["Microsoft-Windows-DNS-Server/Audit"]),
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
    ("shell-core", &["Microsoft-Windows-Shell-Core/Operational"]),
    ("smbclient-connectivity", &["Microsoft-Windows-SmbClient/Connectivity"]),
    ("smbclient-security", &["Microsoft-Windows-SmbClient/Security"]),
    ("smbserver-connectivity", &["Microsoft-Windows-SMBServer/Connectivity"]),
    ("terminalservices-localsessionmanager", &["Microsoft-Windows-TerminalServices-LocalSessionManager/Operational"]),
];

/// The events of one log source.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Route {
    /// Every event: the rule names Windows and nothing else.
    Everywhere,
    /// The events of these channels, with one of these codes unless there are none, and if a category has to be
    /// told apart from another of the same code, by Sysmon's event type.
    Some { channels: &'static [&'static str], codes: &'static [u32], event_types: &'static [&'static str] },
    /// No event of this version.
    Nowhere,
}

impl Route {
    /// Where a log source leads.
    pub(super) fn to(source: &LogSource) -> Self {
        let of_windows = source.product.as_deref().is_none_or(|product| product.eq_ignore_ascii_case("windows"));
        let by_category = source.category.as_deref().map(|name| CATEGORIES.iter().find(|(known, ..)| *known == name));
        let by_service = source.service.as_deref().map(|name| SERVICES.iter().find(|(known, _)| *known == name));
        match (of_windows, by_category, by_service) {
            (true, Some(Some((name, channels, codes))), None) => {
                Self::Some { channels, codes, event_types: event_types(name) }
            }
            // A service beside a category only narrows it, and only if it names a log the category is read from.
            (true, Some(Some((name, channels, codes))), Some(Some((_, logs))))
                if channels.iter().any(|channel| logs.contains(channel)) =>
            {
                Self::Some { channels, codes, event_types: event_types(name) }
            }
            (true, None, Some(Some((_, channels)))) => Self::Some { channels, codes: &[], event_types: &[] },
            (true, None, None) => Self::Everywhere,
            _ => Self::Nowhere,
        }
    }

    fn takes(&self, event: &Event) -> bool {
        match self {
            Self::Everywhere => true,
            Self::Nowhere => false,
            Self::Some { codes, event_types, .. } => {
                let type_fits = || event.data("EventType").is_some_and(|own| event_types.contains(&own));
                (codes.is_empty() || codes.contains(&event.code)) && (event_types.is_empty() || type_fits())
            }
        }
    }
}

/// Sysmon 12 reports keys and values created and deleted alike.
fn event_types(category: &str) -> &'static [&'static str] {
    match category {
        "registry_add" => &["CreateKey"],
        "registry_delete" => &["DeleteKey", "DeleteValue"],
        _ => &[],
    }
}

/// Finds the routes that take an event without asking all of them.
#[derive(Debug, Default)]
pub(super) struct LogSources {
    routes: Vec<Route>,
    everywhere: Vec<usize>,
    by_channel: HashMap<&'static str, Vec<usize>>,
}

impl LogSources {
    pub(super) fn new<'a>(routes: impl Iterator<Item = &'a Route>) -> Self {
        let mut sources = Self { routes: routes.cloned().collect(), ..Self::default() };
        for (position, route) in sources.routes.iter().enumerate() {
            match route {
                Route::Everywhere => sources.everywhere.push(position),
                Route::Some { channels, .. } => {
                    for channel in *channels {
                        sources.by_channel.entry(channel).or_default().push(position);
                    }
                }
                Route::Nowhere => {}
            }
        }
        sources
    }

    /// The positions of the routes that take the event.
    pub(super) fn of<'a>(&'a self, event: &'a Event) -> impl Iterator<Item = usize> + 'a {
        let of_channel = self.by_channel.get(event.channel.as_str()).into_iter().flatten();
        self.everywhere.iter().chain(of_channel).copied().filter(|position| self.routes[*position].takes(event))
    }
}
