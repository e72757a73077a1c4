//! Metas: what goes over from the colour frame to its depth frame, and what depth says of regions of interest.
//!
//! As with an element that scales: metas that speak of memory or of colours stay behind, those that depend on the size
//! are scaled by their own transform function, all others are copied. The structure `depth` is added to each region.

use gst::prelude::*;
use gst_video::prelude::*;
use gst_video::video_meta::VideoMetaTransformScale;
use gst_video::{VideoFrameRef, VideoInfo, VideoRegionOfInterestMeta};

use crate::depth_meta::{DepthMeta, Unit};

/// Name of the structure among a region's parameters.
const DEPTH: &str = "depth";
/// Samples that are looked at in a region at most,
const PLACES: usize = 4096;
/// and in all of a frame's, however many there are.
const ALL_PLACES: usize = 1 << 20;
/// Shares of a region's samples that are nearer, and that are not farther, than its `near` and `far`.
const NEAR: f64 = 0.05;
const FAR: f64 = 0.95;

/// What describes the frames and the depth frames.
#[derive(Debug)]
pub(super) struct Infos {
    pub(super) frame: VideoInfo,
    pub(super) depth: VideoInfo,
}

impl Infos {
    fn keep_size(&self) -> bool {
        let size = |info: &VideoInfo| (info.width(), info.height());
        size(&self.frame) == size(&self.depth)
    }
}

/// How a meta goes over to the depth frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Not at all.
    None,
    /// As it is.
    Copy,
    /// Scaled, by its own means.
    Scale,
}

impl Way {
    /// That of metas of an API with these tags.
    fn of(api: &str, tags: &[&str], keeps_size: bool) -> Self {
        let has = |wanted: &[&str]| tags.iter().any(|tag| wanted.contains(tag));
        if has(&["memory", "memory-reference", "colorspace"]) {
            return Self::None;
        }
        // places in the picture, though up to GStreamer 1.24 its tags do not say so
        let has_places = has(&["size"]) || api == "GstAnalyticsRelationMetaAPI";
        if has_places && !keeps_size {
            Self::Scale
        } else {
            Self::Copy
        }
    }
}

/// Takes a meta over to `depth`. True: it is to be copied as it is.
pub(super) fn transform(
    meta: &gst::MetaRef<'_, gst::Meta>,
    depth: &mut gst::BufferRef,
    infos: &Infos,
) -> bool {
    if let Some(region) = meta.downcast_ref::<VideoRegionOfInterestMeta>() {
        scale_region(region, depth, infos);
        return false;
    }
    let tags: Vec<&str> = meta.tags().iter().map(|tag| tag.as_str()).collect();
    match Way::of(meta.api().name(), &tags, infos.keep_size()) {
        Way::None => false,
        Way::Copy => true,
        Way::Scale => {
            let scale = VideoMetaTransformScale::new(&infos.frame, &infos.depth);
            // one that can't be scaled would lead to the wrong place
            let _ = scale_meta(meta, depth, &scale);
            false
        }
    }
}

fn scale_meta<'a>(
    meta: &gst::MetaRef<'a, gst::Meta>,
    depth: &mut gst::BufferRef,
    scale: &'a VideoMetaTransformScale,
) -> Result<(), glib::BoolError> {
    meta.transform(depth, scale)
}

/// Adds `region` to the depth frame, where it is there. Its numbers are anybody's.
fn scale_region(
    region: &gst::MetaRef<'_, VideoRegionOfInterestMeta>,
    depth: &mut gst::BufferRef,
    infos: &Infos,
) {
    let (x, y, width, height) = region.rect();
    let scale = |place: u32, from: u32, to: u32| {
        let scaled = u64::from(place) * u64::from(to) / u64::from(from.max(1));
        u32::try_from(scaled).unwrap_or(u32::MAX)
    };
    let across = |place| scale(place, infos.frame.width(), infos.depth.width());
    let down = |place| scale(place, infos.frame.height(), infos.depth.height());
    // SAFETY: both metas are of the type that these functions are for and outlive the calls. By the library's own
    // function, as a region's type may be no string, which the binding takes for granted.
    let mut added = unsafe {
        let meta = gst_video::ffi::gst_buffer_add_video_region_of_interest_meta_id(
            depth.as_mut_ptr(),
            (*region.as_ptr()).roi_type,
            across(x),
            down(y),
            across(width),
            down(height),
        );
        if meta.is_null() {
            return;
        }
        VideoRegionOfInterestMeta::from_mut_ptr::<gst::meta::Standalone>(depth, meta)
    };
    added.set_id(region.id());
    added.set_parent_id(region.parent_id());
    // what somebody else says of its depth is that of another frame
    for param in region.params().filter(|param| param.name() != DEPTH) {
        added.add_param(param.to_owned());
    }
}

