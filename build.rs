//! Build metadata for the plugin: commit, date and where it comes from.

fn main() {
    gst_plugin_version_helper::info();

    let repository = std::env::var("CARGO_PKG_REPOSITORY").unwrap_or_default();
    let origin = match repository.as_str() {
        // as GStreamer's own build says it; a plugin without any is not loaded
        "" => "Unknown package origin",
        known => known,
    };
    println!("cargo:rustc-env=ORIGIN={origin}");

    let target = ["OS", "ENV", "ARCH"]
        .map(|part| std::env::var(format!("CARGO_CFG_TARGET_{part}")).unwrap_or_default());
    if target == ["linux", "gnu", "x86_64"] {
        // the plugin's file as a program: src/inference/onnx/isolated/start.rs
        println!("cargo:rustc-cdylib-link-arg=-Wl,--entry=depthanything_start");
    }
}
