#!/usr/bin/env bash
# Runs every fuzz target in turn, one worker each, and prints a table for docs/robustness.md.
#
#     fuzz/run.sh MINUTES [TARGET...]
#     fuzz/run.sh pack
#
# MINUTES is the time of each target. Inputs are kept in target/fuzz/corpora, findings in target/fuzz/findings. `pack`
# replaces corpora.tar.xz, which `.ci/run` replays, by the smallest of the inputs. TAUNET_PUBLIC_CAPTURES names folders of
# further captures. Needs a C++ compiler and python3; any Rust.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$PWD/target/fuzz
corpora=$out/corpora
targets=(captures frames matching documents imports models tables commands networks)

build() {
    # As cargo-fuzz does it: coverage in all crates of the program, with checks of overflows; no sanitizer of memory, since
    # taunet has no unsafe code.
    RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
        -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=16 -Cdebug-assertions=on -Coverflow-checks=on" \
        cargo build --release -p taunet-fuzz --features libfuzzer --bin targets --target "$host" --target-dir "$out"
}

host=$(rustc -vV | sed -n 's/^host: //p')
program=$out/$host/release/targets
build
if [ "${1:?minutes}" = pack ]; then
    for target in "${targets[@]}"; do
        rm -rf "$out/least/$target" && mkdir -p "$out/least/$target"
        TARGET=$target "$program" -merge=1 -rss_limit_mb=1024 -timeout=10 -verbosity=0 "$out/least/$target" \
            "$corpora/$target" 2>/dev/null || true
    done
    fuzz/corpora.py pack "$out/least"
    exit
fi
minutes=$1
shift
[ "$#" -gt 0 ] && targets=("$@")

fuzz/corpora.py seeds "$corpora"
fuzz/corpora.py words "$out/words"
echo "| target | executions | per second | coverage (edges) | features | inputs kept | crashes | timeouts | out of memory |"
echo "|---|---|---|---|---|---|---|---|---|"
for target in "${targets[@]}"; do
    findings=$out/findings/$target
    mkdir -p "$findings"
    options=(-fork=1 -ignore_crashes=1 -ignore_timeouts=1 -ignore_ooms=1 -rss_limit_mb=1024 -timeout=10 -max_len=16384)
    case $target in
        documents | commands) options+=(-dict="$out/words") ;;
        # Weights.
        models) options+=(-max_len=65536) ;;
    esac
    log=$out/$target.log
    # The loop of libFuzzer ends with 1 after a finding.
    TARGET=$target RUST_BACKTRACE=0 nice "$program" "${options[@]}" -max_total_time=$((minutes * 60)) \
        -artifact_prefix="$findings/" "$corpora/$target" >"$log" 2>&1 || true
    awk -v target="$target" '/^#[0-9]+: cov:/ { line = $0 }
        END {
            gsub(/[#:]/, " ", line); count = split(line, word, " ")
            for (at = 2; at < count; at++) if (!(word[at] in value)) value[word[at]] = word[at + 1]
            split(value["oom/timeout/crash"], found, "/")
            printf "| `%s` | %s | %s | %s | %s | %s | %s | %s | %s |\n", target, word[1], value["exec/s"], value["cov"],
                value["ft"], value["corp"], found[3], found[2], found[1]
        }' "$log"
done
