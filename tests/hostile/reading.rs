//! What reading a model does, before any runtime sees it.

use std::os::unix::fs::symlink;
use std::process::Command;

use gstdepthanything::error::Error;
use gstdepthanything::model::proto::{ModelProto, NodeProto};
use gstdepthanything::model::rewrite::{fuse_attention, separate_resizes, to_half};
use gstdepthanything::model::{Budget, Cancel, Model, ModelSource};
use prost::Message as _;

use crate::craft::{self, floats, graph_of, info, int, model, node, outside, text, weighed, with};
use crate::{TIMEOUT, judge, worked, write};

const PLACE: &[(&str, &str)] = &[("location", "w.bin"), ("offset", "4"), ("length", "4")];

/// The weight of a model, as it was read.
fn weight(model: &Model) -> Vec<u8> {
    let mut model = model.proto().clone();
    graph_of(&mut model)
        .initializer
        .remove(0)
        .raw_data()
        .to_vec()
}

#[test]
fn weights_beside_the_model_are_read_into_it() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("w.bin"), [1, 2, 3, 4, 5, 6, 7, 8]).unwrap();
    for (name, crafted) in craft::in_every_place(&outside("w", PLACE)) {
        let source = write(folder.path(), &crafted);
        let model =
            Model::read(&source, &Budget::default()).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(
            model.facts().external_data,
            [folder.path().join("w.bin")],
            "{name}"
        );
        let bytes = model.proto().encode_to_vec();
        let there = |what: &[u8]| bytes.windows(what.len()).any(|window| window == what);
        assert!(!there(b"w.bin"), "{name}: a runtime would open it");
        assert_eq!(there(&[5, 6, 7, 8]), name != "training", "{name}");
        assert!(!there(&[1, 2, 3, 4]), "{name}: more than was asked for");
    }
}

#[test]
fn places_outside_are_refused_wherever_they_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), [0; 64]).unwrap();
    let absolute = secret.path().to_str().unwrap();
    let up = format!("..{absolute}");
    std::fs::write(folder.path().join("w.bin"), [0; 64]).unwrap();
    symlink(secret.path(), folder.path().join("link.bin")).unwrap();
    symlink("/", folder.path().join("root")).unwrap();
    let through_root = format!("root{absolute}");
    let memory = "*/_ORT_MEM_ADDR_/*";
    let places: &[&[(&str, &str)]] = &[
        &[("location", absolute)],
        &[("location", &up)],
        &[("location", "link.bin")],
        &[("location", &through_root)],
        &[
            ("location", memory),
            ("offset", "94000000000000"),
            ("length", "4"),
        ],
        &[("location", "")],
        &[("location", "."), ("length", "4")],
        // runtimes differ in which of two they take
        &[("location", "w.bin"), ("location", absolute)],
        &[("location", absolute), ("location", "w.bin")],
        &[("location", "w.bin"), ("offset", "0"), ("offset", "8")],
        &[("location", "w.bin"), ("length", "4"), ("length", "64")],
        &[("location", "w.bin"), ("basepath", "/")],
        &[("location", "w.bin"), ("Location", absolute)],
        &[("offset", "0")],
        &[("location", "w.bin"), ("offset", "-4")],
        &[("location", "w.bin"), ("offset", "18446744073709551615")],
        &[("location", "w.bin"), ("offset", "61")],
        &[("location", "w.bin"), ("length", "400000000000")],
        &[("location", "none.bin")],
    ];
    for place in places {
        for (name, crafted) in craft::in_every_place(&outside("w", place)) {
            let source = write(folder.path(), &crafted);
            let error = judge(name, &source).expect_err(name);
            assert!(
                matches!(error, Error::ModelFile { .. }),
                "{name} {place:?}: {error}"
            );
        }
    }
}

