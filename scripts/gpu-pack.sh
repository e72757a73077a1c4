# shellcheck shell=bash
# Sourced by scripts/gpu-check: makes the folder that a machine with a GPU and nothing else needs. ROOT is the checkout.
#
# The folder holds archives in pieces (base.tar.gz.001, …), each archive of use without the others but base:
#
#     base      the plugin, the programs that measure, GStreamer's and GLib's libraries, ONNX Runtime
#     cuda      its CUDA provider
#     webgpu    its WebGPU provider
#     model-X   models/X.onnx
#
# beside run (scripts/gpu-report.sh), and SHA256SUMS over all of them.

# what the pipelines of gpu-report.sh want, of GStreamer's own plugins
PACKED_PLUGINS=(coreelements app videotestsrc)
# of CUDA, what is loaded by name
CUDA_BY_NAME=(libcufft.so.12 libcudnn.so.9 libnvrtc.so.13)
# left to the machine: the C library, and the driver's
OF_THE_MACHINE='^(ld-linux.*|lib(c|m|dl|rt|pthread|resolv|util|mvec|anl)\.so.*|libcuda\.so.*|libnvidia-.*)$'
# taken from the pack only where the machine has none
SPARE='^(libstdc\+\+\.so.*|libgcc_s\.so.*|libvulkan\.so.*)$'

