//! What the operator of a world does and sees.

use super::*;
use crate::model::{Policy, Share};

impl World {
    pub(in crate::core::tests) fn command(&mut self, command: Command) -> RequestId {
        let request = RequestId(self.number());
        let by = self.origin.clone();
        self.feed(Input::Operator { request, by, command });
        request
    }

    pub(in crate::core::tests) fn add(&mut self, binding: &str, weight: Weight) -> RequestId {
        self.command(Command::Add { key: key(binding), weight, server_id: None })
    }

    pub(in crate::core::tests) fn remove(&mut self, binding: &str) -> RequestId {
        self.command(Command::Remove {
            key: key(binding),
            force: false,
            deadline: None,
            wait: false,
        })
    }

    pub(in crate::core::tests) fn force(&mut self, binding: &str) -> RequestId {
        self.command(Command::Remove {
            key: key(binding),
            force: true,
            deadline: None,
            wait: false,
        })
    }

    pub(in crate::core::tests) fn weight(&mut self, binding: &str, weight: Weight) -> RequestId {
        self.command(Command::SetWeight { key: key(binding), weight })
    }

    pub(in crate::core::tests) fn drop_share(
        &mut self,
        service: &str,
        class: Option<&str>,
        percent: f64,
    ) -> RequestId {
        let policy = Policy { refuse: Share::from_percent(percent).unwrap(), ..Policy::default() };
        self.command(Command::Drop { service: name(service), class: class.map(name), policy })
    }

    /// State as the operator sees it; `gone` when it is not shown.
    pub(in crate::core::tests) fn state(&self, binding: &str) -> &'static str {
        let key = key(binding);
        let views = self.core.backends(Some(&key.service), self.now);
        views.iter().find(|view| view.backend == key.backend).map_or("gone", |view| view.state)
    }

    pub(in crate::core::tests) fn view(&self, binding: &str) -> BackendView {
        let key = key(binding);
        let views = self.core.backends(Some(&key.service), self.now);
        views.into_iter().find(|view| view.backend == key.backend).expect("a known binding")
    }

    /// The answer to a request, which must have been given.
    pub(in crate::core::tests) fn reply(&self, request: RequestId) -> &Done {
        match self.replies.get(&request) {
            Some(Ok(done)) => done,
            other => panic!("no good answer: {other:?}"),
        }
    }

    pub(in crate::core::tests) fn refusal(&self, request: RequestId) -> &Refusal {
        match self.replies.get(&request) {
            Some(Err(refusal)) => refusal,
            other => panic!("not refused: {other:?}"),
        }
    }
}
