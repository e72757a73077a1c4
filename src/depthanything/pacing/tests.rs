//! Cameras, sinks and busy machines, in simulated time.

use super::super::latency::Latency;
use super::*;

const MS: i64 = 1_000_000;

fn live() -> Pacer {
    let mut pacer = Pacer::default();
    pacer.set_upstream(Some(Duration::ZERO));
    pacer.set_rate(10, 1);
    pacer
}

/// A source of 10 fps that is held up while the element works for `work` ms on a frame. Gives when each frame that
/// was worked on left, less its time.
fn play(pacer: &mut Pacer, frames: i64, work: impl Fn(i64) -> i64) -> Vec<i64> {
    let mut now = 0;
    let mut ages = Vec::new();
    for index in 0..frames {
        let frame = 100 * index;
        now = now.max(frame);
        if pacer.arrive(Some(now * MS), frame * MS) == Verdict::OnTime {
            now += work(index);
            ages.push(now - frame);
        }
        pacer.ready(Some(now * MS));
    }
    ages
}

#[test]
fn a_quick_element_loses_nothing() {
    assert_eq!(play(&mut live(), 1000, |_| 80).len(), 1000);
}

#[test]
fn a_slow_one_works_on_the_latest() {
    for work in [110, 150, 250, 400, 1300] {
        let ages = play(&mut live(), 1000, |_| work);
        let oldest = ages.iter().max().unwrap();
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
    let ages = play(
        &mut live(),
        200,
        |index| if index == 50 { 1500 } else { 60 },
    );
    assert!(ages.len() >= 184, "{}", ages.len());
    assert_eq!(ages[ages.len() - 50..], [60; 50]);
}

#[test]
fn a_change_that_was_asked_for_costs_no_frame() {
    let mut pacer = live();
    let slow = |index| if index == 0 { 450 } else { 60 };
    assert!(play(&mut pacer, 20, slow).len() < 20);
    let mut pacer = live();
    pacer.forgive();
    assert_eq!(play(&mut pacer, 20, slow).len(), 20);
}

#[test]
fn a_source_that_is_always_late_is_shown_all_the_same() {
    let mut pacer = live();
    let mut shown = 0;
    for index in 0..100 {
        let (now, frame) = (100 * index + 700, 100 * index);
        if pacer.arrive(Some(now * MS), frame * MS) == Verdict::OnTime {
            shown += 1;
            pacer.ready(Some((now + 40) * MS));
        } else {
            pacer.ready(Some(now * MS));
        }
    }
    // until it is known that there are no newer ones
    assert!(shown >= 92, "{shown}");
}

#[test]
fn a_source_that_takes_its_time_to_catch_up_is_caught_up_with() {
    // it takes 60 ms for each frame of 100 ms, and has been held up for a second
    let mut pacer = live();
    let (mut now, mut ages) = (1000, Vec::new());
    for index in 0..100 {
        let frame = 100 * index;
        now = frame.max(now + 60);
        if pacer.arrive(Some(now * MS), frame * MS) == Verdict::OnTime {
            now += 30;
            ages.push(now - frame);
        }
        pacer.ready(Some(now * MS));
    }
    assert!(
        ages.len() > 70 && ages.iter().all(|age| *age <= 190),
        "{ages:?}"
    );
}

/// A camera that has stopped for a minute: what happens with what comes after. `frames` are when each comes and its
/// time, in ms after the minute.
fn after_a_minute(work: i64, frames: impl Iterator<Item = (i64, i64)>) -> Vec<i64> {
    let mut pacer = live();
    assert_eq!(play(&mut pacer, 100, |_| work).len(), 100);
    let mut ages = Vec::new();
    let mut now = 0;
    for (comes, frame) in frames {
        now = now.max(70_000 + comes);
        if pacer.arrive(Some(now * MS), (70_000 + frame) * MS) == Verdict::OnTime {
            now += work;
            ages.push(now - 70_000 - frame);
        }
        pacer.ready(Some(now * MS));
    }
    ages
}

#[test]
fn a_camera_that_stops_for_a_minute_goes_on() {
    let ages = after_a_minute(80, (0..100).map(|index| (100 * index, 100 * index)));
    assert_eq!(ages, [80; 100]);
}

#[test]
fn a_camera_whose_time_stops_too_goes_on() {
    let ages = after_a_minute(
        80,
        (0..100).map(|index| (100 * index, 100 * index - 60_000)),
    );
    assert_eq!(ages, [60_080; 100]);
}

#[test]
fn what_has_piled_up_in_a_minute_is_thrown_away() {
    // a minute's frames at once, and then the present
    let frames = (-600..100).map(|index: i64| (100 * index.max(0), 100 * index));
    for work in [30, 80] {
        let ages = after_a_minute(work, frames.clone());
        let old = ages.iter().filter(|age| **age > 250).count();
        assert!(old <= 1, "{work} ms: {ages:?}");
        assert!(ages.len() >= 100, "{work} ms: {}", ages.len());
    }
}

#[test]
fn a_slow_element_gets_used_to_a_late_source() {
    let mut pacer = live();
    let (mut now, mut ages) = (0, Vec::new());
    for index in 0..300 {
        let frame = 100 * index;
        now = now.max(frame + 700);
        if pacer.arrive(Some(now * MS), frame * MS) == Verdict::OnTime {
            now += 150;
            ages.push(now - frame);
        }
        pacer.ready(Some(now * MS));
    }
    assert!(ages.len() >= 180, "{} of 200 possible", ages.len());
    assert!(ages.iter().all(|age| *age <= 950), "{ages:?}");
}

#[test]
fn timestamps_may_jump_for_hours() {
    let mut pacer = live();
    let hour = 3_600_000;
    let mut shown = 0;
    for index in 0..400 {
        let now = 100 * index;
        let jump = [0, 5 * hour, -7 * hour, 0][index as usize / 100];
        let verdict = pacer.arrive(Some(now * MS), (now + jump) * MS);
        let work = if verdict == Verdict::OnTime { 80 } else { 0 };
        shown += i64::from(work > 0);
        pacer.ready(Some((now + work) * MS));
    }
    assert!(shown >= 395, "{shown}");
}

#[test]
fn the_latency_of_others_is_time_to_use() {
    let mut pacer = live();
    assert!(matches!(pacer.arrive(Some(350 * MS), 0), Verdict::Late(_)));
    pacer.set_total(Duration::from_millis(600));
    pacer.set_work(Duration::from_millis(100));
    assert_eq!(pacer.arrive(Some(600 * MS), 100 * MS), Verdict::OnTime);
    assert!(matches!(
        pacer.arrive(Some(701 * MS), 200 * MS),
        Verdict::Late(_)
    ));
    // frames of a jitter buffer come when they like, up to its latency
    let mut pacer = live();
    pacer.set_upstream(Some(Duration::from_millis(500)));
    assert_eq!(pacer.arrive(Some(10 * MS), 0), Verdict::OnTime);
    assert_eq!(pacer.arrive(Some(550 * MS), 100 * MS), Verdict::OnTime);
}

#[test]
fn without_a_live_source_only_the_sink_says_what_is_late() {
    let mut pacer = Pacer::default();
    pacer.set_rate(10, 1);
    assert_eq!(pacer.pace(), None);
    assert_eq!(pacer.arrive(Some(90_000 * MS), 0), Verdict::OnTime);
    pacer.set_earliest(250 * MS);
    assert_eq!(pacer.pace(), Some(Duration::from_millis(100)));
    let late = Verdict::Late(Duration::from_millis(50));
    assert_eq!(pacer.arrive(None, 200 * MS), late);
    assert_eq!(pacer.arrive(None, 300 * MS), Verdict::OnTime);
    pacer.restart();
    assert_eq!(pacer.arrive(None, 200 * MS), Verdict::OnTime);
}

#[test]
fn a_rate_that_is_not_told_is_measured() {
    let mut pacer = Pacer::default();
    pacer.set_upstream(Some(Duration::ZERO));
    pacer.set_rate(0, 1);
    assert_eq!(pacer.pace(), None);
    for index in 0..20 {
        pacer.arrive(Some(40 * index * MS), 40 * index * MS);
    }
    assert_eq!(pacer.pace(), Some(Duration::from_millis(40)));
}

/// Where frames come from.
#[derive(Debug, Clone, Copy)]
enum Source {
    /// It makes each frame on the thread of the element, when it is time for it or as soon as it can.
    Synchronous,
    /// A thread of its own, with a queue that holds so many frames and drops the oldest.
    Leaky(i64),
    /// A jitter buffer: frames come up to so many milliseconds late, in bursts, and wait for the element.
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
    let mut pacer = Pacer::default();
    pacer.set_upstream(Some(at(upstream)));
    pacer.set_rate(setup.rate as i32, 1);
    let mut latency = Latency::default();
    let mut set_to = if setup.sync { upstream } else { 0.0 };
    pacer.set_total(at(set_to));
    let mut latencies = vec![set_to];
    let mut reset_at = None;
    let mut seed = 7;
    let (mut now, mut shown, mut networked) = (0.0_f64, Vec::new(), Vec::new());
    let mut arrival = 0.0_f64;
    for index in 0_u32.. {
        let frame = f64::from(index) * interval;
        let busy = |now: f64| BUSY.contains(&now);
        let pick = |now: f64, (calm, loaded): (f64, f64)| if busy(now) { loaded } else { calm };
        let mut spread = |time: f64| time * (0.75 + 0.5 * random(&mut seed));
        match setup.source {
            Source::Synchronous => {
                now = now.max(frame);
                now += spread(pick(now, setup.making));
            }
            Source::Leaky(most) => {
                if now > frame + (most + 1) as f64 * interval {
                    continue;
                }
                now = now.max(frame);
            }
            Source::Jittery(most) => {
                if index % 16 == 0 {
                    arrival = frame + spread(most as f64 * 0.6);
                }
                arrival = arrival.max(frame + 10.0);
                now = now.max(arrival);
            }
        }
        if now > 60_000.0 {
            // the network is never without work for long, where there is time for it
            let longest = networked
                .windows(2)
                .map(|pair| pair[1] - pair[0])
                .fold(0.0, f64::max);
            let most = if setup.making.1 < 0.8 * interval {
                4000.0
            } else {
                15_000.0
            };
            assert!(longest < most, "{longest} ms without a run of {setup:?}");
            return (shown, latencies);
        }
        if reset_at.is_some_and(|at| at <= now) {
            reset_at = None;
            set_to = upstream + latency.told().as_secs_f64() * 1000.0;
            pacer.set_total(at(set_to));
            latencies.push(set_to);
        }
        let verdict = pacer.arrive(Some(ns(now)), ns(frame));
        let hurry = match (verdict, setup.repeats) {
            (Verdict::OnTime, _) => Hurry::Run,
            (Verdict::Late(_), None) => Hurry::Drop,
            (Verdict::Late(by), Some(_)) => pacer.hurry(Some(ns(now)), ns(frame), by),
        };
        if hurry == Hurry::Drop {
            pacer.ready(Some(ns(now)));
            continue;
        }
        if hurry == Hurry::Run {
            networked.push(now);
            let work = spread(pick(now, setup.work));
            now += work;
            let told = latency.observe(at(work), Some(at(interval)), at(now));
            pacer.set_work(latency.work());
            if told.is_some() && setup.recalculates && setup.sync {
                reset_at = Some(now + 300.0);
            }
        } else {
            now += setup.repeats.unwrap_or_default();
        }
        if setup.qos && now > frame + set_to {
            pacer.set_earliest(ns(now - set_to));
        }
        if setup.sync {
            now = now.max(frame + set_to);
        }
        shown.push(Shown {
            at: now,
            age: now - frame,
        });
        pacer.ready(Some(ns(now)));
    }
    unreachable!()
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
            // a source on the same thread makes all frames, also those that are dropped
            let left = match setup.source {
                Source::Synchronous => 1000.0 - making * setup.rate as f64,
                _ => 1000.0,
            };
            let possible = (left / work).min(1000.0 / interval);
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
                    for source in [Source::Synchronous, Source::Leaky(1), Source::Leaky(200)] {
                        setups.push(Setup {
                            source,
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
        if let Source::Synchronous = setup.source {
            keeps_to_the_present(Setup {
                making: (2.0, 500.0 / setup.rate as f64),
                ..setup
            });
        }
    }
}

/// A source that does not get the time that its frames take falls behind whatever is dropped; it comes back all the same.
#[test]
fn so_does_one_whose_source_gets_too_little_time() {
    for setup in setups() {
        if let Source::Synchronous = setup.source {
            for share in [0.9, 1.0, 1.1, 1.4] {
                let making = (2.0, share * 1000.0 / setup.rate as f64);
                comes_back(Setup { making, ..setup }, 8000.0, f64::INFINITY, 550.0);
            }
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
