//! A request's body, read within bounds: of one body, of all bodies held at a time, and of time.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use flate2::read::MultiGzDecoder;
use futures::StreamExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::domain::words::excerpt;

/// The unit in which room is counted, in bytes.
const UNIT: usize = 1024;

/// What is unpacked at a time, in bytes.
const PIECE: usize = 64 * 1024;

/// How much may be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of one body, packed and unpacked.
    pub body: usize,
    /// Bytes of all bodies at a time, packed and unpacked. A request that would need more is sent away for now.
    pub all: usize,
    /// The longest pause within a body.
    pub pause: Duration,
}

impl Default for Bounds {
    /// Logstash sends up to 20 MB at a time, Winlogbeat a tenth of it.
    fn default() -> Self {
        Self { body: 32 << 20, all: 128 << 20, pause: Duration::from_secs(30) }
    }
}

/// The room for bodies.
#[derive(Debug, Clone)]
pub struct Room {
    bounds: Bounds,
    free: Arc<Semaphore>,
}

/// A body that was read. Its room is free again when it is dropped.
#[derive(Debug)]
pub struct Held {
    /// What was sent, unpacked.
    pub text: Vec<u8>,
    _room: OwnedSemaphorePermit,
}

/// Why a body was not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It is larger than any may be.
    #[error("the body has more than {0} bytes: send less at a time")]
    TooLarge(usize),
    /// There is no room for it now.
    #[error("too much is being taken in at the moment: send it again shortly")]
    Full,
    /// It does not come.
    #[error("the body did not arrive in time: send it again")]
    Slow,
    /// It broke off, or cannot be unpacked.
    #[error("the body cannot be read ({0})")]
    Broken(String),
    /// It is packed in an unknown way.
    #[error("Content-Encoding `{0}` is not known: send gzip or plain")]
    Encoding(String),
}

impl Room {
    /// Room within these bounds.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, free: Arc::new(Semaphore::new(bounds.all.div_ceil(UNIT))) }
    }

    /// Reads a body to its end and unpacks it.
    ///
    /// # Errors
    /// See [`BodyError`].
    pub async fn read(&self, body: Body, encoding: Option<&str>) -> Result<Held, BodyError> {
        let is_packed = match encoding.map(str::trim) {
            None | Some("" | "identity") => false,
            Some(packed) if packed.eq_ignore_ascii_case("gzip") => true,
            Some(other) => return Err(BodyError::Encoding(excerpt(other, 40).into_owned())),
        };
        let (mut text, mut room) = (Vec::new(), self.take(PIECE)?);
        let mut pieces = body.into_data_stream();
        loop {
            let next = tokio::time::timeout(self.bounds.pause, pieces.next()).await.map_err(|_| BodyError::Slow)?;
            let Some(piece) = next else { break };
            let piece = piece.map_err(|error| BodyError::Broken(error.to_string()))?;
            if let Err(error) = self.make_room(&mut room, text.len() + piece.len()) {
                drop((text, room));
                self.pass_over(&mut pieces).await;
                return Err(error);
            }
            text.extend_from_slice(&piece);
        }
        if !is_packed {
            return Ok(Held { text, _room: room });
        }
        let own = self.clone();
        let unpacked = tokio::task::spawn_blocking(move || own.unpack(&text));
        unpacked.await.map_err(|_| BodyError::Broken("the floor is ending".into()))?
    }

    /// Reads on without keeping anything, up to another body's length: a sender that is still sending when it is
    /// answered may never see the answer.
    async fn pass_over(&self, pieces: &mut BodyDataStream) {
        let mut passed = 0;
        let passing = async {
            while let Some(Ok(piece)) = pieces.next().await
                && passed <= self.bounds.body
            {
                passed += piece.len();
            }
        };
        let _ = tokio::time::timeout(self.bounds.pause, passing).await;
    }

    fn unpack(&self, packed: &[u8]) -> Result<Held, BodyError> {
        let (mut text, mut room) = (Vec::new(), self.take(PIECE)?);
        let mut unpacking = MultiGzDecoder::new(packed);
        let mut piece = vec![0; PIECE];
        loop {
            match unpacking.read(&mut piece) {
                Ok(0) => return Ok(Held { text, _room: room }),
                Ok(count) => {
                    self.make_room(&mut room, text.len() + count)?;
                    text.extend_from_slice(&piece[..count]);
                }
                Err(error) => return Err(BodyError::Broken(format!("it is no whole gzip: {error}"))),
            }
        }
    }

    /// Sees to it that a body of this length is within its bounds and has its room.
    fn make_room(&self, room: &mut OwnedSemaphorePermit, length: usize) -> Result<(), BodyError> {
        if length > self.bounds.body {
            return Err(BodyError::TooLarge(self.bounds.body));
        }
        let held = room.num_permits() * UNIT;
        if length > held {
            room.merge(self.take((length - held).max(PIECE))?);
        }
        Ok(())
    }

    fn take(&self, bytes: usize) -> Result<OwnedSemaphorePermit, BodyError> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).map_err(|_| BodyError::Full)?;
        self.free.clone().try_acquire_many_owned(units).map_err(|_| BodyError::Full)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    const BOUNDS: Bounds = Bounds { body: 1 << 20, all: 2 << 20, pause: Duration::from_secs(5) };

    fn packed(text: &[u8]) -> Vec<u8> {
        let mut packing = GzEncoder::new(Vec::new(), Compression::best());
        packing.write_all(text).expect("it is packed");
        packing.finish().expect("it is packed")
    }

    async fn read(room: &Room, body: Vec<u8>, encoding: Option<&str>) -> Result<Held, BodyError> {
        room.read(Body::from(body), encoding).await
    }

    #[tokio::test]
    async fn a_body_is_unpacked() {
        let room = Room::new(BOUNDS);
        assert_eq!(read(&room, b"plain".to_vec(), None).await.expect("it is read").text, b"plain");
        let text = vec![b'x'; 300_000];
        assert_eq!(read(&room, packed(&text), Some("gzip")).await.expect("it is read").text, text);
        let refused = read(&room, b"plain".to_vec(), Some("br")).await.expect_err("it is unknown");
        assert_eq!(refused, BodyError::Encoding("br".into()));
        let cut = packed(b"what is cut short is not whole")[..20].to_vec();
        assert!(matches!(read(&room, cut, Some("gzip")).await, Err(BodyError::Broken(_))));
    }

    #[tokio::test]
    async fn neither_a_large_body_nor_a_small_one_that_unpacks_large_is_held() {
        let room = Room::new(BOUNDS);
        let large = vec![0; BOUNDS.body + 1];
        let bomb = packed(&large);
        assert!(bomb.len() < 10_000);
        for (body, encoding) in [(large, None), (bomb, Some("gzip"))] {
            assert_eq!(read(&room, body, encoding).await.err(), Some(BodyError::TooLarge(BOUNDS.body)));
        }
        assert_eq!(room.free.available_permits() * UNIT, BOUNDS.all);
    }

    #[tokio::test]
    async fn what_finds_no_room_is_sent_away_and_finds_it_later() {
        let room = Room::new(BOUNDS);
        let held = [read(&room, vec![0; 1 << 20], None).await, read(&room, vec![0; 900_000], None).await];
        assert!(held.iter().all(Result::is_ok));
        assert_eq!(read(&room, vec![0; 300_000], None).await.err(), Some(BodyError::Full));
        drop(held);
        read(&room, vec![0; 300_000], None).await.expect("there is room again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_not_waited_for() {
        let never = Body::from_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>());
        assert_eq!(Room::new(BOUNDS).read(never, None).await.err(), Some(BodyError::Slow));
    }
}
