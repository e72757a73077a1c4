//! Cameras, sinks and busy machines, in simulated time.

use std::collections::VecDeque;

use super::super::latency::Latency;
use super::*;

const MS: i64 = 1_000_000;

fn live() -> Pacer {
    let mut pacer = Pacer::default();
    pacer.set_upstream(Some(Duration::ZERO));
    pacer.set_rate(10, 1);
    pacer
}

/// Frames that come when they do, each with its time, in ms, to an element that works for `work` ms on each. Gives when
/// each frame that was worked on was done, less its time.
fn play(
    pacer: &mut Pacer,
    frames: impl IntoIterator<Item = (i64, i64)>,
    work: impl Fn(usize) -> i64,
) -> Vec<i64> {
    let mut frames: VecDeque<Waiting> = frames
        .into_iter()
        .map(|(came, time)| Waiting {
            time: time * MS,
            came: came * MS,
        })
        .collect();
    let mut now = 0;
    let mut ages = Vec::new();
    while let Some(frame) = frames.pop_front() {
        now = now.max(frame.came);
        let newer = frames.front().is_some_and(|next| next.came <= now);
        pacer.arrive(frame.time);
        if pacer.judge(Some(now), frame, newer) == Verdict::OnTime {
            now += work(ages.len()) * MS;
            ages.push((now - frame.time) / MS);
        }
    }
    ages
}

/// Those of a camera of 10 fps.
fn camera(frames: i64) -> impl Iterator<Item = (i64, i64)> + Clone {
    (0..frames).map(|index| (100 * index, 100 * index))
}

#[test]
fn a_quick_element_loses_nothing() {
    assert_eq!(play(&mut live(), camera(1000), |_| 80).len(), 1000);
}

#[test]
fn a_slow_one_works_on_the_latest() {
    for work in [110, 150, 250, 400, 1300] {
        let mut pacer = live();
        pacer.set_work(Duration::from_millis(work as u64));
        let ages = play(&mut pacer, camera(1000), |_| work);
        // nothing comes behind the last
        let oldest = ages[..ages.len() - 1].iter().max().unwrap();
        assert!(*oldest <= work + 100, "{oldest} ms for {work}");
        // as many as there is time for
        let possible = 100_000 / work;
        assert!(
            ages.len() as i64 >= possible - 1,
            "{} of {possible}",
            ages.len()
        );
    }
}

#[test]
fn a_moment_of_trouble_is_made_up_for() {
    let trouble = |index| if index == 50 { 1500 } else { 60 };
    let ages = play(&mut live(), camera(200), trouble);
    assert!(ages.len() >= 184, "{}", ages.len());
    assert_eq!(ages[ages.len() - 50..], [60; 50]);
}

#[test]
fn a_change_that_was_asked_for_costs_no_frame() {
    let slow = |index| if index == 0 { 450 } else { 60 };
    assert!(play(&mut live(), camera(20), slow).len() < 20);
    let mut pacer = live();
    pacer.forgive(0);
    assert_eq!(play(&mut pacer, camera(20), slow).len(), 20);
    // which is not for ever
    let slow = |index| if index == 30 { 450 } else { 60 };
    let mut pacer = live();
    pacer.forgive(0);
    assert!(play(&mut pacer, camera(50), slow).len() < 50);
}

#[test]
fn a_source_that_is_late_is_shown_all_the_same() {
    let late = (0..100).map(|index| (100 * index + 700, 100 * index));
    for (work, most) in [(40, 100), (80, 100), (150, 66)] {
        let mut pacer = live();
        pacer.set_work(Duration::from_millis(work as u64));
        let ages = play(&mut pacer, late.clone(), |_| work);
        assert!(ages.len() >= most, "{} with {work}", ages.len());
        let oldest = ages[..ages.len() - 1].iter().max().unwrap();
        assert!(*oldest <= 700 + work + 100, "{ages:?}");
    }
}

#[test]
fn a_camera_that_stops_for_a_minute_goes_on() {
    for stopped in [0, -60_000] {
        let after = (0..100).map(|index| (60_000 + 100 * index, 60_000 + 100 * index + stopped));
        let ages = play(&mut live(), after, |_| 80);
        assert_eq!(ages, [80 - stopped; 100]);
    }
}

