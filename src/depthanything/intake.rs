//! The way in: from a frame to the tensor that the network sees, or to the decision to repeat a depth.

use std::time::{Duration, Instant};

use gst_video::{VideoFrameRef, VideoInfo};

use super::CAT;
use super::messages::Warning;
use super::settings::LiveSettings;
use crate::error::Error;
use crate::frame::{
    Guide, Levels, Normalization, RunningLevels, SmallPicture, TensorWriter, Transfer,
};
use crate::geometry::Size;
use crate::inference::backend::InputNormalization;
use crate::inference::detailed::Detailed;
use crate::inference::shared::{Request, Timing};
use crate::inference::sizes::Reason;
use crate::mapping::{Reader, readable};
use crate::range::{Compared, CutDetector, Joint, Joints};
use crate::timing::Moment;

/// A frame on its way through the element.
pub(super) struct Job {
    pub(super) request: Request,
    /// Its runs for detail, if it has any.
    pub(super) detailed: Detailed,
    /// What leads its depth to the edges of the picture; empty where that is not asked for.
    pub(super) guide: Guide,
    /// What it shows, for the range; with luma where that is filtered.
    pub(super) picture: SmallPicture,
    pub(super) live: LiveSettings,
    pub(super) begun: Instant,
    pub(super) moment: Moment,
    pub(super) repeated: bool,
    /// How it joins on to the frame before,
    joint: Joint,
    /// and what its picture is to that one's, if it is not repeated.
    pub(super) compared: Compared,
    pub(super) timing: Option<Timing>,
    /// Time that reading the frame took.
    pub(super) reading: Duration,
    /// Time that writing its depth took.
    pub(super) writing: Duration,
    pub(super) steps: Vec<(Size, Reason)>,
    /// The picture of the runs for detail from here on, where that has changed.
    pub(super) detail_step: Option<(Size, Reason)>,
    pub(super) warning: Option<Warning>,
}

/// The way in of one stream.
pub(super) struct Intake {
    /// For frames of the present caps; `None` before there are any.
    reader: Option<TensorReader>,
    normalization: InputNormalization,
    /// For the conversion of large frames; 0: all cores.
    threads: usize,
    /// How the next frame joins on to the last.
    joints: Joints,
    /// Looks at the picture of each frame that is read.
    cuts: CutDetector,
    /// Buffers to use again.
    spare: Vec<(Request, Detailed, Guide, SmallPicture)>,
}

impl Intake {
    /// For a network that wants the values of `normalization`; large frames, and those of formats that GStreamer converts
    /// first, are converted with so many threads, 0: one for each core.
    pub(super) fn new(normalization: InputNormalization, threads: usize) -> Self {
        Self {
            reader: None,
            normalization,
            threads,
            joints: Joints::default(),
            cuts: CutDetector::default(),
            spare: Vec::new(),
        }
    }

    /// Frames are of `info` from here on, and the network sees `network` of them.
    ///
    /// # Errors
    /// When such frames can't be read. There are no caps then.
    pub(super) fn set_format(&mut self, info: &VideoInfo, network: Size) -> Result<(), Error> {
        let before = self.reader.take();
        let mut reader = TensorReader::new(info, network, self.normalization, self.threads)?;
        if let Some(before) = &before {
            let size = |info: &VideoInfo| (info.width(), info.height());
            let same_size = size(&before.info) == size(info);
            if before.info != *info {
                let same_shape = same_size && before.info.par() == info.par();
                self.joints.caps(same_shape);
            }
            if same_size {
                reader.resume(before);
            }
        }
        self.reader = Some(reader);
        Ok(())
    }

    /// There are no caps any more.
    pub(super) fn forget_format(&mut self) {
        self.reader = None;
    }

    /// Whether frames are of `info`.
    pub(super) fn is_for(&self, info: &VideoInfo) -> bool {
        self.reader
            .as_ref()
            .is_some_and(|reader| reader.info == *info)
    }

    /// Whether frames go through GStreamer's video converter first.
    pub(super) fn converts(&self) -> bool {
        let reader = self.reader.as_ref();
        reader.is_some_and(|reader| reader.reader.converts())
    }

    /// Whether there is a depth to repeat.
    pub(super) fn can_repeat(&self) -> bool {
        let reader = self.reader.as_ref();
        reader.is_some_and(|reader| reader.age.is_some())
    }

    /// The frames that come next may join on to the last, or not.
    pub(super) fn joints(&mut self) -> &mut Joints {
        &mut self.joints
    }

    /// Forgets the past: after a flush.
    pub(super) fn restart(&mut self) {
        self.joints.afresh();
        self.set_age(None);
    }

