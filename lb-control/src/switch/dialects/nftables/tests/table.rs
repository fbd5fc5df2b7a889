//! A table that does as messages say, and minds what the kernel minds: nothing is
//! named before it is there, nothing goes while it is named.

use std::collections::BTreeMap;

use super::super::{
    attribute::{Attribute, all, find, need, text_of},
    dump::{Dump, read_element},
    expression::Verdict,
    link::Message,
    ruleset::{Data, Elements},
    uapi::*,
};

#[derive(Default)]
pub(super) struct Table {
    label: String,
    chains: BTreeMap<String, Vec<u8>>,
    rules: BTreeMap<String, Vec<Vec<u8>>>,
    sets: BTreeMap<String, (Vec<u8>, Elements)>,
}

impl Table {
    pub(super) fn labelled(label: &str) -> Self {
        Self { label: label.to_owned(), ..Self::default() }
    }

    pub(super) fn dump(&self) -> Dump {
        Dump {
            handle: 1,
            dormant: false,
            comment: Some(self.label.clone()),
            chains: self.chains.clone(),
            rules: self.rules.clone(),
            sets: self.sets.clone(),
        }
    }

    pub(super) fn obey(&mut self, steps: &[Message]) {
        steps.iter().for_each(|step| self.step(step.kind, &step.attributes));
    }

    fn step(&mut self, kind: u16, attributes: &[Attribute]) {
        let mut bytes = Vec::new();
        attributes.iter().for_each(|attribute| attribute.write(&mut bytes));
        let name = |kind| text_of(need(&bytes, kind).unwrap()).unwrap().to_owned();
        match kind {
            NEWCHAIN => {
                self.rules.entry(name(CHAIN_NAME)).or_default();
                assert!(self.chains.insert(name(CHAIN_NAME), bytes).is_none());
            }
            NEWSET => {
                let new = self.sets.insert(name(SET_NAME), (bytes, Elements::new()));
                assert!(new.is_none());
            }
            NEWRULE => {
                let named = all(need(&bytes, RULE_EXPRESSIONS).unwrap()).unwrap();
                named.iter().for_each(|(_, expression)| self.mind(expression));
                self.rules.get_mut(&name(RULE_CHAIN)).unwrap().push(bytes);
            }
            DELRULE => self.rules.get_mut(&name(RULE_CHAIN)).unwrap().clear(),
            NEWSETELEM | DELSETELEM => {
                let chains = &self.chains;
                let (_, elements) = self.sets.get_mut(&name(ELEMENTS_SET)).unwrap();
                for (_, element) in all(need(&bytes, ELEMENTS).unwrap()).unwrap() {
                    let (key, data) = read_element(element).unwrap();
                    if let Some(Data::Verdict(Verdict::Goto(chain))) = &data {
                        assert!(chains.contains_key(chain), "no chain {chain}");
                    }
                    if kind == NEWSETELEM {
                        assert!(elements.insert(key, data).is_none());
                    } else {
                        assert!(elements.remove(&key).is_some());
                    }
                }
            }
            DELSET => {
                let name = name(SET_NAME);
                let mut rules = self.rules.values().flatten();
                assert!(!rules.any(|rule| names(rule, &name)), "{name} is in use");
                assert!(self.sets.remove(&name).is_some());
            }
            DELCHAIN => {
                let name = name(CHAIN_NAME);
                let goto = Some(Data::Verdict(Verdict::Goto(name.clone())));
                let mut data = self.sets.values().flat_map(|(_, elements)| elements.values());
                assert!(!data.any(|data| *data == goto), "{name} is in use");
                assert_eq!(self.rules.remove(&name), Some(Vec::new()));
                assert!(self.chains.remove(&name).is_some());
            }
            other => panic!("message {other}"),
        }
    }

    /// What an expression names must be there.
    fn mind(&self, expression: &[u8]) {
        let name = text_of(need(expression, EXPR_NAME).unwrap()).unwrap();
        let data = need(expression, EXPR_DATA).unwrap();
        match name {
            "lookup" => {
                let set = text_of(need(data, LOOKUP_SET).unwrap()).unwrap();
                assert!(self.sets.contains_key(set), "no set {set}");
            }
            "immediate" => {
                let verdict = need(need(data, IMMEDIATE_DATA).unwrap(), DATA_VERDICT).unwrap();
                if let Some(chain) = find(verdict, VERDICT_CHAIN).unwrap() {
                    let chain = text_of(chain).unwrap();
                    assert!(self.chains.contains_key(chain), "no chain {chain}");
                }
            }
            _ => {}
        }
    }
}

/// Whether a rule looks something up in a set.
fn names(rule: &[u8], set: &str) -> bool {
    let expressions = all(need(rule, RULE_EXPRESSIONS).unwrap()).unwrap();
    expressions.iter().any(|(_, expression)| {
        text_of(need(expression, EXPR_NAME).unwrap()) == Ok("lookup")
            && need(need(expression, EXPR_DATA).unwrap(), LOOKUP_SET).and_then(text_of) == Ok(set)
    })
}