#[test]
fn a_place_that_is_not_marked_as_external_is_not_handed_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut tensor = outside("w", &[("location", "/etc/passwd")]);
    tensor.data_location = Some(7);
    tensor.float_data = vec![1.0];
    for (name, crafted) in craft::in_every_place(&tensor) {
        let source = write(folder.path(), &crafted);
        let model =
            Model::read(&source, &Budget::default()).unwrap_or_else(|e| panic!("{name}: {e}"));
        let words = String::from_utf8_lossy(&model.proto().encode_to_vec()).into_owned();
        assert!(!words.contains("passwd"), "{name}");
    }
}

#[test]
fn what_is_no_regular_file_is_refused_without_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new("mkfifo")
        .arg(folder.path().join("w.bin"))
        .status();
    assert!(made.is_ok_and(|status| status.success()), "mkfifo");
    let source = write(
        folder.path(),
        &weighed(Vec::new(), vec![outside("w", PLACE)]),
    );
    let error = judge("pipe", &source).unwrap_err().to_string();
    assert!(
        error.contains("not a regular file") && error.contains("w.bin"),
        "{error}"
    );

    let socket = folder.path().join("socket.onnx");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    judge("socket", &ModelSource::File(socket)).unwrap_err();
    for device in ["/dev/zero", "/dev/full", "/dev/tty"] {
        let link = folder.path().join("device.onnx");
        let _ = std::fs::remove_file(&link);
        symlink(device, &link).unwrap();
        judge(device, &ModelSource::File(link)).unwrap_err();
    }
}

/// Both the model and its data are links to one folder of blobs; a link to the link is as good.
#[test]
fn download_caches_are_read() {
    let cache = tempfile::tempdir().unwrap();
    let (blobs, snapshot) = (
        cache.path().join("m/blobs"),
        cache.path().join("m/snapshots/0/onnx"),
    );
    std::fs::create_dir_all(&blobs).unwrap();
    std::fs::create_dir_all(&snapshot).unwrap();
    let crafted = weighed(Vec::new(), vec![outside("w", PLACE)]);
    std::fs::write(blobs.join("aa"), crafted.encode_to_vec()).unwrap();
    std::fs::write(blobs.join("bb"), [1, 2, 3, 4, 5, 6, 7, 8]).unwrap();
    symlink("../../../blobs/aa", snapshot.join("model.onnx")).unwrap();
    symlink("../../../blobs/bb", snapshot.join("w.bin")).unwrap();
    symlink(
        "m/snapshots/0/onnx/model.onnx",
        cache.path().join("short.onnx"),
    )
    .unwrap();
    for path in [snapshot.join("model.onnx"), cache.path().join("short.onnx")] {
        let read = Model::read(&ModelSource::File(path.clone()), &Budget::default());
        let model = read.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(weight(&model), [5, 6, 7, 8]);
    }
    // but not what lies in the cache of another model
    let other = cache.path().join("other/blobs");
    std::fs::create_dir_all(&other).unwrap();
    std::fs::write(other.join("cc"), [0; 8]).unwrap();
    std::fs::remove_file(snapshot.join("w.bin")).unwrap();
    symlink("../../../../other/blobs/cc", snapshot.join("w.bin")).unwrap();
    for path in [snapshot.join("model.onnx"), cache.path().join("short.onnx")] {
        let error = judge("another's", &ModelSource::File(path))
            .unwrap_err()
            .to_string();
        assert!(error.contains("leads out of"), "{error}");
    }
}

#[test]
fn weights_that_share_bytes_are_read_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = std::fs::File::create(folder.path().join("w.bin")).unwrap();
    // no room on the disk, and none in memory but for what is asked for
    file.set_len(1 << 40).unwrap();
    let far = (1_u64 << 40) - 4;
    let far = far.to_string();
    let tensors = (0..3).map(|index| {
        outside(
            &format!("w{index}"),
            &[("location", "w.bin"), ("offset", &far)],
        )
    });
    let mut tensors: Vec<_> = tensors.collect();
    tensors.push(outside("w", &[("location", "w.bin")]));
    let source = write(folder.path(), &weighed(Vec::new(), tensors));
    let facts = judge("far away", &source).unwrap();
    assert_eq!(facts.external_data.len(), 1);

    let mut large = outside("w", &[("location", "w.bin")]);
    large.dims = vec![1 << 38];
    let source = write(folder.path(), &weighed(Vec::new(), vec![large]));
    let error = judge("too much", &source).unwrap_err().to_string();
    assert!(
        error.contains("w.bin") && error.contains("bytes"),
        "{error}"
    );
}