    /// Changes what the network sees. The depth of the old size is not repeated.
    ///
    /// # Errors
    /// When the frames can't be made tensors of this size; the old size stays.
    pub(super) fn resize(&mut self, network: Size) -> Result<(), Error> {
        self.reader
            .as_mut()
            .ok_or_else(not_negotiated)?
            .resize(network)
    }

    /// An empty job, of buffers that were used before.
    pub(super) fn job(&mut self, live: &LiveSettings, moment: Moment) -> Job {
        let begun = Instant::now();
        let (request, detailed, guide, picture) = self.spare.pop().unwrap_or_default();
        Job {
            repeated: false,
            request,
            detailed,
            guide,
            picture,
            live: *live,
            begun,
            moment,
            joint: Joint::default(),
            compared: Compared::default(),
            timing: None,
            reading: Duration::ZERO,
            writing: Duration::ZERO,
            steps: Vec::new(),
            detail_step: None,
            warning: None,
        }
    }

    /// Decides what happens to a frame, and reads it for `job`.
    ///
    /// # Errors
    /// When it can't be read.
    pub(super) fn take(&mut self, frame: &gst::BufferRef, job: &mut Job) -> Result<(), Error> {
        let reader = self.reader.as_mut().ok_or_else(not_negotiated)?;
        let interval = if job.moment.hurried {
            u32::MAX
        } else {
            job.live.inference_interval
        };
        let discont = frame.flags().contains(gst::BufferFlags::DISCONT);
        let [start, end] = job.moment.span;
        let joined = self.joints.next(discont, start, end);
        job.joint = joined.joint;
        job.repeated = reader.repeats(interval);
        if job.repeated && !joined.in_doubt {
            return Ok(());
        }
        self.read(frame, job)?;
        let compared = self.cuts.look(&job.picture, job.joint);
        if job.repeated && !compared.goes_on() {
            // the depth before is of something else
            job.repeated = false;
            self.set_age(Some(0));
        }
        if !job.repeated {
            job.compared = compared;
        }
        Ok(())
    }

    /// Reads `frame` at the present size.
    ///
    /// # Errors
    /// When it is not what its caps say.
    pub(super) fn read(&mut self, frame: &gst::BufferRef, job: &mut Job) -> Result<(), Error> {
        let start = Instant::now();
        let reader = self.reader.as_mut().ok_or_else(not_negotiated)?;
        job.request.size = reader.network;
        let frame = readable(frame, &reader.info, "input")?;
        job.guide.clear();
        let guide = job.live.upsampling.is_guided().then_some(&mut job.guide);
        reader.read(&frame, &mut job.request.tensor, &mut job.detailed, guide)?;
        let (tensor, size) = (&job.request.tensor, job.request.size);
        // of natural pictures, in the network's units
        let deviation = self.normalization.picture_deviation();
        job.picture
            .read(tensor, size, deviation, job.live.filters());
        job.reading = start.elapsed();
        Ok(())
    }

    /// A frame that was to be run is to be read again, at another size.
    pub(super) fn begin_again(&mut self, job: &mut Job) {
        // the tensor that failed is larger than what is needed now
        job.request = Request::default();
        job.detailed.give_up();
        self.set_age(Some(0));
    }

    /// A frame that comes to nothing. The next one is tried, not papered over with an older depth.
    pub(super) fn abandon(&mut self, job: Job) {
        // nobody has taken in a cut before it
        self.joints.put_back(if job.compared.goes_on() {
            job.joint
        } else {
            Joint::Afresh
        });
        self.set_age(None);
        self.give_back(job);
    }

    /// Takes the buffers of a job back, to use them again.
    pub(super) fn give_back(&mut self, job: Job) {
        self.spare
            .push((job.request, job.detailed, job.guide, job.picture));
    }

    fn set_age(&mut self, age: Option<u32>) {
        if let Some(reader) = &mut self.reader {
            reader.age = age;
        }
    }
}

/// Frames came before caps did.
pub(super) fn not_negotiated() -> Error {
    Error::Frame {
        reason: "it came before its caps".into(),
    }
}

/// Makes tensors of the frames of one caps.
struct TensorReader {
    info: VideoInfo,
    reader: Reader,
    writer: TensorWriter,
    /// For the picture of the runs for detail; `None`: there were none yet.
    detail_writer: Option<(Size, TensorWriter)>,
    /// Of 16-bit grey.
    levels: Option<RunningLevels>,
    /// What was said of them: they are stretched.
    stretched: bool,
    network: Size,
    normalization: Normalization,
    /// See [`TensorWriter::with_threads`].
    threads: usize,
    /// Frames since the network last took one; `None`: there is no depth to repeat.
    age: Option<u32>,
}