#[test]
fn what_has_piled_up_in_a_minute_is_thrown_away() {
    // a minute's frames at once, and then the present
    let frames = (-600..100).map(|index: i64| (60_000 + 100 * index.max(0), 60_000 + 100 * index));
    for work in [30, 80] {
        let ages = play(&mut live(), frames.clone(), |_| work);
        let old = ages.iter().filter(|age| **age > 250).count();
        // what has not waited long is not late by itself
        assert!(old <= 100 / work as usize + 1, "{work} ms: {ages:?}");
        assert!(ages.len() >= 100, "{work} ms: {}", ages.len());
    }
}

#[test]
fn timestamps_may_jump_for_hours() {
    let hour = 3_600_000;
    let frames = (0..400).map(|index| {
        let jump = [0, 5 * hour, -7 * hour, 0][index as usize / 100];
        (100 * index, 100 * index + jump)
    });
    assert_eq!(play(&mut live(), frames, |_| 80).len(), 400);
}

#[test]
fn the_latency_of_others_is_time_to_use() {
    let frame = |came: i64| Waiting {
        time: 0,
        came: came * MS,
    };
    let is_late = |pacer: &Pacer, now: i64, came| {
        matches!(
            pacer.judge(Some(now * MS), frame(came), true),
            Verdict::Late(_)
        )
    };
    let mut pacer = live();
    assert!(is_late(&pacer, 350, 0));
    pacer.set_total(Duration::from_millis(600));
    pacer.set_work(Duration::from_millis(80));
    assert!(!is_late(&pacer, 520, 0));
    assert!(is_late(&pacer, 521, 0));
    // one that comes late has less, but one interval
    assert!(!is_late(&pacer, 550, 450));
    assert!(is_late(&pacer, 551, 450));
    // frames of a jitter buffer come when they like, up to its latency
    let mut pacer = live();
    pacer.set_upstream(Some(Duration::from_millis(500)));
    assert!(!is_late(&pacer, 500, 0));
    assert!(is_late(&pacer, 501, 0));
}

#[test]
fn nothing_is_late_that_nothing_newer_waits_behind() {
    let pacer = live();
    let frame = Waiting { time: 0, came: 0 };
    assert_eq!(pacer.judge(Some(9_000 * MS), frame, false), Verdict::OnTime);
    assert_eq!(pacer.judge(None, frame, true), Verdict::OnTime);
}

#[test]
fn without_a_live_source_only_the_sink_says_what_is_late() {
    let mut pacer = Pacer::default();
    pacer.set_rate(10, 1);
    assert_eq!(pacer.pace(), None);
    assert_eq!(pacer.is_in_time(0), Verdict::OnTime);
    pacer.set_earliest(250 * MS);
    assert_eq!(pacer.pace(), Some(Duration::from_millis(100)));
    let late = Verdict::Late(Duration::from_millis(50));
    assert_eq!(pacer.is_in_time(200 * MS), late);
    assert_eq!(pacer.is_in_time(300 * MS), Verdict::OnTime);
    pacer.restart();
    assert_eq!(pacer.is_in_time(200 * MS), Verdict::OnTime);
}

#[test]
fn a_rate_that_is_not_told_is_measured() {
    let mut pacer = Pacer::default();
    pacer.set_upstream(Some(Duration::ZERO));
    pacer.set_rate(0, 1);
    assert_eq!(pacer.pace(), None);
    for index in 0..20 {
        pacer.arrive(40 * index * MS);
    }
    assert_eq!(pacer.pace(), Some(Duration::from_millis(40)));
}

#[test]
fn so_many_frames_may_wait() {
    let mut pacer = live();
    for (rate, bytes, frames) in [
        (10, 1 << 20, 4),
        (30, 1 << 20, 12),
        (60, 1 << 20, 24),
        (200, 1 << 20, 32),
        (1, 1 << 20, 2),
        (60, 8 << 20, 12),
        (60, 100 << 20, 2),
        (60, 0, 24),
    ] {
        pacer.set_rate(rate, 1);
        let room = pacer.room(bytes, false);
        assert_eq!(room, frames, "{rate} fps of {bytes} bytes");
        assert!(pacer.room(bytes, true) >= room);
    }
}

/// Where frames come from.
#[derive(Debug, Clone, Copy)]
enum Source {
    /// It makes each frame when it is time for it or as soon as it can.
    Synchronous,
    /// A jitter buffer: frames come up to so many milliseconds late, in bursts.
    Jittery(i64),
}

