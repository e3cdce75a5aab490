//! What a text can do, by the words it uses. Judged by combination, never by one keyword.

/// Kinds of things a script can do, as far as its text shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Capability {
    /// Fetches something from a network.
    Download,
    /// Runs text or bytes without a file.
    ExecuteInMemory,
    /// Unwraps something hidden.
    Decode,
    /// Calls the operating system's memory and thread functions.
    Native,
    /// Reaches for credentials.
    Credential,
    /// Works against what watches it.
    Evasion,
    /// Makes sure to be started again.
    Persistence,
    /// Has Windows start something on an event that is no schedule and no service: another program's start, a logon, a
    /// query (ATT&CK T1546, T1037.001, T1547.004). What is installed hardly ever does.
    EventTriggered,
    /// Makes recovery impossible.
    RecoveryInhibition,
    /// Runs something on another machine.
    RemoteExecution,
    /// Makes Windows raise its rights without asking.
    Elevation,
    /// Opens the machine to others.
    Exposure,
    /// Makes accounts or gives them rights.
    AccountChange,
    /// Explores the directory with the functions of offensive frameworks.
    DirectoryRecon,
    /// Packs up or sends away data.
    Exfiltration,
}

impl Capability {
    /// The capability in a sentence.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Download => "downloads",
            Self::ExecuteInMemory => "runs code in memory",
            Self::Decode => "unwraps hidden content",
            Self::Native => "calls memory and thread functions",
            Self::Credential => "reaches for credentials",
            Self::Evasion => "works against its observers",
            Self::Persistence => "makes itself persistent",
            Self::EventTriggered => "has Windows start something on an event",
            Self::RecoveryInhibition => "inhibits recovery",
            Self::RemoteExecution => "runs something on another machine",
            Self::Elevation => "raises its rights without asking",
            Self::Exposure => "opens the machine to others",
            Self::AccountChange => "makes accounts or gives them rights",
            Self::DirectoryRecon => "explores the directory",
            Self::Exfiltration => "packs up or sends away data",
        }
    }
}

