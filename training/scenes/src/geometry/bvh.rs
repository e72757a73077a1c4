//! A four-wide bounding-volume hierarchy, built by binned surface-area splits.
//!
//! Four rays walk it together. Building has to be cheap: every image has a
//! scene of its own, so bins are few.

use super::rays::Rays;
use glam::Vec3;
use wide::{CmpLe, f32x4};

/// An axis-aligned box.
#[derive(Clone, Copy, Debug)]
pub struct Aabb {
    /// Smallest corner.
    pub min: Vec3,
    /// Largest corner.
    pub max: Vec3,
}

impl Aabb {
    /// Holds nothing; grows by union.
    pub const EMPTY: Self = Self {
        min: Vec3::splat(f32::INFINITY),
        max: Vec3::splat(f32::NEG_INFINITY),
    };

    /// The box of both.
    #[must_use]
    pub fn union(self, o: Self) -> Self {
        Self {
            min: self.min.min(o.min),
            max: self.max.max(o.max),
        }
    }

    /// The box with this point.
    #[must_use]
    pub fn with(self, p: Vec3) -> Self {
        Self {
            min: self.min.min(p),
            max: self.max.max(p),
        }
    }

    fn area(&self) -> f32 {
        let d = (self.max - self.min).max(Vec3::ZERO);
        d.x * d.y + d.y * d.z + d.z * d.x
    }
}

const LEAF: u32 = 1 << 31;
const EMPTY: u32 = u32::MAX;
const COUNT_SHIFT: u32 = 27;
const START_MASK: u32 = (1 << COUNT_SHIFT) - 1;
const MAX_LEAF: usize = 15;
const BINS: usize = 8;
const STACK: usize = 64;
const NEVER: f32x4 = f32x4::new([f32::INFINITY; 4]);

#[derive(Clone, Copy, Debug)]
struct Node {
    /// Corners of the children's boxes, by axis. Children fill the places from the front.
    min: [[f32; 4]; 3],
    max: [[f32; 4]; 3],
    child: [u32; 4],
}

/// The hierarchy over boxes that were given by index.
#[derive(Debug, Default)]
pub struct Bvh {
    nodes: Vec<Node>,
    /// All three axes are tried for each cut.
    careful: bool,
    /// Indices of the boxes, leaf by leaf.
    pub order: Vec<u32>,
}

struct Part {
    start: usize,
    end: usize,
    bounds: Aabb,
}

/// Sorts boxes into slices along an axis by their centres.
struct Binning {
    axis: usize,
    start: f32,
    scale: f32,
}

impl Binning {
    /// `centres` bounds the doubled centres.
    fn new(axis: usize, centres: &Aabb) -> Self {
        let start = centres.min[axis];
        Self {
            axis,
            start,
            scale: BINS as f32 / (centres.max[axis] - start),
        }
    }

    fn of(&self, b: &Aabb) -> usize {
        (((b.min[self.axis] + b.max[self.axis] - self.start) * self.scale) as usize).min(BINS - 1)
    }
}

/// The cut along an axis that costs a ray least, and its cost.
fn cheapest_cut(boxes: &[Aabb], order: &[u32], axis: usize, centres: &Aabb) -> (f32, usize) {
    let binning = Binning::new(axis, centres);
    let mut bins = [(Aabb::EMPTY, 0usize); BINS];
    for &i in order {
        let b = &mut bins[binning.of(&boxes[i as usize])];
        b.0 = b.0.union(boxes[i as usize]);
        b.1 += 1;
    }
    let mut right = [(Aabb::EMPTY, 0usize); BINS];
    let mut acc = (Aabb::EMPTY, 0);
    for k in (0..BINS).rev() {
        acc = (acc.0.union(bins[k].0), acc.1 + bins[k].1);
        right[k] = acc;
    }
    let mut left = (Aabb::EMPTY, 0usize);
    let mut best = (f32::INFINITY, 0);
    for k in 1..BINS {
        left = (left.0.union(bins[k - 1].0), left.1 + bins[k - 1].1);
        if left.1 == 0 || right[k].1 == 0 {
            continue;
        }
        let cost = left.0.area() * left.1 as f32 + right[k].0.area() * right[k].1 as f32;
        if cost < best.0 {
            best = (cost, k);
        }
    }
    best
}

