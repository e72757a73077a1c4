//! Which of a server's models is taken, and what it is fed.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::common::{Pipeline, depth, samples};
use crate::server::{Model, Reply, Server, Tensor};
use crate::{all, red, remote, times, video};

fn error(server: &Server, properties: &str) -> String {
    let element = format!("{} {properties}", remote(&server.address()));
    Pipeline::new(&video(2, &element)).run().unwrap_err()
}

fn with(inputs: Vec<Tensor>, outputs: Vec<Tensor>) -> Server {
    let server = red();
    *server.state.models.lock().unwrap() = vec![Model {
        inputs,
        outputs,
        ..Model::depth("FP32")
    }];
    server
}

#[test]
fn the_only_model_that_fits_is_taken() {
    let server = red();
    server.state.models.lock().unwrap().insert(
        0,
        Model {
            name: "words".to_owned(),
            inputs: vec![Tensor::new("text", "BYTES", &[-1, 1])],
            ..Model::depth("FP32")
        },
    );
    let pipeline = Pipeline::new(&video(3, &remote(&server.address())));
    assert_eq!(times(&pipeline, |_| {}), all(3));
    // else it is shared
    drop(pipeline);
    server.state.models.lock().unwrap().push(Model {
        name: "another".to_owned(),
        ..Model::depth("FP32")
    });
    let message = error(&server, "");
    assert!(
        message.contains("another") && message.contains("server-model"),
        "{message}"
    );
    *server.state.models.lock().unwrap() = vec![];
    let message = error(&server, "server-patience=100000000");
    assert!(message.contains("no model"), "{message}");
}

