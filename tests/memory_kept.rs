//! What a size takes of memory is kept for the next start. A process of its own: its first network keeps it.

mod common;

use common::height_within;
/// It is kept beside compiled engines, and the next start comes to the same. The second network of a process keeps nothing: the
/// heap that the first has left would hide what it takes.
#[test]
fn what_a_size_takes_is_known_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let cache = format!("engine-cache={}", folder.path().display());
    let kept = || {
        let own = std::fs::read_dir(folder.path()).unwrap().next().unwrap();
        let files = std::fs::read_dir(own.unwrap().path()).unwrap();
        let mut files = files.map(|file| file.unwrap().path());
        let file = files.find(|file| file.to_string_lossy().contains("memory-"));
        std::fs::read_to_string(file.expect("what runs take")).unwrap()
    };
    let first = height_within(320, &cache).unwrap();
    let sizes = |text: &str| text.matches("],[").count() + 1;
    assert!(sizes(&kept()) > 1, "{}", kept());
    let known = kept();
    let again = height_within(320, &cache).unwrap();
    assert_eq!(kept(), known);
    // a process that has run it before holds less afterwards, so that a size more may fit
    assert!(again >= first && again < 1400, "{first} {again}");
}
