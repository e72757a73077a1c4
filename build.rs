//! Build metadata for the plugin: commit and date.

fn main() {
    gst_plugin_version_helper::info();
}
