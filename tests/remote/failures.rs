//! Servers that go, come back, freeze, or never were any.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use gst::prelude::*;

use crate::common::Pipeline;
use crate::server::{Answer, Model, Reply, Server, Tensor};
use crate::{all, red, remote, stages, times, video};

/// A video during which something happens to its server.
fn while_it_happens(properties: &str, mut happens: impl FnMut(&mut Server) + Send) -> Pipeline {
    let mut server = red();
    *server.state.delay.lock().unwrap() = Duration::from_millis(10);
    let element = format!("{} in-flight=3 {properties}", remote(&server.address()));
    let pipeline = Pipeline::new(&video(60, &element));
    let mut happened = false;
    let times = std::thread::scope(|scope| {
        let (tells, told) = std::sync::mpsc::channel();
        let server = &mut server;
        scope.spawn(move || {
            if told.recv().is_ok() {
                happens(server);
            }
        });
        times(&pipeline, |frame| {
            if frame == 10 {
                happened = true;
                tells.send(()).unwrap();
            }
        })
    });
    assert!(happened);
    assert_eq!(times, all(60));
    pipeline
}

fn retries(pipeline: &Pipeline) -> u64 {
    let stats: gst::Structure = pipeline.element("depth").property("stats");
    stats.get("server-retries").unwrap()
}

#[test]
fn no_frame_is_lost_when_a_server_is_killed_and_comes_back() {
    let pipeline = while_it_happens("", |server| {
        server.kill();
        std::thread::sleep(Duration::from_millis(700));
        server.start();
    });
    assert!(retries(&pipeline) > 0);
    let stages = stages(&pipeline);
    let lost = stages.iter().position(|(stage, _)| stage == "reconnecting");
    let back = stages.iter().rposition(|(stage, _)| stage == "ready");
    assert!(lost.is_some() && back > lost, "{stages:?}");
}

#[test]
fn no_frame_is_lost_when_a_server_freezes() {
    let pipeline = while_it_happens("server-timeout=300000000", |server| {
        server.state.frozen.store(true, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(1200));
        server.state.frozen.store(false, Ordering::SeqCst);
    });
    assert!(retries(&pipeline) > 0);
}

#[test]
fn no_frame_is_lost_when_a_server_drains_or_loads_its_model_again() {
    for code in [5, 13, 14] {
        let pipeline = while_it_happens("", |server| {
            server.state.fails.store(code, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(400));
            server.state.fails.store(0, Ordering::SeqCst);
        });
        assert!(retries(&pipeline) > 0, "{code}");
    }
}

#[test]
fn one_server_that_lives_is_enough() {
    let [living, mut dead] = [red(), red()];
    dead.kill();
    let addresses = format!("{},{}", dead.address(), living.address());
    for properties in ["", "server-patience=0 in-flight=4"] {
        let element = format!("{} {properties}", remote(&addresses));
        let pipeline = Pipeline::new(&video(20, &element));
        assert_eq!(times(&pipeline, |_| {}), all(20));
    }
    // one that has another model is told of, and not asked
    let other = red();
    *other.state.models.lock().unwrap() = vec![Model {
        inputs: vec![Tensor::new("image", "FP32", &[1, 3, 84, 112])],
        ..Model::depth("FP32")
    }];
    *living.state.delay.lock().unwrap() = Duration::from_millis(30);
    let addresses = format!("{},{}", living.address(), other.address());
    let pipeline = Pipeline::new(&video(20, &remote(&addresses)));
    assert_eq!(times(&pipeline, |_| {}), all(20));
    assert_eq!(other.state.asked.load(Ordering::SeqCst), 0);
    let stages = stages(&pipeline);
    let told = stages
        .iter()
        .any(|(stage, reason)| stage == "reconnecting" && reason.contains(&other.address()));
    assert!(told, "{stages:?}");
}

