//! Known harmless sources of alerts, each recognised only by all of its conditions together.
//!
//! A fingerprint may only lower a score, is void beside strong malicious evidence, and has a counter-test:
//! the look-alike that an adversary would make must not match.

/// What is known of a script run when a fingerprint is tried. `None` is not known.
#[derive(Debug, Clone, Copy, Default)]
pub struct ScriptRun<'a> {
    /// The script's file.
    pub file: Option<&'a str>,
    /// The account that ran it, as the sensor wrote it.
    pub user: Option<&'a str>,
    /// The program that started the interpreter.
    pub parent: Option<&'a str>,
}

/// How well a fingerprint fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// Every condition is met.
    Full,
    /// The place fits; the rest is not known.
    PlaceOnly,
}

/// The inventory scripts that Defender for Endpoint runs from its own folder.
///
/// The folder belongs to SYSTEM. Not covered: the same names elsewhere, a user's account, another parent.
#[must_use]
pub fn defender_data_collection(run: ScriptRun<'_>) -> Option<Fit> {
    let file = run.file?.to_lowercase();
    let folder = ":\\programdata\\microsoft\\windows defender advanced threat protection\\datacollection\\";
    let rest = file.get(1..)?.strip_prefix(folder)?;
    let drive = file.starts_with(|c: char| c.is_ascii_lowercase());
    let parts: Vec<&str> = rest.split('\\').collect();
    let [run_folder, script] = parts.as_slice() else { return None };
    if !drive || run_folder.is_empty() || !script.ends_with(".ps1") || file.contains("..") || file.contains('/') {
        return None;
    }
    let system = run.user.map(|user| user.eq_ignore_ascii_case("NT AUTHORITY\\SYSTEM"));
    let sense = "\\program files\\windows defender advanced threat protection\\senseir.exe";
    let parent = run.parent.map(|parent| parent.to_lowercase().get(2..) == Some(sense));
    match (system, parent) {
        (Some(false), _) | (_, Some(false)) => None,
        (Some(true), Some(true)) => Some(Fit::Full),
        (Some(true) | None, None) | (None, Some(true)) => Some(Fit::PlaceOnly),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str =
        "C:\\ProgramData\\Microsoft\\Windows Defender Advanced Threat Protection\\DataCollection\\1.2.3-abc\\0a1b.ps1";
    const PARENT: &str = "C:\\Program Files\\Windows Defender Advanced Threat Protection\\SenseIR.exe";

    fn fit(file: &str, user: Option<&str>, parent: Option<&str>) -> Option<Fit> {
        defender_data_collection(ScriptRun { file: Some(file), user, parent })
    }

    #[test]
    fn all_conditions_together_are_a_full_fit() {
        assert_eq!(fit(FILE, Some("NT AUTHORITY\\SYSTEM"), Some(PARENT)), Some(Fit::Full));
        assert_eq!(fit(FILE, None, None), Some(Fit::PlaceOnly));
    }

    #[test]
    fn look_alikes_do_not_fit() {
        let folder = "\\Microsoft\\Windows Defender Advanced Threat Protection\\DataCollection";
        let elsewhere = [
            format!("C:\\Users\\Public{folder}\\1\\a.ps1"),
            format!("C:\\ProgramData{folder}\\..\\..\\x\\a.ps1"),
            format!("C:\\ProgramData{folder}\\a.ps1"),
            format!("C:\\ProgramData{folder}\\1\\2\\a.ps1"),
            format!("C:\\ProgramData{folder}\\1\\a.exe"),
        ];
        for file in &elsewhere {
            assert_eq!(fit(file, Some("NT AUTHORITY\\SYSTEM"), Some(PARENT)), None, "{file}");
        }
        assert_eq!(fit(FILE, Some("CORP\\a.user"), Some(PARENT)), None);
        assert_eq!(fit(FILE, Some("NT AUTHORITY\\SYSTEM"), Some("C:\\Users\\Public\\SenseIR.exe")), None);
    }
}
