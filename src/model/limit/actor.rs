//! The actor of a model's limiter: takes the turns of its [`Line`], when something happened and when something is due.

use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::limiter::Line;

/// How often it looks for what no hint told it of.
const TICK: Duration = Duration::from_millis(200);

/// To a limiter.
#[derive(Debug)]
pub enum LimiterMessage {
    /// Something happened, or something is due.
    Look,
}

/// The actor. It keeps nothing that its line does not: started again, it goes on where it was.
///
/// A supervisor starts it with `spawn_linked(line.actor().to_owned(), LimiterActor, line, supervisor)`.
pub struct LimiterActor;

/// The turn that is due next.
#[derive(Default)]
pub struct State {
    line: Option<Arc<Line>>,
    due: Option<(Instant, AbortHandle)>,
}

impl Drop for State {
    fn drop(&mut self) {
        self.forget_due();
    }
}

impl State {
    fn forget_due(&mut self) {
        if let Some((_, timer)) = self.due.take() {
            timer.abort();
        }
    }

    fn take_turn(&mut self, myself: &ActorRef<LimiterMessage>) {
        let next = self.line.as_ref().and_then(|line| line.turn());
        let Some(next) = next else { return self.forget_due() };
        if self.due.as_ref().is_none_or(|(due, timer)| *due != next || timer.is_finished()) {
            self.forget_due();
            let myself = myself.clone();
            let timer = tokio::spawn(async move {
                tokio::time::sleep_until(next).await;
                let _ = myself.cast(LimiterMessage::Look);
            });
            self.due = Some((next, timer.abort_handle()));
        }
    }
}

impl Actor for LimiterActor {
    type Msg = LimiterMessage;
    type State = State;
    type Arguments = Arc<Line>;

    async fn pre_start(&self, _: ActorRef<LimiterMessage>, line: Arc<Line>) -> Result<State, ActorProcessingErr> {
        line.open();
        Ok(State { line: Some(line), due: None })
    }

    async fn post_start(&self, myself: ActorRef<LimiterMessage>, _: &mut State) -> Result<(), ActorProcessingErr> {
        myself.send_interval(TICK, || LimiterMessage::Look);
        Ok(myself.cast(LimiterMessage::Look)?)
    }

    async fn handle(
        &self,
        myself: ActorRef<LimiterMessage>,
        LimiterMessage::Look: LimiterMessage,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        state.take_turn(&myself);
        Ok(())
    }

    /// It was stopped and not broken: nobody waits for a limiter that will not come back.
    async fn post_stop(&self, _: ActorRef<LimiterMessage>, state: &mut State) -> Result<(), ActorProcessingErr> {
        if let Some(line) = &state.line {
            line.close();
        }
        Ok(())
    }
}
