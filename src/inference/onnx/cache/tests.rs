use std::fs::File;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

fn key() -> Key<'static> {
    Key {
        model: [7; 32],
        size: Size::new(924, 518),
        batch: 1,
        precision: "fp16",
        options: "a=1",
        device: "0 GPU",
        compiler: "10.1",
        runtime: "1.31.1",
    }
}

/// As a compiler with a cache does: loads what is there, else makes and writes it.
fn compile(places: Option<Places<'_>>, builds: &AtomicUsize) -> Result<String, Error> {
    if let Some(places) = places {
        assert!(places.timing.is_dir());
        if let Ok(text) = fs::read_to_string(places.engine.join("engine")) {
            return match text.as_str() {
                "engine" => Ok(text),
                _ => Err(failure("it does not load")),
            };
        }
    }
    builds.fetch_add(1, Ordering::SeqCst);
    if let Some(places) = places {
        fs::write(places.engine.join("engine"), "engine")
            .map_err(|error| failure(&error.to_string()))?;
    }
    Ok("engine".to_owned())
}

fn failure(reason: &str) -> Error {
    Error::Provider {
        provider: "tensorrt".to_owned(),
        reason: reason.to_owned(),
    }
}

struct Bench {
    folder: tempfile::TempDir,
    builds: AtomicUsize,
}

impl Bench {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("folder"),
            builds: AtomicUsize::new(0),
        }
    }

    fn get(&self, key: &Key<'_>) -> Kept {
        let cache = Cache::new(Some(self.folder.path()));
        let (engine, kept) = cache
            .with_engine(key, |places| compile(places, &self.builds))
            .expect("an engine");
        assert_eq!(engine, "engine");
        kept
    }

    /// The user's own folder.
    fn root(&self) -> PathBuf {
        private::folder(self.folder.path()).expect("a folder")
    }

    fn home(&self) -> PathBuf {
        self.root().join(key().name())
    }

    fn builds(&self) -> usize {
        self.builds.load(Ordering::SeqCst)
    }
}

