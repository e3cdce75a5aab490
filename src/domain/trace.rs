//! Trace and span ids as the journal keeps them, so that a case's trace survives the process that began it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// W3C trace id: 16 bytes, written as 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct TraceId(pub [u8; 16]);

/// W3C span id: 8 bytes, written as 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct SpanId(pub [u8; 8]);

/// A span within its trace: what a child needs to know of its parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SpanRef {
    /// The trace of one run of a case.
    pub trace: TraceId,
    /// The span itself.
    pub span: SpanId,
}

macro_rules! hex_text {
    ($name:ident, $bytes:literal) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                let digits = text.as_bytes();
                let mut bytes = [0; $bytes];
                if digits.len() != 2 * $bytes || !digits.is_ascii() {
                    return Err(format!("`{text}` is not {} hexadecimal digits", 2 * $bytes));
                }
                for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
                    *byte = std::str::from_utf8(pair)
                        .ok()
                        .and_then(|pair| u8::from_str_radix(pair, 16).ok())
                        .ok_or_else(|| format!("`{text}` is not hexadecimal"))?;
                }
                Ok(Self(bytes))
            }
        }
    };
}

hex_text!(TraceId, 16);
hex_text!(SpanId, 8);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_survive_their_text_form() {
        let span = SpanId([0, 1, 2, 0xab, 4, 5, 6, 0xff]);
        assert_eq!(span.to_string(), "000102ab040506ff");
        assert_eq!(SpanId::try_from(span.to_string()), Ok(span));
        assert!(SpanId::try_from("zz0102ab040506ff".to_owned()).is_err());
    }
}
