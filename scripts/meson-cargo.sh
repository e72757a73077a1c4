#!/bin/sh
# Builds the plugin with cargo-c and puts it where meson wants it. Called by meson.build:
#
#     meson-cargo.sh CARGO SOURCE BUILD debug|release FEATURES OUTPUT…
set -eu
cargo=$1 source=$2 build=$3 profile=$4 features=$5
shift 5

types=
for output in "$@"; do
    case $output in
    *.a) types="$types --library-type=staticlib" ;;
    *) types="$types --library-type=cdylib" ;;
    esac
done

# a staged install is the one way to the files that does not depend on the target's triple
stage=$build/stage
# shellcheck disable=SC2086 # options without spaces
"$cargo" cinstall --locked "--$profile" --manifest-path "$source/Cargo.toml" --target-dir "$build/target" \
    --features "$features" --prefix / --libdir /lib --destdir "$stage" $types
for output in "$@"; do
    cp "$stage/lib/gstreamer-1.0/${output##*/}" "$output"
done
