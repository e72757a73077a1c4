//! What running a model does. `ORT_DYLIB_PATH` names the runtime.

use std::time::{Duration, Instant};

use gst::prelude::*;
use gstdepthanything::error::{Error, Setting};
use gstdepthanything::geometry::Size;
use gstdepthanything::inference::shared::Batching;
use gstdepthanything::inference::{self, ExecutionProvider, Limits, Network};
use gstdepthanything::model::proto::{ModelProto, NodeProto, TensorProto};
use gstdepthanything::model::{Budget, Cancel, Model, ModelSource};
use prost::Message as _;

use crate::craft::{
    self, floats, graph_of, info, int, ints, longs, model, node, outside, weighed, with,
};
use crate::engine_support::{config, plain_runtime, run};
use crate::{TIMEOUT, worked, write};

const PLACE: &[(&str, &str)] = &[("location", "w.bin"), ("offset", "4"), ("length", "4")];

fn open(source: &ModelSource) -> Result<Box<dyn Network>, Error> {
    plain_runtime();
    let start = worked();
    let config = config(source.clone(), ExecutionProvider::Cpu);
    let result = inference::open(&config, &mut |_| {});
    let took = worked() - start;
    assert!(took < TIMEOUT, "{took:?}");
    result
}

/// A model whose large weight lies where `change` puts it.
fn large(change: impl FnOnce(&mut TensorProto)) -> ModelProto {
    let mut table = floats("table", &[64, 64], &[]);
    change(&mut table);
    let nodes = vec![with(
        node("ReduceMean", &["table"], &["mean_of_table"]),
        ints("axes", &[0, 1]),
    )];
    let mut model = weighed(nodes, vec![table]);
    for node in &mut graph_of(&mut model).node {
        for input in &mut node.input {
            if input == "w" {
                *input = "mean_of_table".to_owned();
            }
        }
    }
    model
}

/// The runtime gets the weights from memory: what becomes of their file does not matter.
#[test]
fn weights_reach_the_runtime_without_their_file() {
    let folder = tempfile::tempdir().unwrap();
    let two: Vec<u8> = std::iter::repeat_n(2_f32.to_le_bytes(), 64 * 64)
        .flatten()
        .collect();
    std::fs::write(folder.path().join("table.bin"), &two).unwrap();
    let beside = large(|table| {
        let entries = outside("table", &[("location", "table.bin")]);
        table.external_data = entries.external_data;
        table.data_location = entries.data_location;
    });
    let inside = large(|table| table.raw_data = Some(two.clone().into()));
    let image = vec![0.5; 3 * 140 * 140];
    for (name, crafted) in [("beside", beside), ("inside", inside)] {
        let source = write(folder.path(), &crafted);
        let mut network = open(&source).unwrap_or_else(|error| panic!("{name}: {error}"));
        // cut short in place: a mapping of it would end in SIGBUS
        for file in ["table.bin", "model.onnx"] {
            std::fs::File::options()
                .write(true)
                .open(folder.path().join(file))
                .unwrap()
                .set_len(0)
                .unwrap();
        }
        let depth = run(network.as_mut(), &image, 1, Size::new(140, 140));
        assert!(depth.values.iter().all(|&value| value == 1.0), "{name}");
        std::fs::write(folder.path().join("table.bin"), &two).unwrap();
    }
}

/// Of a model that is too large to be in memory twice, the runtime maps the files that were checked, and finds them by
/// their real names, wherever links to them lie.
#[test]
fn large_models_stay_in_their_files() {
    let cache = tempfile::tempdir().unwrap();
    let (blobs, snapshot) = (cache.path().join("blobs"), cache.path().join("snapshot"));
    std::fs::create_dir(&blobs).unwrap();
    std::fs::create_dir(&snapshot).unwrap();
    // zeros, which take no room on the disk
    let rows: i64 = 70_000;
    let data = std::fs::File::create(blobs.join("bb")).unwrap();
    data.set_len(rows as u64 * 1024 * 4).unwrap();
    let crafted = large(|table| {
        let entries = outside("table", &[("location", "table.bin")]);
        table.dims = vec![rows, 1024];
        table.external_data = entries.external_data;
        table.data_location = entries.data_location;
    });
    std::fs::write(blobs.join("aa"), crafted.encode_to_vec()).unwrap();
    std::os::unix::fs::symlink("../blobs/aa", snapshot.join("model.onnx")).unwrap();
    std::os::unix::fs::symlink("../blobs/bb", snapshot.join("table.bin")).unwrap();
    let source = ModelSource::File(snapshot.join("model.onnx"));
    let model = Model::read(&source, &Budget::default()).unwrap();
    let real = blobs.canonicalize().unwrap();
    assert_eq!(model.folder(), real.to_str());
    assert!(
        model.proto().encoded_len() < 2000,
        "the weights are in memory"
    );
    let mut network = open(&source).unwrap_or_else(|error| panic!("{error}"));
    let image = vec![0.5; 3 * 140 * 140];
    let depth = run(network.as_mut(), &image, 1, Size::new(140, 140));
    assert!(depth.values.iter().all(|&value| value == 0.0));
}