impl Bvh {
    /// Builds over these boxes; at most `leaf` (15 or less) boxes are left together.
    /// `careful` tries all axes for each cut: slower to build, faster to walk.
    #[must_use]
    pub fn build(boxes: &[Aabb], leaf: usize, careful: bool) -> Self {
        let mut bvh = Self {
            nodes: Vec::with_capacity(boxes.len() / 2 + 1),
            careful,
            order: (0..boxes.len() as u32).collect(),
        };
        if boxes.is_empty() {
            return bvh;
        }
        let all = boxes.iter().fold(Aabb::EMPTY, |a, b| a.union(*b));
        let part = Part {
            start: 0,
            end: boxes.len(),
            bounds: all,
        };
        bvh.node(boxes, part, leaf.clamp(1, MAX_LEAF));
        bvh
    }

    /// Makes the node of one part and returns its index.
    fn node(&mut self, boxes: &[Aabb], part: Part, leaf: usize) -> u32 {
        let mut parts = vec![part];
        while parts.len() < 4 {
            // open the part that a ray is most likely to pay for
            let Some((i, _)) = parts
                .iter()
                .enumerate()
                .filter(|(_, p)| p.end - p.start > leaf)
                .map(|(i, p)| (i, p.bounds.area() * (p.end - p.start) as f32))
                .max_by(|a, b| a.1.total_cmp(&b.1))
            else {
                break;
            };
            let open = parts.swap_remove(i);
            let (a, b) = self.split(boxes, &open);
            parts.push(a);
            parts.push(b);
        }
        let index = self.nodes.len();
        let mut min = [[f32::INFINITY; 4]; 3];
        let mut max = [[f32::NEG_INFINITY; 4]; 3];
        for (i, p) in parts.iter().enumerate() {
            for a in 0..3 {
                min[a][i] = p.bounds.min[a];
                max[a][i] = p.bounds.max[a];
            }
        }
        self.nodes.push(Node {
            min,
            max,
            child: [EMPTY; 4],
        });
        for (i, p) in parts.into_iter().enumerate() {
            let n = p.end - p.start;
            let child = if n <= leaf {
                LEAF | ((n as u32) << COUNT_SHIFT) | p.start as u32
            } else {
                self.node(boxes, p, leaf)
            };
            self.nodes[index].child[i] = child;
        }
        index as u32
    }

    fn split(&mut self, boxes: &[Aabb], part: &Part) -> (Part, Part) {
        let order = &mut self.order[part.start..part.end];
        let centre = |i: u32| boxes[i as usize].min + boxes[i as usize].max;
        let c = order.iter().fold(Aabb::EMPTY, |a, &i| a.with(centre(i)));
        let extent = c.max - c.min;
        let widest = extent.max_element();
        // (cost, axis, bin) of the best cut found
        let mut best = (f32::INFINITY, 0, 0);
        for axis in 0..3 {
            let try_it = if self.careful {
                extent[axis] > 0.0
            } else {
                extent[axis] == widest && widest > 0.0
            };
            if try_it {
                let (cost, bin) = cheapest_cut(boxes, order, axis, &c);
                if cost < best.0 {
                    best = (cost, axis, bin);
                }
            }
        }
        let mut mid = order.len() / 2;
        if best.0.is_finite() {
            let (_, axis, cut) = best;
            let bin = Binning::new(axis, &c);
            let mut i = 0;
            let mut j = order.len();
            while i < j {
                if bin.of(&boxes[order[i] as usize]) < cut {
                    i += 1;
                } else {
                    j -= 1;
                    order.swap(i, j);
                }
            }
            if i > 0 && i < order.len() {
                mid = i;
            }
        }
        let bounds = |s: &[u32]| {
            s.iter()
                .fold(Aabb::EMPTY, |a, &i| a.union(boxes[i as usize]))
        };
        let (l, r) = order.split_at(mid);
        (
            Part {
                start: part.start,
                end: part.start + mid,
                bounds: bounds(l),
            },
            Part {
                start: part.start + mid,
                end: part.end,
                bounds: bounds(r),
            },
        )
    }

