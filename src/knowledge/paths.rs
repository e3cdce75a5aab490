//! Where a file lies, and who could have put it there.

/// Classes of places, by who may write there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PathClass {
    /// `System32`, `SysWOW64`, `WinSxS`: written by the operating system.
    System,
    /// `Program Files`: written by installers.
    ProgramFiles,
    /// Folders below `Windows` that any user may write to.
    WindowsWritable,
    /// The rest of `Windows`.
    Windows,
    /// `ProgramData`.
    ProgramData,
    /// `Users\Public`.
    Public,
    /// A user's profile.
    Profile,
    /// A share.
    Share,
    /// Anywhere else.
    Other,
}

impl PathClass {
    /// An ordinary user can write there.
    #[must_use]
    pub const fn is_user_writable(self) -> bool {
        matches!(self, Self::WindowsWritable | Self::Public | Self::Profile)
    }

    /// The class in a sentence.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::System => "a system folder",
            Self::ProgramFiles => "Program Files",
            Self::WindowsWritable => "a user-writable folder below Windows",
            Self::Windows => "the Windows folder",
            Self::ProgramData => "ProgramData",
            Self::Public => "the public profile",
            Self::Profile => "a user's profile",
            Self::Share => "a share",
            Self::Other => "an unusual place",
        }
    }
}

/// The file name at the end of a Windows path, lower-cased.
#[must_use]
pub fn base_name(path: &str) -> String {
    path.trim_matches('"').rsplit(['\\', '/']).next().unwrap_or(path).to_lowercase()
}

/// Two spellings may be of one file, whatever leads to it: `\\?\`, a share, a device, a link. So the name decides, with
/// or without a stream behind it; of a short name (`ABCDEF~1.PS1`) nothing is left of the long one but its ending.
#[must_use]
pub fn may_be_the_same_file(one: &str, other: &str) -> bool {
    let (one, other) = (base_name(one), base_name(other));
    let ending = |name: &str| name.rsplit_once('.').map(|(_, ending)| ending.chars().take(3).collect::<String>());
    let is_short_for = |short: &str, long: &str| {
        let (name, stream) = short.split_once(':').unwrap_or((short, ""));
        name.contains('~') && (ending(name) == ending(long) || !stream.is_empty())
    };
    let begins = |longer: &str, shorter: &str| !shorter.is_empty() && longer.starts_with(shorter);
    begins(&one, &other) || begins(&other, &one) || is_short_for(&one, &other) || is_short_for(&other, &one)
}

/// The class of a path. `..` is never resolved: such a path is unusual by itself.
#[must_use]
pub fn class(path: &str) -> PathClass {
    let folded = path.trim_matches('"').to_lowercase().replace('/', "\\");
    let folded = folded.strip_prefix("\\\\?\\").unwrap_or(&folded);
    if folded.contains("..") {
        return PathClass::Other;
    }
    if folded.starts_with("\\\\") {
        return PathClass::Share;
    }
    let Some(rest) = folded.get(1..).and_then(|rest| rest.strip_prefix(":\\")) else { return PathClass::Other };
    let within = |folder: &str| rest.strip_prefix(folder).is_some_and(|rest| rest.starts_with('\\'));
    let writable = [
        "windows\\temp",
        "windows\\systemtemp",
        "windows\\tasks",
        "windows\\tracing",
        "windows\\system32\\tasks",
        "windows\\system32\\spool\\drivers\\color",
    ];
    if writable.iter().any(|folder| within(folder)) {
        PathClass::WindowsWritable
    } else if ["windows\\system32", "windows\\syswow64", "windows\\winsxs"].iter().any(|folder| within(folder)) {
        PathClass::System
    } else if within("windows") {
        PathClass::Windows
    } else if within("program files") || within("program files (x86)") {
        PathClass::ProgramFiles
    } else if within("programdata") {
        PathClass::ProgramData
    } else if within("users\\public") {
        PathClass::Public
    } else if within("users") {
        PathClass::Profile
    } else {
        PathClass::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_apart() {
        let cases = [
            ("C:\\Windows\\System32\\cmd.exe", PathClass::System),
            ("c:\\windows\\system32\\spool\\drivers\\color\\x.exe", PathClass::WindowsWritable),
            ("C:\\Windows\\Temp\\x.exe", PathClass::WindowsWritable),
            ("C:\\Windows\\explorer.exe", PathClass::Windows),
            ("C:\\Windows\\System32\\..\\Temp\\x.exe", PathClass::Other),
            ("C:\\Program Files (x86)\\A\\b.exe", PathClass::ProgramFiles),
            ("C:\\ProgramFiles\\b.exe", PathClass::Other),
            ("C:\\Users\\Public\\b.exe", PathClass::Public),
            ("C:\\Users\\me\\AppData\\b.exe", PathClass::Profile),
            ("\\\\server\\share\\b.exe", PathClass::Share),
            ("b.exe", PathClass::Other),
            ("", PathClass::Other),
            ("é:\\x", PathClass::Other),
        ];
        for (path, expected) in cases {
            assert_eq!(class(path), expected, "{path}");
        }
        assert_eq!(base_name("\"C:\\A\\B.EXE\""), "b.exe");
    }

    #[test]
    fn one_file_has_many_spellings() {
        let file = "C:\\ProgramData\\Vendor Tools\\Run\\0a1b-2c3d.ps1";
        for same in [
            "c:\\programdata\\vendor tools\\run\\0A1B-2C3D.PS1",
            "\\\\?\\C:\\ProgramData\\Vendor Tools\\Run\\0a1b-2c3d.ps1",
            "\\\\localhost\\c$\\ProgramData\\Vendor Tools\\Run\\0a1b-2c3d.ps1",
            "\\\\127.0.0.1\\C$\\ProgramData\\Vendor Tools\\Run\\0a1b-2c3d.ps1",
            "C:\\PROGRA~3\\VENDOR~1\\Run\\0a1b-2c3d.ps1",
            "C:\\PROGRA~3\\VENDOR~1\\Run\\0A1B-2~1.PS1",
            "\\Device\\HarddiskVolume3\\ProgramData\\Vendor Tools\\Run\\0a1b-2c3d.ps1",
            "C:/ProgramData/Vendor Tools/Run/0a1b-2c3d.ps1",
            "C:\\ProgramData\\Vendor Tools\\Run\\0a1b-2c3d.ps1::$DATA",
            "C:\\ProgramData\\Vendor Tools\\Run\\0A1B-2~1.PS1::$DATA",
            "C:\\ProgramData\\Vendor Tools\\Run\\0a1b-2c3d.ps1. .",
        ] {
            assert!(may_be_the_same_file(same, file) && may_be_the_same_file(file, same), "{same}");
        }
        for other in ["C:\\ProgramData\\Vendor Tools\\Run\\other.ps1", "C:\\Users\\a\\~$letter.docx", "", "C:\\a~1.tmp"]
        {
            assert!(!may_be_the_same_file(other, file), "{other}");
        }
    }
}