/// Words of a capability. An entry with several words counts when all of them occur.
type Words = &'static [&'static [&'static str]];

/// The operating system's functions by which code is put into memory and started.
pub(super) const NATIVE: Words = &[
    &["virtualalloc"],
    &["virtualprotect"],
    &["writeprocessmemory"],
    &["createremotethread"],
    &["createthread"],
    &["ntmapviewofsection"],
    &["queueuserapc"],
    &["rtlcreateuserthread"],
    &["getdelegateforfunctionpointer"],
    &["marshal]::copy"],
];

/// All capabilities with their words, folded as [`super::command`] folds a text.
pub(super) const WORDS: [(Capability, Words); 15] = [
    (
        Capability::Download,
        &[
            &["downloadstring"],
            &["downloadfile"],
            &["downloaddata"],
            &["net.webclient"],
            &["invoke-webrequest", "http"],
            &["invoke-restmethod", "http"],
            &["iwr ", "http"],
            &["start-bitstransfer"],
            &["bitsadmin", "/transfer"],
            &["bitsadmin", "/addfile"],
            &["certutil", "urlcache"],
            &["certutil", "verifyctl", "http"],
            &["mshta", "http"],
            &["regsvr32", "http"],
            &["msiexec", "http"],
            &["curl", "http"],
            &["wget", "http"],
            &["msxml2.xmlhttp"],
            &["winhttp.winhttprequest"],
        ],
    ),
    (
        Capability::ExecuteInMemory,
        &[
            &["invoke-expression"],
            &["iex "],
            &["iex("],
            &["iex)"],
            &["|iex"],
            &["| iex"],
            &["assembly]::load"],
            &["scriptblock]::create"],
            &["invokescript"],
            &[".invoke("],
            &["mshta", "vbscript:"],
            &["mshta", "javascript:"],
            &["rundll32", "javascript:"],
            &[" -enc $"],
            &[" -e $"],
        ],
    ),
    (
        Capability::Decode,
        &[
            &["frombase64string"],
            &["gzipstream"],
            &["deflatestream"],
            &["-bxor"],
            &["certutil", "-decode"],
            &["certutil", "/decode"],
            &["[char]", "-join"],
            &["convertto-securestring", "-key"],
            // A payload that is kept in a registry value and handed over encoded.
            &["gp hk", " -enc"],
            &["get-itemproperty", "hk", " -enc"],
        ],
    ),
    (Capability::Native, NATIVE),
    (
        Capability::Credential,
        &[
            &["comsvcs", "minidump"],
            &["comsvcs", "#24"],
            &["comsvcs", "#-"],
            &["sekurlsa"],
            &["lsadump"],
            &["minidumpwritedump"],
            &["lsass", ".dmp"],
            &["lsass", " -ma "],
            &["ntds.dit"],
            &["ntdsutil", "ifm"],
            &["ntdsutil", "create full"],
            &["reg", "save", "hklm\\sam"],
            &["reg", "save", "hklm\\security"],
            &["reg", "save", "hkey_local_machine\\sam"],
            &["reg", "save", "hkey_local_machine\\security"],
            &["esentutl", "\\config\\sam"],
            &["esentutl", "\\config\\security"],
            &["harddiskvolumeshadowcopy", "\\config\\sam"],
            &["harddiskvolumeshadowcopy", "\\config\\system"],
            &["kerberoast"],
            &["asreproast"],
            &["kerberosrequestorsecuritytoken"],
            &["/rc4:", "/user:"],
            &["/aes256:", "/user:"],
            &["uselogoncredential", "/d 1"],
            &["appcmd", "/text:*"],
        ],
    ),
    (
        Capability::Evasion,
        &[
            &["amsiutils"],
            &["amsiinitfailed"],
            &["amsiscanbuffer"],
            &["etweventwrite"],
            &["set-mppreference", "disable"],
            &["add-mppreference", "exclusion"],
            &["windows defender", "exclusions", "reg add"],
            &["wevtutil", " cl "],
            &["wevtutil", "clear-log"],
            &["wevtutil", "/e:false"],
            &["clear-eventlog"],
            &["remove-eventlog"],
            &["scriptblocklogging", "getfield"],
            &["eventlog", "start=", "disabled"],
            &["eventlog", "startuptype", "disabled"],
            &["stop-service", "eventlog"],
            &["auditpol", "/clear"],
            &["auditpol", "/success:disable"],
            &["fltmc", "unload"],
            &["fsutil", "usn", "deletejournal"],
        ],
    ),
    (
        Capability::Persistence,
        &[
            &["currentversion\\run"],
            &["schtasks", "/create"],
            &["register-scheduledtask"],
            &["new-scheduledtask"],
            &["sc", " create ", "binpath"],
            &["sc", " config ", "binpath"],
            &["new-service"],
        ],
    ),
    (
        Capability::EventTriggered,
        &[
            &["__eventfilter"],
            &["commandlineeventconsumer"],
            &["activescripteventconsumer"],
            &["userinitmprlogonscript"],
            &["image file execution options", "debugger"],
            &["silentprocessexit", "monitorprocess"],
            &["reg", " add ", "winlogon", "userinit"],
            &["reg", " add ", "winlogon", "shell"],
            &["reg", " add ", "appinit_dlls"],
            &["netsh", "add", "helper"],
        ],
    ),
    (
        Capability::RecoveryInhibition,
        &[
            &["vssadmin", "delete", "shadows"],
            &["vssadmin", "resize", "shadowstorage"],
            &["wmic", "shadowcopy", "delete"],
            &["win32_shadowcopy", "delete"],
            &["win32_shadowcopy", "remove-wmiobject"],
            &["win32_shadowcopy", "remove-ciminstance"],
            &["wbadmin", "delete"],
            &["bcdedit", "recoveryenabled", "no"],
            &["bcdedit", "bootstatuspolicy"],
        ],
    ),
    (
        Capability::RemoteExecution,
        &[
            &["wmic", "/node:", "process", "create"],
            &["win32_process", "create", "-computername"],
            &["invoke-wmimethod", "win32_process", "-computer"],
            &["invoke-command", "-computername"],
            &["enter-pssession"],
            &["new-pssession", "-computername"],
            &["schtasks", "/s ", "/create"],
            &["sc \\\\", " create "],
            &["sc.exe \\\\", " create "],
            &["winrs", "-r:"],
            &["gettypefromprogid", "document.application"],
            &["gettypefromclsid", "activator"],
        ],
    ),
    (
        Capability::Elevation,
        &[
            &["delegateexecute"],
            &["ms-settings\\shell\\open"],
            &["mscfile\\shell\\open"],
            &["exefile\\shell\\runas", "isolatedcommand"],
        ],
    ),
    (
        Capability::Exposure,
        &[
            &["netsh", "portproxy", "add"],
            &["netsh", "advfirewall", "state off"],
            &["netsh", "firewall", "opmode", "disable"],
            &["set-netfirewallprofile", "enabled", "false"],
            &["fdenytsconnections", "/d 0"],
            &["fdenytsconnections", "-value 0"],
            &["netsh", "firewall", "add", "3389"],
            &["netsh", "firewall", "remote desktop", "enable"],
            &["netsh", "firewall", "remotedesktop", "enable"],
        ],
    ),
    (
        Capability::AccountChange,
        &[
            &["net", " user ", "/add"],
            &["net", "localgroup", "/add"],
            &["net", " group ", "/add"],
            &["new-localuser"],
            &["add-localgroupmember"],
            &["add-adgroupmember"],
            &["specialaccounts\\userlist"],
        ],
    ),
    (
        Capability::DirectoryRecon,
        &[
            &["invoke-userhunter"],
            &["find-domainuserlocation"],
            &["find-domainshare"],
            &["invoke-sharefinder"],
            &["get-domaingroupmember"],
            &["get-domaincomputer"],
            &["get-domainuser "],
            &["get-domainobject"],
            &["get-domaincontroller"],
            &["get-netdomain"],
            &["get-netgroupmember"],
            &["get-netcomputer"],
            &["get-netuser"],
            &["get-netsession"],
            &["get-netlocalgroup"],
            &["invoke-checklocaladminaccess"],
            &["invoke-aclscanner"],
            &["find-interestingdomainacl"],
            &["get-netloggedon"],
            &["get-netforest"],
            &["test-adminaccess"],
        ],
    ),
    (
        Capability::Exfiltration,
        &[
            &["rclone", " copy "],
            &["rclone", " sync "],
            &["curl", "--upload-file"],
            &["curl", " -t ", "ftp"],
            &["invoke-restmethod", "-method post", "-infile"],
            &["invoke-webrequest", "-method post", "-infile"],
            &["uploadfile("],
            &["rar", " -hp"],
            &["7z", " a ", " -p"],
        ],
    ),
];