/// A live pipeline, in milliseconds.
#[derive(Debug, Clone, Copy)]
struct Setup {
    source: Source,
    rate: i64,
    /// The sink keeps to the clock.
    sync: bool,
    /// It sends QoS events.
    qos: bool,
    /// Somebody sets the latency anew when the element has another.
    recalculates: bool,
    /// What a frame takes, and what it takes while the machine is busy.
    work: (f64, f64),
    /// What the source takes to make a frame.
    making: (f64, f64),
    /// The element repeats depth for late frames, which takes so long.
    repeats: Option<f64>,
}

/// When the machine is busy, in milliseconds.
const BUSY: std::ops::Range<f64> = 10_000.0..40_000.0;

/// A frame that was shown: when, and how old.
#[derive(Debug, Clone, Copy)]
struct Shown {
    at: f64,
    age: f64,
}

fn random(seed: &mut u64) -> f64 {
    *seed = seed
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 11) as f64 / (1u64 << 53) as f64
}

/// Plays for 60 s. Gives what was shown, and the latencies that the pipeline was set to.
fn simulate(setup: Setup) -> (Vec<Shown>, Vec<f64>) {
    let ns = |ms: f64| (ms * 1e6) as i64;
    let at = |ms: f64| Duration::from_secs_f64(ms / 1000.0);
    let interval = 1000.0 / setup.rate as f64;
    let upstream = match setup.source {
        Source::Jittery(most) => most as f64,
        _ => 0.0,
    };
    let mut seed = 7;
    let mut spread = |time: f64| time * (0.75 + 0.5 * random(&mut seed));
    let pick = |now: f64, (calm, loaded): (f64, f64)| {
        if BUSY.contains(&now) { loaded } else { calm }
    };
    let mut pacer = Pacer::default();
    pacer.set_upstream(Some(at(upstream)));
    pacer.set_rate(setup.rate as i32, 1);

    // the source has a thread of its own, and nothing holds it up
    let mut arrivals = VecDeque::new();
    let mut made = 0.0_f64;
    for index in 0_u32.. {
        let time = f64::from(index) * interval;
        made = made.max(time);
        match setup.source {
            Source::Synchronous => made += spread(pick(made, setup.making)),
            Source::Jittery(most) if index % 16 == 0 => made = time + spread(most as f64 * 0.6),
            Source::Jittery(_) => made = made.max(time + 10.0),
        }
        if made > 60_000.0 {
            break;
        }
        arrivals.push_back(Waiting {
            time: ns(time),
            came: ns(made),
        });
    }

    let mut latency = Latency::default();
    let mut set_to = if setup.sync { upstream } else { 0.0 };
    pacer.set_total(at(set_to));
    let mut latencies = vec![set_to];
    let mut reset_at = None;
    let (mut now, mut sink_is_free) = (0.0_f64, 0.0_f64);
    let (mut shown, mut networked) = (Vec::<Shown>::new(), Vec::new());
    let room = pacer.room(1 << 20, setup.repeats.is_some());
    while let Some(frame) = arrivals.pop_front() {
        now = now.max(frame.came as f64 / 1e6);
        let behind = arrivals.iter().take_while(|next| next.came <= ns(now));
        let behind = behind.count();
        pacer.arrive(frame.time);
        if behind >= room {
            continue;
        }
        if reset_at.is_some_and(|at| at <= now) {
            reset_at = None;
            set_to = upstream + latency.told().as_secs_f64() * 1000.0;
            pacer.set_total(at(set_to));
            latencies.push(set_to);
        }
        let time = frame.time as f64 / 1e6;
        let hurry = match pacer.judge(Some(ns(now)), frame, behind > 0) {
            Verdict::OnTime => Hurry::Run,
            Verdict::Late(by) if setup.repeats.is_some() => {
                pacer.hurry(Some(ns(now)), frame.time, by)
            }
            Verdict::Late(_) => Hurry::Drop,
        };
        match hurry {
            Hurry::Drop => continue,
            Hurry::Run => {
                networked.push(now);
                let work = spread(pick(now, setup.work));
                now += work;
                let told = latency.observe(at(work), Some(at(interval)), at(now));
                pacer.set_work(latency.work());
                if told.is_some() && setup.recalculates && setup.sync {
                    reset_at = Some(now + 300.0);
                }
            }
            Hurry::Repeat => now += setup.repeats.unwrap_or_default(),
        }
        if setup.qos && now > time + set_to {
            pacer.set_earliest(ns(now - set_to));
        }
        // another thread waits for the sink
        let shown_at = now.max(sink_is_free);
        let shown_at = if setup.sync {
            shown_at.max(time + set_to)
        } else {
            shown_at
        };
        sink_is_free = shown_at;
        shown.push(Shown {
            at: shown_at,
            age: shown_at - time,
        });
    }
    // the network is never without work for long
    let longest = networked
        .windows(2)
        .map(|pair| pair[1] - pair[0])
        .fold(0.0, f64::max);
    assert!(longest < 4000.0, "{longest} ms without a run of {setup:?}");
    (shown, latencies)
}