#[test]
fn built_once_and_found_then() {
    let bench = Bench::new();
    assert_eq!(bench.get(&key()), Kept::Built);
    assert_eq!(bench.get(&key()), Kept::Found);
    assert_eq!(bench.builds(), 1);
    let left: Vec<_> = fs::read_dir(bench.root())
        .expect("folder")
        .flatten()
        .map(|entry| entry.file_name().into_string().expect("name"))
        .filter(|name| name.starts_with("building-"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn everything_that_matters_has_a_folder_of_its_own() {
    let variants = [
        key(),
        Key {
            model: [8; 32],
            ..key()
        },
        Key {
            size: Size::new(518, 924),
            ..key()
        },
        Key { batch: 2, ..key() },
        Key {
            precision: "fp32",
            ..key()
        },
        Key {
            options: "a=2",
            ..key()
        },
        Key {
            device: "1 GPU",
            ..key()
        },
        Key {
            compiler: "10.2",
            ..key()
        },
        Key {
            runtime: "1.32.0",
            ..key()
        },
        // the same letters on either side of a border
        Key {
            options: "a=10",
            device: " GPU",
            ..key()
        },
    ];
    let names: std::collections::HashSet<_> = variants.iter().map(Key::name).collect();
    assert_eq!(names.len(), variants.len());
}

#[test]
fn a_broken_engine_is_set_aside_and_built_again() {
    let bench = Bench::new();
    bench.get(&key());
    for _ in 0..2 {
        fs::write(bench.home().join("engine"), "garbage").expect("file");
        assert_eq!(bench.get(&key()), Kept::Built);
        assert!(bench.home().with_extension("broken").is_dir());
        assert_eq!(bench.get(&key()), Kept::Found);
    }
    assert_eq!(bench.builds(), 3);
}

#[test]
fn a_half_written_engine_is_not_taken() {
    let bench = Bench::new();
    fs::create_dir_all(bench.home()).expect("folder");
    fs::write(bench.home().join("engine"), "engi").expect("file");
    assert_eq!(bench.get(&key()), Kept::Built);
    assert_eq!(bench.builds(), 1);
}

#[test]
fn where_nothing_can_be_written_it_is_built_each_time() {
    let bench = Bench::new();
    // a file where the folder should be: root, who runs tests in containers, may write read-only folders
    let root = bench.folder.path().join("file");
    fs::write(&root, "").expect("file");
    let cache = Cache::new(Some(&root));
    for _ in 0..2 {
        let (_, kept) = cache
            .with_engine(&key(), |places| compile(places, &bench.builds))
            .expect("an engine");
        match kept {
            Kept::Lost(reason) => assert!(reason.contains("file"), "{reason}"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(bench.builds(), 2);
}

#[test]
fn a_read_only_folder_still_gives_what_is_in_it() {
    let bench = Bench::new();
    bench.get(&key());
    let root = bench.folder.path();
    fs::set_permissions(root, fs::Permissions::from_mode(0o555)).expect("permissions");
    assert_eq!(bench.get(&key()), Kept::Found);
    fs::set_permissions(root, fs::Permissions::from_mode(0o755)).expect("permissions");
}

/// `/dev/full` stands in for a full disk.
#[test]
fn a_full_disk_costs_time_only() {
    let bench = Bench::new();
    let cache = Cache::new(Some(bench.folder.path()));
    let mut calls = 0;
    let result = cache.with_engine(&key(), |places| {
        calls += 1;
        match places {
            Some(places) => {
                // no room for anything from here on
                let engine = places.engine;
                std::os::unix::fs::symlink("/dev/full", engine.join("probe")).expect("link");
                Err(failure("the engine can't be written"))
            }
            None => Ok(()),
        }
    });
    let ((), kept) = result.expect("an engine");
    assert_eq!(calls, 2);
    match kept {
        Kept::Lost(reason) => assert!(reason.contains("can't write in"), "{reason}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_builder_that_fails_fails_once() {
    let bench = Bench::new();
    let cache = Cache::new(Some(bench.folder.path()));
    let mut calls = 0;
    let result: Result<((), Kept), _> = cache.with_engine(&key(), |_| {
        calls += 1;
        Err(failure("no such operator"))
    });
    assert!(result.is_err_and(|error| error.to_string().contains("no such operator")));
    assert_eq!(calls, 1);
    assert!(!bench.home().exists());
}

#[test]
fn of_two_at_once_one_builds() {
    let bench = Bench::new();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    // each opens the lock file itself, as processes do
                    let cache = Cache::new(Some(bench.folder.path()));
                    let slow = |places: Option<Places<'_>>| {
                        let engine = compile(places, &bench.builds);
                        std::thread::sleep(Duration::from_millis(20));
                        engine
                    };
                    cache.with_engine(&key(), slow).expect("an engine").1
                })
            })
            .collect();
        let kept: Vec<_> = threads
            .into_iter()
            .map(|thread| thread.join().expect("thread"))
            .collect();
        let built = kept.iter().filter(|kept| **kept == Kept::Built).count();
        assert_eq!(built, 1, "{kept:?}");
    });
    assert_eq!(bench.builds(), 1);
}

/// Names the folder for [`a_process_of_its_own`].
const FOLDER: &str = "DEPTHANYTHING_TEST_CACHE";
/// Set: its build never ends.
const HANGS: &str = "DEPTHANYTHING_TEST_HANGS";

/// Starts this test program again, to do nothing but [`a_process_of_its_own`].
fn start_process(folder: &Path, hangs: bool) -> std::process::Child {
    let mut command = std::process::Command::new(std::env::current_exe().expect("a program"));
    command
        .args([
            "--exact",
            "inference::onnx::cache::tests::a_process_of_its_own",
        ])
        .env(FOLDER, folder)
        .stdout(std::process::Stdio::null());
    if hangs {
        command.env(HANGS, "1");
    }
    command.spawn().expect("a process")
}

/// Waits, not for ever.
fn wait_for(what: &str, is_there: impl Fn() -> bool) {
    let end = SystemTime::now() + Duration::from_secs(60);
    while !is_there() {
        assert!(SystemTime::now() < end, "{what} in a minute");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What a process does that wants an engine: nothing when the tests run as usual.
#[test]
fn a_process_of_its_own() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        return;
    };
    let hangs = std::env::var_os(HANGS).is_some();
    let id = std::process::id();
    File::create(folder.join(format!("here-{id}"))).expect("file");
    wait_for("a start", || folder.join("go").exists());
    let cache = Cache::new(Some(&folder.join("engines")));
    let builds = AtomicUsize::new(0);
    let (_, kept) = cache
        .with_engine(&key(), |places| {
            if let Some(places) = places.filter(|places| !places.engine.join("engine").exists()) {
                // half of it is there for a while
                fs::write(places.engine.join("engine"), "engi").expect("file");
                File::create(folder.join(format!("building-{id}"))).expect("file");
                std::thread::sleep(Duration::from_millis(100));
                if hangs {
                    loop {
                        std::thread::park();
                    }
                }
                fs::remove_file(places.engine.join("engine")).expect("file");
            }
            compile(places, &builds)
        })
        .expect("an engine");
    assert_ne!(matches!(kept, Kept::Found), builds.into_inner() == 1);
}

/// Files of `folder` whose names begin so.
fn count(folder: &Path, prefix: &str) -> usize {
    let files = fs::read_dir(folder).expect("folder").flatten();
    files
        .filter(|file| file.file_name().to_string_lossy().starts_with(prefix))
        .count()
}

#[test]
fn of_processes_that_start_at_once_one_builds() {
    const PROCESSES: usize = 4;
    let folder = tempfile::tempdir().expect("folder");
    let folder = folder.path();
    let mut processes: Vec<_> = (0..PROCESSES)
        .map(|_| start_process(folder, false))
        .collect();
    wait_for("all of them", || count(folder, "here-") == PROCESSES);
    File::create(folder.join("go")).expect("file");
    for process in &mut processes {
        assert!(process.wait().expect("an end").success());
    }
    assert_eq!(count(folder, "building-"), 1, "one that builds");
    let engines = private::folder(&folder.join("engines")).expect("a folder");
    assert_eq!(count(&engines, "building-"), 0);
}

#[test]
fn a_process_that_is_killed_while_it_builds_is_in_nobodys_way() {
    let folder = tempfile::tempdir().expect("folder");
    let folder = folder.path();
    File::create(folder.join("go")).expect("file");
    let mut killed = start_process(folder, true);
    wait_for("a build", || count(folder, "building-") == 1);
    // waits for the lock, which goes with the process that has it
    let mut next = start_process(folder, false);
    wait_for("another", || count(folder, "here-") == 2);
    killed.kill().expect("killed");
    killed.wait().expect("an end");
    assert!(next.wait().expect("an end").success());
    assert_eq!(count(folder, "building-"), 2);
    let engines = private::folder(&folder.join("engines")).expect("a folder");
    let engine = engines.join(key().name()).join("engine");
    assert_eq!(fs::read_to_string(engine).expect("engine"), "engine");
}

#[test]
fn what_killed_builds_left_goes_in_time() {
    let bench = Bench::new();
    let [old, new] = ["building-old", "building-new"].map(|name| bench.root().join(name));
    for folder in [&old, &new] {
        fs::create_dir(folder).expect("folder");
    }
    let past = SystemTime::now() - 2 * STALE;
    File::open(&old)
        .and_then(|folder| folder.set_modified(past))
        .expect("time");
    bench.get(&key());
    assert!(!old.exists());
    assert!(new.exists());
}

#[test]
fn the_users_cache_folder() {
    let of = |xdg: Option<&str>, home: Option<&str>| {
        user_cache(|name| match name {
            "XDG_CACHE_HOME" => xdg.map(PathBuf::from),
            _ => home.map(PathBuf::from),
        })
    };
    let path = |path: &str| Some(PathBuf::from(path));
    assert_eq!(
        of(Some("/cache"), Some("/home/me")),
        path("/cache/depthanything")
    );
    assert_eq!(
        of(None, Some("/home/me")),
        path("/home/me/.cache/depthanything")
    );
    // relative ones are to be ignored, says the specification
    assert_eq!(
        of(Some("cache"), Some("/home/me")),
        path("/home/me/.cache/depthanything")
    );
    assert_eq!(of(None, None), None);
}

/// A folder that others use, too: what they have in it stays as it is.
#[test]
fn what_is_the_users_own_is_left_alone() {
    let bench = Bench::new();
    let theirs = bench.folder.path().join("building-a-house");
    fs::create_dir(&theirs).expect("folder");
    fs::write(theirs.join("plan"), "dear").expect("file");
    let past = SystemTime::now() - 3 * STALE;
    File::open(&theirs)
        .and_then(|folder| folder.set_modified(past))
        .expect("time");
    let precious = bench.folder.path().join("precious");
    fs::write(&precious, "dear").expect("file");
    symlink(&precious, bench.folder.path().join("build.lock")).expect("link");
    bench.get(&key());
    for file in [theirs.join("plan"), precious] {
        assert_eq!(fs::read_to_string(file).expect("file"), "dear");
    }
}

#[test]
fn the_folder_of_engines_is_this_users_alone() {
    let bench = Bench::new();
    let metadata = fs::metadata(bench.root()).expect("folder");
    assert_eq!(metadata.mode() & 0o777, 0o700);
    // and becomes so again
    fs::set_permissions(bench.root(), fs::Permissions::from_mode(0o777)).expect("permissions");
    bench.get(&key());
    let metadata = fs::metadata(bench.folder.path().join(bench.root())).expect("folder");
    assert_eq!(metadata.mode() & 0o777, 0o700);
}

#[track_caller]
fn lost(bench: &Bench, base: &Path, words: &str) {
    let cache = Cache {
        timeout: Duration::from_millis(100),
        ..Cache::new(Some(base))
    };
    let before = bench.builds();
    let (_, kept) = cache
        .with_engine(&key(), |places| compile(places, &bench.builds))
        .expect("an engine");
    match kept {
        Kept::Lost(reason) => assert!(reason.contains(words), "{reason}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(bench.builds(), before + 1, "it is built, and not kept");
}

#[test]
fn engines_that_others_could_have_made_are_not_loaded() {
    let bench = Bench::new();
    bench.get(&key());
    let base = bench.folder.path();
    // whoever can write the folder above can put another in its place
    fs::set_permissions(base, fs::Permissions::from_mode(0o777)).expect("permissions");
    lost(&bench, base, "other users");
    // unless, as in /tmp, everybody has but his own
    fs::set_permissions(base, fs::Permissions::from_mode(0o1777)).expect("permissions");
    assert_eq!(bench.get(&key()), Kept::Found);
    // a link in its place
    let elsewhere = tempfile::tempdir().expect("folder");
    let root = bench.root();
    fs::rename(&root, elsewhere.path().join("engines")).expect("moved");
    symlink(elsewhere.path().join("engines"), &root).expect("link");
    lost(&bench, base, "this user's own");
    fs::remove_file(&root).expect("link");
    fs::write(&root, "").expect("file");
    lost(&bench, base, "this user's own");
    fs::remove_file(&root).expect("file");
    // somebody else's folder, where a test may make one
    fs::create_dir(&root).expect("folder");
    if std::os::unix::fs::chown(&root, Some(12345), None).is_ok() {
        lost(&bench, base, "this user's own");
    }
}

#[test]
fn an_engine_that_was_changed_or_is_a_link_is_built_again() {
    let bench = Bench::new();
    bench.get(&key());
    // it would load: only its hash is another
    let engine = bench.home().join("engine");
    let copy = bench.home().join("copy");
    fs::rename(&engine, &copy).expect("moved");
    symlink(&copy, &engine).expect("link");
    assert_eq!(bench.get(&key()), Kept::Built);
    let marker = bench.home().join("complete");
    for lines in ["", "nonsense", "0123 engine\n", "0123 ../engine\n"] {
        fs::write(&marker, lines).expect("file");
        assert_eq!(bench.get(&key()), Kept::Built, "{lines:?}");
    }
    assert_eq!(bench.get(&key()), Kept::Found);
}

#[test]
fn a_lock_is_not_waited_for_for_ever_and_never_followed() {
    let bench = Bench::new();
    let lock = private::lock(&bench.root(), Duration::ZERO).expect("a lock");
    lost(&bench, bench.folder.path(), "another process");
    drop(lock);
    let precious = bench.folder.path().join("precious");
    fs::write(&precious, "dear").expect("file");
    let place = bench.root().join("build.lock");
    fs::remove_file(&place).expect("lock");
    symlink(&precious, &place).expect("link");
    lost(&bench, bench.folder.path(), "can't lock");
    assert_eq!(fs::read_to_string(&precious).expect("file"), "dear");
    fs::remove_file(&place).expect("link");
    let made = std::process::Command::new("mkfifo").arg(&place).status();
    assert!(made.is_ok_and(|status| status.success()));
    lost(&bench, bench.folder.path(), "can't lock");
}
