//! What a handle's access mask allows: the bits of `GrantedAccess` that matter for reading another process.

/// `PROCESS_VM_READ`: the bit without which no secret is read (Windows SDK, process access rights).
const VM_READ: u32 = 0x0010;

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
}
