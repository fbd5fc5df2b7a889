//! What is known of one bind on this host, for the next heartbeat.

use super::check::Health;
use crate::model::{Application, Availability, Weight};

/// The last word of each of those who may speak of a bind.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Word {
    /// The local health check's.
    pub(super) health: Health,
    /// The application's own, by the agent's sockets.
    said: Said,
    /// Its answers to the agent check.
    answered: Said,
    /// Grows when results of checks until now count no more.
    verification: u64,
}

/// What an application says. What it leaves out stays as it was.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Said {
    pub(super) availability: Availability,
    pub(super) weight: Option<Weight>,
    /// Of its weight; None: all.
    pub(super) percent: Option<u32>,
    pub(super) load: Option<f64>,
}

/// Whose word changes.
#[derive(Clone, Copy, Debug)]
pub(super) enum By {
    Application,
    AgentCheck,
}

impl Word {
    /// A bind whose application is expected to say when it is ready.
    pub(super) fn awaiting() -> Self {
        let cause = "it has not said yet that it is ready".to_owned();
        let said = Said { availability: Availability::Drain { cause }, ..Said::default() };
        Self { said, ..Self::default() }
    }

    /// Changes what one of them says. An application that had failed or left,
    /// and has no more, is checked from the beginning.
    pub(super) fn say(&mut self, by: By, change: impl FnOnce(&mut Said)) {
        let was_out = is_out(self.availability());
        change(match by {
            By::Application => &mut self.said,
            By::AgentCheck => &mut self.answered,
        });
        if was_out && !is_out(self.availability()) {
            self.verification += 1;
            self.health = Health::unchecked();
        }
    }

    pub(super) fn verification(&self) -> u64 {
        self.verification
    }

    /// What the application itself said last.
    pub(super) fn said(&self) -> &Said {
        &self.said
    }

    /// The worse of what they say.
    fn availability(&self) -> &Availability {
        let rank = |availability: &&Availability| match availability {
            Availability::Ready => 0,
            Availability::Drain { .. } => 1,
            Availability::Leave { .. } => 2,
            Availability::Failed { .. } => 3,
        };
        let [said, answered] = [&self.said.availability, &self.answered.availability];
        if rank(&answered) > rank(&said) { answered } else { said }
    }

    /// All of it, as the manager is told.
    pub(super) fn application(&self) -> Application {
        let percent = |said: &Said| u64::from(said.percent.unwrap_or(100));
        let percent = percent(&self.said) * percent(&self.answered) / 100;
        Application {
            availability: self.availability().clone(),
            weight: self.said.weight,
            percent: u32::try_from(percent).unwrap_or(u32::MAX).min(Application::MOST_PERCENT),
        }
    }

    /// The application's number, where it gives one.
    pub(super) fn load(&self) -> Option<f64> {
        self.said.load
    }
}

fn is_out(availability: &Availability) -> bool {
    matches!(availability, Availability::Leave { .. } | Availability::Failed { .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(availability: Availability) -> impl FnOnce(&mut Said) {
        move |said| said.availability = availability
    }

    #[test]
    fn the_worse_word_counts_and_shares_multiply() {
        let mut word = Word::default();
        let drain = Availability::Drain { cause: "maint".to_owned() };
        let failed = Availability::Failed { cause: "disk".to_owned() };
        word.say(By::AgentCheck, set(drain.clone()));
        assert_eq!(word.application().availability, drain);
        word.say(By::Application, set(failed.clone()));
        assert_eq!(word.application().availability, failed);
        word.say(By::Application, |said| said.percent = Some(50));
        word.say(By::AgentCheck, |said| said.percent = Some(30));
        assert_eq!(word.application().percent, 15);
        word.say(By::AgentCheck, |said| said.percent = Some(u32::MAX));
        assert_eq!(word.application().percent, Application::MOST_PERCENT);
    }

    #[test]
    fn an_application_that_comes_back_is_checked_anew() {
        let mut word =
            Word { health: Health { healthy: true, cause: String::new() }, ..Word::default() };
        word.say(By::Application, set(Availability::Drain { cause: String::new() }));
        word.say(By::Application, set(Availability::Ready));
        assert!(word.health.healthy, "it was well all along");
        word.say(By::Application, set(Availability::Failed { cause: "disk".to_owned() }));
        word.say(By::AgentCheck, set(Availability::Failed { cause: "down".to_owned() }));
        word.say(By::Application, set(Availability::Ready));
        assert_eq!((word.health.healthy, word.verification()), (true, 0), "one says failed still");
        word.say(By::AgentCheck, set(Availability::Ready));
        assert_eq!((word.health.healthy, word.verification()), (false, 1));
    }
}
