//! Which frames of the source are wanted, by their numbers.

use std::fmt;

/// Ranges of numbers, both ends in them, in order and apart from each other. `u64::MAX` is an end that is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selection(Vec<[u64; 2]>);

impl Selection {
    /// From `first` to an end that is not known.
    pub(crate) fn from(first: u64) -> Self {
        Self(vec![[first, u64::MAX]])
    }

    /// Those given, in any order.
    pub(crate) fn of(mut ranges: Vec<[u64; 2]>) -> Self {
        ranges.sort_unstable();
        let mut merged: Vec<[u64; 2]> = Vec::new();
        for [first, last] in ranges {
            match merged.last_mut() {
                Some(before) if first <= before[1].saturating_add(1) => {
                    before[1] = before[1].max(last)
                }
                _ => merged.push([first, last]),
            }
        }
        Self(merged)
    }

    /// Reads `10-20`, `7`, `30-`, and several of them with commas.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("{text} is no list of frames such as 0-99, or 0-9,20,30- (to the end)");
        let number = |text: &str| {
            text.trim()
                .parse::<u64>()
                .ok()
                .filter(|&number| number < u64::MAX)
                .ok_or_else(wrong)
        };
        let mut ranges = Vec::new();
        for part in text.split(',') {
            ranges.push(match part.split_once('-') {
                None => [number(part)?; 2],
                Some((first, last)) if last.trim().is_empty() => [number(first)?, u64::MAX],
                Some((first, last)) => [number(first)?, number(last)?],
            });
            if ranges.last().is_some_and(|[first, last]| last < first) {
                return Err(format!("in {text} a range ends before it begins"));
            }
        }
        Ok(Self::of(ranges))
    }

    /// Those of `first` to `last`.
    pub(crate) fn within(&self, first: u64, last: u64) -> Self {
        let clamped = self
            .0
            .iter()
            .map(|range| [range[0].max(first), range[1].min(last)]);
        Self(clamped.filter(|range| range[0] <= range[1]).collect())
    }

    /// All but the first `count`.
    pub(crate) fn after(&self, mut count: u64) -> Self {
        let mut rest = Vec::new();
        for &[first, last] in &self.0 {
            let length = length([first, last]);
            if count < length {
                rest.push([first + count, last]);
            }
            count = count.saturating_sub(length);
        }
        Self(rest)
    }

    /// The first `count` of them.
    pub(crate) fn first(&self, mut count: u64) -> Self {
        let mut begin = Vec::new();
        for &[first, last] in &self.0 {
            if count > 0 {
                begin.push([first, last.min(first.saturating_add(count - 1))]);
            }
            count = count.saturating_sub(length([first, last]));
        }
        Self(begin)
    }

    pub(crate) fn contains(&self, number: u64) -> bool {
        let behind = self.0.partition_point(|range| range[0] <= number);
        behind > 0 && number <= self.0[behind - 1][1]
    }

    /// First and last of all, the last `u64::MAX` where it is not known.
    pub(crate) fn ends(&self) -> Option<[u64; 2]> {
        Some([self.0.first()?[0], self.0.last()?[1]])
    }

    /// How many; `None` when the end is not known.
    pub(crate) fn count(&self) -> Option<u64> {
        let open = self.ends().is_some_and(|ends| ends[1] == u64::MAX);
        (!open).then(|| {
            self.0
                .iter()
                .map(|&range| length(range))
                .fold(0, u64::saturating_add)
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// First and last of each range.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = [u64; 2]> {
        self.0.iter().copied()
    }

    /// Each number, in order.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u64> {
        self.0.iter().flat_map(|range| range[0]..=range[1])
    }
}

fn length([first, last]: [u64; 2]) -> u64 {
    (last - first).saturating_add(1)
}

impl fmt::Display for Selection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, [first, last]) in self.0.iter().enumerate() {
            let comma = if place > 0 { "," } else { "" };
            match last {
                &u64::MAX => write!(formatter, "{comma}{first}-")?,
                last if last == first => write!(formatter, "{comma}{first}")?,
                last => write!(formatter, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}