#[test]
fn nobody_there_is_an_error_when_patience_ends() {
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let address = format!("127.0.0.1:{port}");
    for (patience, seconds) in [(0, 0.0), (1_500_000_000_u64, 1.5)] {
        let element = format!("{} server-patience={patience}", remote(&address));
        let begun = Instant::now();
        let message = Pipeline::new(&video(2, &element)).run().unwrap_err();
        let took = begun.elapsed().as_secs_f64();
        assert!(message.contains(&address), "{message}");
        assert!((seconds..seconds + 5.0).contains(&took), "{took} s");
    }
    // a server that comes late is waited for
    let mut server = red();
    server.kill();
    let pipeline = Pipeline::new(&video(5, &remote(&server.address())));
    std::thread::scope(|scope| {
        let server = &mut server;
        scope.spawn(move || {
            std::thread::sleep(Duration::from_millis(800));
            server.start();
        });
        assert_eq!(times(&pipeline, |_| {}), all(5));
    });
    assert!(
        stages(&pipeline)
            .iter()
            .any(|(stage, _)| stage == "reconnecting")
    );
}

#[test]
fn without_patience_a_server_that_goes_ends_the_stream() {
    let mut server = red();
    *server.state.delay.lock().unwrap() = Duration::from_millis(10);
    let element = format!("{} server-patience=0", remote(&server.address()));
    let pipeline = Pipeline::new(&video(1000, &element));
    let sink = pipeline.appsink("out");
    pipeline.play();
    assert!(sink.pull_sample().is_ok());
    server.kill();
    let begun = Instant::now();
    let last = pipeline
        .messages_until(|message| message.type_() == gst::MessageType::Error)
        .pop();
    assert!(begun.elapsed() < Duration::from_secs(5));
    let last = last.unwrap();
    let gst::MessageView::Error(error) = last.view() else {
        panic!()
    };
    let words = error.error().to_string();
    assert!(words.contains(&server.address()), "{words}");
}

#[test]
fn what_speaks_http_is_told_so() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut asked = [0; 1024];
            let _ = stream.read(&mut asked);
            let _ = stream.write_all(
                b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            );
        }
    });
    let begun = Instant::now();
    let message = Pipeline::new(&video(2, &remote(&address)))
        .run()
        .unwrap_err();
    assert!(
        message.contains("gRPC") && message.contains("8001"),
        "{message}"
    );
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn damaged_answers_are_errors() {
    let red = |asked: &_| match Reply::red(asked) {
        Reply::Depth(_, shape, data) => (shape, data),
        _ => unreachable!(),
    };
    type Damages = fn(&mut Vec<i64>, &mut Vec<u8>);
    let damages: [Damages; 6] = [
        |_, data| data.truncate(8),
        |_, data| data.extend([0; 4]),
        |shape, _| shape[1] = -1,
        |shape, _| shape.iter_mut().for_each(|side| *side = i64::MAX),
        |shape, _| shape.extend([7, 7, 7]),
        |shape, data| {
            shape.clear();
            data.clear();
        },
    ];
    for damage in damages {
        let server = Server::new(move |asked| {
            let (mut shape, mut data) = red(asked);
            damage(&mut shape, &mut data);
            Reply::Depth("FP32", shape, data)
        });
        let element = remote(&server.address());
        Pipeline::new(&video(2, &element)).run().unwrap_err();
    }
    for message in [
        vec![],
        vec![0xff; 100],
        Answer::default().encode(),
        // an output that promises more than there is
        [&[0x2a][..], &[0xff, 0xff, 0xff, 0xff, 0x0f]].concat(),
    ] {
        let server = Server::new(move |_| Reply::Message(message.clone()));
        let element = remote(&server.address());
        Pipeline::new(&video(2, &element)).run().unwrap_err();
    }
    // one in between is asked for again
    let server = Server::new(move |asked| match asked.index {
        7 => Reply::Depth("FP32", vec![1, 2, 3], vec![0; 5]),
        _ => Reply::red(asked),
    });
    let pipeline = Pipeline::new(&video(20, &remote(&server.address())));
    assert_eq!(times(&pipeline, |_| {}), all(20));
    assert_eq!(retries(&pipeline), 1);
}

