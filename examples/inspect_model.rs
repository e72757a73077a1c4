//! Says what the element makes of a model file, or why it can't be used. No ONNX Runtime is needed.
//!
//! ```text
//! cargo run --example inspect_model -- model.onnx
//! ```

use std::process::ExitCode;

use gstdepthanything::error::Error;
use gstdepthanything::model::{
    DepthKind, ImageInput, InputSize, ModelFacts, ModelSource, OutputFacts, inspect, select_input,
    select_output,
};

const HELP: &str = "\
Says what the element depthanything makes of a model file, or why it can't be used.

    inspect_model [FILE.onnx …]

Without a file: of the built-in model. No ONNX Runtime is needed; what only a run can tell, the element finds out when
it loads the model. Exit status: 0, or 1 when a file can't be used.";

fn main() -> ExitCode {
    let files: Vec<_> = std::env::args_os().skip(1).collect();
    if files.iter().any(|file| file == "--help" || file == "-h") {
        println!("{HELP}");
        return ExitCode::SUCCESS;
    }
    if let Some(option) = files
        .iter()
        .find(|file| file.to_string_lossy().starts_with("--"))
    {
        eprintln!("no option {}; --help lists all", option.to_string_lossy());
        return ExitCode::FAILURE;
    }
    let sources: Vec<_> = if files.is_empty() {
        vec![ModelSource::Builtin]
    } else {
        files
            .into_iter()
            .map(|file| ModelSource::File(file.into()))
            .collect()
    };
    let mut code = ExitCode::SUCCESS;
    for source in sources {
        if let Err(error) = show(&source) {
            eprintln!("{}: {error}", source.name());
            code = ExitCode::FAILURE;
        }
    }
    code
}

fn show(source: &ModelSource) -> Result<(), Error> {
    let facts = inspect(source)?;
    let outputs: Vec<_> = facts
        .outputs
        .iter()
        .map(|output| output.tensor.clone())
        .collect();
    println!("{}", facts.name);
    row("made by", &made_by(&facts));
    for input in &facts.inputs {
        row("input", input);
    }
    for output in &outputs {
        row("output", output);
    }
    let image = select_input(&facts, &facts.inputs)?;
    show_image(&facts, &image);
    show_depth(&facts.outputs[select_output(&facts, &outputs)?.index]);
    row("weights", &weights(&facts));
    for file in &facts.external_data {
        row("", &format!("in {}", file.display()));
    }
    if !facts.contrib_operators.is_empty() {
        let all: Vec<_> = facts.contrib_operators.iter().cloned().collect();
        row("needs", &format!("the operators {}", all.join(", ")));
    }
    Ok(())
}

fn row(name: &str, text: &impl std::fmt::Display) {
    println!("  {name:<9} {text}");
}

fn show_image(facts: &ModelFacts, image: &ImageInput) {
    row("image", &format!("fed as {}", image.in_words()));
    row("", &format!("because {}", image.normalization.reason));
    if !image.normalization.is_certain {
        row(
            "",
            &"that is a guess: input-normalization=unit or byte states what it wants",
        );
    }
    row("sizes", &sizes(facts, image));
    let images = match image.batch {
        None => "any number".to_owned(),
        Some(1) => "1".to_owned(),
        Some(images) => format!("{images}, no fewer"),
    };
    row("batch", &format!("{images} a run"));
}

fn show_depth(depth: &OutputFacts) {
    let meaning = &depth.depth;
    row("depth", &format!("{}: {}", depth.tensor, meaning.value));
    row("", &format!("because {}", meaning.reason));
    if !meaning.is_certain {
        row(
            "",
            &"that is a guess: model-depth=inverse, distance or metric states what it is",
        );
    }
    let samples = match meaning.value {
        DepthKind::Relative => "inverse depth, white is near",
        DepthKind::Distance => "inverse depth (it is turned over), white is near",
        DepthKind::Metric => "metres, in steps of depth-unit",
    };
    row("samples", &samples);
}

fn made_by(facts: &ModelFacts) -> String {
    let by = match facts.producer.as_str() {
        "" => "an exporter that does not say its name",
        producer => producer,
    };
    format!(
        "{by}; ONNX operator set {}, IR version {}",
        facts.opset(),
        facts.ir_version
    )
}

fn sizes(facts: &ModelFacts, image: &ImageInput) -> String {
    let why = if facts.has_patch_embedding {
        "its patches"
    } else {
        "as far as its file tells"
    };
    match image.input_size() {
        InputSize::Any => format!(
            "any width and height that are multiples of {} ({why})",
            facts.patch
        ),
        InputSize::Fixed(size) => format!("{size} only (width×height): frames are stretched to it"),
    }
}

fn weights(facts: &ModelFacts) -> String {
    let kind = if facts.computes_in_integers() {
        "integers, and it computes in them"
    } else if facts.quantized {
        "integers"
    } else if facts.half_precision {
        "half precision"
    } else {
        "float32, or stored smaller"
    };
    kind.to_owned()
}
