//! What a delta touched, and what was there before: enough to take it back,
//! and to see what the tables have to follow.

use std::collections::BTreeMap;

use imbl::OrdMap;

use super::bindings_of;
use crate::model::{
    Binding, BindingKey, Change, ClassSpec, Name, Policy, ServiceSpec, StateError, SwitchState,
};

/// The values from before a delta, of everything it touched; `None` for what
/// was not there.
#[derive(Debug, Default)]
pub(super) struct Touched {
    pub services: BTreeMap<Name, Option<ServiceSpec>>,
    pub bindings: BTreeMap<BindingKey, Option<Binding>>,
    pub policies: BTreeMap<(Name, Name), Option<Policy>>,
    /// `Some` when the classes were replaced.
    pub classes: Option<Vec<ClassSpec>>,
}

impl Touched {
    /// Takes all `changes`, or none of them.
    ///
    /// # Errors
    /// Of the first change that does not fit.
    pub(super) fn by(state: &mut SwitchState, changes: &[Change]) -> Result<Self, StateError> {
        let mut touched = Self::default();
        for change in changes {
            touched.note(state, change);
            if let Err(error) = state.apply(change) {
                touched.take_back(state);
                return Err(error);
            }
        }
        Ok(touched)
    }

    /// Brings `state` back to what it was.
    pub(super) fn take_back(self, state: &mut SwitchState) {
        fn restore<K: Ord + Clone, V: Clone>(map: &mut OrdMap<K, V>, old: BTreeMap<K, Option<V>>) {
            for (key, value) in old {
                match value {
                    Some(value) => map.insert(key, value),
                    None => map.remove(&key),
                };
            }
        }
        restore(&mut state.services, self.services);
        restore(&mut state.bindings, self.bindings);
        restore(&mut state.policies, self.policies);
        if let Some(classes) = self.classes {
            state.classes = classes;
        }
    }

    /// Remembers what `change` is about to touch, unless an earlier change of
    /// the same delta has touched it.
    fn note(&mut self, state: &SwitchState, change: &Change) {
        match change {
            Change::PutService(spec) => self.note_service(state, &spec.name),
            Change::DeleteService(name) => {
                self.note_service(state, name);
                for (key, _) in bindings_of(state, name) {
                    self.note_binding(state, key);
                }
                for key in state.policies.keys().filter(|(service, _)| service == name) {
                    self.note_policy(state, key);
                }
            }
            Change::PutBinding(key, _) | Change::DeleteBinding(key) => {
                self.note_binding(state, key);
            }
            Change::PutPolicy { service, class, .. } => {
                self.note_policy(state, &(service.clone(), class.clone()));
            }
            Change::PutClasses(_) => {
                self.classes.get_or_insert_with(|| state.classes.clone());
                for key in state.policies.keys() {
                    self.note_policy(state, key);
                }
            }
        }
    }

    fn note_service(&mut self, state: &SwitchState, name: &Name) {
        let old = || state.services.get(name).cloned();
        self.services.entry(name.clone()).or_insert_with(old);
    }

    fn note_binding(&mut self, state: &SwitchState, key: &BindingKey) {
        let old = || state.bindings.get(key).copied();
        self.bindings.entry(key.clone()).or_insert_with(old);
    }

    fn note_policy(&mut self, state: &SwitchState, key: &(Name, Name)) {
        let old = || state.policies.get(key).copied();
        self.policies.entry(key.clone()).or_insert_with(old);
    }
}