#[test]
fn a_model_that_is_not_there_is_told_at_once() {
    let server = red();
    let begun = std::time::Instant::now();
    let message = error(&server, "server-model=nothing");
    assert!(
        message.contains("nothing") && message.contains(&server.address()),
        "{message}"
    );
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_version_is_taken_by_its_name() {
    let server = red();
    let versions = ["1", "3"].map(str::to_owned).to_vec();
    server.state.models.lock().unwrap()[0].versions = versions;
    let element = format!("{} server-model-version=3", remote(&server.address()));
    Pipeline::new(&video(2, &element)).run().unwrap();
    let message = error(&server, "server-model=depth server-model-version=2");
    assert!(message.contains("not found"), "{message}");
}

#[test]
fn models_without_an_image_or_depth_are_refused_in_words() {
    let image = || Tensor::new("image", "FP32", &[1, 3, -1, -1]);
    let map = || Tensor::new("predicted_depth", "FP32", &[1, -1, -1]);
    for (inputs, outputs, word) in [
        (
            vec![Tensor::new("text", "BYTES", &[-1])],
            vec![map()],
            "text",
        ),
        (vec![], vec![map()], "no input"),
        (vec![image(), image()], vec![map()], "2 image inputs"),
        (
            vec![Tensor::new("image", "FP32", &[1, 32, 3, 224, 224])],
            vec![map()],
            "32",
        ),
        (vec![image()], vec![], "no output"),
        (
            vec![image()],
            vec![Tensor::new("class", "FP32", &[1, 1000])],
            "class",
        ),
        (
            vec![image()],
            vec![Tensor::new("predicted_depth", "INT64", &[1, -1, -1])],
            "int64",
        ),
    ] {
        let server = with(inputs, outputs);
        let message = error(&server, "server-model=depth");
        assert!(message.contains(word), "{word}: {message}");
        assert_eq!(server.state.asked.load(Ordering::SeqCst), 0);
    }
}

#[test]
fn frames_are_fed_as_the_model_takes_them() {
    // channels last, in bytes
    let server = Server::new(|asked| {
        assert_eq!((asked.shape[3], &*asked.datatype), (3, "UINT8"));
        let [height, width] = [1, 2].map(|side| asked.shape[side] as usize);
        let red: Vec<f32> = asked.data.iter().step_by(3).map(|&it| it.into()).collect();
        assert_eq!(red.len(), height * width);
        Reply::floats(&[1, height as i64, width as i64], &red)
    });
    *server.state.models.lock().unwrap() = vec![Model {
        inputs: vec![Tensor::new("image", "UINT8", &[1, -1, -1, 3])],
        ..Model::depth("FP32")
    }];
    let element = remote(&server.address()).replace("=imagenet", "=byte");
    let bytes = samples(&video(2, &element));
    let floats = samples(&video(2, &remote(&red().address())));
    let difference = crate::common::difference(&depth(&bytes[1]), &depth(&floats[1]));
    assert!(difference < 1.0 / 256.0, "{difference}");
}

#[test]
fn fixed_sizes_and_batches_are_kept() {
    let server = Server::new(|asked| {
        assert_eq!(asked.shape, [2, 3, 84, 112]);
        assert_eq!(asked.data.len(), 4 * 2 * 3 * 84 * 112);
        assert_eq!(asked.timeout, Some(2_000_000));
        Reply::red(asked)
    });
    *server.state.models.lock().unwrap() = vec![Model {
        inputs: vec![Tensor::new("image", "FP32", &[2, 3, 84, 112])],
        outputs: vec![Tensor::new("predicted_depth", "FP32", &[2, 84, 112])],
        ..Model::depth("FP32")
    }];
    let pipeline = Pipeline::new(&video(3, &remote(&server.address())));
    assert_eq!(times(&pipeline, |_| {}), all(3));
}

#[test]
fn other_patches_are_tried() {
    let server = Server::new(|asked| {
        let [height, width] = asked.sides();
        match (height % 32, width % 32) {
            (0, 0) => Reply::red(asked),
            _ => Reply::Status(13, "shapes do not go together".to_owned()),
        }
    });
    let pipeline = Pipeline::new(&video(3, &remote(&server.address())));
    assert_eq!(times(&pipeline, |_| {}), all(3));
    // else it is shared, and known to have worked
    drop(pipeline);
    *server.state.does.lock().unwrap() =
        std::sync::Arc::new(|_: &_| Reply::Status(13, "out of paper".to_owned()));
    let message = error(&server, "");
    assert!(message.contains("out of paper"), "{message}");
}

#[test]
fn what_servers_leave_no_choice_of_is_refused() {
    let server = red();
    for conflict in [
        "model-file=a.onnx",
        "execution-provider=cpu",
        "device=1",
        "precision=fp16",
    ] {
        let message = error(&server, conflict);
        let name = conflict.split('=').next().unwrap();
        assert!(
            message.contains(name) && message.contains("server"),
            "{message}"
        );
    }
    let message = Pipeline::new(&video(1, "server=http://a:8000"))
        .run()
        .unwrap_err();
    assert!(message.contains("8001"), "{message}");
}

#[test]
fn what_a_server_does_not_tell_is_said_once() {
    use gst::prelude::*;
    let server = red();
    let warnings = |properties: &str| {
        let element = format!("server={} {properties}", server.address());
        let pipeline = Pipeline::new(&video(2, &element));
        let messages = pipeline.run().unwrap();
        let warnings = messages.iter().filter_map(|message| match message.view() {
            gst::MessageView::Warning(warning) => Some(warning.error().to_string()),
            _ => None,
        });
        drop(pipeline.0.bus());
        warnings.collect::<Vec<_>>()
    };
    let both = warnings("");
    assert_eq!(both.len(), 1, "{both:?}");
    assert!(both[0].contains("model-depth") && both[0].contains("input-normalization"));
    let one = warnings("model-depth=inverse");
    assert_eq!(one.len(), 1, "{one:?}");
    assert!(one[0].contains("input-normalization") && !one[0].contains("model-depth"));
    let none = warnings("model-depth=inverse input-normalization=unit");
    assert!(none.is_empty(), "{none:?}");
}

#[test]
fn a_property_of_servers_without_any_says_so() {
    let pipeline = Pipeline::new(&video(1, "server-model=depth"));
    let messages = pipeline.run().unwrap();
    let said = messages.iter().filter_map(|message| match message.view() {
        gst::MessageView::Warning(warning) => Some(warning.error().to_string()),
        _ => None,
    });
    let said: Vec<_> = said.collect();
    assert!(
        matches!(&said[..], [one] if one.contains("server-model") && one.contains("server,")),
        "{said:?}"
    );
}
