//! What is hidden in a text: base64 in UTF-16 or UTF-8, compressed or not, one layer inside another.

use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use flate2::read::{DeflateDecoder, GzDecoder};

/// Most texts that are unwrapped, the outermost included.
const MOST_LAYERS: usize = 16;

/// How deep one lies inside another.
const DEEPEST: usize = 6;

/// Shortest run of base64 that is worth decoding, in characters.
const SHORTEST_ENCODED: usize = 24;

/// Most bytes that a compressed layer may become.
const MOST_BYTES: u64 = 1 << 20;

/// A text and everything that could be unwrapped from it, outermost first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layers {
    /// The texts.
    pub texts: Vec<String>,
    /// How deep the innermost lies: 1 if nothing was hidden.
    pub depth: usize,
}

/// Unwraps a text. Every run of base64 is looked at, not only the longest: a harmless one beside it hides nothing.
#[must_use]
pub fn layers(text: &str) -> Layers {
    let mut texts = vec![text.to_owned()];
    let (mut first, mut depth) = (0, 1);
    while depth <= DEEPEST {
        let end = texts.len();
        for at in first..end {
            let room = MOST_LAYERS.saturating_sub(texts.len());
            let inner: Vec<String> = hidden_in(&texts[at], room);
            texts.extend(inner);
        }
        if texts.len() == end {
            break;
        }
        (first, depth) = (end, depth + 1);
    }
    Layers { texts, depth }
}

/// The readable texts behind the runs of base64, the longest runs first.
fn hidden_in(text: &str, most: usize) -> Vec<String> {
    let of_base64 = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
    let mut runs: Vec<&str> = text.split(|c| !of_base64(c)).filter(|run| run.len() >= SHORTEST_ENCODED).collect();
    runs.sort_by_key(|run| std::cmp::Reverse(run.len()));
    runs.into_iter().filter_map(decoded).take(most).collect()
}

fn decoded(run: &str) -> Option<String> {
    let run = run.trim_end_matches('=');
    let whole = &run[..run.len() - usize::from(run.len() % 4 == 1)];
    let bytes = STANDARD_NO_PAD.decode(whole).ok()?;
    readable(&bytes).or_else(|| readable(&unpacked(&bytes)?))
}

/// Compressed bytes, as far as they unfold.
fn unpacked(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let read = match bytes.starts_with(&[0x1f, 0x8b]) {
        true => GzDecoder::new(bytes).take(MOST_BYTES).read_to_end(&mut out),
        false => DeflateDecoder::new(bytes).take(MOST_BYTES).read_to_end(&mut out),
    };
    // What came before an error is still what was hidden.
    (read.is_ok() || !out.is_empty()).then_some(out)
}

fn readable(bytes: &[u8]) -> Option<String> {
    let wide: Vec<u16> = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    let candidates = [String::from_utf16(&wide).ok(), String::from_utf8(bytes.to_vec()).ok()];
    candidates.into_iter().flatten().find(|text| is_readable(text))
}

fn is_readable(text: &str) -> bool {
    let total = text.chars().count();
    let plain = text.chars().filter(|c| c.is_ascii_graphic() || matches!(c, ' ' | '\n' | '\r' | '\t')).count();
    total >= 8 && plain * 10 >= total * 9
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use base64::engine::general_purpose::STANDARD;
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder};

    use super::*;

    #[test]
    fn a_longer_harmless_run_hides_no_other() {
        let secret = STANDARD.encode("IEX (New-Object Net.WebClient)");
        let noise = STANDARD.encode("a long and harmless text that is only there to be longer than the other one");
        let found = layers(&format!("powershell {noise} {secret}"));
        assert!(found.texts.iter().any(|text| text.contains("Net.WebClient")), "{found:?}");
        assert_eq!(found.depth, 2);
    }

    #[test]
    fn compressed_layers_are_unfolded() {
        let text = b"$a = 'something that is run in memory'; $a".repeat(4);
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(&text).expect("it is packed");
        let mut deflate = DeflateEncoder::new(Vec::new(), Compression::default());
        deflate.write_all(&text).expect("it is packed");
        for packed in [gzip.finish().expect("whole"), deflate.finish().expect("whole")] {
            let found = layers(&format!("[Convert]::FromBase64String('{}')", STANDARD.encode(packed)));
            assert!(found.texts.iter().any(|text| text.contains("run in memory")), "{found:?}");
        }
    }

    #[test]
    fn anything_can_be_unwrapped_in_no_time() {
        let begun = std::time::Instant::now();
        for part in ["QUJD", "H4sI", "=", "a b"] {
            assert!(layers(&part.repeat(50_000)).texts.len() <= MOST_LAYERS);
        }
        assert!(begun.elapsed().as_secs() < 10);
    }
}
