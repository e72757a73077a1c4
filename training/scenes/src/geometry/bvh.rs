//! A four-wide bounding-volume hierarchy, built by binned surface-area splits.
//!
//! Four rays walk it together. Building has to be cheap: every image has a
//! scene of its own, so bins are few.

use super::rays::{Rays, Vec3x4, bits};
use arrayvec::ArrayVec;
use glam::Vec3;
use wide::{CmpEq, CmpGe, CmpLe, CmpLt, f32x4};

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
/// Inverse directions beyond this are as good as infinite.
const LARGE: f32 = 1e18;
const NEVER: f32x4 = f32x4::new([f32::INFINITY; 4]);

/// Two lines of the cache.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Node {
    /// Sides of the children's boxes: the three smallest coordinates, then the three largest. Children fill the
    /// places from the front.
    sides: [f32x4; 6],
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
        let bounds: [Aabb; 4] =
            std::array::from_fn(|i| parts.get(i).map_or(Aabb::EMPTY, |p| p.bounds));
        self.nodes.push(Node {
            sides: std::array::from_fn(|s| {
                let side = |b: Aabb| if s < 3 { b.min[s] } else { b.max[s - 3] };
                f32x4::from(bounds.map(side))
            }),
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
    #[inline(always)]
    pub fn walk(
        &self,
        rays: &Rays,
        t_max: &mut f32x4,
        mut visit: impl FnMut(usize, usize, &mut f32x4) -> bool,
    ) {
        if self.nodes.is_empty() {
            return;
        }
        let inv = rays.dir.recip();
        let beam = Beam::around(rays, &inv);
        let hull = if beam.is_none() {
            Hull::around(rays, *t_max)
        } else {
            None
        };
        let start = smallest(rays.t_min);
        // what waits, nearest on top; a full stack would lose geometry, but 64 is twenty levels deep
        let mut stack = ArrayVec::<(u32, f32), STACK>::new();
        let mut far = largest(*t_max);
        // rays from one place are so near to each other that their beam is sharp enough
        let sharp = beam.as_ref().is_some_and(|beam| beam.one_place);
        let mut at = 0;
        loop {
            if at & LEAF != 0 {
                let count = ((at >> COUNT_SHIFT) & 15) as usize;
                if visit((at & START_MASK) as usize, count, t_max) {
                    return;
                }
                far = largest(*t_max);
            } else {
                let node = &self.nodes[at as usize];
                let (entered, nears) = match &beam {
                    Some(beam) => beam.enters(node, start, far),
                    None => (
                        hull.as_ref()
                            .map_or_else(|| node.children(), |hull| hull.meets(node)),
                        f32x4::ZERO,
                    ),
                };
                let nears = nears.to_array();
                // the nearest child is next; the others wait, the farthest lowest in the stack
                let base = stack.len();
                let mut next = (EMPTY, f32::INFINITY);
                for k in bits(entered) {
                    let mut child = (node.child[k], nears[k]);
                    if !sharp {
                        match node.enters(k, rays, &inv, *t_max) {
                            Some(near) => child.1 = near,
                            None => continue,
                        }
                    }
                    if child.1 < next.1 {
                        std::mem::swap(&mut next, &mut child);
                    }
                    if child.0 != EMPTY && stack.try_push(child).is_ok() {
                        let mut j = stack.len() - 1;
                        while j > base && stack[j - 1].1 < stack[j].1 {
                            stack.swap(j - 1, j);
                            j -= 1;
                        }
                    }
                }
                if next.0 != EMPTY {
                    at = next.0;
                    continue;
                }
            }
            at = loop {
                match stack.pop() {
                    Some((at, near)) if near <= far => break at,
                    Some(_) => {}
                    None => return,
                }
            };
        }
    }
}

impl Node {
    /// The children that there are, as bits.
    #[inline(always)]
    fn children(&self) -> u32 {
        (0..4).fold(0, |mask, k| mask | u32::from(self.child[k] != EMPTY) << k)
    }

    /// Where the first of the rays enters the box of child `k`; `None` if all miss it.
    #[inline(always)]
    fn enters(&self, k: usize, rays: &Rays, inv: &Vec3x4, t_max: f32x4) -> Option<f32> {
        let (mut tn, mut tf) = (rays.t_min, t_max);
        let axes = [
            (rays.origin.x, inv.x),
            (rays.origin.y, inv.y),
            (rays.origin.z, inv.z),
        ];
        for (a, (origin, inv)) in axes.into_iter().enumerate() {
            let lo = (f32x4::splat(self.sides[a].as_array_ref()[k]) - origin) * inv;
            let hi = (f32x4::splat(self.sides[a + 3].as_array_ref()[k]) - origin) * inv;
            // a ray within a side's plane gives NaN; that is as good as a miss
            tn = lo.fast_min(hi).fast_max(tn);
            tf = hi.fast_max(lo).fast_min(tf);
        }
        let meets = tn.cmp_le(tf);
        meets.any().then(|| smallest(meets.blend(tn, NEVER)))
    }
}

/// What holds four rays that go much the same way: one test tells which of four boxes any of them may enter.
/// It errs on the side of entering, also in the last bit: products round monotonically.
struct Beam {
    x: BeamAxis,
    y: BeamAxis,
    z: BeamAxis,
    /// All start at one point.
    one_place: bool,
}

/// One axis of a [`Beam`].
struct BeamAxis {
    axis: usize,
    /// The rays go against the axis.
    down: bool,
    /// Origins from which those sides are nearest and farthest.
    enter: f32x4,
    leave: f32x4,
    /// Least and greatest inverse direction.
    least: f32x4,
    most: f32x4,
}

impl BeamAxis {
    /// `None` if the rays do not all go to the same side.
    #[inline(always)]
    fn around(axis: usize, origin: f32x4, inv: f32x4, one_place: bool) -> Option<Self> {
        let down = match inv.move_mask() {
            0 => false,
            0b1111 => true,
            _ => return None,
        };
        // an infinite inverse would make NaN of a box's side at the origin
        if !inv.abs().cmp_lt(f32x4::splat(LARGE)).all() {
            return None;
        }
        let (low, high) = if one_place {
            (origin, origin)
        } else {
            let ends = (smallest(origin), largest(origin));
            (f32x4::splat(ends.0), f32x4::splat(ends.1))
        };
        let (enter, leave) = if down { (low, high) } else { (high, low) };
        Some(Self {
            axis,
            down,
            enter,
            leave,
            least: f32x4::splat(smallest(inv)),
            most: f32x4::splat(largest(inv)),
        })
    }

    /// Between which distances four boxes are within their two sides: at the earliest and at the latest.
    #[inline(always)]
    fn within(&self, node: &Node) -> (f32x4, f32x4) {
        // places of which the compiler knows that they are in the array
        let (low, high) = (self.axis % 3, self.axis % 3 + 3);
        let (first, last) = if self.down { (high, low) } else { (low, high) };
        let x = node.sides[first] - self.enter;
        let y = node.sides[last] - self.leave;
        (
            (x * self.least).fast_min(x * self.most),
            (y * self.least).fast_max(y * self.most),
        )
    }
}

impl Beam {
    /// `None` if the rays do not all go to the same side of each axis.
    #[inline(always)]
    fn around(rays: &Rays, inv: &Vec3x4) -> Option<Self> {
        let o = &rays.origin;
        let one = |v: f32x4| v.cmp_eq(f32x4::splat(v.as_array_ref()[0]));
        let one_place = (one(o.x) & one(o.y) & one(o.z)).all();
        Some(Self {
            x: BeamAxis::around(0, o.x, inv.x, one_place)?,
            y: BeamAxis::around(1, o.y, inv.y, one_place)?,
            z: BeamAxis::around(2, o.z, inv.z, one_place)?,
            one_place,
        })
    }

    /// Which children's boxes are entered between two distances, as bits, and where at the earliest.
    #[inline(always)]
    fn enters(&self, node: &Node, start: f32, end: f32) -> (u32, f32x4) {
        let (x0, x1) = self.x.within(node);
        let (y0, y1) = self.y.within(node);
        let (z0, z1) = self.z.within(node);
        let first = x0.fast_max(y0).fast_max(z0.fast_max(f32x4::splat(start)));
        let last = x1.fast_min(y1).fast_min(z1.fast_min(f32x4::splat(end)));
        (first.cmp_le(last).move_mask() as u32, first)
    }
}

/// The box around four short rays that go any way: those of ambient occlusion.
struct Hull {
    min: [f32x4; 3],
    max: [f32x4; 3],
}

impl Hull {
    /// `None` for rays that are not short.
    #[inline(always)]
    fn around(rays: &Rays, t_max: f32x4) -> Option<Self> {
        if !t_max.cmp_lt(f32x4::splat(1e3)).all() {
            return None;
        }
        let t = t_max.fast_max(f32x4::ZERO);
        let axes = [
            (rays.origin.x, rays.dir.x),
            (rays.origin.y, rays.dir.y),
            (rays.origin.z, rays.dir.z),
        ];
        let ends = axes.map(|(o, d)| {
            let end = o + d * t;
            // more than what rounding may lose
            let pad = (o.abs() + end.abs()) * f32x4::splat(1e-5);
            (o.fast_min(end) - pad, o.fast_max(end) + pad)
        });
        Some(Self {
            min: ends.map(|e| f32x4::splat(smallest(e.0))),
            max: ends.map(|e| f32x4::splat(largest(e.1))),
        })
    }

    /// Which children's boxes it meets, as bits.
    #[inline(always)]
    fn meets(&self, node: &Node) -> u32 {
        let (low, high) = node.sides.split_at(3);
        let axis = |a: usize| low[a].cmp_le(self.max[a]) & high[a].cmp_ge(self.min[a]);
        (axis(0) & axis(1) & axis(2)).move_mask() as u32
    }
}

#[inline(always)]
fn largest(x: f32x4) -> f32 {
    // no f32::max: its care for NaN costs more than the comparison
    let larger = |a: f32, b: f32| if a > b { a } else { b };
    let [a, b, c, d] = x.to_array();
    larger(larger(a, b), larger(c, d))
}

#[inline(always)]
fn smallest(x: f32x4) -> f32 {
    let smaller = |a: f32, b: f32| if a < b { a } else { b };
    let [a, b, c, d] = x.to_array();
    smaller(smaller(a, b), smaller(c, d))
}
