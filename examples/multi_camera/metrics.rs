//! The cameras' figures for Prometheus: `http://127.0.0.1:PORT/metrics`, in OpenMetrics' text form.
//!
//! Only this machine can ask: a server with a name and a password goes in front where others are to.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::camera::{Camera, Condition};

/// Bytes of a request that are read.
const REQUEST: usize = 8 << 10;

/// For a request to come and the answer to go.
const TIMEOUT: Duration = Duration::from_secs(2);

type Real = Gauge<f64, AtomicU64>;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Name {
    camera: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Quantile {
    camera: String,
    quantile: &'static str,
}

/// Answers on this port, as long as the process lives.
///
/// # Errors
/// When the port can't be had.
pub(crate) fn serve(port: u16, cameras: Vec<Arc<Camera>>) -> Result<(), String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .map_err(|error| format!("--metrics {port}: {error}"))?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // who asks and goes away is not waited for
            let _ = answer(stream, &cameras);
        }
    });
    Ok(())
}

fn answer(mut stream: TcpStream, cameras: &[Arc<Camera>]) -> io::Result<()> {
    let end = Instant::now() + TIMEOUT;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let mut request = Vec::new();
    while !request.windows(4).any(|it| it == b"\r\n\r\n") && request.len() < REQUEST {
        let left = end.saturating_duration_since(Instant::now());
        stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
        let mut bytes = [0; 1024];
        match stream.read(&mut bytes)? {
            0 => break,
            count => request.extend(&bytes[..count]),
        }
        if Instant::now() >= end {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
    let (status, kind, body) = if request.starts_with(b"GET /metrics ") {
        let text = text(cameras).map_err(io::Error::other)?;
        let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        ("200 OK", kind, text)
    } else {
        let body = "the figures are at /metrics\n".to_owned();
        ("404 Not Found", "text/plain; charset=utf-8", body)
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )?;
    stream.flush()
}

/// All figures as they are now.
fn text(cameras: &[Arc<Camera>]) -> Result<String, fmt::Error> {
    let connected = Family::<Name, Gauge>::default();
    let frames = Family::<Name, Counter>::default();
    let depths = Family::<Name, Counter>::default();
    let connections = Family::<Name, Counter>::default();
    let losses = Family::<Name, Counter>::default();
    let age = Family::<Name, Real>::default();
    let height = Family::<Name, Gauge>::default();
    let inference = Family::<Quantile, Real>::default();
    let counts =
        ["dropped", "missing", "repeated"].map(|field| (field, Family::<Name, Gauge>::default()));
    let times = ["age", "late"].map(|field| (field, Family::<Name, Real>::default()));
    let rate = Family::<Name, Real>::default();
    for camera in cameras {
        let name = &Name {
            camera: camera.source.name.clone(),
        };
        let playing = matches!(camera.condition(), Condition::Playing);
        connected.get_or_create(name).set(i64::from(playing));
        for (family, count) in [
            (&frames, &camera.frames),
            (&depths, &camera.depths),
            (&connections, &camera.connections),
            (&losses, &camera.losses),
        ] {
            family.get_or_create(name).inc_by(count.load(Relaxed));
        }
        if camera.frames.load(Relaxed) > 0 {
            age.get_or_create(name).set(camera.age().as_secs_f64());
        }
        let Some(stats) = camera.stats().filter(|_| playing) else {
            continue;
        };
        if let Ok(sees) = stats.get::<u32>("network-height") {
            height.get_or_create(name).set(i64::from(sees));
        }
        for (field, family) in &counts {
            let count = stats.get::<u64>(*field).unwrap_or_default();
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            family.get_or_create(name).set(count);
        }
        for (field, family) in &times {
            let nanoseconds = stats.get::<u64>(*field).unwrap_or_default();
            let seconds = Duration::from_nanos(nanoseconds).as_secs_f64();
            family.get_or_create(name).set(seconds);
        }
        rate.get_or_create(name)
            .set(stats.get("fps").unwrap_or_default());
        for (field, quantile) in [
            ("inference-time-p50", "0.5"),
            ("inference-time-p99", "0.99"),
        ] {
            if let Ok(nanoseconds) = stats.get::<u64>(field) {
                let labels = &Quantile {
                    camera: camera.source.name.clone(),
                    quantile,
                };
                let seconds = Duration::from_nanos(nanoseconds).as_secs_f64();
                inference.get_or_create(labels).set(seconds);
            }
        }
    }
    let mut registry = Registry::with_prefix("depthanything_camera");
    registry.register("connected", "Whether the camera gives frames", connected);
    registry.register("frames", "Frames that the camera gave", frames);
    registry.register("depth_frames", "Frames that depth was made of", depths);
    registry.register(
        "connections",
        "Times that the camera was found",
        connections,
    );
    registry.register(
        "losses",
        "Times that the camera was lost, or not found",
        losses,
    );
    registry.register("last_frame_age_seconds", "Time since the last frame", age);
    registry.register("network_height", "Rows that the network sees", height);
    registry.register(
        "inference_seconds",
        "Time that the network takes",
        inference,
    );
    let [(_, dropped), (_, missing), (_, repeated)] = counts;
    registry.register(
        "dropped_frames",
        "Frames that were dropped for being late, since the camera was found last",
        dropped,
    );
    registry.register(
        "missing_frames",
        "Frames that never came, as their neighbours tell, since the camera was found last",
        missing,
    );
    registry.register(
        "repeated_frames",
        "Frames that repeat an earlier depth, since the camera was found last",
        repeated,
    );
    let [(_, age), (_, late)] = times;
    registry.register(
        "depth_age_seconds",
        "How old the last frame was when its depth left the element",
        age,
    );
    registry.register(
        "depth_late_seconds",
        "How much later that was than the latency that the pipeline allows for",
        late,
    );
    registry.register("depth_frames_per_second", "Depth frames a second", rate);
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}
