//! Names for what a rewriter adds.

use std::collections::HashSet;

use super::scope::Scope;

/// Names that nothing else has.
pub(super) struct Names<'a> {
    scope: &'a Scope<'a>,
    /// Given from outside the scope.
    inputs: &'a [String],
    /// Before each name, and a slash.
    prefix: &'static str,
    given: HashSet<String>,
}

impl<'a> Names<'a> {
    pub(super) fn new(scope: &'a Scope<'a>, inputs: &'a [String], prefix: &'static str) -> Self {
        Self {
            scope,
            inputs,
            prefix,
            given: HashSet::new(),
        }
    }

    pub(super) fn give(&mut self, what: &str) -> String {
        let mut number = self.given.len();
        loop {
            let name = format!("{}/{what}_{number}", self.prefix);
            if !self.scope.is_taken(&name)
                && !self.inputs.contains(&name)
                && self.given.insert(name.clone())
            {
                return name;
            }
            number += 1;
        }
    }
}
