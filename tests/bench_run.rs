//! `benches/run`: measurements are kept from one run to the next, medians and ratios are what they are called.

use std::path::Path;
use std::process::Command;

const CHECK: &str = r#"
import importlib.machinery, importlib.util, sys
from pathlib import Path
sys.dont_write_bytecode = True
loader = importlib.machinery.SourceFileLoader("run", sys.argv[1])
run = importlib.util.module_from_spec(importlib.util.spec_from_loader("run", loader))
loader.exec_module(run)

path = Path(sys.argv[2]) / "deep" / "samples.jsonl"
ours = "depthanything, onnxruntime"
samples = run.Samples(path, {"commit": "a"}, False)
for turn in range(2):
    for name, factor in ((ours, 1), (run.BASE, 2), ("PyTorch", 4)):
        # the median is not the mean, nor that of one turn
        times = [factor * time for time in ((100, 110, 900), (90, 120, 105))[turn]]
        samples.add((name, 252, turn), {"times": times, "peak": factor * 1e9, "precision": "fp32"})

again = run.Samples(path, {"commit": "a"}, False)
assert again.taken.keys() == samples.taken.keys(), "a stopped run goes on"
assert again.of(ours, 252)[:2] == (107.5, 1e9), again.of(ours, 252)
assert again.of(ours, 518) is None
report = run.report(again, [ours, run.BASE, "PyTorch"], {"x": "y"}, [252])
assert "| 252 | **2.00×**, 0.50 of the memory | **0.50×**, 2.00 of the memory |" in report, report
assert f"| 252 | {ours} (fp32) | 108 ms | 9.30 | 1000 MB |" in report, report
assert "Left out: x, y." in report, report

assert not run.Samples(path, {"commit": "b"}, False).taken, "other code is measured afresh"
for side in run.SIDES:
    assert 2 <= run.frames_of(side, True) <= run.frames_of(side, False) <= 20
"#;

#[test]
fn measurements_are_kept_and_compared() {
    let run = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/run");
    let folder = tempfile::tempdir().expect("a folder");
    let output = Command::new("python3")
        .arg("-c")
        .arg(CHECK)
        .arg(run)
        .arg(folder.path())
        .output()
        .expect("Python runs");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
}
