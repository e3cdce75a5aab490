//! The connections of a listener: how many there may be, and which one gives way when there is no place left.
//!
//! Whoever connects and says nothing holds a place that a sender may need, and nobody knows yet who it is. So when all
//! places are taken, the connection that has been silent longest is closed. A request at work is never cut off by it; a
//! sender that was merely idle connects again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};

/// Connections at a time; more wait to be accepted.
const MOST: u32 = 512;

/// How long the last requests may take when the floor stops.
const LAST_REQUESTS: Duration = Duration::from_secs(5);

/// The connections of a listener, whichever actor accepted them.
#[derive(Clone)]
pub struct Connections {
    free: Arc<Semaphore>,
    closing: watch::Sender<bool>,
    silent: Arc<Silent>,
}

/// Connections that wait for a request's head.
#[derive(Default)]
struct Silent {
    waiting: Mutex<Waiting>,
    /// One has fallen silent.
    fell_silent: Notify,
}

#[derive(Default)]
struct Waiting {
    next: u64,
    /// In the order in which they fell silent.
    connections: BTreeMap<u64, Arc<Notify>>,
}

impl Silent {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Nothing can panic while it is held.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the one that has been silent longest to close. Says whether there is one.
    fn dismiss(&self) -> bool {
        let longest = self.waiting().connections.pop_first();
        longest.is_some_and(|(_, dismissed)| {
            dismissed.notify_one();
            true
        })
    }
}

impl Default for Connections {
    fn default() -> Self {
        Self::at_most(MOST)
    }
}

impl Connections {
    fn at_most(most: u32) -> Self {
        let free = Arc::new(Semaphore::new(most as usize));
        Self { free, closing: watch::Sender::new(false), silent: Arc::default() }
    }

    /// A place for a connection. Where none is free, the connection that has been silent longest makes room.
    pub async fn place(&self) -> Place {
        let permit = loop {
            // The semaphore is never closed: an error here means that no place is free.
            if let Ok(permit) = self.free.clone().try_acquire_owned() {
                break permit;
            }
            let fell_silent = self.silent.fell_silent.notified();
            let given_back = async { self.free.clone().acquire_owned().await.ok() };
            if self.silent.dismiss() {
                if let Some(permit) = given_back.await {
                    break permit;
                }
            } else {
                // All are at work.
                tokio::select! {
                    permit = given_back => if let Some(permit) = permit { break permit },
                    () = fell_silent => {}
                }
            }
        };
        Place {
            dismissed: Arc::default(),
            silent_since: Mutex::default(),
            silent: self.silent.clone(),
            closing: self.closing.subscribe(),
            _permit: permit,
        }
    }

    /// Waits until no more connections are to be accepted.
    pub async fn closed(&self) {
        closed(self.closing.subscribe()).await;
    }

    /// Accepts no more, lets the requests at work end, and closes. Waits a short while for them.
    pub async fn close(&self) {
        self.closing.send_replace(true);
        let all = self.free.acquire_many(MOST);
        if tokio::time::timeout(LAST_REQUESTS, all).await.is_err() {
            tracing::warn!("requests are cut off: they are sent again, since nobody acknowledged them");
        }
    }
}

async fn closed(mut closing: watch::Receiver<bool>) {
    let _ = closing.wait_for(|closing| *closing).await;
}

/// A connection's place. It is free again when it is dropped.
pub struct Place {
    dismissed: Arc<Notify>,
    /// Where it stands among those that are silent; `None` while a request is at work.
    silent_since: Mutex<Option<u64>>,
    silent: Arc<Silent>,
    closing: watch::Receiver<bool>,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    /// A request's head has come: it is not silent until the request is answered.
    pub fn speaks(&self) {
        if let Some(number) = self.silent_since().take() {
            self.silent.waiting().connections.remove(&number);
        }
    }

    /// It waits for a request's head from now on.
    pub fn falls_silent(&self) {
        self.speaks();
        let mut waiting = self.silent.waiting();
        let number = waiting.next;
        waiting.next += 1;
        waiting.connections.insert(number, self.dismissed.clone());
        drop(waiting);
        *self.silent_since() = Some(number);
        self.silent.fell_silent.notify_one();
    }

    /// No request is at work.
    pub fn is_silent(&self) -> bool {
        self.silent_since().is_some()
    }

    /// Waits until it has to end, with the request at work: it makes room for another, or all are closed.
    pub async fn ends(&self) {
        tokio::select! {
            () = self.dismissed.notified() => {}
            () = closed(self.closing.clone()) => {}
        }
    }

    fn silent_since(&self) -> MutexGuard<'_, Option<u64>> {
        self.silent_since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.speaks();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    async fn silent(connections: &Connections) -> Place {
        let place = connections.place().await;
        place.falls_silent();
        place
    }

    fn has_to_end(place: &Place) -> bool {
        place.ends().now_or_never().is_some()
    }

    #[tokio::test]
    async fn the_connection_that_has_been_silent_longest_makes_room() {
        let connections = Connections::at_most(3);
        let (first, second, third) =
            (silent(&connections).await, silent(&connections).await, silent(&connections).await);
        first.speaks();
        first.falls_silent();
        let mut next = std::pin::pin!(connections.place());
        assert!(next.as_mut().now_or_never().is_none(), "no place is free yet");
        assert!(has_to_end(&second) && !has_to_end(&first) && !has_to_end(&third));
        drop(second);
        next.await;
    }

    #[tokio::test]
    async fn a_request_at_work_keeps_its_place() {
        let connections = Connections::at_most(1);
        let only = silent(&connections).await;
        only.speaks();
        let mut next = std::pin::pin!(connections.place());
        assert!(next.as_mut().now_or_never().is_none());
        assert!(!has_to_end(&only) && !only.is_silent());
        only.falls_silent();
        assert!(next.as_mut().now_or_never().is_none());
        assert!(has_to_end(&only) && only.is_silent(), "once it is answered it makes room");
        drop(only);
        next.await;
    }
}
