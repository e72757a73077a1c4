//! Rows of large pictures, split over cores.
//!
//! Waking another core takes some ten microseconds, and what the kernels do to a 1080p frame is bounded by
//! memory soon after that: only frames well above that size are split. The threads are kept from frame to frame.

use std::thread::available_parallelism;

use once_cell::sync::OnceCell;
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

/// Samples of a picture from which on it is split: that of 4K, and somewhat smaller.
const LARGE: usize = 6_000_000;

/// No more bands than this: memory, not arithmetic, is what limits that many.
const MOST: usize = 8;

/// Into how many bands a picture of `samples` samples is split if `threads` cores may be used; 0: all.
pub(super) fn count(threads: usize, samples: usize) -> usize {
    if samples < LARGE {
        return 1;
    }
    let cores = available_parallelism().map_or(1, usize::from);
    let wanted = if threads == 0 { cores } else { threads };
    wanted.min(cores).clamp(1, MOST)
}

/// The threads, shared by all that the process converts. `None` where there can't be any.
fn pool() -> Option<&'static ThreadPool> {
    static POOL: OnceCell<Option<ThreadPool>> = OnceCell::new();
    let start = || {
        ThreadPoolBuilder::new()
            .num_threads(count(0, LARGE))
            .thread_name(|index| format!("depth-rows-{index}"))
            .build()
            .ok()
    };
    POOL.get_or_init(start).as_ref()
}

/// Scratch for each band.
#[derive(Debug, Clone)]
pub(super) struct Bands<T>(Vec<T>);

impl<T: Clone + Send> Bands<T> {
    /// All rows in one band, which needs no other thread.
    pub(super) fn one(scratch: T) -> Self {
        Self(vec![scratch])
    }

    /// From now on in `count` bands.
    pub(super) fn split(&mut self, count: usize) {
        let scratch = self.0[0].clone();
        self.0.resize(count.max(1), scratch);
    }

    /// Has `work` done on each band of `rows` rows: with the band's scratch, its first row, and its part of each
    /// of `planes`, in which so many rows take `elements`. What follows the last row goes with it.
    pub(super) fn run<E: Send, const PLANES: usize>(
        &mut self,
        rows: usize,
        elements: impl Fn(usize) -> usize,
        mut planes: [&mut [E]; PLANES],
        work: impl Fn(&mut T, usize, [&mut [E]; PLANES]) + Sync,
    ) {
        let bands = self.0.len();
        let Some(pool) = (bands > 1).then(pool).flatten() else {
            return work(&mut self.0[0], 0, planes);
        };
        let each = rows.div_ceil(bands).max(1);
        let mut first = 0;
        let parts: Vec<_> = self
            .0
            .iter_mut()
            .map_while(|scratch| {
                let start = first;
                if start >= rows {
                    return None;
                }
                first += each;
                let part = planes.each_mut().map(|plane| {
                    let whole = std::mem::take(plane);
                    if first >= rows {
                        return whole;
                    }
                    let (part, rest) = whole.split_at_mut(elements(each));
                    *plane = rest;
                    part
                });
                Some((scratch, start, part))
            })
            .collect();
        pool.install(|| {
            parts
                .into_par_iter()
                .for_each(|(scratch, start, part)| work(scratch, start, part));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_done_once() {
        for rows in 1..40 {
            for count in 1..=9 {
                let mut bands = Bands::one(0);
                bands.split(count);
                // two bytes to a row, and three more at the end
                let mut plane = vec![0_u8; 2 * rows + 3];
                bands.run(
                    rows,
                    |rows| 2 * rows,
                    [&mut plane],
                    |done, first, [part]| {
                        let mine = (first..rows).zip(part.chunks_exact_mut(2));
                        for (y, row) in mine {
                            row[0] += 1;
                            row[1] = y as u8;
                            *done += 1;
                        }
                    },
                );
                for (y, row) in plane.chunks_exact(2).take(rows).enumerate() {
                    assert_eq!(row, [1, y as u8], "{rows} rows in {count} bands");
                }
                assert_eq!(bands.0.iter().sum::<usize>(), rows);
            }
        }
    }

    #[test]
    fn only_large_pictures_are_split() {
        assert_eq!(count(0, 1920 * 1080), 1);
        assert_eq!(count(1, 3840 * 2160), 1);
        let cores = available_parallelism().map_or(1, usize::from);
        assert_eq!(count(0, 3840 * 2160), cores.min(MOST));
        assert_eq!(count(2, 3840 * 2160), cores.min(2));
    }
}