#[test]
fn small_weights_reach_the_runtime_from_wherever_they_lie() {
    let folder = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = [7_f32, 3.0]
        .into_iter()
        .flat_map(f32::to_le_bytes)
        .collect();
    std::fs::write(folder.path().join("w.bin"), bytes).unwrap();
    let image = vec![0.5; 3 * 140 * 140];
    for (name, crafted) in craft::in_every_place(&outside("w", PLACE)) {
        let source = write(folder.path(), &crafted);
        let expected = match name {
            "training" => 0.5,
            name if name.starts_with("list") => 0.5,
            _ => 1.5,
        };
        match open(&source) {
            Ok(mut network) => {
                let depth = run(network.as_mut(), &image, 1, Size::new(140, 140));
                assert!(
                    depth.values.iter().all(|&value| value == expected),
                    "{name}: {}",
                    depth.values[0]
                );
            }
            // an attribute that its operator does not have; sparse ones not every build takes
            Err(error) => assert!(
                name.starts_with("list") || name.starts_with("sparse") || name == "branch",
                "{name}: {error}"
            ),
        }
    }
}

#[test]
fn what_a_runtime_would_read_is_refused_before_it_does() {
    let folder = tempfile::tempdir().unwrap();
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), [1; 64]).unwrap();
    std::fs::write(folder.path().join("w.bin"), [0; 64]).unwrap();
    let secret = secret.path().to_str().unwrap();
    let memory = "*/_ORT_MEM_ADDR_/*";
    let places: [&[(&str, &str)]; 4] = [
        &[("location", secret)],
        &[("location", "w.bin"), ("location", secret)],
        &[("location", memory), ("offset", "0"), ("length", "4")],
        &[
            ("location", "w.bin"),
            ("offset", "16"),
            ("length", "4"),
            ("location", memory),
        ],
    ];
    for place in places {
        for (name, crafted) in craft::in_every_place(&outside("w", place)) {
            let error = open(&write(folder.path(), &crafted))
                .err()
                .unwrap_or_else(|| panic!("{name}: it opens"));
            assert!(matches!(error, Error::ModelFile { .. }), "{name}: {error}");
        }
    }
}

#[test]
fn work_without_end_ends_with_a_runtime_too() {
    let folder = tempfile::tempdir().unwrap();
    for (name, crafted) in craft::endless() {
        // the runtime's own time for ten thousand attentions is not ours
        if name.starts_with("attentions") || name == "backwards" {
            continue;
        }
        if let Err(error) = open(&write(folder.path(), &crafted)) {
            let words = error.to_string();
            assert!(
                words.len() < 8192 && !words.chars().any(char::is_control),
                "{name}: {words}"
            );
        }
    }
}

#[test]
fn fixed_sizes_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    for (batch, side) in [(16, 16384), (1, 16384), (16, 4200), (2, 8000)] {
        let mean = with(node("ReduceMean", &["x"], &["m"]), ints("axes", &[1]));
        let mut crafted = model(vec![mean, node("Relu", &["m"], &["y"])], Vec::new());
        graph_of(&mut crafted).input = vec![info("x", &[batch, 3, side, side])];
        graph_of(&mut crafted).output = vec![info("y", &[batch, 1, side, side])];
        let error = open(&write(folder.path(), &crafted))
            .err()
            .expect("refused")
            .to_string();
        assert!(error.contains("megapixels"), "{error}");
    }
}