/// Says of each region of interest how deep it is. The buffer is a depth frame of `info` whose samples `meta` explains.
pub(super) fn describe_regions(buffer: &mut gst::BufferRef, info: &VideoInfo, meta: &DepthMeta) {
    let rects: Vec<_> = buffer
        .iter_meta::<VideoRegionOfInterestMeta>()
        .map(|region| region.rect())
        .collect();
    if rects.is_empty() {
        return;
    }
    let Ok(frame) = VideoFrameRef::from_buffer_ref_readable(buffer, info) else {
        return;
    };
    let Some(plane) = Plane::of(&frame) else {
        return;
    };
    let places = (ALL_PLACES / rects.len()).clamp(1, PLACES);
    let mut samples = Vec::with_capacity(places);
    let depths: Vec<_> = rects
        .into_iter()
        .map(|rect| plane.depth(rect, places, meta, &mut samples))
        .collect();
    drop(frame);
    let regions = buffer.iter_meta_mut::<VideoRegionOfInterestMeta>();
    for (mut region, depth) in regions.zip(depths) {
        region.add_param(depth);
    }
}

/// The samples of a depth frame.
struct Plane<'a> {
    bytes: &'a [u8],
    stride: usize,
    size: [usize; 2],
    sample: fn([u8; 2]) -> u16,
}

impl<'a> Plane<'a> {
    fn of(frame: &'a VideoFrameRef<&gst::BufferRef>) -> Option<Self> {
        Some(Self {
            bytes: frame.plane_data(0).ok()?,
            stride: usize::try_from(*frame.plane_stride().first()?).ok()?,
            size: [frame.width() as usize, frame.height() as usize],
            sample: match frame.format() {
                gst_video::VideoFormat::Gray16Be => u16::from_be_bytes,
                _ => u16::from_le_bytes,
            },
        })
    }

    fn at(&self, x: usize, y: usize) -> Option<u16> {
        let start = y.checked_mul(self.stride)?.checked_add(2 * x)?;
        let pair = self.bytes.get(start..start.checked_add(2)?)?;
        Some((self.sample)([pair[0], pair[1]]))
    }

    /// The structure `depth` of a region, `x, y, width, height`, from up to so many places in it.
    fn depth(
        &self,
        (x, y, width, height): (u32, u32, u32, u32),
        places: usize,
        meta: &DepthMeta,
        samples: &mut Vec<u16>,
    ) -> gst::Structure {
        let inside = |start: u32, length: u32, side: usize| {
            let start = (start as usize).min(side);
            (start, (length as usize).min(side - start))
        };
        let ((left, across), (top, down)) = (
            inside(x, width, self.size[0]),
            inside(y, height, self.size[1]),
        );
        let [columns, rows] = grid(across, down, places);
        samples.clear();
        for row in 0..rows {
            let y = top + (2 * row + 1) * down / (2 * rows);
            let xs = (0..columns).map(|column| left + (2 * column + 1) * across / (2 * columns));
            samples.extend(xs.filter_map(|x| self.at(x, y)));
        }
        let looked_at = samples.len().max(1) as f64;
        if meta.unit == Unit::Metre {
            // 0 is "no depth"
            samples.retain(|&sample| sample > 0);
        }
        let area = f64::from(width) * f64::from(height);
        let share = (across * down) as f64 / area.max(1.0);
        let valid = share * samples.len() as f64 / looked_at;
        let mut depth = gst::Structure::new_empty(DEPTH);
        depth.set("valid", valid);
        if samples.is_empty() {
            return depth;
        }
        // from near to far: a larger number is farther in metres and nearer in inverse depth
        let upwards = (meta.scale > 0.0) == (meta.unit == Unit::Metre);
        let last = samples.len() - 1;
        let mut at = |share: f64| {
            let share = if upwards { share } else { 1.0 - share };
            let rank = (share * last as f64).round() as usize;
            let (_, sample, _) = samples.select_nth_unstable(rank);
            meta.value(*sample)
        };
        depth.set("median", at(0.5));
        depth.set("near", at(NEAR));
        depth.set("far", at(FAR));
        depth
    }
}

