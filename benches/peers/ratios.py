"""Passes the lines of run.sh on, and prints taunet's rate over that of each other simulator, round by round."""

import statistics
import sys


def main():
    rates = {}
    for line in sys.stdin:
        print(line, end="", flush=True)
        fields = dict(word.split("=", 1) for word in line.split())
        rates.setdefault(fields["engine"], []).append(float(fields["mhops_per_cpu_s"]))
    ours = [engine for engine in rates if engine.startswith("taunet-")]
    for engine in ours:
        for peer in rates:
            if peer in ours:
                continue
            ratios = [own / other for own, other in zip(rates[engine], rates[peer])]
            print(
                f"ratio={engine}/{peer} median={statistics.median(ratios):.1f} "
                f"least={min(ratios):.1f} most={max(ratios):.1f} rounds={len(ratios)}"
            )


main()
