//! Films to measure on: those that `depth-scenes film` renders, with exact depth, and any other.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use gst::prelude::*;
use gstdepthanything::geometry::Size;

/// A frame, packed RGB, and what is known of it.
pub(crate) struct Shot {
    pub(crate) size: Size,
    pub(crate) rgb: Vec<u8>,
    /// Exact inverse depth, as large as the frame.
    pub(crate) truth: Option<Vec<f32>>,
    /// One more after each cut, where that is known.
    pub(crate) take: Option<u64>,
    /// Where the camera is, where that is known.
    pub(crate) pose: Option<Pose>,
}

/// When somebody comes and goes: the first frame in which he is on his way, is there, is on his way out, is gone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Visit {
    pub(crate) comes: usize,
    pub(crate) arrives: usize,
    pub(crate) goes: usize,
    pub(crate) gone: usize,
}

/// A camera.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pose {
    at: [f32; 3],
    /// To the right, up, forward.
    axes: [[f32; 3]; 3],
    /// In pixels.
    focal: f32,
    centre: [f32; 2],
}

impl Pose {
    /// As the renderer tells it of a frame.
    fn of(told: &serde_json::Value) -> Option<Self> {
        let number = |value: &serde_json::Value| value.as_f64().map(|it| it as f32);
        let vector = |name: &str| -> Option<[f32; 3]> {
            let told = told.get(name)?.as_array()?;
            Some([
                number(told.first()?)?,
                number(told.get(1)?)?,
                number(told.get(2)?)?,
            ])
        };
        Some(Self {
            at: vector("position")?,
            axes: [vector("right")?, vector("up")?, vector("forward")?],
            focal: number(told.get("fx")?)?,
            centre: [number(told.get("cx")?)?, number(told.get("cy")?)?],
        })
    }

    /// Of the same picture at another size.
    pub(crate) fn at_size(self, from: Size, to: Size) -> Self {
        let scale = to.width as f32 / from.width as f32;
        Self {
            focal: scale * self.focal,
            centre: self.centre.map(|it| scale * it),
            ..self
        }
    }

    /// What is seen at `pixel`, so many metres away along the axis.
    pub(crate) fn place(&self, pixel: [f32; 2], depth: f32) -> [f32; 3] {
        let right = (pixel[0] - self.centre[0]) / self.focal * depth;
        let up = (self.centre[1] - pixel[1]) / self.focal * depth;
        let along = [right, up, depth];
        std::array::from_fn(|i| {
            self.at[i]
                + (0..3)
                    .map(|axis| along[axis] * self.axes[axis][i])
                    .sum::<f32>()
        })
    }

    /// The pixel at which `place` is seen, and its inverse depth; `None`: it lies behind.
    pub(crate) fn project(&self, place: [f32; 3]) -> Option<([f32; 2], f32)> {
        let way: [f32; 3] = std::array::from_fn(|i| place[i] - self.at[i]);
        let [right, up, depth] = self
            .axes
            .map(|axis| axis.iter().zip(way).map(|(a, b)| a * b).sum::<f32>());
        let inverse = depth.recip();
        let at = [
            self.centre[0] + self.focal * right * inverse,
            self.centre[1] - self.focal * up * inverse,
        ];
        (depth > 0.0).then_some((at, inverse))
    }
}

/// A film on disk.
pub(crate) struct Film {
    path: PathBuf,
    pub(crate) name: String,
    /// Frames to read at most.
    limit: usize,
}

impl Film {
    /// A folder with `frame_*.png` and `depth_*.pfm`, or a file that GStreamer plays.
    pub(crate) fn open(path: &Path, limit: usize) -> Result<Self, Box<dyn Error>> {
        if !path.exists() {
            return Err(format!("there is no {}", path.display()).into());
        }
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        Ok(Self {
            path: path.to_owned(),
            name: name.into_owned(),
            limit,
        })
    }

    /// `None`: nobody comes, or that is not known.
    pub(crate) fn visit(&self) -> Option<Visit> {
        let told = self.told();
        let frame = |name: &str| {
            let frame = told.pointer(&format!("/visit/{name}"))?.as_u64()?;
            usize::try_from(frame).ok()
        };
        Some(Visit {
            comes: frame("comes")?,
            arrives: frame("arrives")?,
            goes: frame("goes")?,
            gone: frame("gone")?,
        })
    }

    /// What the renderer tells of it.
    fn told(&self) -> serde_json::Value {
        let told = fs::read(self.path.join("film.json")).unwrap_or_default();
        serde_json::from_slice(&told).unwrap_or_default()
    }