/// Columns and rows of places, as evenly as can be, no more than `places` in all.
fn grid(across: usize, down: usize, places: usize) -> [usize; 2] {
    if across.saturating_mul(down) <= places {
        return [across, down];
    }
    let columns = (places as f64 * across as f64 / down as f64).sqrt() as usize;
    let columns = columns.clamp(1, across.min(places));
    [columns, (places / columns).clamp(1, down)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Size;
    use gst_video::VideoFormat;

    fn info(format: VideoFormat, width: u32, height: u32) -> VideoInfo {
        gst::init().unwrap();
        VideoInfo::builder(format, width, height).build().unwrap()
    }

    fn meta(unit: Unit, scale: f64) -> DepthMeta {
        DepthMeta {
            scale,
            offset: 1.0,
            unit,
            network: Size::new(14, 14),
            repeated: false,
            filtered: false,
            scene: 0,
            model: "m".into(),
        }
    }

    #[test]
    fn memory_and_colours_stay_behind_and_places_are_scaled() {
        let way = |tags: &[&str], same| Way::of("SomeMetaAPI", tags, same);
        assert_eq!(way(&["video", "memory"], true), Way::None);
        assert_eq!(way(&["video", "colorspace", "size"], true), Way::None);
        assert_eq!(way(&[], false), Way::Copy);
        assert_eq!(way(&["video", "orientation"], false), Way::Copy);
        assert_eq!(way(&["video", "size", "orientation"], false), Way::Scale);
        assert_eq!(way(&["video", "size", "orientation"], true), Way::Copy);
        let analytics = Way::of("GstAnalyticsRelationMetaAPI", &[], false);
        assert_eq!(analytics, Way::Scale);
    }

    #[test]
    fn places_are_even_and_no_more_than_allowed() {
        assert_eq!(grid(10, 7, 70), [10, 7]);
        assert_eq!(grid(0, 7, 70), [0, 7]);
        for (across, down) in [(3000, 2), (2, 3000), (1920, 1080), (1, 100_000)] {
            for places in [1, 2, 100, 4096] {
                let [columns, rows] = grid(across, down, places);
                assert!((1..=places).contains(&(columns * rows)), "{columns} {rows}");
                assert!(columns <= across && rows <= down);
            }
        }
        assert_eq!(grid(1920, 1080, 4096), [85, 48]);
    }

    /// The depth of a region of a frame of 100 × 10 whose samples are 10 times their column, in either byte order.
    fn depth(rect: (u32, u32, u32, u32), meta: &DepthMeta) -> [Option<f64>; 4] {
        let found = [VideoFormat::Gray16Le, VideoFormat::Gray16Be].map(|format| {
            let info = info(format, 100, 10);
            let little = format == VideoFormat::Gray16Le;
            let samples = (0..1000_u16).flat_map(|i| {
                let sample = i % 100 * 10;
                if little {
                    sample.to_le_bytes()
                } else {
                    sample.to_be_bytes()
                }
            });
            let mut buffer = gst::Buffer::from_mut_slice(samples.collect::<Vec<_>>());
            let buffer = buffer.get_mut().unwrap();
            VideoRegionOfInterestMeta::add(buffer, "thing", rect);
            describe_regions(buffer, &info, meta);
            let region = buffer.meta::<VideoRegionOfInterestMeta>().unwrap();
            let depth = region.param(DEPTH).unwrap();
            ["median", "near", "far", "valid"].map(|field| depth.get::<f64>(field).ok())
        });
        assert_eq!(found[0], found[1]);
        found[0]
    }

    #[test]
    fn near_is_the_near_end_in_either_unit_and_sense() {
        let metres = meta(Unit::Metre, 0.5);
        // columns 20 to 40: samples 200 to 400
        let region = (20, 2, 41, 5);
        let [median, near, far, valid] = depth(region, &metres).map(Option::unwrap);
        assert_eq!((median, near, far, valid), (201.0, 111.0, 291.0, 1.0));
        let inverse = meta(Unit::InverseDepth, 0.5);
        let [median, near, far, _] = depth(region, &inverse).map(Option::unwrap);
        assert_eq!((median, near, far), (201.0, 291.0, 111.0));
        // near is black
        let inverted = meta(Unit::InverseDepth, -0.5);
        let [_, near, far, _] = depth(region, &inverted).map(Option::unwrap);
        assert_eq!((near, far), (-109.0, -289.0));
    }

    #[test]
    fn what_is_outside_or_has_no_depth_is_not_valid() {
        let metres = meta(Unit::Metre, 0.5);
        // half of it beyond the right edge
        assert_eq!(depth((90, 0, 20, 10), &metres)[3], Some(0.5));
        // the first column has no metres, and is as good as any other in inverse depth
        assert_eq!(depth((0, 0, 4, 10), &metres)[3], Some(0.75));
        assert_eq!(
            depth((0, 0, 4, 10), &meta(Unit::InverseDepth, 0.5))[3],
            Some(1.0)
        );
        for nothing in [
            (100, 0, 10, 10),
            (0, 10, 5, 5),
            (5, 5, 0, 0),
            (5, 5, 0, 3),
            (u32::MAX, u32::MAX, u32::MAX, u32::MAX),
            (0, 0, 1, 10),
        ] {
            assert_eq!(
                depth(nothing, &metres),
                [None, None, None, Some(0.0)],
                "{nothing:?}"
            );
        }
        let huge = depth((0, 0, u32::MAX, u32::MAX), &metres);
        assert!(huge[0].is_some() && huge[3].is_some_and(|valid| valid < 1e-12));
    }

    #[test]
    fn thousands_of_regions_take_no_more_than_a_few() {
        let info = info(VideoFormat::Gray16Le, 640, 360);
        let mut buffer = gst::Buffer::with_size(info.size()).unwrap();
        let buffer = buffer.get_mut().unwrap();
        for _ in 0..20_000 {
            VideoRegionOfInterestMeta::add(buffer, "thing", (0, 0, 640, 360));
        }
        let start = std::time::Instant::now();
        describe_regions(buffer, &info, &meta(Unit::InverseDepth, 1.0));
        assert!(start.elapsed().as_secs_f64() < 2.0, "{:?}", start.elapsed());
        let mut regions = buffer.iter_meta::<VideoRegionOfInterestMeta>();
        assert!(regions.all(|region| region.param(DEPTH).is_some()));
    }

    #[test]
    fn regions_keep_their_place_and_what_belongs_to_them() {
        let infos = Infos {
            frame: info(VideoFormat::Rgb, 640, 480),
            depth: info(VideoFormat::Gray16Le, 320, 120),
        };
        let mut from = gst::Buffer::with_size(1).unwrap();
        let from = from.get_mut().unwrap();
        let mut region = VideoRegionOfInterestMeta::add(from, "car", (64, 48, 128, 96));
        region.set_id(7);
        region.set_parent_id(3);
        region.add_param(
            gst::Structure::builder("detection")
                .field("confidence", 0.5)
                .build(),
        );
        region.add_param(gst::Structure::builder(DEPTH).field("median", 1.0).build());
        VideoRegionOfInterestMeta::add(from, "far", (u32::MAX, 1, u32::MAX, u32::MAX));
        // SAFETY: the buffer is writable; a region without a type is what C allows
        unsafe {
            gst_video::ffi::gst_buffer_add_video_region_of_interest_meta(
                from.as_mut_ptr(),
                std::ptr::null(),
                0,
                0,
                2,
                4,
            );
        }
        let mut to = gst::Buffer::with_size(1).unwrap();
        let to = to.get_mut().unwrap();
        from.foreach_meta(|meta| {
            assert!(!transform(&meta, to, &infos));
            std::ops::ControlFlow::Continue(())
        });
        let regions: Vec<_> = to.iter_meta::<VideoRegionOfInterestMeta>().collect();
        assert_eq!(regions.len(), 3);
        let car = &regions[0];
        assert_eq!((car.roi_type(), car.rect()), ("car", (32, 12, 64, 24)));
        assert_eq!((car.id(), car.parent_id()), (7, 3));
        let names: Vec<_> = car.params().map(|param| param.name().to_string()).collect();
        assert_eq!(names, ["detection"]);
        assert_eq!(
            regions[1].rect(),
            (u32::MAX / 2, 0, u32::MAX / 2, u32::MAX / 4)
        );
        assert_eq!(regions[2].rect(), (0, 0, 1, 1));
    }
}
