//! From one ruleset to another, as messages of one transaction.

use super::{
    attribute::Attribute,
    link::Message,
    ruleset::{Chain, Data, Edge, Rule, Ruleset, Set},
    uapi::*,
};

/// Bytes of elements in one message: the length of an attribute has 16 bits.
const MOST: usize = 32 << 10;

/// What turns `from` into `to`. Names come before what refers to them, and go after.
pub(super) fn delta(table: &str, from: &Ruleset, to: &Ruleset) -> Vec<Message> {
    let mut steps = Vec::new();
    let gone_set = |name: &String, set: &Set| {
        to.sets.get(name).is_none_or(|new| set.intervals && new.elements != set.elements)
    };
    let gone_sets = from.sets.iter().filter(|(name, set)| gone_set(name, set));
    let gone_sets: Vec<_> = gone_sets.map(|(name, _)| name).collect();
    let is_new_set = |name: &String| !from.sets.contains_key(name) || gone_sets.contains(&name);
    let renewed =
        |chain: &Chain| chain.rules.iter().filter_map(|rule| rule.map.as_ref()).any(is_new_set);
    let chains_that_change: Vec<_> = to
        .chains
        .iter()
        .filter(|(name, chain)| from.chains.get(*name) != Some(*chain) || renewed(chain))
        .collect();

    for (name, chain) in to.chains.iter().filter(|(name, _)| !from.chains.contains_key(*name)) {
        let what = format!("add chain {name}");
        steps.push(Message::create(NEWCHAIN, what, chain.attributes(table, name)));
    }
    for (name, set) in from.sets.iter().filter(|(name, _)| !gone_sets.contains(name)) {
        let new = to.sets.get(name).map(|set| &set.elements);
        let gone = |key, data| new.is_none_or(|new| new.get(key) != Some(data));
        let old = set.elements.iter().filter(|(key, data)| gone(key, data));
        let keys = old.map(|(key, _)| element(key, None));
        elements(&mut steps, DELSETELEM, table, name, keys);
    }
    let emptied = from.chains.iter().filter(|(name, _)| {
        !to.chains.contains_key(*name) || chains_that_change.iter().any(|(new, _)| new == name)
    });
    for (name, _) in emptied {
        let chain = [Attribute::text(RULE_TABLE, table), Attribute::text(RULE_CHAIN, name)];
        steps.push(Message::delete(DELRULE, format!("empty chain {name}"), chain));
    }
    for name in &gone_sets {
        let set = [Attribute::text(SET_TABLE, table), Attribute::text(SET_NAME, name)];
        steps.push(Message::delete(DELSET, format!("delete set {name}"), set));
    }
    for name in from.chains.keys().filter(|name| !to.chains.contains_key(*name)) {
        let chain = [Attribute::text(CHAIN_TABLE, table), Attribute::text(CHAIN_NAME, name)];
        steps.push(Message::delete(DELCHAIN, format!("delete chain {name}"), chain));
    }
    let new_sets = to.sets.iter().filter(|(name, _)| is_new_set(name));
    for ((name, set), number) in new_sets.zip(1..) {
        let mut attributes = set.attributes(table, name);
        attributes.push(Attribute::u32(SET_ID, number));
        steps.push(Message::create(NEWSET, format!("add set {name}"), attributes));
    }
    for (name, set) in &to.sets {
        let old = from.sets.get(name).filter(|_| !is_new_set(name)).map(|set| &set.elements);
        let is_new = |key, data| old.is_none_or(|old| old.get(key) != Some(data));
        let new = set.elements.iter().filter(|(key, data)| is_new(key, data));
        let new = new.map(|(key, data)| element(key, data.as_ref()));
        elements(&mut steps, NEWSETELEM, table, name, new);
    }
    for (name, chain) in chains_that_change {
        for rule in &chain.rules {
            let attributes = rule.attributes(table, name);
            steps.push(Message::create(NEWRULE, format!("add rule {name}"), attributes));
        }
    }
    steps
}

impl Chain {
    pub(super) fn attributes(&self, table: &str, name: &str) -> Vec<Attribute> {
        let mut attributes =
            vec![Attribute::text(CHAIN_TABLE, table), Attribute::text(CHAIN_NAME, name)];
        if let Some((kind, hook, priority)) = self.base {
            let hook = [
                Attribute::bytes(HOOK_NUMBER, hook.to_be_bytes()),
                Attribute::bytes(HOOK_PRIORITY, priority.to_be_bytes()),
            ];
            attributes.push(Attribute::nest(CHAIN_HOOK, hook));
            attributes.push(Attribute::bytes(CHAIN_POLICY, NF_ACCEPT.to_be_bytes()));
            attributes.push(Attribute::text(CHAIN_TYPE, kind));
        }
        attributes
    }
}

