# shellcheck shell=sh
# Lets this shell's GStreamer find the plugin built here and the ONNX Runtime installed here:
#
#     . scripts/env.sh
#
# For bash, zsh and dash. Silent; sourcing it again changes nothing. An ORT_DYLIB_PATH that is already
# set is kept.

_depth_root=
if [ -n "${BASH_SOURCE:-}" ]; then
    # shellcheck disable=SC3028,SC3054 # only bash comes here
    eval '_depth_root=${BASH_SOURCE[0]}'
elif [ -n "${ZSH_VERSION:-}" ]; then
    eval '_depth_root=${(%):-%x}'
else
    # dash does not say which file it reads, but holds it open
    for _depth_fd in /proc/"$$"/fd/*; do
        case $(readlink "$_depth_fd" 2>/dev/null) in
        */scripts/env.sh) _depth_root=$(readlink "$_depth_fd") ;;
        esac
    done
    unset _depth_fd
fi
if [ -n "$_depth_root" ]; then
    _depth_root=$(CDPATH='' cd -- "$(dirname -- "$_depth_root")/.." && pwd -P)
else
    _depth_root=$(pwd -P)
fi

# the release build when there is one, else the debug build
_depth_target=${CARGO_TARGET_DIR:-$_depth_root/target}
case $_depth_target in
/*) ;;
*) _depth_target=$_depth_root/$_depth_target ;;
esac
if [ ! -e "$_depth_target/release/libgstdepthanything.so" ] \
    && [ -e "$_depth_target/debug/libgstdepthanything.so" ]; then
    _depth_target=$_depth_target/debug
else
    _depth_target=$_depth_target/release
fi
case :${GST_PLUGIN_PATH:-}: in
*:"$_depth_target":*) ;;
*) GST_PLUGIN_PATH=$_depth_target${GST_PLUGIN_PATH:+:$GST_PLUGIN_PATH} ;;
esac
export GST_PLUGIN_PATH

if [ -z "${ORT_DYLIB_PATH:-}" ]; then
    # the first of them that is there; OpenVINO's is the faster one on CPUs that multiply bf16
    _depth_runtimes='onnxruntime openvino'
    if grep -q -w -e avx512_bf16 -e amx_bf16 /proc/cpuinfo 2>/dev/null; then
        _depth_runtimes='openvino onnxruntime'
    fi
    for _depth_runtime in ${_depth_runtimes% *} ${_depth_runtimes#* }; do
        _depth_library=$(find "$_depth_root/.runtime/$_depth_runtime/onnxruntime/capi" \
            -name 'libonnxruntime.so.*' 2>/dev/null | head -n 1)
        if [ -n "$_depth_library" ]; then
            ORT_DYLIB_PATH=$_depth_library
            export ORT_DYLIB_PATH
            break
        fi
    done
    unset _depth_runtime _depth_runtimes _depth_library
fi
unset _depth_root _depth_target