# pack [--piece-size MB] [--from TREE] [FOLDER [MODEL…]]
pack() {
    local size=40 from='' folder models=() model
    while [ $# -gt 0 ]; do
        case $1 in
        --piece-size) size=${2:?megabytes after --piece-size} && shift 2 ;;
        --from) from=${2:?a folder after --from} && shift 2 ;;
        -*) fail "--pack has no option $1" ;;
        *) break ;;
        esac
    done
    [[ $size =~ ^([1-9]|[1-5][0-9])$ ]] || fail "a piece has 1 to 59 megabytes, not $size"
    folder=$(realpath -m -- "${1:-$ROOT/.gpu-pack}")
    shift $(($# > 0 ? 1 : 0))
    for model in "$@"; do
        [ -f "$model" ] || fail "there is no model $model"
        models+=("$(realpath -- "$model")")
    done
    if [ ${#models[@]} -eq 0 ] && [ -f "$ROOT/.models/vits.onnx" ]; then
        models=("$ROOT/.models/vits.onnx")
    fi
    if [ ${#models[@]} -eq 0 ] && [ -z "$from" ]; then
        say "no model is given, and .models/vits.onnx is not there (scripts/make-vits): the built-in one alone is packed" >&2
    fi
    if [ -e "$folder" ] && [ ! -e "$folder/SHA256SUMS" ] && [ -n "$(ls -A "$folder")" ]; then
        fail "$folder is there, and is no pack; nothing was written"
    fi
    if [ -z "$from" ]; then
        from=$(mktemp -d "${TMPDIR:-/tmp}/gpu-pack.XXXXXX")
        # shellcheck disable=SC2064 # this very folder
        trap "rm -rf '$from'" EXIT
        gather "$from" "${models[@]}"
    fi
    make_pieces "$from" "$folder" "$size"
    say "packed: $folder, $(du -s -B MB "$folder" | cut -f 1) in $(find "$folder" -name '*.tar.gz.*' | wc -l) pieces" >&2
    say "on the machine with the GPU: bash run, in that folder" >&2
}

# gather TREE [MODEL…]: what is packed, a folder for each archive
gather() {
    local tree=$1 target=${CARGO_TARGET_DIR:-$ROOT/target}/release runtime capi program model plugins scanned
    shift
    for program in gst-launch-1.0 gst-inspect-1.0 readelf; do
        command -v "$program" >/dev/null \
            || fail "$program is missing. This line installs it:" "apt-get install -y gstreamer1.0-tools binutils"
    done
    need_rust
    cd "$ROOT" || return
    cargo build --release --locked --lib --example run_network --example stream_speed
    runtime=gpu
    if ! runtime_library gpu >/dev/null; then
        runtime=gpu-alone
        install_runtime gpu-alone
    fi
    install_runtime webgpu
    mkdir -p "$tree"/base/{bin,lib/gstreamer-1.0,plugin,spare,site/onnxruntime/capi} \
        "$tree/cuda/site/onnxruntime/capi" "$tree/webgpu/site"

    cp "$target"/examples/{run_network,stream_speed} "$(command -v gst-launch-1.0)" "$(command -v gst-inspect-1.0)" \
        "$tree/base/bin"
    cp "$target/libgstdepthanything.so" "$tree/base/plugin"
    plugins=$(pkg-config --variable=pluginsdir gstreamer-1.0) || fail "pkg-config finds no gstreamer-1.0"
    for program in "${PACKED_PLUGINS[@]}"; do
        cp "$plugins/libgst$program.so" "$tree/base/lib/gstreamer-1.0" \
            || fail "GStreamer's plugin $program is missing. This line installs it:" "apt-get install -y gstreamer1.0-plugins-base"
    done

    capi=.runtime/$runtime/onnxruntime/capi
    # left out: TensorRT's provider, whose libraries such a machine lacks, and Python's module
    cp "$capi"/libonnxruntime.so.* "$capi/libonnxruntime_providers_shared.so" "$tree/base/site/onnxruntime/capi"
    cp "$capi/libonnxruntime_providers_cuda.so" "$tree/cuda/site/onnxruntime/capi"
    cp -r .runtime/webgpu/onnxruntime_ep_webgpu* "$tree/webgpu/site"
    {
        needed "$capi/libonnxruntime_providers_cuda.so" | grep -E '^lib(cu|nv)'
        printf '%s\n' "${CUDA_BY_NAME[@]}"
    } >"$tree/base/needs-cuda"

    find "$tree" -type f \( -name '*.so' -o -name '*.so.*' -o -path '*/bin/*' \) -print0 | xargs -0 -n 1 ldd 2>/dev/null \
        | sed -n 's/^\t\([^ /]*\) => \(\/[^ ]*\) .*/\1 \2/p' | sort -u >"$tree/closure"
    # loaded by name
    scanned=$(ldconfig -p | sed -n 's/^\t\(libvulkan\.so\.1\) .* => \(.*\)/\1 \2/p' | head -n 1)
    [ -n "$scanned" ] && echo "$scanned" >>"$tree/closure"
    while read -r name path; do
        if [[ $name =~ $OF_THE_MACHINE ]] || [[ $path == "$tree"/* ]]; then
            continue
        elif [[ $name =~ $SPARE ]]; then
            cp -L "$path" "$tree/base/spare/$name"
        else
            cp -L "$path" "$tree/base/lib/$name"
        fi
    done <"$tree/closure"
    [ -e "$tree/base/spare/libvulkan.so.1" ] \
        || say "no Vulkan loader here (apt-get install libvulkan1): webgpu needs the one of the machine" >&2
    rm "$tree/closure"

    for model in "$@"; do
        program=$(basename -- "$model" .onnx | tr -c 'A-Za-z0-9_\n' '-')
        mkdir -p "$tree/model-$program/models"
        cp -- "$model" "$tree/model-$program/models/$program.onnx"
    done
    {
        printf 'packed on %s from %s\n' "$(date -u +%Y-%m-%d)" "$(git -C "$ROOT" describe --always --dirty 2>/dev/null || echo 'no git')"
        printf 'GStreamer %s, ONNX Runtime %s (onnxruntime-gpu), onnxruntime-ep-webgpu %s\n' \
            "$(pkg-config --modversion gstreamer-1.0)" "$ONNXRUNTIME_GPU_VERSION" "$WEBGPU_PLUGIN_VERSION"
        printf 'needs glibc %s or newer\n' "$(newest_glibc "$tree")"
    } >"$tree/base/about"
}

# needed LIBRARY: what it is linked to
needed() {
    readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'
}

# newest_glibc TREE: the oldest C library that all that was gathered runs with
newest_glibc() {
    find "$1" -type f \( -name '*.so' -o -name '*.so.*' -o -path '*/bin/*' \) -print0 \
        | xargs -0 readelf -V 2>/dev/null | grep -o 'GLIBC_2\.[0-9.]*' | cut -d _ -f 2 | sort -V -u | tail -n 1
}

# make_pieces TREE FOLDER MEGABYTES: an archive of each folder in TREE, in pieces. What FOLDER held of an older pack goes.
make_pieces() {
    local tree=$1 folder=$2 size=$3 archive unfinished
    unfinished=$folder.part
    rm -rf "$unfinished"
    mkdir -p "$unfinished"
    for archive in "$tree"/*/; do
        archive=$(basename "$archive")
        tar -c -C "$tree/$archive" --owner=0 --group=0 . | gzip -6 \
            | split -b "${size}MB" --numeric-suffixes=1 -a 3 - "$unfinished/$archive.tar.gz."
    done
    cp "$ROOT/scripts/gpu-report.sh" "$unfinished/run"
    chmod 755 "$unfinished/run"
    (cd "$unfinished" && sha256sum -- * >.sums && mv .sums SHA256SUMS)
    rm -rf "$folder"
    mv -T "$unfinished" "$folder"
}
