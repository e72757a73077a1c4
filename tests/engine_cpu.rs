//! The engine on ONNX Runtime's own CPU kernels.

mod engine_support;

use engine_support::*;
use gstdepthanything::engine::network::{DepthKind, InputSize};
use gstdepthanything::engine::{ExecutionProvider, Progress, open as open_network};
use gstdepthanything::geometry::Size;
use gstdepthanything::model::ModelSource;

#[test]
fn the_builtin_model_runs() {
    let runtime = plain_runtime();
    let mut stages = Vec::new();
    let mut network = open_network(
        &config(ModelSource::Builtin, ExecutionProvider::Cpu),
        &mut |progress| stages.push(progress),
    )
    .expect("the built-in model");
    assert_eq!(stages.len(), 2);
    assert_eq!(stages[0], Progress::Loading { provider: "cpu" });
    assert!(
        matches!(&stages[1], Progress::Ready { provider: "cpu", precision, seconds }
            if precision == "fp32" && *seconds > 0.0)
    );

    let description = network.description();
    assert_eq!(description.model, "builtin");
    assert_eq!(description.kind, DepthKind::Relative);
    assert_eq!(description.patch, 14);
    assert_eq!(description.input_size, InputSize::Any);
    assert_eq!(description.batch, None);
    assert_eq!(description.provider, "CPUExecutionProvider");
    assert!(description.runtime.contains(&runtime.version().to_string()));
    assert!(description.notes.is_empty(), "{:?}", description.notes);

    // sizes change from run to run, up and down
    for (width, height) in [(182, 126), (252, 448), (14, 14), (126, 140)] {
        let size = Size::new(width, height);
        let depth = run(&mut *network, &noise(3 * size.area()), 1, size);
        assert_eq!(depth.size, size);
        assert!(depth.values.iter().all(|value| value.is_finite()));
    }
}

#[test]
fn a_batch_gives_what_its_images_give() {
    plain_runtime();
    let mut network = open(&config(ModelSource::Builtin, ExecutionProvider::Cpu));
    let size = Size::new(126, 98);
    let images = noise(2 * 3 * size.area());
    let together = run(&mut *network, &images, 2, size);
    for (image, map) in images
        .chunks_exact(3 * size.area())
        .zip(together.values.chunks_exact(size.area()))
    {
        let alone = run(&mut *network, image, 1, size);
        let difference = alone
            .values
            .iter()
            .zip(map)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        assert!(difference < 1e-3, "{difference}");
    }
}
