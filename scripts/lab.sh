#!/usr/bin/env bash
# A Linux router of one's own, recorded and reproduced from end to end: a source, a router with a token bucket, a destination, in
# network namespaces joined by veth cables; Poisson traffic through it, recorded at both sides of the router; then
# `taunet calibrate`, `taunet run` and its report.
#
#     sudo scripts/lab.sh [-o DIR] [-r RATE] [-b BURST] [-l LIMIT] [-u LOAD] [-t SECONDS] [-s SEED]
#
#   -o DIR       where everything goes (default: lab)
#   -r RATE      of the token bucket in Mbit/s (default: 10)
#   -b BURST     its depth in bytes (default: 2000)
#   -l LIMIT     its buffer in bytes (default: 10000000)
#   -u LOAD      offered load in percent of RATE (default: 90)
#   -t SECONDS   how long (default: 20)
#   -s SEED      of the traffic (default: 1)
#
# Needs root, iproute2, tcpdump, python3, and taunet: from the PATH, or built here. All traffic stays in namespaces that are
# made and removed here.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

fail() {
    echo "lab: $1" >&2
    exit "${2:-1}"
}

out=lab rate=10 burst=2000 limit=10000000 load=90 seconds=20 seed=1
while getopts "o:r:b:l:u:t:s:h" option; do
    case $option in
        o) out=$OPTARG ;;
        r) rate=$OPTARG ;;
        b) burst=$OPTARG ;;
        l) limit=$OPTARG ;;
        u) load=$OPTARG ;;
        t) seconds=$OPTARG ;;
        s) seed=$OPTARG ;;
        h) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;;
        *) fail "see scripts/lab.sh -h" 2 ;;
    esac
done
for number in "$rate" "$burst" "$limit" "$load" "$seconds" "$seed"; do
    [[ $number =~ ^[0-9]+$ ]] || fail "\`$number\` is not a whole number; see scripts/lab.sh -h" 2
done
[ "$(id -u)" = 0 ] || fail "run it as root: network namespaces need that"
for program in ip tc tcpdump python3; do
    command -v $program >/dev/null || fail "$program is missing: apt-get install iproute2 tcpdump python3"
done
taunet=$(command -v taunet || true)
if [ -z "$taunet" ]; then
    taunet=$here/../target/release/taunet
    [ -x "$taunet" ] || cargo build --release --manifest-path "$here/../Cargo.toml"
fi
[ ! -e "$out" ] || fail "$out exists: name another folder with -o" 2

space=taunet$$
source=$space-source router=$space-router destination=$space-destination
sink=''
remove() {
    [ -z "$sink" ] || kill "$sink" 2>/dev/null || true
    for namespace in $source $router $destination; do ip netns del "$namespace" 2>/dev/null || true; done
}
trap remove EXIT
for namespace in $source $router $destination; do
    ip netns add "$namespace"
    ip netns exec "$namespace" sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1 net.ipv4.ip_forward=1
    ip -n "$namespace" link set lo up
done

# cable NAMESPACE INTERFACE ADDRESS NAMESPACE INTERFACE ADDRESS: neighbours are fixed, so that no ARP comes between.
cables=0
cable() {
    cables=$((cables + 1))
    local macs=("02:00:00:00:0$cables:01" "02:00:00:00:0$cables:02")
    ip link add "$2" netns "$1" address "${macs[0]}" type veth peer name "$5" netns "$4" address "${macs[1]}"
    ip -n "$1" address add "$3/24" dev "$2"
    ip -n "$4" address add "$6/24" dev "$5"
    ip -n "$1" link set "$2" up
    ip -n "$4" link set "$5" up
    ip -n "$1" neighbour replace "$6" lladdr "${macs[1]}" nud permanent dev "$2"
    ip -n "$4" neighbour replace "$3" lladdr "${macs[0]}" nud permanent dev "$5"
}
cable $source eth0 10.9.1.1 $router in 10.9.1.2
cable $router out 10.9.200.1 $destination eth0 10.9.200.2
ip -n $source route add default via 10.9.1.2
ip -n $destination route add default via 10.9.200.1
tc -n $router qdisc add dev out root tbf rate "${rate}mbit" burst "$burst" limit "$limit"

# Nobody reads the packets, but the port is taken: the destination answers nothing.
ip netns exec $destination python3 -c 'import signal, socket
taken = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
taken.bind(("", 5120))
signal.pause()' &
sink=$!

echo "recording $seconds s of Poisson traffic at $load % of $rate Mbit/s"
mkdir -p "$out"
"$here/record-two-points.sh" -o "$out" -f udp $router:in/in $destination:eth0/in -- \
    ip netns exec $source python3 "$here/send-poisson.py" 10.9.200.2 5120 $((rate * load * 10000)) "$seconds" "$seed"
remove

"$taunet" calibrate --ingress "$out/first.pcap" --egress "$out/second.pcap" -o "$out/device"
"$taunet" run "$out/device/scenario.toml" --out "$out/run"
echo "the token bucket was: rate $rate Mbit/s, burst $burst B, limit $limit B; the report: $out/run/report.html"