impl Rule {
    pub(super) fn attributes(&self, table: &str, chain: &str) -> Vec<Attribute> {
        let mut attributes = vec![
            Attribute::text(RULE_TABLE, table),
            Attribute::text(RULE_CHAIN, chain),
            Attribute::nest(RULE_EXPRESSIONS, self.expressions.clone()),
        ];
        let comment = self.comment.as_deref().map(comment);
        attributes.extend(comment.map(|comment| Attribute::bytes(RULE_USERDATA, comment)));
        attributes
    }
}

impl Set {
    /// Without its elements, and without what the kernel does not show again.
    pub(super) fn attributes(&self, table: &str, name: &str) -> Vec<Attribute> {
        let interval = if self.intervals { SET_INTERVAL } else { 0 };
        let map = if self.data.is_some() { SET_MAP } else { 0 };
        let mut attributes = vec![
            Attribute::text(SET_TABLE, table),
            Attribute::text(SET_NAME, name),
            Attribute::u32(SET_KEY_TYPE, self.key.0),
            Attribute::u32(SET_KEY_LEN, self.key.1),
        ];
        if interval | map != 0 {
            attributes.push(Attribute::u32(SET_FLAGS, interval | map));
        }
        if let Some((kind, len)) = self.data {
            attributes.push(Attribute::u32(SET_DATA_TYPE, kind));
            if len > 0 {
                attributes.push(Attribute::u32(SET_DATA_LEN, len));
            }
        }
        if self.intervals {
            attributes.push(Attribute::bytes(SET_USERDATA, USERDATA_KEY_ORDER));
        }
        if self.counted {
            attributes.push(Attribute::nest(SET_EXPR, [Attribute::text(EXPR_NAME, "counter")]));
        }
        attributes
    }
}

/// A comment, as nft(8) keeps it in userdata.
pub(super) fn comment(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len() + 1).unwrap_or(u8::MAX);
    [&[USERDATA_COMMENT, length], text.as_bytes(), &[0]].concat()
}

pub(super) fn read_comment(userdata: &[u8]) -> Option<&str> {
    let (&[USERDATA_COMMENT, length], rest) = userdata.split_first_chunk::<2>()? else {
        return None;
    };
    std::str::from_utf8(rest.get(..usize::from(length))?.strip_suffix(&[0])?).ok()
}

pub(super) fn element((key, edge): &(Vec<u8>, Edge), data: Option<&Data>) -> Attribute {
    let key = Attribute::nest(ELEMENT_KEY, [Attribute::bytes(DATA_VALUE, key.clone())]);
    let data = data.map(|data| match data {
        Data::Value(bytes) => {
            Attribute::nest(ELEMENT_DATA, [Attribute::bytes(DATA_VALUE, bytes.clone())])
        }
        Data::Verdict(verdict) => verdict.data(ELEMENT_DATA),
    });
    let end = (*edge == Edge::End).then(|| Attribute::u32(ELEMENT_FLAGS, ELEMENT_INTERVAL_END));
    let inner: Vec<_> = end.into_iter().chain([key]).chain(data).collect();
    Attribute::nest(LIST_ELEM, inner)
}

fn elements(
    steps: &mut Vec<Message>,
    kind: u16,
    table: &str,
    set: &str,
    elements: impl Iterator<Item = Attribute>,
) {
    let mut push = |list: Vec<Attribute>| {
        let attributes = vec![
            Attribute::text(ELEMENTS_TABLE, table),
            Attribute::text(ELEMENTS_SET, set),
            Attribute::nest(ELEMENTS, list),
        ];
        steps.push(if kind == NEWSETELEM {
            Message::create(kind, format!("add elements to {set}"), attributes)
        } else {
            Message::delete(kind, format!("delete elements from {set}"), attributes)
        });
    };
    let (mut list, mut bytes) = (Vec::new(), 0);
    for element in elements {
        bytes += element.len();
        list.push(element);
        if bytes >= MOST {
            push(std::mem::take(&mut list));
            bytes = 0;
        }
    }
    if !list.is_empty() {
        push(list);
    }
}
