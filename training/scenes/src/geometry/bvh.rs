//! A four-wide bounding-volume hierarchy, built by binned surface-area splits.
//!
//! Four children are tested with one SSE-sized comparison. Building has to be cheap: every image has a
//! scene of its own, so bins are few.

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

/// A ray; the direction need not be of unit length and distances count in its lengths.
#[derive(Clone, Copy, Debug)]
pub struct Ray {
    /// Where it starts.
    pub origin: Vec3,
    /// Where it goes.
    pub dir: Vec3,
    /// Hits nearer than this do not count.
    pub t_min: f32,
}

const LEAF: u32 = 1 << 31;
const EMPTY: u32 = u32::MAX;
const COUNT_SHIFT: u32 = 27;
const START_MASK: u32 = (1 << COUNT_SHIFT) - 1;
const MAX_LEAF: usize = 15;
const BINS: usize = 8;

#[derive(Clone, Copy, Debug)]
struct Node {
    min: [f32x4; 3],
    max: [f32x4; 3],
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
            min: min.map(f32x4::from),
            max: max.map(f32x4::from),
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

    /// Gives each leaf a block of `width` places of its own in `order`, so that a leaf can be tested as one vector.
    /// Places without a box hold `u32::MAX`.
    pub fn align_leaves(&mut self, width: usize) {
        let mut order = Vec::with_capacity(self.order.len() * 2);
        for child in self.nodes.iter_mut().flat_map(|n| &mut n.child) {
            if *child == EMPTY || *child & LEAF == 0 {
                continue;
            }
            let count = ((*child >> COUNT_SHIFT) & 15) as usize;
            let start = (*child & START_MASK) as usize;
            *child = (*child & !START_MASK) | order.len() as u32;
            order.extend_from_slice(&self.order[start..start + count]);
            order.resize(order.len().next_multiple_of(width), u32::MAX);
        }
        self.order = order;
    }

    /// Walks the leaves that the ray may hit nearer than `t_max`, nearest first. `visit(first, count, t_max)`
    /// looks at `order[first..first + count]`, may lower `t_max`, and returns true to stop the walk.
    #[inline]
    pub fn walk(
        &self,
        ray: &Ray,
        t_max: &mut f32,
        mut visit: impl FnMut(usize, usize, &mut f32) -> bool,
    ) {
        if self.nodes.is_empty() {
            return;
        }
        let inv = ray.dir.recip();
        let inv4 = [
            f32x4::splat(inv.x),
            f32x4::splat(inv.y),
            f32x4::splat(inv.z),
        ];
        let o4 = [
            f32x4::splat(ray.origin.x),
            f32x4::splat(ray.origin.y),
            f32x4::splat(ray.origin.z),
        ];
        let t_min = f32x4::splat(ray.t_min);
        let negative = [inv.x < 0.0, inv.y < 0.0, inv.z < 0.0];
        let mut stack = [(0u32, 0f32); 64];
        let mut top = 1;
        stack[0] = (0, ray.t_min);
        while top > 0 {
            top -= 1;
            let (mut at, near) = stack[top];
            if near > *t_max {
                continue;
            }
            loop {
                if at & LEAF != 0 {
                    let count = ((at >> COUNT_SHIFT) & 15) as usize;
                    if visit((at & START_MASK) as usize, count, t_max) {
                        return;
                    }
                    break;
                }
                let n = &self.nodes[at as usize];
                let mut tn = t_min;
                let mut tf = f32x4::splat(*t_max);
                for a in 0..3 {
                    let (lo, hi) = if negative[a] {
                        (n.max[a], n.min[a])
                    } else {
                        (n.min[a], n.max[a])
                    };
                    tn = tn.fast_max((lo - o4[a]) * inv4[a]);
                    tf = tf.fast_min((hi - o4[a]) * inv4[a]);
                }
                let mut mask = tn.cmp_le(tf).move_mask() as u32;
                if mask == 0 {
                    break;
                }
                let tn = tn.to_array();
                let first = mask.trailing_zeros() as usize;
                mask &= mask - 1;
                let mut best = (n.child[first], tn[first]);
                // go to the nearest child at once; the others wait, the farthest lowest in the stack
                let base = top;
                while mask != 0 {
                    let k = mask.trailing_zeros() as usize;
                    mask &= mask - 1;
                    let mut c = (n.child[k], tn[k]);
                    if c.1 < best.1 {
                        std::mem::swap(&mut c, &mut best);
                    }
                    if top < stack.len() {
                        let mut j = top;
                        while j > base && stack[j - 1].1 < c.1 {
                            stack[j] = stack[j - 1];
                            j -= 1;
                        }
                        stack[j] = c;
                        top += 1;
                    }
                }
                at = best.0;
            }
        }
    }
}