/// Within half a second of the clock but for the busy time and three seconds after it, and never more than one and a half
/// behind; and not by showing nothing.
fn keeps_to_the_present(setup: Setup) {
    comes_back(setup, 3000.0, 1500.0, 500.0);
}

/// The same with so much time to come back, so much behind meanwhile, and so much otherwise.
fn comes_back(setup: Setup, time: f64, behind: f64, calm: f64) {
    let (shown, latencies) = simulate(setup);
    for frame in &shown {
        let most = if (BUSY.start..BUSY.end + time).contains(&frame.at) {
            behind
        } else {
            calm
        };
        assert!(
            frame.age <= most,
            "{frame:?} of {setup:?}, set to {latencies:?}"
        );
    }
    for second in 1..60 {
        let from = f64::from(second) * 1000.0;
        let busy = BUSY.contains(&from);
        let count = shown
            .iter()
            .filter(|frame| (from..from + 1000.0).contains(&frame.at))
            .count() as f64;
        let interval = 1000.0 / setup.rate as f64;
        // when three seconds have gone by after a change, what there is time for is shown
        let settled = !(BUSY.start..BUSY.start + 3000.0).contains(&from)
            && !(BUSY.end..BUSY.end + time).contains(&from)
            && (!busy || behind.is_finite());
        if settled {
            let (work, making) = if busy {
                (setup.work.1, setup.making.1)
            } else {
                (setup.work.0, setup.making.0)
            };
            let possible = (1000.0 / work).min(1000.0 / interval.max(making));
            assert!(
                count >= (possible * 0.4).floor() || second == 59,
                "{count} of {possible} in second {second} of {setup:?}"
            );
        }
    }
}

fn setups() -> Vec<Setup> {
    let mut setups = Vec::new();
    for rate in [10, 30, 60] {
        for (sync, qos) in [(true, false), (true, true), (false, false)] {
            for recalculates in [true, false] {
                for work in [(20.0, 150.0), (60.0, 700.0), (8.0, 60.0), (150.0, 700.0)] {
                    setups.push(Setup {
                        source: Source::Synchronous,
                        rate,
                        sync,
                        qos,
                        recalculates,
                        work,
                        making: (2.0, 9.0),
                        repeats: None,
                    });
                }
            }
        }
    }
    setups
}

#[test]
fn a_live_stream_comes_back_to_the_present() {
    for setup in setups() {
        keeps_to_the_present(setup);
    }
}

#[test]
fn so_does_one_that_repeats_depth() {
    for setup in setups() {
        keeps_to_the_present(Setup {
            repeats: Some(4.0),
            ..setup
        });
    }
}

#[test]
fn so_does_one_whose_source_gets_hardly_any_time() {
    for setup in setups() {
        keeps_to_the_present(Setup {
            making: (2.0, 500.0 / setup.rate as f64),
            ..setup
        });
    }
}

/// A source that does not get the time that its frames take falls behind whatever is dropped; it comes back all the same.
#[test]
fn so_does_one_whose_source_gets_too_little_time() {
    for setup in setups() {
        for share in [0.9, 1.0, 1.1, 1.4] {
            let making = (2.0, share * 1000.0 / setup.rate as f64);
            comes_back(Setup { making, ..setup }, 8000.0, f64::INFINITY, 550.0);
        }
    }
}

#[test]
fn a_jitter_buffer_loses_nothing_that_there_is_time_for() {
    for (rate, sync) in [(10, true), (30, true), (30, false)] {
        let setup = Setup {
            source: Source::Jittery(500),
            rate,
            sync,
            qos: false,
            recalculates: true,
            work: (12.0, 12.0),
            making: (0.0, 0.0),
            repeats: None,
        };
        let (shown, _) = simulate(setup);
        let all = 60 * rate as usize;
        assert!(
            shown.len() >= all * 98 / 100,
            "{} of {all}: {setup:?}",
            shown.len()
        );
    }
}