#[test]
fn memory_that_is_not_there_is_not_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let source = write(
        folder.path(),
        &weighed(Vec::new(), vec![floats("w", &[1], &[1.0])]),
    );
    let error = Model::read(&source, &Budget::default().with_memory(10)).unwrap_err();
    assert!(matches!(&error, Error::ModelFile { .. }), "{error}");
    assert!(error.to_string().contains("no memory"), "{error}");
}

#[test]
fn reading_can_be_cancelled() {
    let folder = tempfile::tempdir().unwrap();
    let cancel = Cancel::default();
    cancel.cancel();
    for (_, crafted) in craft::endless().into_iter().take(3) {
        let source = write(folder.path(), &crafted);
        let result = Model::read(&source, &Budget::new(cancel.clone()));
        assert!(matches!(result, Err(Error::Cancelled)));
    }
}

#[test]
fn work_without_end_ends() {
    let folder = tempfile::tempdir().unwrap();
    for (name, crafted) in craft::endless() {
        let source = write(folder.path(), &crafted);
        let _ = judge(name, &source);
        // and so does what comes after
        let start = worked();
        let (fused, _) = fuse_attention(crafted.clone());
        separate_resizes(fused);
        let _ = to_half(crafted, None);
        let took = worked() - start;
        assert!(took < TIMEOUT, "{name}: {took:?}");
    }
}

#[test]
fn many_attentions_are_fused_all_the_same() {
    let (_, report) = fuse_attention(craft::attentions(1_000, 20_000));
    assert_eq!(report.fused, 1_000);
    let (_, report) = fuse_attention(craft::attentions(1_001, 0));
    assert_eq!(report.fused, 0, "no depth network");
}

#[test]
fn small_files_that_ask_for_much_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let relu = || vec![node("Relu", &["x"], &["y"])];
    let patch = |block: i64| {
        let deep = with(
            node("SpaceToDepth", &["x"], &["d"]),
            int("blocksize", block),
        );
        model(vec![deep, node("Relu", &["d"], &["y"])], Vec::new())
    };
    let convolution = |side: i64| {
        let conv = with(
            node("Conv", &["x", "k"], &["d"]),
            craft::ints("strides", &[side, side]),
        );
        model(
            vec![conv, node("Relu", &["d"], &["y"])],
            vec![floats("k", &[1, 3, side, side], &[])],
        )
    };
    for (name, crafted) in [
        ("block of 65", patch(65)),
        ("block of 4000", patch(4000)),
        ("convolution of 128", convolution(128)),
    ] {
        let error = judge(name, &write(folder.path(), &crafted)).expect_err(name);
        assert!(error.to_string().contains("patches of"), "{name}: {error}");
    }
    // runtimes divide by these
    for (name, crafted, words) in [
        ("block of 2⁶³", patch(i64::MAX), "for blocksize"),
        ("block of none", patch(0), "for blocksize"),
        ("convolution of 2⁴⁰", convolution(1 << 40), "for strides"),
        ("convolution of none", convolution(0), "for strides"),
    ] {
        let error = judge(name, &write(folder.path(), &crafted)).expect_err(name);
        assert!(error.to_string().contains(words), "{name}: {error}");
    }
    judge("block of 64", &write(folder.path(), &patch(64))).unwrap();

    // two megabytes of empty attributes
    let mut bytes = model(relu(), Vec::new()).encode_to_vec();
    let attributes = [0x2a, 0].repeat(1000);
    let mut one = vec![0x0a];
    prost::encoding::encode_varint(attributes.len() as u64, &mut one);
    one.extend(attributes);
    let nodes = one.repeat(1000);
    bytes.push(0x3a);
    prost::encoding::encode_varint(nodes.len() as u64, &mut bytes);
    bytes.extend(nodes);
    let path = folder.path().join("empty.onnx");
    std::fs::write(&path, bytes).unwrap();
    let error = judge("empty attributes", &ModelSource::File(path)).unwrap_err();
    assert!(error.to_string().contains("MB of memory"), "{error}");

    let mut many = model(relu(), Vec::new());
    graph_of(&mut many)
        .node
        .extend(vec![NodeProto::default(); 200_000]);
    let error = judge("nodes", &write(folder.path(), &many)).unwrap_err();
    assert!(error.to_string().contains("nodes"), "{error}");
}

