//! Names for what a rewriter adds.

use std::collections::HashSet;

use super::scope::Scope;

/// Names that nothing else has.
pub(super) struct Names<'a> {
    scope: &'a Scope<'a>,
    /// Given from outside the scope.
    inputs: HashSet<&'a str>,
    /// Before each name, and a slash.
    prefix: &'static str,
    /// Of the next name, unless that is taken.
    number: usize,
}

impl<'a> Names<'a> {
    pub(super) fn new(scope: &'a Scope<'a>, inputs: &'a [String], prefix: &'static str) -> Self {
        Self {
            scope,
            inputs: inputs.iter().map(String::as_str).collect(),
            prefix,
            number: 0,
        }
    }

    pub(super) fn give(&mut self, what: &str) -> String {
        loop {
            let name = format!("{}/{what}_{}", self.prefix, self.number);
            // none is given twice, and none that is taken is looked at twice
            self.number += 1;
            if !self.scope.is_taken(&name) && !self.inputs.contains(name.as_str()) {
                return name;
            }
        }
    }
}