    /// Walks the leaves that any of the rays may hit nearer than its `t_max`, nearest first. `visit(first, count,
    /// t_max)` looks at `order[first..first + count]`, may lower `t_max`, and returns true to stop the walk.
    #[inline]
    pub fn walk(
        &self,
        rays: &Rays,
        t_max: &mut f32x4,
        mut visit: impl FnMut(usize, usize, &mut f32x4) -> bool,
    ) {
        if self.nodes.is_empty() {
            return;
        }
        let origin = [rays.origin.x, rays.origin.y, rays.origin.z];
        let inv = [rays.dir.x, rays.dir.y, rays.dir.z].map(|d| f32x4::ONE / d);
        let mut stack = [(0u32, 0f32); STACK];
        let mut top = 1;
        stack[0] = (0, f32::NEG_INFINITY);
        let mut far = largest(*t_max);
        while top > 0 {
            top -= 1;
            let (mut at, near) = stack[top];
            if near > far {
                continue;
            }
            loop {
                if at & LEAF != 0 {
                    let count = ((at >> COUNT_SHIFT) & 15) as usize;
                    if visit((at & START_MASK) as usize, count, t_max) {
                        return;
                    }
                    far = largest(*t_max);
                    break;
                }
                let n = &self.nodes[at as usize];
                let mut best = (EMPTY, f32::INFINITY);
                // go to the nearest child at once; the others wait, the farthest lowest in the stack
                let base = top;
                for (k, &child) in n.child.iter().enumerate() {
                    if child == EMPTY {
                        break;
                    }
                    let (mut tn, mut tf) = (rays.t_min, *t_max);
                    for a in 0..3 {
                        let lo = (f32x4::splat(n.min[a][k]) - origin[a]) * inv[a];
                        let hi = (f32x4::splat(n.max[a][k]) - origin[a]) * inv[a];
                        // a ray within a side's plane gives NaN; that is as good as a miss
                        tn = lo.fast_min(hi).fast_max(tn);
                        tf = hi.fast_max(lo).fast_min(tf);
                    }
                    let meets = tn.cmp_le(tf);
                    if meets.none() {
                        continue;
                    }
                    let mut c = (child, smallest(meets.blend(tn, NEVER)));
                    if best.0 == EMPTY {
                        best = c;
                        continue;
                    }
                    if c.1 < best.1 {
                        std::mem::swap(&mut c, &mut best);
                    }
                    if top < STACK {
                        let mut j = top;
                        while j > base && stack[j - 1].1 < c.1 {
                            stack[j] = stack[j - 1];
                            j -= 1;
                        }
                        stack[j] = c;
                        top += 1;
                    }
                }
                if best.0 == EMPTY {
                    break;
                }
                at = best.0;
            }
        }
    }
}

fn largest(x: f32x4) -> f32 {
    // no f32::max: its care for NaN costs more than the comparison
    let larger = |a: f32, b: f32| if a > b { a } else { b };
    let [a, b, c, d] = x.to_array();
    larger(larger(a, b), larger(c, d))
}

fn smallest(x: f32x4) -> f32 {
    let smaller = |a: f32, b: f32| if a < b { a } else { b };
    let [a, b, c, d] = x.to_array();
    smaller(smaller(a, b), smaller(c, d))
}