    /// Calls `take` with each frame.
    pub(crate) fn each(
        &self,
        mut take: impl FnMut(Shot) -> Result<(), Box<dyn Error>>,
    ) -> Result<(), Box<dyn Error>> {
        if self.path.is_dir() {
            self.each_rendered(&mut take)
        } else {
            self.each_decoded(&mut take)
        }
    }

    fn each_rendered(
        &self,
        take: &mut dyn FnMut(Shot) -> Result<(), Box<dyn Error>>,
    ) -> Result<(), Box<dyn Error>> {
        let told = self.told();
        for index in 0..self.limit {
            let frame = self.path.join(format!("frame_{index:05}.png"));
            if !frame.exists() {
                if index == 0 {
                    return Err(format!("no frames in {}", self.path.display()).into());
                }
                break;
            }
            let picture = image::open(&frame)?.into_rgb8();
            let depth = self.path.join(format!("depth_{index:05}.pfm"));
            let truth = depth.exists().then(|| read_pfm(&depth)).transpose()?;
            let told = told.pointer(&format!("/frames/{index}"));
            take(Shot {
                size: Size::new(picture.width(), picture.height()),
                rgb: picture.into_raw(),
                truth,
                take: told.and_then(|told| told.get("shot")?.as_u64()),
                pose: told.and_then(Pose::of),
            })?;
        }
        Ok(())
    }

    fn each_decoded(
        &self,
        take: &mut dyn FnMut(Shot) -> Result<(), Box<dyn Error>>,
    ) -> Result<(), Box<dyn Error>> {
        let pipeline = gst::parse::launch(
            "filesrc name=film ! decodebin ! videoconvert ! video/x-raw,format=RGB \
             ! appsink name=frames sync=false max-buffers=4",
        )?
        .downcast::<gst::Pipeline>()
        .map_err(|_| "not a pipeline")?;
        let named = |name: &str| pipeline.by_name(name).ok_or(format!("no element {name}"));
        named("film")?.set_property("location", &self.path);
        let sink = named("frames")?
            .downcast::<gst_app::AppSink>()
            .map_err(|_| "not an appsink")?;
        pipeline.set_state(gst::State::Playing)?;
        let mut result = Ok(());
        for _ in 0..self.limit {
            let Ok(sample) = sink.pull_sample() else {
                break;
            };
            result = decoded(&sample).and_then(&mut *take);
            if result.is_err() {
                break;
            }
        }
        pipeline.set_state(gst::State::Null)?;
        result
    }
}

fn decoded(sample: &gst::Sample) -> Result<Shot, Box<dyn Error>> {
    use gst_video::VideoFrameExt;
    let caps = sample.caps().ok_or("a frame without caps")?;
    let info = gst_video::VideoInfo::from_caps(caps)?;
    let buffer = sample.buffer().ok_or("a sample without a frame")?;
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, &info)?;
    let row = 3 * info.width() as usize;
    let rows = frame
        .plane_data(0)?
        .chunks(frame.plane_stride()[0] as usize);
    Ok(Shot {
        size: Size::new(info.width(), info.height()),
        rgb: rows.flat_map(|padded| &padded[..row]).copied().collect(),
        truth: None,
        take: None,
        pose: None,
    })
}

/// A portable float map of one channel, little-endian, bottom row first.
fn read_pfm(path: &Path) -> Result<Vec<f32>, Box<dyn Error>> {
    let bytes = fs::read(path)?;
    let wrong = || format!("{} is no portable float map", path.display());
    let mut lines = bytes.splitn(4, |byte| *byte == b'\n');
    let mut line = || lines.next().and_then(|line| std::str::from_utf8(line).ok());
    if line() != Some("Pf") {
        return Err(wrong().into());
    }
    let (width, height) = line()
        .and_then(|line| line.split_once(' '))
        .ok_or_else(wrong)?;
    let (width, height): (usize, usize) = (width.parse()?, height.parse()?);
    line();
    let values = lines.next().ok_or_else(wrong)?;
    if values.len() != 4 * width * height || width == 0 {
        return Err(wrong().into());
    }
    let rows = values
        .chunks_exact(4 * width)
        .rev()
        .flat_map(|row| row.chunks_exact(4));
    Ok(rows
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect())
}

/// A picture at the size that another has, each pixel the nearest one.
pub(crate) fn nearest(picture: &[f32], size: Size, wanted: Size) -> Vec<f32> {
    let place = |index: u32, from: u32, to: u32| {
        (2 * index as usize + 1) * from as usize / (2 * to as usize)
    };
    let mut out = Vec::with_capacity(wanted.area());
    for y in 0..wanted.height {
        let row = &picture[place(y, size.height, wanted.height) * size.width as usize..];
        out.extend((0..wanted.width).map(|x| row[place(x, size.width, wanted.width)]));
    }
    out
}