#[test]
fn what_does_not_fit_in_memory_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let huge = longs("shape", &[4], &[1, 1, 1_000_000, 2_000_000]);
    let nodes = vec![
        with(node("ReduceMean", &["x"], &["m"]), ints("axes", &[1, 2, 3])),
        node("Expand", &["m", "shape"], &["e"]),
        with(node("ReduceMean", &["e"], &["r"]), ints("axes", &[2, 3])),
        with(node("ReduceMean", &["x"], &["c"]), ints("axes", &[1])),
        node("Mul", &["r", "c"], &["k"]),
        node("Relu", &["k"], &["y"]),
    ];
    let error = open(&write(folder.path(), &model(nodes, vec![huge])))
        .err()
        .expect("8 TB")
        .to_string();
    assert!(error.contains("memory"), "{error}");
}

#[test]
fn work_without_end_in_the_runtime_ends() {
    let folder = tempfile::tempdir().unwrap();
    for (name, crafted) in craft::endless_to_run() {
        let error = open(&write(folder.path(), &crafted))
            .err()
            .unwrap_or_else(|| panic!("{name}: it opens"));
        assert!(
            matches!(error, Error::ModelUnsupported { .. }),
            "{name}: {error}"
        );
        let words = error.to_string();
        assert!(
            words.contains("without an end") && words.contains("model.onnx"),
            "{name}: {words}"
        );
    }
}

/// A model that leaves no choice of its size is tried within `memory-limit`, and what it was tried within is no matter to
/// the next.
#[test]
fn a_fixed_size_is_tried_within_the_limit_of_memory() {
    plain_runtime();
    let folder = tempfile::tempdir().unwrap();
    // 116 MB of the image, again and again
    let mut crafted = weighed(
        vec![
            node("Tile", &["x", "times"], &["big"]),
            with(node("ReduceMean", &["big"], &["w"]), int("keepdims", 0)),
        ],
        vec![longs("times", &[4], &[1, 1, 6, 6])],
    );
    graph_of(&mut crafted).input = vec![info("x", &[1, 3, 518, 518])];
    let config = config(write(folder.path(), &crafted), ExecutionProvider::Cpu);
    let open = |memory| {
        let limits = Limits {
            memory,
            ..Limits::default()
        };
        inference::shared::open(limits, &config, Batching::default(), &mut |_| {})
    };
    match open(Some(40_000_000)) {
        Err(Error::Setting {
            setting: Setting::MemoryLimit,
            reason,
        }) => assert!(reason.contains("40 MB"), "{reason}"),
        other => panic!("{:?}", other.err()),
    }
    open(Some(400_000_000)).unwrap();
    open(None).unwrap();
}

#[test]
fn work_in_the_runtime_is_cancelled() {
    plain_runtime();
    let folder = tempfile::tempdir().unwrap();
    let (_, crafted) = craft::endless_to_run().swap_remove(0);
    let config = config(write(folder.path(), &crafted), ExecutionProvider::Cpu);
    let cancel = Cancel::default();
    let began = std::thread::scope(|scope| {
        let loads = scope.spawn(|| {
            let limits = Limits {
                cancel: cancel.clone(),
                memory: None,
            };
            inference::shared::open(limits, &config, Batching::default(), &mut |_| {})
        });
        std::thread::sleep(Duration::from_millis(800));
        cancel.cancel();
        let began = Instant::now();
        let result = loads.join().unwrap();
        assert!(
            matches!(result, Err(Error::Cancelled)),
            "{:?}",
            result.err()
        );
        began
    });
    // far below the time that it had
    assert!(
        began.elapsed() < Duration::from_secs(4),
        "{:?}",
        began.elapsed()
    );
}

/// A live source holds a lock while it tells its caps, and needs it to stop.
#[test]
fn null_does_not_wait_for_a_model_that_is_loaded() {
    plain_runtime();
    gst::init().unwrap();
    gstdepthanything::plugin_register_static().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (_, crafted) = craft::endless_to_run().swap_remove(0);
    let model = write(folder.path(), &crafted);
    let ModelSource::File(path) = &model else {
        panic!("a file");
    };
    for source in ["videotestsrc is-live=true", "videotestsrc"] {
        let pipeline = gst::parse::launch(&format!(
            "{source} ! video/x-raw,width=64,height=48,framerate=30/1 \
             ! depthanything model-file={} ! fakesink sync=false",
            path.display()
        ))
        .unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        std::thread::sleep(Duration::from_millis(400));
        let flush = gst::SeekFlags::FLUSH;
        let _ = pipeline.seek_simple(flush, gst::ClockTime::ZERO);
        std::thread::sleep(Duration::from_millis(300));
        let began = Instant::now();
        pipeline.set_state(gst::State::Null).unwrap();
        let took = began.elapsed();
        assert!(took < Duration::from_millis(500), "{source}: {took:?}");
    }
}

