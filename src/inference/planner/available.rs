//! How much memory this process may still take: what the machine has left, and what its control groups leave it.
//!
//! Linux only. Written here because libraries for it look at the outermost control group alone, or want a newer Rust.

use std::path::Path;

/// Bytes that this process can still take before the system runs out of memory or stops it; `None` where the system does
/// not tell.
pub fn available() -> Option<u64> {
    available_in(Path::new("/"))
}

/// As [`available`], with what the machine can move out of its memory.
pub(in crate::inference) fn available_with_swap() -> Option<u64> {
    let swap = entry(Path::new("/proc/meminfo"), "SwapFree:").map_or(0, |kib| kib * 1024);
    available().map(|bytes| bytes.saturating_add(swap))
}

fn available_in(root: &Path) -> Option<u64> {
    let machine = entry(&root.join("proc/meminfo"), "MemAvailable:").map(|kib| kib * 1024);
    let groups = std::fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let rooms = groups.lines().flat_map(|line| group_rooms(root, line));
    machine.into_iter().chain(rooms).min()
}

/// The files of a control group that has a limit for memory.
struct Files {
    mount: &'static str,
    limit: &'static str,
    used: &'static str,
    /// What the system takes back when memory is short, as `memory.stat` names it.
    cache: &'static str,
}

const V1: Files = Files {
    mount: "sys/fs/cgroup/memory",
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    cache: "total_inactive_file",
};

const V2: Files = Files {
    mount: "sys/fs/cgroup",
    limit: "memory.max",
    used: "memory.current",
    cache: "inactive_file",
};

/// What a line of `/proc/self/cgroup` leaves: in the group itself and in each that it is in.
fn group_rooms(root: &Path, line: &str) -> Vec<u64> {
    let mut fields = line.splitn(3, ':').skip(1);
    let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else {
        return Vec::new();
    };
    let files = match controllers {
        "" => V2,
        _ if controllers.split(',').any(|name| name == "memory") => V1,
        _ => return Vec::new(),
    };
    // in a container, the path may be that of the host, of which only the outermost group is to be seen
    Path::new(path.trim_start_matches('/'))
        .ancestors()
        .filter_map(|group| {
            let folder = root.join(files.mount).join(group);
            let number = |file| {
                let text = std::fs::read_to_string(folder.join(file)).ok()?;
                text.trim().parse::<u64>().ok()
            };
            // "max" is no number, and no limit
            let (limit, used) = (number(files.limit)?, number(files.used)?);
            let cache = entry(&folder.join("memory.stat"), files.cache).unwrap_or(0);
            Some(limit.saturating_sub(used.saturating_sub(cache)))
        })
        .collect()
}

/// The number after `name` in a file of such lines.
fn entry(file: &Path, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some(name)).then(|| words.next()?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A system of these files.
    fn system(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        root
    }

    const MEMINFO: (&str, &str) = (
        "proc/meminfo",
        "MemTotal:       16000000 kB\nMemFree:          100000 kB\nMemAvailable:    8000000 kB\n",
    );

    #[test]
    fn a_machine_without_groups() {
        let root = system(&[MEMINFO]);
        assert_eq!(available_in(root.path()), Some(8_000_000 * 1024));
        assert_eq!(available_in(system(&[]).path()), None);
    }

    #[test]
    fn the_tightest_of_nested_groups_counts() {
        let root = system(&[
            MEMINFO,
            ("proc/self/cgroup", "0::/system.slice/depth.service\n"),
            ("sys/fs/cgroup/system.slice/memory.max", "3000000000\n"),
            ("sys/fs/cgroup/system.slice/memory.current", "1000000000\n"),
            (
                "sys/fs/cgroup/system.slice/memory.stat",
                "anon 700000000\ninactive_file 300000000\n",
            ),
            (
                "sys/fs/cgroup/system.slice/depth.service/memory.max",
                "max\n",
            ),
            (
                "sys/fs/cgroup/system.slice/depth.service/memory.current",
                "5000000\n",
            ),
        ]);
        assert_eq!(available_in(root.path()), Some(2_300_000_000));
    }

    #[test]
    fn groups_of_the_first_version_seen_from_inside_a_container() {
        let root = system(&[
            MEMINFO,
            (
                "proc/self/cgroup",
                "8:pids:/\n4:hugetlb,memory:/docker/0123456789ab\n1:cpu:/docker/0123456789ab\n",
            ),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "600000000\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "700000000\n"),
            (
                "sys/fs/cgroup/memory/memory.stat",
                "total_inactive_file 250000000\n",
            ),
        ]);
        assert_eq!(available_in(root.path()), Some(150_000_000));
    }

    #[test]
    fn nonsense_is_no_limit() {
        let root = system(&[
            MEMINFO,
            ("proc/self/cgroup", "0\n::\n0:memory\n4:memory:/../../etc\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "-1\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "lots\n"),
        ]);
        assert_eq!(available_in(root.path()), Some(8_000_000 * 1024));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_has_some() {
        let bytes = available().expect("Linux tells");
        assert!(bytes > 1 << 20, "{bytes}");
    }
}
