//! Parts of a film, made apart and joined.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use super::{FILM, export, program, said};

fn merge(folder: &Path) -> Output {
    let mut command = Command::new(program());
    command.arg("merge").arg(folder).output().expect("it runs")
}

fn frames_and_tables(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| {
            let name = path.file_name().expect("a name").to_string_lossy();
            !name.contains("-of-") && !name.starts_with("ranges")
        })
        .map(|path| {
            let name = path
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            (name, fs::read(path).expect("a file"))
        })
        .collect();
    files.sort();
    files
}

/// The same files bit for bit as of one run, whatever is written, also where a shard was cut short and tried again.
#[test]
fn shards_make_what_one_run_makes() {
    for (options, passes) in [
        (&["--range", "frame", "--set", "resolution=28"][..], 1),
        (&["--format", "exr", "--set", "resolution=28"], 1),
        (&["--set", "resolution=28"], 2),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
        let result = export(Path::new(FILM), &whole, options);
        assert!(result.status.success(), "{}", said(&result));
        for pass in 0..passes {
            for shard in ["2/3", "1/3", "3/3"] {
                let more = [options, &["--shard", shard]].concat();
                let result = export(Path::new(FILM), &parts, &more);
                assert!(result.status.success(), "{}", said(&result));
                if shard == "1/3" {
                    let early = merge(&parts);
                    assert_eq!(early.status.code(), Some(1), "{}", said(&early));
                    assert!(said(&early).contains("shard 3 of 3"), "{}", said(&early));
                }
            }
            if pass + 1 == passes {
                let journal = parts.join("frames.2-of-3.csv");
                let text = fs::read_to_string(&journal).expect("a table");
                let cut = text.match_indices('\n').nth(6).expect("lines").0 + 1;
                fs::write(&journal, &text[..cut]).expect("written");
                let early = merge(&parts);
                assert_eq!(early.status.code(), Some(1), "{}", said(&early));
                assert!(
                    said(&early).contains("shard 2 of 3 is not done"),
                    "{}",
                    said(&early)
                );
                let more = [options, &["--shard", "2/3"]].concat();
                let again = export(Path::new(FILM), &parts, &more);
                assert!(again.status.success(), "{}", said(&again));
            }
            let merged = merge(&parts);
            assert!(merged.status.success(), "{}", said(&merged));
        }
        let (whole, parts) = (frames_and_tables(&whole), frames_and_tables(&parts));
        let names = |files: &[(String, Vec<u8>)]| {
            files.iter().map(|file| file.0.clone()).collect::<Vec<_>>()
        };
        assert_eq!(names(&whole), names(&parts), "{options:?}");
        for (whole, part) in whole.iter().zip(&parts) {
            assert!(whole == part, "{options:?} {}", whole.0);
        }
    }
}

#[test]
fn shards_of_other_options_are_not_joined() {
    let folder = tempfile::tempdir().expect("a folder");
    for (shard, resolution) in [("1/2", "resolution=28"), ("2/2", "resolution=42")] {
        let more = [
            "--range", "frame", "--frames", "0-9", "--shard", shard, "--set", resolution,
        ];
        let result = export(Path::new(FILM), folder.path(), &more);
        assert!(result.status.success(), "{}", said(&result));
    }
    let merged = merge(folder.path());
    assert_eq!(merged.status.code(), Some(2), "{}", said(&merged));
    assert!(said(&merged).contains("resolution=42"), "{}", said(&merged));
    let nothing = merge(Path::new("examples"));
    assert_eq!(nothing.status.code(), Some(2));
    assert!(
        said(&nothing).contains("no tables of shards"),
        "{}",
        said(&nothing)
    );
}
