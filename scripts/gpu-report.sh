#!/usr/bin/env bash
# Measures the element on this machine with what `scripts/gpu-check --pack` packed, and writes one report. It needs bash, tar,
# gzip and the driver; CUDA 13 and cuDNN 9 are looked for where the system and Python's nvidia-* packages have them.
#
#     bash run [--report FILE] [--minutes N] [--libraries FOLDER] [--provider NAME] [FOLDER [PART…]]
#
# FOLDER holds the pieces; it is the one that this file lies in, or .gpu-pack in a checkout, if none is given. PART is any of
#
#     providers  who opens, and the element from its plugin in a pipeline
#     parity     cuda in fp32 and fp16 against fp32 on the CPU
#     sizes      time and memory, 252 to 2072
#     batches    1 to 16 images in a run
#     frames     1080p and 4K frames through the element, in-flight 1 to 3
#     webgpu     the same by Vulkan: parity, sizes, 4K frames
#     cpu        the CPU, to compare with
#
# without one all of them, in 20 minutes at most or those of --minutes; each has its share of that and ends with it. The report (gpu-report.md
# here) grows as it goes, so that a run that is cut off leaves what it has. What is missing is said in it and ends only
# what depends on it. --provider stands in for cuda, to rehearse on a machine without a GPU (`--provider cpu`). --libraries
# names a further folder of CUDA libraries. Exit codes: 0: all was measured; 3: the report tells what was not.
set -uo pipefail
export LC_ALL=C.UTF-8 PATH=$PATH:/usr/local/nvidia/bin

PARTS=(providers parity sizes batches frames webgpu cpu)
# of nine tenths of the time; the rest is for the pieces
declare -A SHARE=([providers]=120 [parity]=200 [sizes]=240 [batches]=130 [frames]=170 [webgpu]=150 [cpu]=70)

fail() {
    printf 'error: %s\n' "$@" >&2
    exit 2
}

folder='' report='' minutes=20 provider=cuda extra=()
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help)
        sed -n '2,/^set /s/^# \{0,1\}//p' "$0"
        exit
        ;;
    --report | --minutes | --libraries | --provider)
        [ $# -gt 1 ] || fail "$1 wants a word after it"
        case $1 in
        --report) report=$2 ;;
        --minutes) minutes=$2 ;;
        --libraries) extra+=("$2") ;;
        --provider) provider=$2 ;;
        esac
        shift 2
        ;;
    -*) fail "there is no option $1; --help tells which there are" ;;
    *) break ;;
    esac
