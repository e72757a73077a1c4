# shellcheck shell=bash
# Setting up a machine for this project. Sourced by ./demo and ./check, which set ROOT (the checkout).
# Whatever is already there is left alone, so that a second run is quick and needs no network.

# What a build needs, what the tests and the demo play films with (H.264 parsers are in "bad",
# FFV1 and most decoders in "libav").
# shellcheck disable=SC2034 # used by those who source this
PACKAGES=(
    gcc
    libc6-dev
    pkg-config
    libgstreamer1.0-dev
    libgstreamer-plugins-base1.0-dev
    gstreamer1.0-tools
    gstreamer1.0-plugins-base
    gstreamer1.0-plugins-good
    gstreamer1.0-plugins-bad
    gstreamer1.0-libav
)
if ! python3 -m pip --version >/dev/null 2>&1; then
    PACKAGES+=(python3 python3-pip)
fi

# The Python wheels that carry ONNX Runtime's library, or that of an execution provider; no Python code in them is used.
ONNXRUNTIME_VERSION=1.32.0
OPENVINO_PLUGIN_VERSION=1.8.1
OPENVINO_VERSION=1.24.1
WEBGPU_PLUGIN_VERSION=0.4.0
ONNXRUNTIME_GPU_VERSION=1.31.1

say() {
    if [ -t 1 ]; then
        printf '\033[1m==>\033[0m %s\n' "$*"
    else
        printf '==> %s\n' "$*"
    fi
}

fail() {
    printf 'error: %s\n' "$1" >&2
    shift
    if [ $# -gt 0 ]; then
        printf '       %s\n' "$@" >&2
    fi
    exit 1
}

# as_root COMMAND…: runs it as root, with sudo where we are not
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        fail "this needs root, and there is no sudo here. As root, run:" "$*"
    fi
}

installed() {
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# apt_install PACKAGE…: installs those that are missing
apt_install() {
    local package missing=()
    if ! command -v apt-get >/dev/null; then
        say "not Debian or Ubuntu: going on as if the equivalents of these were installed: $*"
        return
    fi
    for package in "$@"; do
        installed "$package" || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    say "installing with apt: ${missing[*]}"
    # lists that can't be fetched matter only if the install then fails, which says so itself
    as_root apt-get update -q || true
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}" \
        || fail "apt could not install ${missing[*]}"
}

# leave_sudo ARGUMENT…: a script started with sudo goes on as the user who started it, so that what is
# built and installed in the checkout is theirs, and their Rust is found
leave_sudo() {
    if [ "$(id -u)" = 0 ] && [ -n "${SUDO_USER:-}" ] && [ "$SUDO_USER" != root ] \
        && [ "$(stat -c %U "$ROOT")" = "$SUDO_USER" ]; then
        say "going on as $SUDO_USER"
        exec sudo -u "$SUDO_USER" -H "$ROOT/$(basename "$0")" "$@"
    fi
}

# version_at_least HAVE WANTED
version_at_least() {
    [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]
}

# Rust is not installed for the user, since there are many ways to want it; the line that does it is said.
need_rust() {
    local wanted have
    wanted=$(sed -n 's/^rust-version *= *"\(.*\)"/\1/p' "$ROOT/Cargo.toml" | head -n 1)
    if ! command -v cargo >/dev/null && [ -x "$HOME/.cargo/bin/cargo" ]; then
        PATH=$HOME/.cargo/bin:$PATH
        export PATH
    fi
    local line="curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y"
    if ! command -v curl >/dev/null; then
        line="sudo apt-get install -y curl && $line"
    fi
    if ! command -v cargo >/dev/null || ! command -v rustc >/dev/null; then
        fail "Rust $wanted or newer is needed and there is none here. This line installs it:" \
            "$line" "Then run this again."
    fi
    have=$(cd "$ROOT" && rustc --version | cut -d ' ' -f 2)
    if ! version_at_least "${have%%-*}" "$wanted"; then
        if command -v rustup >/dev/null; then
            fail "Rust $wanted or newer is needed and this is $have. This line updates it:" \
                "rustup update stable && rustup default stable"
        fi
        fail "Rust $wanted or newer is needed and this is $have. This line installs a newer one beside it:" \
            "$line"
    fi
}

# runtime_library NAME: path of the library in .runtime/NAME; fails when it is not there
runtime_library() {
    local library
    for library in "$ROOT/.runtime/$1/onnxruntime/capi/libonnxruntime.so".*; do
        [ -e "$library" ] || return 1
        printf '%s\n' "$library"
        return
    done
}