#[test]
fn engines_that_somebody_compiled_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let context = NodeProto {
        domain: text("com.microsoft"),
        ..node("EPContext", &["x"], &["y"])
    };
    let source = write(folder.path(), &model(vec![context], Vec::new()));
    let error = judge("EPContext", &source).unwrap_err().to_string();
    assert!(error.contains("EPContext"), "{error}");
}

#[test]
fn what_a_file_says_of_itself_steers_no_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let evil = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\r\nERROR: none\u{202e}";
    let long = "A".repeat(3_000_000);
    let mut crafted: Vec<(&str, ModelProto)> = Vec::new();
    for name in [evil, &long[..4000], &long] {
        let mut two = model(vec![node("Relu", &["x"], &["y"])], Vec::new());
        graph_of(&mut two).input.push(info(name, &[1, 3, -1, -1]));
        crafted.push(("input", two));
        let mut unmade = model(vec![node("Relu", &["x"], &["z"])], Vec::new());
        graph_of(&mut unmade).output = vec![info(name, &[1, 1, -1, -1])];
        crafted.push(("output", unmade));
        crafted.push(("weight", weighed(Vec::new(), vec![outside(name, &[])])));
        crafted.push((
            "location",
            weighed(Vec::new(), vec![outside("w", &[("location", name)])]),
        ));
        let missing = format!("{}.bin", &name[..name.len().min(200)]);
        crafted.push((
            "file",
            weighed(Vec::new(), vec![outside("w", &[("location", &missing)])]),
        ));
    }
    for (name, crafted) in crafted {
        let source = write(folder.path(), &crafted);
        if let Ok(facts) = judge(name, &source) {
            let result = gstdepthanything::model::select_input(&facts, &facts.inputs);
            let words = result.expect_err(name).to_string();
            assert!(
                words.len() < 8192 && !words.chars().any(char::is_control),
                "{name}: {words:?}"
            );
        }
    }
    let mut producer = weighed(Vec::new(), vec![floats("w", &[1], &[1.0])]);
    producer.producer_name = text(evil);
    producer.opset_import[1].domain = text(evil);
    let facts = judge("producer", &write(folder.path(), &producer)).unwrap();
    let words = format!("{} {:?}", facts.producer, facts.opsets);
    assert!(!words.chars().any(char::is_control), "{words:?}");
}

/// As `cp` over a model that is in use.
#[test]
fn a_model_that_is_rewritten_in_place_while_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut large = floats("w", &[1 << 20], &[]);
    large.float_data = vec![1.0; 1 << 20];
    let crafted = weighed(Vec::new(), vec![large]);
    let source = write(folder.path(), &crafted);
    let bytes = crafted.encode_to_vec();
    let path = source.path().unwrap().to_owned();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                std::fs::write(&path, &bytes[..bytes.len() / 3]).unwrap();
                std::fs::write(&path, &bytes).unwrap();
            }
        });
        for _ in 0..50 {
            // an error or a model, and no SIGBUS
            if let Ok(model) = Model::read(&source, &Budget::default()) {
                assert_eq!(model.length(), bytes.len() as u64);
            }
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}