/// Most memory that this process has had, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.expect("the system tells") * 1024
}

#[test]
fn memory_without_end_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (name, crafted) in craft::large_to_run() {
        let error = open(&write(folder.path(), &crafted))
            .err()
            .unwrap_or_else(|| panic!("{name}: it opens"));
        let words = error.to_string();
        assert!(
            words.contains("memory") && words.contains("model.onnx"),
            "{name}: {words}"
        );
        assert!(peak() < 1_500_000_000, "{name}: {} MB", peak() >> 20);
    }
}

#[test]
fn divisions_by_zero_do_not_end_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let mut opened = 0;
    for (name, crafted) in craft::divided_by_zero() {
        match open(&write(folder.path(), &crafted)) {
            // as a processor of ARM has it
            Ok(mut network) => {
                opened += 1;
                let size = Size::new(28, 14);
                run(&mut *network, &vec![0.5; 3 * size.area()], 1, size);
            }
            Err(error) => {
                let words = error.to_string();
                assert!(words.contains("model.onnx"), "{name}: {words}");
            }
        }
    }
    assert!(opened > 0, "the runtime refuses all of them by itself");
}

/// What the runtime itself crashes on ends another process, and what works is tried there once.
#[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
#[test]
fn a_crash_of_the_runtime_does_not_end_the_process() {
    plain_runtime();
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let open = |name: &str, nodes: Vec<NodeProto>| {
        let mean = with(
            node("ReduceMean", &["made"], &["w"]),
            ints("axes", &[0, 1, 2, 3]),
        );
        let numbers = vec![
            longs("zero", &[1], &[0]),
            longs("across", &[1], &[3]),
            floats("ones", &[3], &[1.0; 3]),
        ];
        let model = weighed([nodes, vec![mean]].concat(), numbers);
        let path = folder.path().join(name);
        std::fs::write(&path, model.encode_to_vec()).unwrap();
        let config = inference::Config {
            engine_cache: Some(cache.clone()),
            ..config(ModelSource::File(path), ExecutionProvider::Cpu)
        };
        inference::open(&config, &mut |_| {})
    };
    let notes = || {
        let folders = std::fs::read_dir(&cache).into_iter().flatten().flatten();
        let files = folders.flat_map(|it| std::fs::read_dir(it.path()).unwrap());
        let files = files.map(|it| it.unwrap().path());
        // what else was found out is kept beside them
        let is_note = |path: &std::path::PathBuf| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            name.starts_with("tried-")
        };
        files.filter(is_note).collect::<Vec<_>>()
    };
    // statistics of no pixels
    let broken = vec![
        node("Slice", &["x", "zero", "zero", "across"], &["none"]),
        node(
            "InstanceNormalization",
            &["none", "ones", "ones"],
            &["made"],
        ),
    ];
    let result = open("broken.onnx", broken);
    let version = inference::onnx::runtime::load()
        .unwrap()
        .version()
        .to_string();
    if ["1.21.1", "1.24.1", "1.32.0"].contains(&version.as_str()) {
        let words = result.err().expect("a crash").to_string();
        assert!(
            words.contains("SIGSEGV") && words.contains("broken.onnx"),
            "{words}"
        );
        assert!(notes().is_empty(), "what fails is tried again");
    }

    let unusual = || vec![node("Softsign", &["x"], &["made"])];
    let mut network = open("unusual.onnx", unusual()).unwrap();
    let size = Size::new(28, 14);
    run(&mut *network, &vec![0.5; 3 * size.area()], 1, size);
    let [note] = &notes()[..] else {
        panic!("{:?}", notes());
    };
    let made = std::fs::metadata(note).unwrap().modified().unwrap();
    open("elsewhere.onnx", unusual()).unwrap();
    assert_eq!(notes().len(), 1, "the same model under another name");
    let now = std::fs::metadata(note).unwrap().modified().unwrap();
    assert_eq!(now, made, "it was tried again");
    // what else is known of it does not stand in for that
    std::fs::remove_file(note).unwrap();
    open("unusual.onnx", unusual()).unwrap();
    assert!(
        matches!(&notes()[..], [only] if only == note),
        "it was not tried again"
    );

    let usual = vec![node("Relu", &["x"], &["made"])];
    open("usual.onnx", usual).unwrap();
    assert_eq!(notes().len(), 1, "nothing to be careful of");
}
