#!/usr/bin/env bash
# Records the same traffic at two points at once, with nanosecond stamps: what `taunet calibrate` and `taunet compare` take.
#
#     scripts/record-two-points.sh [-o DIR] [-t SECONDS] [-s SNAPLEN] [-f FILTER] FIRST SECOND [-- COMMAND...]
#
# FIRST and SECOND are interfaces, in the order in which packets pass them: `eth0`, `eth0/in`, `eth0/out`, and `NETNS:eth0/in` in a
# network namespace. `in` (the default) records what the interface receives, `out` what it sends. On a router, the device
# under test, FIRST is where packets come in, SECOND where they leave; a machine of its own on either side of it needs clocks
# that agree, or `taunet compare --clock skewed`.
#
#   -o DIR       where first.pcap and second.pcap go (default: recording)
#   -t SECONDS   how long (default: until COMMAND ends, or Ctrl-C)
#   -s SNAPLEN   bytes kept of each packet (default: 96, enough to recognize it)
#   -f FILTER    a pcap filter (default: "udp or tcp")
#   COMMAND      sends the traffic; the recording ends one second after it
#
# Needs tcpdump, and root or CAP_NET_RAW. Both files appear together, or neither. It fails where a point lost packets itself: such
# a recording tells of losses that never happened.
#
# With offloads on, a point sees segments that never were on a wire: `ethtool -K IF gro off gso off tso off lro off` before.
set -euo pipefail

fail() {
    echo "record-two-points: $1" >&2
    exit "${2:-1}"
}

out=recording seconds='' snaplen=96 filter="udp or tcp"
while getopts "o:t:s:f:h" option; do
    case $option in
        o) out=$OPTARG ;;
        t) seconds=$OPTARG ;;
        s) snaplen=$OPTARG ;;
        f) filter=$OPTARG ;;
        h) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;;
        *) fail "see scripts/record-two-points.sh -h" 2 ;;
    esac
done
shift $((OPTIND - 1))
[ $# -ge 2 ] || fail "name two interfaces, as in: scripts/record-two-points.sh eth0 eth1/out" 2
points=("$1" "$2")
shift 2
[ "${1:-}" = -- ] && shift
command=("$@")
[[ $seconds =~ ^[0-9]*$ ]] || fail "-t takes whole seconds, not \`$seconds\`" 2
[[ $snaplen =~ ^[0-9]+$ ]] || fail "-s takes bytes, not \`$snaplen\`" 2
command -v tcpdump >/dev/null || fail "tcpdump is missing: apt-get install tcpdump"

names=(first second)
for name in "${names[@]}"; do
    [ ! -e "$out/$name.pcap" ] || fail "$out/$name.pcap exists: name another folder with -o" 2
done
mkdir -p "$out"
work=$(mktemp -d "$out/.recording-XXXXXX")
recorders=()
# Ctrl-C reaches the recorders too: they may be gone already.
end_recorders() {
    for recorder in "${recorders[@]}"; do kill -INT "$recorder" 2>/dev/null || true; done
    for recorder in "${recorders[@]}"; do wait "$recorder" || true; done
    recorders=()
}
trap 'end_recorders; rm -rf "$work"' EXIT

for number in 0 1; do
    point=${points[number]} direction=in
    case $point in
        */in) point=${point%/in} ;;
        */out) point=${point%/out} direction=out ;;
        */*) fail "\`$point\`: the direction is in or out" 2 ;;
    esac
    enter=()
    case $point in *:*) enter=(ip netns exec "${point%%:*}") point=${point#*:} ;; esac
    # A large buffer, and the user who started it keeps the file.
    "${enter[@]}" tcpdump -i "$point" -Q "$direction" -n -s "$snaplen" -B 65536 -Z root \
        --time-stamp-precision=nano -w "$work/${names[number]}.pcap" "$filter" 2>"$work/${names[number]}.log" &
    recorders+=($!)
done
for name in "${names[@]}"; do
    for _ in $(seq 100); do
        grep -q "listening on" "$work/$name.log" && break
        sleep 0.05
    done
    grep -q "listening on" "$work/$name.log" || fail "the $name point: $(head -1 "$work/$name.log")"
done

stop=no
trap 'stop=yes' INT TERM
if [ ${#command[@]} -gt 0 ]; then
    "${command[@]}" || fail "${command[0]} failed: nothing was recorded"
    sleep 1
else
    [ -n "$seconds" ] || echo "recording; Ctrl-C ends it" >&2
    started=$SECONDS
    while [ $stop = no ] && { [ -z "$seconds" ] || [ $((SECONDS - started)) -lt "$seconds" ]; }; do sleep 0.2 || true; done
fi
trap - INT TERM
end_recorders

for name in "${names[@]}"; do
    lost=$(sed -n 's/^\([0-9]*\) packets\{0,1\} dropped by kernel.*/\1/p' "$work/$name.log")
    [ "${lost:-0}" = 0 ] || fail "the $name point itself lost $lost packets: record less, or keep fewer bytes of each with -s"
done
for name in "${names[@]}"; do
    captured=$(sed -n 's/^\([0-9]*\) packets\{0,1\} captured.*/\1/p' "$work/$name.log")
    mv "$work/$name.pcap" "$out/$name.pcap"
    echo "$out/$name.pcap: $captured packets"
done