# install_runtime NAME: puts an ONNX Runtime into .runtime/NAME: onnxruntime; openvino, that one with the OpenVINO provider
# beside it where that runs on this machine, else built in; openvino-built-in; webgpu, that one with the WebGPU provider beside
# it; gpu, with CUDA and cuDNN, some gigabytes; gpu-alone, that without them
install_runtime() {
    local name=$1
    case $name in
    onnxruntime) install_wheel "$name" onnxruntime "$ONNXRUNTIME_VERSION" ;;
    openvino)
        if has_openvino_plugin; then
            install_plugin "$name" onnxruntime-ep-openvino "$OPENVINO_PLUGIN_VERSION" \
                onnxruntime_ep_openvino/libonnxruntime_providers_openvino_plugin.so
        else
            install_wheel "$name" onnxruntime-openvino "$OPENVINO_VERSION"
        fi
        ;;
    openvino-built-in) install_wheel "$name" onnxruntime-openvino "$OPENVINO_VERSION" ;;
    webgpu)
        install_plugin "$name" onnxruntime-ep-webgpu "$WEBGPU_PLUGIN_VERSION" \
            onnxruntime_ep_webgpu/libonnxruntime_providers_webgpu.so
        ;;
    gpu) install_wheel "$name" onnxruntime-gpu "$ONNXRUNTIME_GPU_VERSION" '[cuda,cudnn]' ;;
    gpu-alone) install_wheel "$name" onnxruntime-gpu "$ONNXRUNTIME_GPU_VERSION" ;;
    *) fail "no ONNX Runtime of the name $name" ;;
    esac
}

# install_wheel NAME WHEEL VERSION [EXTRAS]: puts it into .runtime/NAME; with extras, all that it depends on
install_wheel() {
    local name=$1 wheel=$2 version=$3 extras=${4:-}
    # a folder of that name is always whole, see below; only its version can be another
    [ ! -e "$ROOT/.runtime/$name/onnxruntime/capi/libonnxruntime.so.$version" ] || return 0
    say "installing ONNX Runtime ($wheel $version) into .runtime/$name"
    begin_runtime "$name"
    fetch_wheel "$wheel" "$version" "$extras"
    if [ ! -e "$unfinished/onnxruntime/capi/libonnxruntime.so.$version" ]; then
        rm -rf "$unfinished"
        fail "$wheel $version holds no libonnxruntime.so.$version"
    fi
    finish_runtime "$name"
}

# install_plugin NAME WHEEL VERSION LIBRARY: a provider as a library of its own, in .runtime/NAME with a link to the plain ONNX
# Runtime
install_plugin() {
    local name=$1 wheel=$2 version=$3 library=$4
    install_wheel onnxruntime onnxruntime "$ONNXRUNTIME_VERSION"
    [ ! -e "$ROOT/.runtime/$name/${library%%/*}-$version.dist-info" ] || return 0
    say "installing the provider $wheel $version into .runtime/$name"
    begin_runtime "$name"
    fetch_wheel "$wheel" "$version"
    if [ ! -e "$unfinished/$library" ]; then
        rm -rf "$unfinished"
        fail "$wheel $version holds no $library"
    fi
    ln -s ../onnxruntime/onnxruntime "$unfinished/onnxruntime"
    finish_runtime "$name"
}

# begin_runtime NAME: an empty folder in .runtime, called $unfinished
begin_runtime() {
    mkdir -p "$ROOT/.runtime"
    # what a run that was killed left
    find "$ROOT/.runtime" -maxdepth 1 -name ".$1.*" -mmin +60 -exec rm -rf {} +
    unfinished=$(mktemp -d "$ROOT/.runtime/.$1.XXXXXX")
}

# finish_runtime NAME: $unfinished is whole, and takes its place
finish_runtime() {
    chmod 755 "$unfinished"
    rm -rf "$ROOT/.runtime/$1"
    mv -T "$unfinished" "$ROOT/.runtime/$1"
}

# fetch_wheel WHEEL VERSION [EXTRAS]: unpacks it into $unfinished
fetch_wheel() {
    local flags=()
    [ -n "${3:-}" ] || flags=(--no-deps)
    # Only libraries in the wheel are wanted, so any Python version's will do: 3.12's is the one that
    # all releases have. --target keeps it out of every Python.
    if ! PIP_ROOT_USER_ACTION=ignore python3 -m pip --disable-pip-version-check install --quiet "${flags[@]}" --no-compile \
        --only-binary=:all: --implementation cp --python-version 3.12 --ignore-requires-python \
        --target "$unfinished" "$1${3:-}==$2"; then
        rm -rf "$unfinished"
        fail "pip could not install $1 $2 (see above)"
    fi
}

# has_openvino: whether there is an OpenVINO provider for this machine
has_openvino() {
    [ "$(uname -m)" = x86_64 ]
}

# has_openvino_plugin: whether the one that is a library of its own runs here; it leaves all CPUs but Intel's alone
has_openvino_plugin() {
    has_openvino && grep -q GenuineIntel /proc/cpuinfo 2>/dev/null
}

# has_bf16: whether this machine's CPU multiplies bf16, which OpenVINO then takes
has_bf16() {
    grep -q -w -e avx512_bf16 -e amx_bf16 /proc/cpuinfo 2>/dev/null
}

# fastest_runtime: name of the ONNX Runtime that the demo takes on this machine's CPU; says why
fastest_runtime() {
    # the figures are in benches/results/precision.md
    if has_openvino && has_bf16; then
        say "taking ONNX Runtime with OpenVINO: this CPU multiplies bf16, which halves the time of a frame" >&2
        echo openvino
    else
        say "taking plain ONNX Runtime: OpenVINO's gain is bf16, which this CPU does not multiply" >&2
        echo onnxruntime
    fi
}
