//! Where Windows and programs keep credentials, and what a copy of such a store looks like on disk.

use super::paths::{self, PathClass};

/// A store of credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// The machine's accounts (the SAM and SECURITY hives).
    LocalAccounts,
    /// The domain's accounts (`ntds.dit`).
    Domain,
    /// Memory of LSASS, as a dump.
    Memory,
    /// Master keys of DPAPI.
    MasterKeys,
    /// Passwords and cookies of browsers.
    Browser,
}

impl Store {
    /// The store in a sentence.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::LocalAccounts => "the machine's account database",
            Self::Domain => "the domain's account database",
            Self::Memory => "the memory of LSASS",
            Self::MasterKeys => "DPAPI master keys",
            Self::Browser => "a browser's passwords",
        }
    }
}

/// The store that a newly written file is a copy of, by its name and place: the store's own files are none.
#[must_use]
pub fn copy_written(file: &str) -> Option<Store> {
    let (name, folded) = (paths::base_name(file), file.to_lowercase());
    let stem = name.split('.').next().unwrap_or(&name);
    let elsewhere = !folded.contains("\\windows\\system32\\config\\") && !folded.contains("\\windows\\ntds\\");
    if name == "ntds.dit" && elsewhere {
        return Some(Store::Domain);
    }
    if name.contains("lsass") && (name.ends_with(".dmp") || name.ends_with(".dump") || name.ends_with(".mdmp")) {
        return Some(Store::Memory);
    }
    let is_hive = matches!(stem, "sam" | "security")
        && matches!(name.rsplit_once('.'), None | Some((_, "hive" | "hiv" | "save" | "bak" | "reg")));
    // `sam` without an ending is a plain word; a whole path to a place where nobody keeps files makes it a hive.
    let class = paths::class(file);
    let odd =
        class.is_user_writable() || matches!(class, PathClass::ProgramData | PathClass::Windows | PathClass::Share);
    (is_hive && elsewhere && odd).then_some(Store::LocalAccounts)
}

/// The store that a file which was opened belongs to.
#[must_use]
pub fn of(file: &str) -> Option<Store> {
    let folded = file.to_lowercase();
    let within = |part: &str| folded.contains(part);
    if within("\\microsoft\\protect\\s-1-5-") {
        Some(Store::MasterKeys)
    } else if within("\\login data") || within("\\logins.json") || within("\\key4.db") {
        Some(Store::Browser)
    } else if within("\\config\\sam") || within("\\config\\security") {
        Some(Store::LocalAccounts)
    } else if within("\\ntds.dit") {
        Some(Store::Domain)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_told_from_the_store_itself() {
        assert_eq!(copy_written("C:\\Windows\\Temp\\Active Directory\\ntds.dit"), Some(Store::Domain));
        assert_eq!(copy_written("C:\\Windows\\NTDS\\ntds.dit"), None);
        assert_eq!(copy_written("C:\\Users\\Public\\SAM"), Some(Store::LocalAccounts));
        assert_eq!(copy_written("C:\\Users\\Public\\security.hive"), Some(Store::LocalAccounts));
        assert_eq!(copy_written("C:\\Windows\\System32\\config\\SAM"), None);
        assert_eq!(copy_written("D:\\letters\\sam.docx"), None);
        assert_eq!(copy_written("C:\\Users\\a\\AppData\\Local\\Temp\\lsass.DMP"), Some(Store::Memory));
        assert_eq!(
            of("C:\\Users\\a\\AppData\\Local\\Google\\Chrome\\User Data\\Default\\Login Data"),
            Some(Store::Browser)
        );
    }
}