done
[[ $minutes =~ ^[1-9][0-9]{0,3}$ ]] || fail "--minutes wants a whole number, not $minutes"
folder=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
# in a checkout, where --pack leaves it
[ -e "$folder/SHA256SUMS" ] || [ ! -d "$folder/../.gpu-pack" ] || folder=$folder/../.gpu-pack
folder=${1:-$folder}
shift $(($# > 0 ? 1 : 0))
wanted=("$@")
[ ${#wanted[@]} -gt 0 ] || wanted=("${PARTS[@]}")
for name in "${wanted[@]}"; do
    [ -n "${SHARE[$name]:-}" ] || fail "there is no part $name, but ${PARTS[*]}"
done
pieces=("$folder"/*.tar.gz.[0-9]*)
[ -e "${pieces[0]}" ] || [ -e "$folder/SHA256SUMS" ] \
    || fail "there are no pieces in $folder; scripts/gpu-check --pack makes them, on a machine with a network"
report=$(realpath -m -- "${report:-gpu-report.md}")
mkdir -p "$(dirname -- "$report")"
: >"$report" || fail "$report cannot be written"
work=$(mktemp -d "${TMPDIR:-/tmp}/gpu-report.XXXXXX") || fail "no folder can be made in ${TMPDIR:-/tmp}"

shares=0
for name in "${wanted[@]}"; do
    shares=$((shares + SHARE[$name]))
done
begun=$SECONDS
whole_end=$((SECONDS + minutes * 60))
part_end=$whole_end
part_time=$((minutes * 60))
failed=0
# what the programs of the pack are started by, once their libraries are found
start=(env)
sampler='' running='' missing=() text='' status=0
declare -A broken=() shut=()

# put FORMAT…: into the report
put() {
    # shellcheck disable=SC2059 # the format is the caller's
    printf "$@" | tee -a "$report"
}

# lack WORDS: something is missing: said here, and again at the end
lack() {
    put '**%s**\n\n' "$1"
    missing+=("$1")
}

# shellcheck disable=SC2317,SC2329 # called by the traps
clean() {
    [ -z "$sampler$running" ] || kill ${sampler:+"$sampler"} ${running:+"$running"} 2>/dev/null
    rm -rf "$work"
}
# shellcheck disable=SC2317,SC2329 # called by the traps
cut_off() {
    put '\n\n**Cut off after %d s.** What is above was measured before.\n' $((SECONDS - begun))
    clean
    exit 3
}
trap clean EXIT
trap cut_off HUP INT TERM

# left: seconds of this part
left() {
    echo $((part_end - SECONDS))
}

# words: of $text and $status, what went wrong, for a cell of a table
words() {
    case $status in
    124) printf 'stopped: it took longer than the %s s that it may; ' "$limit" ;;
    13[0-9] | 14[0-9]) printf 'ended by signal %s; ' $((status - 128)) ;;
    esac
    grep -v -e '^  ' -e 'opened in' -e '^Warning: max' <<<"$text" | tail -n 4 | tr '|\n' '/ ' | sed 's/\x1b\[[0-9;]*m//g; s/ *$//' | cut -c 1-500
}

# attempt SECONDS COMMAND…: its output into $text, and its end into $status; never longer than what is left
attempt() {
    limit=$1
    shift
    [ "$limit" -le "$(left)" ] || limit=$(left)
    [ "$limit" -ge 1 ] || limit=1
    # in the background, so that a signal is heard at once
    timeout -k 5 "$limit" "${start[@]}" "$@" >"$work/output" 2>&1 </dev/null &
    running=$!
    wait "$running"
    status=$?
    running=
    # one that has to be killed
    [ "$status" -ne 137 ] || [ "$(left)" -gt 0 ] || status=124
    text=$(head -c 100000 "$work/output" | tr -d '\0')
}

# ---- what is here ----

machine() {
    put '## Machine\n\n'
    if command -v nvidia-smi >/dev/null; then
        attempt 20 nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
        if [ "$status" -eq 0 ] && [ -n "$text" ]; then
            put -- '- GPU, driver, memory: %s\n' "$(head -n 1 <<<"$text")"
        else
            put '\n'
            lack "No NVIDIA GPU: nvidia-smi says: $(words)"
        fi
    else
        lack 'No NVIDIA GPU: nvidia-smi is missing (is the driver installed?). GPU memory is not measured.'
    fi
    put -- '- CPU: %s, %s cores; %s\n' "$(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1)" "$(nproc)" \
        "$(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo | awk '{ printf "%.0f GB of memory", $1 / 1e6 }')"
    put -- '- System: %s, Linux %s, glibc %s, %s\n' "$(sed -n 's/^PRETTY_NAME="\(.*\)"/\1/p' /etc/os-release 2>/dev/null)" \
        "$(uname -r)" "$(getconf GNU_LIBC_VERSION 2>/dev/null | cut -d ' ' -f 2)" \
        "$(python3 --version 2>/dev/null || echo 'no Python')"
}

# check_pieces: what is damaged or missing goes into broken[ARCHIVE]
check_pieces() {
    local sum file archive found count=0
    put '\n## Pieces\n\n'
    if [ ! -e "$folder/SHA256SUMS" ]; then
        lack "SHA256SUMS is missing: the pieces are joined unchecked."
        return
    fi
    while read -r sum file; do
        file=${file#\*}
        archive=${file%.tar.gz.*}
        count=$((count + 1))
        if [ ! -e "$folder/$file" ]; then
            found="$file is missing"
        elif [ "$(sha256sum <"$folder/$file" 2>/dev/null | cut -d ' ' -f 1)" != "$sum" ]; then
            found="$file is damaged: its checksum is not that of SHA256SUMS ($(stat -c %s "$folder/$file") bytes)"
        else
            continue
        fi
        [ "$archive" = "$file" ] || broken[$archive]=${broken[$archive]:-}${broken[$archive]:+; }$found
        lack "$found. Copy it again."
    done <"$folder/SHA256SUMS"
    put '%d files looked at.\n\n' "$count"
}

# join: unpacks what is whole
join_pieces() {
    local archive said
    for archive in $({ cut -d ' ' -f 3 "$folder/SHA256SUMS" 2>/dev/null; basename -a -- "${pieces[@]}"; } \
        | sed -n 's/\.tar\.gz\.[0-9]*$//p' | sort -u); do
        [ -z "${broken[$archive]:-}" ] || continue
        # shellcheck disable=SC2094 # read only
        if ! said=$(cat "$folder/$archive".tar.gz.[0-9]* | gzip -d 2>&1 >"$work/tar") || ! said=$(tar -x -f "$work/tar" \
            -C "$work" 2>&1); then
            broken[$archive]="$archive cannot be unpacked: $(tail -n 1 <<<"$said")"
            lack "${broken[$archive]}"
        fi
        rm -f "$work/tar"
    done
    [ ! -e "$work/about" ] || put '%s\n\n' "$(sed 's/$/./' "$work/about")"
}

# find_library LIBRARY FOLDER…: where it is
find_library() {
    local name=$1 place
    shift
    for place in "$@"; do
        [ ! -e "$place/$name" ] || { echo "$place" && return; }
    done
    place=$(ldconfig -p 2>/dev/null | sed -n "s|^\t${name//./\\.} .* => ||p" | head -n 1)
    [ -n "$place" ] && dirname "$place"
}

# libraries: finds CUDA, and sets what the programs are started with
libraries() {
    local name place places=() paths=$work/lib lacking=()
    put '## Libraries\n\n'
    [ ${#extra[@]} -eq 0 ] || places+=("${extra[@]}")
    while read -r place; do
        [ -z "$place" ] || places+=("$place"/nvidia/*/lib)
    done < <(python3 -c 'import sys; print("\n".join(sys.path))' 2>/dev/null)
    places+=(/opt/{*,*/.venv}/lib/python3*/site-packages/nvidia/*/lib /usr/local/cuda*/lib64 /usr/local/cuda*/targets/*/lib
        /usr/local/nvidia/lib{64,} /usr/lib/*/nvidia)
    while read -r name; do
        if place=$(find_library "$name" "${places[@]}"); then
            put -- '- %s: %s\n' "$name" "$place"
            case :$paths: in *:"$place":*) ;; *) paths+=:$place ;; esac
        else
            lacking+=("$name")
        fi
    done < <(cat "$work/needs-cuda" 2>/dev/null)
    # what those load by name
    for place in "${places[@]}"; do
        [ ! -d "$place" ] || case :$paths: in *:"$place":*) ;; *) paths+=:$place ;; esac
    done
    if [ ${#lacking[@]} -gt 0 ]; then
        put '\n'
        lack "CUDA's provider needs ${lacking[*]}: not found by ldconfig, in Python's nvidia-* packages or in /usr/local \
(libcuda comes with the driver, the others with CUDA 13 and cuDNN 9). \`--libraries FOLDER\` names another place."
    fi
    put '\n'
    mkdir -p "$work/spare-used"
    for place in "$work"/spare/*; do
        name=$(basename "$place")
        [ ! -e "$place" ] || find_library "$name" >/dev/null || ln -s "$place" "$work/spare-used/$name"
    done
    # for those alone: this system's own programs may want newer ones
    start=(env "LD_LIBRARY_PATH=$paths:$work/spare-used${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}")
    # shellcheck disable=SC2012 # a name of our own
    ORT_DYLIB_PATH=$(ls "$work"/site/onnxruntime/capi/libonnxruntime.so.* 2>/dev/null | head -n 1)
    unset GST_PLUGIN_PATH GST_PLUGIN_PATH_1_0 ORT_EP_DYLIB_PATH
    export ORT_DYLIB_PATH GST_PLUGIN_SYSTEM_PATH_1_0=$work/lib/gstreamer-1.0 \
        GST_REGISTRY="$work/registry.bin" GST_REGISTRY_FORK=no XDG_CACHE_HOME="$work/cache" PATH="$work/bin:$PATH"
    if [ -z "$(ls /usr/share/vulkan/icd.d /etc/vulkan/icd.d 2>/dev/null)" ] && [ -z "${VK_DRIVER_FILES:-}" ]; then
        place=$(find /usr/local /opt -maxdepth 6 -path '*/vulkan/icd.d/*.json' 2>/dev/null | paste -s -d : -)
        if [ -n "$place" ]; then
            export VK_DRIVER_FILES=$place VK_ICD_FILENAMES=$place
            put 'Vulkan drivers: %s\n\n' "$place"
        else
            put 'No Vulkan driver is listed in /usr/share/vulkan/icd.d, /etc/vulkan/icd.d, /usr/local or /opt.\n\n'
        fi
    fi
    models=(builtin)
    for name in "$work"/models/*.onnx; do
        [ ! -e "$name" ] || models+=("$name")
    done
}

# ---- measuring ----

used() {
    # nothing where it does not tell
    nvidia-smi --query-gpu=memory.used --format=csv,noheader,nounits 2>/dev/null | head -n 1 | grep -x '[0-9]*'
}

# cell PATTERN: of $text
cell() {
    sed -n "s/$1/\1/p" <<<"$text" | tail -n 1
}

head_of_table() {
    put '| model | provider | precision | size | images | median | an image | opened | peak of RAM | of GPU memory | depth against fp32 on the CPU |\n'
    put '|---|---|---|---|---|---|---|---|---|---|---|\n'
}

# network MODEL PROVIDER PRECISION SIZE BATCH RUNS [OPTION…]: a row of the table. False when the part has no time left.
network() {
    local model=$1 who=$2 precision=$3 size=$4 batch=$5 runs=$6 before='' most='' row
    shift 6
    [ "$(left)" -gt 1 ] || return 1
    : >"$work/memory"
    if before=$(used) && [ -n "$before" ]; then
        (while sleep 0.2; do used; done) >"$work/memory" 2>/dev/null &
        sampler=$!
    fi
    # half of a part at most, so that one that hangs leaves time for others
    attempt $((part_time / 2)) run_network --provider "$who" --precision "$precision" --runs "$runs" --batch "$batch" "$@" \
        "$model" "${size}x$size"
    if [ -n "$sampler" ]; then
        kill "$sampler" 2>/dev/null
        wait "$sampler" 2>/dev/null
        sampler=
        most=$(sort -n "$work/memory" | tail -n 1)
        most="$((${most:-$before} - before)) MB"
    fi
    # a row is written at once: a run that is cut off has whole ones
    row=$(printf '| %s ' "$(basename "$model" .onnx)" "$who" "$precision" "$size" "$batch")
    if [ "$status" -ne 0 ]; then
        put '%s| %s | | | | %s | |\n' "$row" "$(words)" "$most"
        failed=$((failed + 1))
        return 0
    fi
    put '%s| %s ms | %s | %s | %s | %s | %s |\n' "$row" "$(cell '.*median \([0-9.]*\) ms.*')" \
        "$(cell '.*median \([0-9.]*\) ms.*' | awk -v n="$batch" '{ printf "%.1f ms", $1 / n }')" \
        "$(cell '.*opened in \([^,]*\),.*')" "$(cell '.*peak \([0-9]* MB\).*')" "${most:-not measured}" \
        "$(cell '.*against fp32 on the CPU: \(.*\)')"
}

# over: says that a part's time ended before its rows did
over() {
    put '\n'
    lack "$part: its $part_time s were over; the rows after these were left out."
}

# opens PROVIDER: whether it did; else says so
opens() {
    [ -n "${shut[$1]:-}" ] || return 0
    lack "$part: left out, $1 does not open here (see Providers)."
    return 1
}

providers() {
    local name names=(cpu)
    case $provider in cpu | webgpu) ;; *) names+=("$provider") ;; esac
    for name in "${names[@]}" webgpu; do
        attempt 60 run_network --provider "$name" --runs 1 builtin 140x140
        if [ "$status" -eq 0 ]; then
            put -- '- %s: %s\n' "$name" "$(grep -m 1 'opened in' <<<"$text")"
            # what it has to say of itself, such as nodes that were left to the CPU
            put '%s' "$(sed -n 's/^  /  - /p' <<<"$text" | head -n 8)"
            put '\n'
        else
            shut[$name]=yes
            put '\n'
            lack "$name does not open: $(words)${broken[$name]:+ (${broken[$name]})}"
        fi
    done
    # the plugin as GStreamer loads it
    attempt 30 env GST_PLUGIN_PATH="$work/plugin" gst-launch-1.0 -q videotestsrc num-buffers=3 \
        ! video/x-raw,width=320,height=240 ! depthanything resolution=140 execution-provider=cpu ! fakesink
    if [ "$status" -eq 0 ]; then
        put -- '\n- the element, from its plugin in a pipeline of gst-launch-1.0: works\n'
    else
        put '\n'
        lack "The element does not work in a pipeline: $(words)"
    fi
}

parity() {
    local model precision size
    opens "$provider" || return
    head_of_table
    for size in 252 518 1036; do
        for model in "${models[@]}"; do
            for precision in fp32 fp16; do
                network "$model" "$provider" "$precision" "$size" 1 5 --compare || { over && return; }
            done
        done
    done
}

sizes() {
    local model precision size
    opens "$provider" || return
    head_of_table
    for size in 252 392 518 770 1036 1554 2072; do
        for model in "${models[@]}"; do
            for precision in fp32 fp16; do
                network "$model" "$provider" "$precision" "$size" 1 20 || { over && return; }
            done
        done
    done
}

batches() {
    local model precision batch
    opens "$provider" || return
    head_of_table
    for batch in 1 2 4 8 16; do
        for model in "${models[@]}"; do
            for precision in fp32 fp16; do
                network "$model" "$provider" "$precision" 518 "$batch" 10 || { over && return; }
            done
        done
    done
}

# stream PROVIDER PRECISIONS SIZES FRAMES IN-FLIGHTS…: rows of frames a second
stream() {
    local who=$1 precisions=$2 sizes=$3 frames=$4 model precision frame many row seconds=$((part_time / 18))
    shift 4
    [ "$seconds" -ge 1 ] || seconds=1
    [ "$seconds" -le 8 ] || seconds=8
    put '| model | provider | precision | frame | in-flight | frames a second | a frame takes |\n|---|---|---|---|---|---|---|\n'
    for frame in $sizes; do
        for model in "${models[@]}"; do
            for precision in $precisions; do
                for many in "$@"; do
                    [ "$(left)" -gt 1 ] || { over && return; }
                    local options=("execution-provider=$who" "precision=$precision")
                    [ "$model" = builtin ] || options+=("model-file=\"$model\"")
                    attempt $((part_time / 2)) stream_speed --frame "$frame" --in-flight "$many" --frames "$frames" \
                        --seconds "$seconds" "${options[@]}"
                    row=$(printf '| %s ' "$(basename "$model" .onnx)" "$who" "$precision" "$frame" "$many")
                    if [ "$status" -eq 0 ]; then
                        put '%s| %s | %s |\n' "$row" "$(cell '.*: \([0-9.]*\) frames a second.*')" "$(cell '.*takes \([0-9.]* ms\).*')"
                    else
                        put '%s| %s | |\n' "$row" "$(words)"
                        failed=$((failed + 1))
                    fi
                done
            done
        done
    done
}

frames() {
    opens "$provider" || return
    put 'Resolution 518; one NV12 picture again and again, as fast as the element takes it.\n\n'
    stream "$provider" 'fp16 fp32' '3840x2160 1920x1080' 150 1 2 3
}

webgpu() {
    local model precision size
    opens webgpu || return
    head_of_table
    for size in 252 518; do
        for model in "${models[@]}"; do
            for precision in fp32 fp16; do
                network "$model" webgpu "$precision" "$size" 1 10 --compare || { over && return; }
            done
        done
    done
    put '\n'
    stream webgpu fp32 3840x2160 60 1 3
    put '\n'
    head_of_table
    for size in 1036 2072; do
        network "${models[-1]}" webgpu fp32 "$size" 1 5 || { over && return; }
    done
}

cpu() {
    local model size
    opens cpu || return
    head_of_table
    for size in 252 518 1036; do
        for model in "${models[@]}"; do
            network "$model" cpu fp32 "$size" 1 5 || { over && return; }
        done
    done
}

# part NAME TITLE: if it is wanted, in its share of the time
part() {
    local name=$1
    part=$2
    case " ${wanted[*]} " in *" $name "*) ;; *) return ;; esac
    put '\n## %s\n\n' "$part"
    if [ -n "${broken[base]:-}" ] || [ ! -e "$work/bin/run_network" ]; then
        lack "$part: left out, for want of the pieces base.tar.gz.*"
        return
    fi
    part_time=$((SHARE[$name] * minutes * 54 / shares))
    part_end=$((SECONDS + part_time))
    if [ "$part_end" -gt $whole_end ]; then
        part_end=$whole_end
    fi
    if [ "$(left)" -lt 2 ]; then
        lack "$part: left out, the $minutes minutes of the whole run are over."
        return
    fi
    failed=0
    case $name in
    providers) providers ;;
    parity) parity ;;
    sizes) sizes ;;
    batches) batches ;;
    frames) frames ;;
    webgpu) webgpu ;;
    cpu) cpu ;;
    esac
    [ "$failed" -eq 0 ] || missing+=("$part: $failed rows were not measured; the table tells why.")
}

# shellcheck disable=SC2016 # a code span of Markdown
put '# Depth on a GPU\n\nBy `scripts/gpu-check --run`, %s, %d minutes at most. ' "$(date -u '+%Y-%m-%d %H:%M UTC')" "$minutes"
put 'Noise goes in; "opened" is the time to load, compile and check, and memory is the most while a row was measured, above what was in use before it.\n\n'
machine
check_pieces
join_pieces
libraries
part providers 'Providers'
part parity "Parity of $provider with the CPU"
part sizes "Time and memory of $provider by size"
part batches "Batches on $provider, 518×518"
part frames "Frames through the element on $provider"
part webgpu 'WebGPU, by Vulkan'
part cpu 'The CPU'

put '\n## In short\n\n'
if [ ${#missing[@]} -eq 0 ]; then
    put 'All was measured, in %d s.\n' $((SECONDS - begun))
    code=0
else
    put 'Measured in %d s, with these gaps:\n\n' $((SECONDS - begun))
    for name in "${missing[@]}"; do
        put -- '- %s\n' "$name"
    done
    code=3
fi
printf 'report: %s\n' "$report" >&2
exit $code
