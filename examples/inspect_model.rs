//! Prints what a model file says of itself, or why it can't be used. No ONNX Runtime is needed.
//!
//! ```text
//! cargo run --example inspect_model -- model.onnx
//! ```

use std::process::ExitCode;

use gstdepthanything::error::Error;
use gstdepthanything::model::{ModelSource, inspect, select_input, select_output};

fn main() -> ExitCode {
    let files: Vec<_> = std::env::args_os().skip(1).collect();
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
    let image = select_input(&facts, &facts.inputs)?;
    let outputs: Vec<_> = facts
        .outputs
        .iter()
        .map(|output| output.outlet.clone())
        .collect();
    let depth = &facts.outputs[select_output(&facts, &outputs)?.index];
    println!("{}", facts.name);
    println!(
        "  made by    {}, operator set {}",
        facts.producer,
        facts.opset()
    );
    println!(
        "  image      {}, {:?}",
        facts.inputs[image.index],
        image.input_size()
    );
    println!(
        "  depth      {}, {:?}: ends in {:?}",
        depth.outlet,
        facts.kind_of(&depth.outlet.name),
        depth.ending
    );
    println!(
        "  patch      {}{}",
        facts.patch,
        if facts.has_patch_embedding {
            ""
        } else {
            " (no patch embedding)"
        }
    );
    println!("  quantised  {}", facts.quantized);
    if !facts.contrib_operators.is_empty() {
        println!("  needs      {:?}", facts.contrib_operators);
    }
    for file in &facts.external_data {
        println!("  weights    {}", file.display());
    }
    Ok(())
}
