//! What a handle's access mask allows: the bits of `GrantedAccess` that matter for reading another process.

/// `PROCESS_VM_READ`: the bit without which no secret is read (Windows SDK, process access rights).
const VM_READ: u32 = 0x0010;

/// What changes nothing in the other process: `PROCESS_TERMINATE`, `VM_READ`, `QUERY_INFORMATION`,
/// `QUERY_LIMITED_INFORMATION`, `READ_CONTROL` and `SYNCHRONIZE`.
const ONLY_LOOKS: u32 = 0x0001 | VM_READ | 0x0400 | 0x1000 | 0x0002_0000 | 0x0010_0000;

/// Parses Sysmon's `GrantedAccess`, such as `0x1410`.
#[must_use]
pub fn parse(text: &str) -> Option<u32> {
    let digits = text.trim().strip_prefix("0x").or_else(|| text.trim().strip_prefix("0X"))?;
    u32::from_str_radix(digits, 16).ok()
}

/// The handle may read the other process' memory.
#[must_use]
pub fn reads_memory(text: &str) -> bool {
    parse(text).is_some_and(|mask| mask & VM_READ != 0)
}

/// The handle may change what runs in the other process: write to it, start threads in it, stop or suspend them, copy
/// its handles, or widen what it allows. A mask that cannot be read may allow anything.
#[must_use]
pub fn may_change(text: &str) -> bool {
    parse(text).is_none_or(|mask| mask & !ONLY_LOOKS != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_read_bit_decides() {
        for reads in ["0x1010", "0x1410", "0x1fffff", "0x1F3FFF"] {
            assert!(reads_memory(reads), "{reads}");
        }
        for harmless in ["0x1000", "0x1400", "0x40", "garbage", ""] {
            assert!(!reads_memory(harmless), "{harmless}");
        }
    }

    #[test]
    fn a_mask_that_does_more_than_look_changes() {
        for changes in ["0x1fffff", "0x20", "0x143a", "0x40", "0x1478", "0x800", "0x40000", "garbage", ""] {
            assert!(may_change(changes), "{changes}");
        }
        for looks in ["0x1000", "0x1410", "0x101000", "0x1", "0x0"] {
            assert!(!may_change(looks), "{looks}");
        }
    }
}
