#!/usr/bin/env bash
# taunet beside ns-3, ns.py and NeXosim: the same workload, in turn on one core.
#
#     benches/peers/run.sh [ROUNDS] [WORKLOAD]        five rounds of ft4 unless told
#     benches/peers/run.sh arrivals [PACKETS]         when each packet reaches each node: taunet and ns-3 compared
#
# Installs what is missing: ns-3 from Debian (as root), ns.py from PyPI and NeXosim from crates.io into the target folder.
# Prints a line per run, and the ratios over the rounds. CPU seconds are those of the run itself; for taunet they include the
# making of the network.
set -euo pipefail
cd "$(dirname "$0")/../.."

target=${CARGO_TARGET_DIR:-target}/peers
mkdir -p "$target"

install_ns3() {
    if ! dpkg -s libns3-dev g++ pkg-config >/dev/null 2>&1; then
        if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
            echo "ns-3 is missing: as root on Debian 12, apt-get install libns3-dev g++ pkg-config" >&2
            exit 1
        fi
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq libns3-dev g++ pkg-config >/dev/null
    fi
    local sources=benches/peers/ns3
    if [ ! "$target/ns3" -nt "$sources/bench.cc" ] || [ ! "$target/ns3" -nt "$sources/workload.h" ]; then
        # Debian's flags hold a stray `-I/usr;`.
        local flags
        flags=$(pkg-config --cflags ns3-core | tr -d '\\;')
        # shellcheck disable=SC2086
        g++ -O3 -std=c++17 "$sources/bench.cc" -o "$target/ns3" $flags \
            -lns3-internet -lns3-point-to-point -lns3-network -lns3-core -lns3-traffic-control
    fi
}

install_nspy() {
    if [ ! -x "$target/nspy/bin/python" ]; then
        python3 -m venv "$target/nspy"
        "$target/nspy/bin/pip" install --quiet ns.py==0.4.3
    fi
}

install_nexosim() {
    cargo build --quiet --release --manifest-path benches/peers/nexosim/Cargo.toml --target-dir "$target/nexosim"
}

# Builds the bench of taunet, and gives its path.
taunet_bench() {
    cargo bench --bench engine --no-run --message-format=json 2>/dev/null |
        python3 -c 'import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if message.get("executable") and message["target"]["name"] == "engine":
        print(message["executable"])'
}

on_one_core() {
    if command -v taskset >/dev/null; then taskset -c 0 "$@"; else "$@"; fi
}

taunet() {
    on_one_core "$bench" --runner "$1" --workload "$2" --packets "$3" --threads 1 "${@:4}"
}

install_ns3
bench=$(taunet_bench)

if [ "${1:-}" = arrivals ]; then
    packets=${2:-100000}
    for workload in line1 ft4; do
        for mode in full raw; do
            "$target/ns3" "$mode" "$workload" "$packets" "$target/ns3-$mode.csv" >/dev/null
        done
        for engine in stream event; do
            taunet "$engine" "$workload" "$packets" --arrivals "$target/taunet-$engine.csv"
        done
        for pair in stream:full event:full stream:raw; do
            echo "workload=$workload taunet-${pair%:*} ns3-${pair#*:}"
            python3 benches/peers/compare_arrivals.py "$target/taunet-${pair%:*}.csv" "$target/ns3-${pair#*:}.csv"
        done
    done
    exit
fi

install_nspy
install_nexosim
rounds=${1:-5}
workload=${2:-ft4}
{
    for _ in $(seq "$rounds"); do
        for engine in stream event; do
            taunet "$engine" "$workload" 2000000 | sed 's/^engine=/engine=taunet-/'
        done
        on_one_core "$target/ns3" full "$workload" 50000
        on_one_core "$target/ns3" raw "$workload" 200000
        on_one_core "$target/nexosim/release/nexosim-bench" "$workload" 400000
        on_one_core "$target/nspy/bin/python" -B benches/peers/nspy/bench.py "$workload" 30000
    done
} | python3 benches/peers/ratios.py
