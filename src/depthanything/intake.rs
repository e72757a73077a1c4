//! The way in: from a frame to the tensor that the network sees, or to the decision to repeat a depth.

use gst_video::{VideoFrameRef, VideoInfo};

use super::CAT;
use super::pixels::Reader;
use crate::engine::network::InputNormalization;
use crate::error::Error;
use crate::frame::{Guide, Levels, Normalization, RunningLevels, TensorWriter, Transfer};
use crate::geometry::Size;

/// Makes tensors of the frames of one caps.
pub(super) struct Intake {
    reader: Reader,
    writer: TensorWriter,
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

impl Intake {
    /// For frames of `info` and a network that sees `network` in the values of `normalization`; large ones, and those of
    /// formats that GStreamer converts first, are converted with so many threads, 0: one for each core.
    ///
    /// # Errors
    /// When such frames can't be read.
    pub(super) fn new(
        info: &VideoInfo,
        network: Size,
        normalization: InputNormalization,
        threads: usize,
    ) -> Result<Self, Error> {
        let reader = Reader::new(info, threads).map_err(|error| Error::Frame {
            reason: error.to_string(),
        })?;
        let (mean, std) = normalization.mean_and_deviation();
        let normalization = Normalization { mean, std };
        let writer = TensorWriter::new(reader.format(), network, normalization)?;
        let transfer = reader.format().colorimetry.transfer;
        if transfer != Transfer::Standard {
            gst::info!(
                CAT,
                "frames are high dynamic range ({transfer:?}): the network sees them tone-mapped to BT.709"
            );
        }
        Ok(Self {
            levels: RunningLevels::new(reader.format()),
            stretched: false,
            reader,
            writer: writer.with_threads(threads),
            network,
            normalization,
            threads,
            age: None,
        })
    }

    /// What the network sees of the frames from here on.
    pub(super) fn network(&self) -> Size {
        self.network
    }

    /// Whether frames go through GStreamer's video converter first.
    pub(super) fn converts(&self) -> bool {
        self.reader.converts()
    }

    /// The next frame goes through the network, whatever the interval.
    pub(super) fn end_repetition(&mut self) {
        self.age = None;
    }

    /// Goes on repeating where `before` was, whose frames were of other caps.
    pub(super) fn resume(&mut self, before: &Self) {
        self.age = before.age.filter(|_| before.network == self.network);
    }

    /// The frame whose depth was to be repeated goes through the network.
    pub(super) fn repeat_this(&mut self) {
        self.age = Some(0);
    }

    /// Whether there is a depth to repeat.
    pub(super) fn can_repeat(&self) -> bool {
        self.age.is_some()
    }

    /// Changes what the network sees. The depth of the old size is not repeated.
    ///
    /// # Errors
    /// When the frames can't be made tensors of this size; the old size stays.
    pub(super) fn resize(&mut self, network: Size) -> Result<(), Error> {
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
    pub(super) fn repeats(&mut self, interval: u32) -> bool {
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

    /// Fills `tensor` with what the network is to see of `frame`, and `guide`, if any, with its luma.
    ///
    /// # Errors
    /// When the frame is not what its caps say.
    pub(super) fn read(
        &mut self,
        frame: &VideoFrameRef<&gst::BufferRef>,
        tensor: &mut Vec<f32>,
        guide: Option<&mut Guide>,
    ) -> Result<(), Error> {
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
                tell_stretched(levels, stretched);
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