#[test]
fn what_is_no_message_of_grpc_is_an_error() {
    type Ends = Vec<(&'static str, &'static [u8])>;
    let well: Ends = vec![("grpc-status", b"0")];
    let details: Ends = vec![
        ("grpc-status", b"13"),
        ("grpc-message", b"%zz \xff%"),
        ("grpc-status-details-bin", b"this is no base64!"),
    ];
    let cases: [(Vec<u8>, Ends); 9] = [
        (vec![], details),
        (vec![], well.clone()),
        (vec![], vec![]),
        (vec![0, 0, 0], well.clone()),
        (vec![0, 0, 0, 0, 9, 1], well.clone()),
        (vec![0, 0xff, 0xff, 0xff, 0xff], well.clone()),
        (vec![1, 0, 0, 0, 0], well.clone()),
        (vec![0; 10], well),
        (vec![0; 5], vec![("grpc-status", b"\xfe\xff")]),
    ];
    for (bytes, ends) in cases {
        let says = format!("{bytes:?} {ends:?}");
        // at the start it is an error, in between it is asked for again
        let server = Server::new({
            let (bytes, ends) = (bytes.clone(), ends.clone());
            move |_| Reply::Raw(bytes.clone(), ends.clone())
        });
        let element = format!("{} server-patience=300000000", remote(&server.address()));
        Pipeline::new(&video(2, &element)).run().expect_err(&says);
        let server = Server::new(move |asked| match asked.index {
            7 => Reply::Raw(bytes.clone(), ends.clone()),
            _ => Reply::red(asked),
        });
        let pipeline = Pipeline::new(&video(12, &remote(&server.address())));
        assert_eq!(times(&pipeline, |_| {}), all(12), "{says}");
        assert_eq!(retries(&pipeline), 1, "{says}");
    }
}

impl Answer {
    fn encode(&self) -> Vec<u8> {
        prost::Message::encode_to_vec(self)
    }
}

#[test]
fn values_that_are_none_pass_as_no_depth() {
    let server = Server::new(|asked| {
        let [height, width] = asked.sides();
        Reply::floats(
            &[1, height as i64, width as i64],
            &vec![f32::NAN; height * width],
        )
    });
    let pipeline = Pipeline::new(&video(3, &remote(&server.address())));
    assert_eq!(times(&pipeline, |_| {}), all(3));
    let stats: gst::Structure = pipeline.element("depth").property("stats");
    assert!(stats.get::<u64>("invalid-values").unwrap() > 0);
}

#[test]
fn stopping_waits_for_no_server() {
    for properties in ["", "in-flight=4"] {
        let server = red();
        let element = format!(
            "{} server-timeout=60000000000 {properties}",
            remote(&server.address())
        );
        let pipeline = Pipeline::new(&video(1000, &element));
        let sink = pipeline.appsink("out");
        pipeline.play();
        assert!(sink.pull_sample().is_ok());
        server.state.frozen.store(true, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(300));
        let begun = Instant::now();
        pipeline.0.set_state(gst::State::Null).unwrap();
        let took = begun.elapsed();
        assert!(took < Duration::from_millis(500), "{took:?}");
        // and once more, while nobody is there to open it
        let begun = Instant::now();
        let _ = pipeline.0.set_state(gst::State::Playing);
        std::thread::sleep(Duration::from_millis(300));
        pipeline.0.set_state(gst::State::Null).unwrap();
        assert!(begun.elapsed() < Duration::from_millis(1100));
        server.state.frozen.store(false, Ordering::SeqCst);
    }
}

#[test]
fn flushing_waits_for_no_server() {
    let server = red();
    let element = format!("{} server-timeout=60000000000", remote(&server.address()));
    let pipeline = Pipeline::new(&video(1000, &element));
    let sink = pipeline.appsink("out");
    pipeline.play();
    assert!(sink.pull_sample().is_ok());
    server.state.frozen.store(true, Ordering::SeqCst);
    std::thread::sleep(Duration::from_millis(200));
    let state = Arc::clone(&server.state);
    let begun = Instant::now();
    let pad = pipeline.element("depth").static_pad("sink").unwrap();
    assert!(pad.send_event(gst::event::FlushStart::new()));
    state.frozen.store(false, Ordering::SeqCst);
    assert!(pad.send_event(gst::event::FlushStop::new(true)));
    assert!(begun.elapsed() < Duration::from_millis(500));
}