impl TensorReader {
    /// For frames of `info` and a network that sees `network` in the values of `normalization`; large ones, and those of
    /// formats that GStreamer converts first, are converted with so many threads, 0: one for each core.
    ///
    /// # Errors
    /// When such frames can't be read.
    fn new(
        info: &VideoInfo,
        network: Size,
        normalization: InputNormalization,
        threads: usize,
    ) -> Result<Self, Error> {
        let reader = Reader::new(info, threads).map_err(|error| Error::Frame {
            reason: error.to_string(),
        })?;
        let normalization = normalization.mean_and_deviation().into();
        let writer = TensorWriter::new(reader.format(), network, normalization)?;
        let transfer = reader.format().colorimetry.transfer;
        if transfer != Transfer::Standard {
            gst::info!(
                CAT,
                "frames are high dynamic range ({transfer:?}): the network sees them tone-mapped to BT.709"
            );
        }
        Ok(Self {
            info: info.clone(),
            levels: RunningLevels::new(reader.format()),
            stretched: false,
            reader,
            writer: writer.with_threads(threads),
            detail_writer: None,
            network,
            normalization,
            threads,
            age: None,
        })
    }

    /// Goes on repeating where `before` was, whose frames were of other caps.
    fn resume(&mut self, before: &Self) {
        self.age = before.age.filter(|_| before.network == self.network);
    }

    /// Changes what the network sees. The depth of the old size is not repeated.
    ///
    /// # Errors
    /// When the frames can't be made tensors of this size; the old size stays.
    fn resize(&mut self, network: Size) -> Result<(), Error> {
        if network != self.network {
            let writer = TensorWriter::new(self.reader.format(), network, self.normalization)?;
            self.writer = writer.with_threads(self.threads);
            self.network = network;
            self.age = None;
        }
        Ok(())
    }

    /// Whether the depth before is to be repeated for the frame that comes now, when the network runs on each
    /// `interval`-th.
    fn repeats(&mut self, interval: u32) -> bool {
        match self.age {
            Some(age) if age.saturating_add(1) < interval => {
                self.age = Some(age + 1);
                true
            }
            _ => {
                self.age = Some(0);
                false
            }
        }
    }

    /// Makes the tables for the picture of the runs for detail, unless they are there; `None`: there are none.
    fn prepare_detail(&mut self, whole: Option<Size>) -> Result<(), Error> {
        let Some(whole) = whole else {
            self.detail_writer = None;
            return Ok(());
        };
        if !matches!(&self.detail_writer, Some((size, _)) if *size == whole) {
            let writer = TensorWriter::new(self.reader.format(), whole, self.normalization)?;
            self.detail_writer = Some((whole, writer.with_threads(self.threads)));
        }
        Ok(())
    }

    /// Fills `tensor` with what the network is to see of `frame`, `detailed` with what its runs for detail are to see, and
    /// `guide`, if any, with its luma.
    ///
    /// # Errors
    /// When the frame is not what its caps say.
    fn read(
        &mut self,
        frame: &VideoFrameRef<&gst::BufferRef>,
        tensor: &mut Vec<f32>,
        detailed: &mut Detailed,
        guide: Option<&mut Guide>,
    ) -> Result<(), Error> {
        self.prepare_detail(detailed.whole())?;
        let detail_writer = &mut self.detail_writer;
        let (writer, levels) = (&mut self.writer, &mut self.levels);
        let stretched = &mut self.stretched;
        tensor.resize(writer.tensor_len(), 0.0);
        let format = *self.reader.format();
        self.reader.read(frame, |frame| {
            if let Some(guide) = guide {
                guide.take(frame, &format)?;
            }
            if let Some(levels) = levels {
                let levels = levels.follow(frame, &format)?;
                writer.set_levels(levels);
                if let Some((_, writer)) = detail_writer {
                    writer.set_levels(levels);
                }
                tell_stretched(levels, stretched);
            }
            if let Some((_, writer)) = detail_writer {
                detailed.read(|tensor| writer.write(frame, tensor))?;
            }
            writer.write(frame, tensor)
        })
    }
}

/// Says it when 16-bit grey is stretched for the first time.
fn tell_stretched(levels: Levels, told: &mut bool) {
    if levels != Levels::WHOLE && !std::mem::replace(told, true) {
        let [black, white] = [levels.black, levels.white].map(|share| share * 65535.0);
        gst::info!(
            CAT,
            "16-bit grey uses a part of its range: the network sees {black:.0} to {white:.0} as black to white, by \
             running percentiles. GRAY8 in front of it is taken as it is"
        );
    }
}
