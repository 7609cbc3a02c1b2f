"""Case table of the kernel lab. Rates in Mbit/s; loads are offered bytes (skb->len = frame without FCS) over the bottleneck rate."""
SEED = 20261100
MIX = "mix:64=4,576=3,1514=3"
MTU = "fixed:1514"


def G(kind, mbit, size="tri", flows=8, dport=5120, src="s1", **k):
    return dict(kind=kind, bps=mbit * 1e6, size=size, flows=flows, dport=dport, src=src, **k)


def under_htb(rate, child, burst=2000):
    """one htb class of `rate`, the qdisc under test as its leaf (handle 10:)"""
    return ["qdisc add DEV root handle 1: htb default 10",
            f"class add DEV parent 1: classid 1:10 htb rate {rate}mbit ceil {rate}mbit burst {burst} cburst {burst}",
            f"qdisc add DEV parent 1:10 handle 10: {child}"]


def under_tbf(rate, child, burst=2000, limit=10_000_000):
    """tbf with the qdisc under test as its child (tbf's own limit does not apply then)"""
    return [f"qdisc add DEV root handle 1: tbf rate {round(rate * 1000)}kbit burst {burst} limit {limit}", f"qdisc add DEV parent 1:1 handle 10: {child}"]


def by_port(bands, base=5120, parent="10:", proto="protocol 17 0xff "):
    """u32 filters: blocks of 64 UDP destination ports -> classes"""
    return [f"filter add DEV parent {parent} protocol ip prio 1 u32 match ip {proto}match ip dport {base + 64 * i} 0xffc0 flowid {parent}{b}" for i, b in enumerate(bands)]


def udp(tc, *g, dur=16, **k):
    return dict(dur=dur, tc=tc, udp=list(g), **k)


def classes(rate, head, leaves, parent=under_htb):
    """a classful qdisc (handle 10:) with its classes and leaves, under the rate limiter"""
    return parent(rate, head) + leaves


def drr_leaves(quanta, limit):
    out = []
    for i, q in enumerate(quanta, 1):
        out += [f"class add DEV parent 10: classid 10:{i} drr quantum {q}", f"qdisc add DEV parent 10:{i} handle {100 + i}: bfifo limit {limit}"]
    return out + by_port(range(1, len(quanta) + 1))


def band_leaves(n, limit):
    return [f"qdisc add DEV parent 10:{i} handle {100 + i}: bfifo limit {limit}" for i in range(1, n + 1)] + by_port(range(1, n + 1))


def htb_children(rate, leaves, burst=2000):
    """leaves: (rate kbit, prio, quantum, child); classes 1:10, 1:20, ... below 1:1"""
    out = [f"qdisc add DEV root handle 1: htb default {10 * len(leaves)}", f"class add DEV parent 1: classid 1:1 htb rate {rate}mbit ceil {rate}mbit burst {burst} cburst {burst}"]
    for i, (r, prio, quantum, child) in enumerate(leaves, 1):
        out += [f"class add DEV parent 1:1 classid 1:{10 * i} htb rate {r}kbit ceil {rate}mbit prio {prio} quantum {quantum} burst {burst} cburst {burst}",
                f"qdisc add DEV parent 1:{10 * i} handle {10 * i}: {child}"]
    return out + by_port([f"{10 * i}" for i in range(1, len(leaves) + 1)], parent="1:")


def tbf(rate, limit, burst=2000):
    return [f"qdisc add DEV root handle 1: tbf rate {round(rate * 1000)}kbit burst {burst} limit {limit}"]


RED = "red limit 400000 min 30000 max 90000 avpkt 1000 burst 55 bandwidth 10mbit probability 0.02"
ECT0 = 2
# flow sizes: (bytes, cumulative probability), log-linear between; mean 25 kB, the largest 1 % of the flows carry a third of the bytes
CDF = [(200, 0), (1000, .25), (6000, .55), (20000, .8), (60000, .93), (300000, .99), (1500000, 1.0)]


def bulk(cc, flows=1, src="s1", **k):
    return dict(kind="bulk", cc=cc, flows=flows, src=src, **k)


def tcp(tc, rtt, *t, dur=15, **k):
    return dict(dur=dur, tc=tc, tcp=list(t), rtt_ms=rtt if isinstance(rtt, list) else [rtt], n_src=len(rtt) if isinstance(rtt, list) else 1, **k)


ECN = {"sysctl": {"net.ipv4.tcp_ecn": 1}}

CASES = {
    # noise-free references of what was recorded before
    "tbf_90": udp(tbf(10, 10_000_000), G("poisson", 9)),
    "tbf_drop": udp(tbf(20, 9000), G("poisson", 18, MIX), dur=10),
    "htb_prio_overload": udp(htb_children(20, [(19000, 0, 1514, "bfifo limit 150000"), (100, 1, 1514, "bfifo limit 150000")]),
                             G("onoff", 8, MIX), G("poisson", 15, "tri", dport=5184), dur=9),
    # 1 codel
    "codel_overload": udp(under_htb(10, "codel"), G("poisson", 11.5), qstats_ms=100),
    "codel_bursty": udp(under_htb(10, "codel"), G("onoff", 8, "tri", 12, duty=0.25, on=0.08), qstats_ms=100),
    "codel_cbr_120": udp(under_htb(10, "codel"), G("cbr", 12, "fixed:1000", 8), qstats_ms=100),
    "codel_ecn": udp(under_htb(10, "codel limit 200 target 10ms interval 50ms ecn"), G("poisson", 6, tos=ECT0), G("poisson", 5.5, dport=5184), qstats_ms=100),
    "codel_tbf_overload": udp(under_tbf(10, "codel"), G("poisson", 11.5), qstats_ms=100),
    # 2 fq_codel
    "fq_codel_mixed": udp(under_htb(20, "fq_codel"), G("cbr", 22, MTU, 4, jitter=0.02), G("game_up", 1, "game:140:30", 40, dport=5184), dur=12, qstats_ms=100),
    "fq_codel_poisson": udp(under_htb(10, "fq_codel"), G("poisson", 11, "tri", 16), qstats_ms=100),
    "fq_codel_limit": udp(under_htb(10, "fq_codel limit 150 flows 1024 quantum 300"), G("poisson", 13, "tri", 6), G("onoff", 3, "tri", 6, dport=5184), dur=12, qstats_ms=100),
    # 3 pie
    "pie_overload": udp(under_htb(10, "pie"), G("poisson", 12), qstats_ms=100),
    "pie_onoff": udp(under_htb(10, "pie"), G("onoff", 9, "tri", 12, duty=0.25, on=0.08), qstats_ms=100),
    "pie_ecn_light": udp(under_htb(10, "pie limit 300 target 20ms tupdate 20ms ecn"), G("poisson", 6, tos=ECT0), G("poisson", 4.5, dport=5184), qstats_ms=100),
    # 4 red
    "red_95": udp(under_htb(10, RED), G("poisson", 9.5), qstats_ms=100),
    "red_105": udp(under_htb(10, RED), G("poisson", 10.5), qstats_ms=100),
    "red_110_ecn": udp(under_htb(10, RED + " ecn"), G("poisson", 7, tos=ECT0), G("poisson", 4, dport=5184), qstats_ms=100),
    "red_110_ecn_harddrop": udp(under_htb(10, RED + " ecn harddrop"), G("poisson", 7, tos=ECT0), G("poisson", 4, dport=5184), qstats_ms=100),
    "red_onoff_adaptive": udp(under_htb(10, RED + " adaptive"), G("onoff", 9, "tri", 12, duty=0.25, on=0.08), qstats_ms=100),
    # 5 prio
    "prio_3": udp(classes(10, "prio bands 3", band_leaves(3, 60000)), G("poisson", 3, MIX), G("onoff", 4, "tri", 8, dport=5184), G("poisson", 4, "tri", dport=5248)),
    "prio_3_tbf": udp(classes(10, "prio bands 3", band_leaves(3, 60000), under_tbf), G("poisson", 3, MIX), G("onoff", 4, "tri", 8, dport=5184), G("poisson", 4, "tri", dport=5248)),
    # 6 drr
    "drr_overload": udp(classes(20, "drr", drr_leaves((1500, 3000, 6000), 60000)), G("poisson", 8), G("poisson", 9, "tri", dport=5184), G("poisson", 9, "tri", dport=5248), dur=9),
    "drr_90": udp(classes(10, "drr", drr_leaves((1514, 3028, 600), 1000000)), G("poisson", 3), G("onoff", 3, "tri", 8, dport=5184), G("mmpp", 3, MIX, dport=5248)),
    # 7 ets
    "ets_overload": udp(classes(10, "ets bands 4 strict 1 quanta 4500 3000 1500", band_leaves(4, 60000)), G("poisson", 2, MIX), G("poisson", 4, "tri", dport=5184),
                        G("poisson", 4, "tri", dport=5248), G("onoff", 3, "tri", dport=5312)),
    # 8 sfq
    "sfq_overload": udp(under_htb(10, "sfq limit 127 depth 127 quantum 1514 divisor 1024"), G("poisson", 11, "tri", 12), G("game_up", .5, "game:140:30", 20, dport=5184)),
    # 9 netem
    "netem_jitter": udp(["qdisc add DEV root netem delay 20ms 5ms distribution normal limit 10000"], G("poisson", 8)),
    "netem_jitter_rate": udp(["qdisc add DEV root netem delay 20ms 3ms rate 10mbit limit 200"], G("poisson", 10.5)),
    "netem_rate": udp(["qdisc add DEV root netem rate 10mbit limit 100"], G("poisson", 9.5)),
    "netem_loss": udp(["qdisc add DEV root netem delay 10ms loss 2% limit 10000"], G("poisson", 8)),
    "netem_gemodel": udp(["qdisc add DEV root netem delay 10ms loss gemodel 1% 20% 70% 0.1% limit 10000"], G("poisson", 8)),
    "netem_duplicate": udp(["qdisc add DEV root netem delay 10ms reorder 5% 50% gap 1 duplicate 1% limit 10000"], G("poisson", 8)),
    # 10 cake
    "cake_flows": udp(["qdisc add DEV root cake bandwidth 10mbit besteffort flows raw"], G("poisson", 10, "tri", 6), G("game_up", 1, "game:140:30", 30, dport=5184), dur=14, qstats_ms=100),
    "cake_diffserv4": udp(["qdisc add DEV root cake bandwidth 10mbit diffserv4 raw"], G("poisson", 9, "tri", 6), G("poisson", 2, MIX, 6, dport=5184, tos=0xb8), G("onoff", 2, "tri", 6, dport=5248, tos=0x20), qstats_ms=100),
    # 11 fq
    "fq_overload": udp(under_htb(10, "fq"), G("poisson", 10.5, "tri", 6), G("game_up", 1, "game:140:30", 30, dport=5184), dur=14),
    # 12 htb over fq_codel
    "htb_fq_codel": udp(htb_children(20, [(10000, 0, 3000, "fq_codel"), (6000, 0, 3000, "fq_codel"), (4000, 0, 3000, "fq_codel")]),
                        G("poisson", 7), G("onoff", 6, "tri", 8, dport=5184), G("poisson", 10, "tri", dport=5248), dur=10, qstats_ms=100),
    # more, since they are there
    "qfq_overload": udp(classes(10, "qfq", [q for i, w in enumerate((1, 2, 4), 1) for q in (f"class add DEV parent 10: classid 10:{i} qfq weight {w} maxpkt 2048", f"qdisc add DEV parent 10:{i} handle {100+i}: bfifo limit 60000")]
                                + by_port((1, 2, 3))), G("poisson", 4), G("poisson", 4, "tri", dport=5184), G("poisson", 4, "tri", dport=5248)),
    "choke_110": udp(under_htb(10, "choke limit 300 min 30 max 90 avpkt 1000 burst 55 bandwidth 10mbit probability 0.02"), G("poisson", 11)),
    "fq_pie_mixed": udp(under_htb(10, "fq_pie"), G("cbr", 11, MTU, 4, jitter=0.02), G("game_up", .5, "game:140:30", 40, dport=5184), qstats_ms=100),
    # TCP
    "t_cubic1": tcp(tbf(20, 100_000), 40, bulk("cubic")),
    "t_reno1": tcp(tbf(20, 100_000), 40, bulk("reno")),
    "t_bbr1": tcp(tbf(20, 100_000), 40, bulk("bbr")),
    "t_cubic_rtts": tcp(tbf(20, 100_000), [10, 30, 100], bulk("cubic"), bulk("cubic", src="s2"), bulk("cubic", src="s3"), dur=20),
    "t_reno2_cubic2": tcp(tbf(20, 100_000), [20, 60], bulk("reno"), bulk("cubic", start=1.0), bulk("reno", src="s2", start=2.0), bulk("cubic", src="s2", start=3.0)),
    "t_bbr_cubic": tcp(tbf(20, 100_000), 40, bulk("bbr"), bulk("cubic", start=0.5), dur=20),
    "t_cubic_codel": tcp(under_htb(20, "codel"), 40, bulk("cubic", 2, stagger=1.0), qstats_ms=100),
    "t_cubic_fq_codel": tcp(under_htb(20, "fq_codel"), 40, bulk("cubic", 3, stagger=1.0), udp=[G("game_up", .5, "game:140:30", 20)], qstats_ms=100),
    "t_cubic_ecn_fq_codel": tcp(under_htb(20, "fq_codel"), 40, bulk("cubic", 2, stagger=1.0), qstats_ms=100, **ECN),
    "t_cubic_pie": tcp(under_htb(20, "pie"), 40, bulk("cubic", 2, stagger=1.0), qstats_ms=100),
    "t_cubic_red": tcp(under_htb(20, "red limit 400000 min 30000 max 90000 avpkt 1000 burst 55 bandwidth 20mbit probability 0.02"), 40, bulk("cubic", 2, stagger=1.0), qstats_ms=100),
    "t_dctcp_red": tcp(under_htb(20, "red limit 400000 min 30000 max 30100 avpkt 1500 burst 21 bandwidth 20mbit probability 1.0 ecn"), 10, bulk("dctcp", 2, stagger=1.0), qstats_ms=100, **ECN),
    "t_dctcp_codel_ce": tcp(under_htb(20, "codel ce_threshold 5ms ecn"), 10, bulk("dctcp", 2, stagger=1.0), qstats_ms=100, **ECN),
    "t_short_cubic": tcp(tbf(20, 100_000), 20, dict(kind="short", cc="cubic", flows=1000, per_s=60, cdf=CDF), dur=20, sample_ms=0),
    "t_short_fq_codel": tcp(under_htb(20, "fq_codel"), 20, dict(kind="short", cc="cubic", flows=1000, per_s=60, cdf=CDF), dur=20, sample_ms=0, qstats_ms=100),
    "t_incast_cubic": tcp(tbf(20, 60_000), 10, dict(kind="incast", cc="cubic", flows=20, bytes=65536, rounds=6, every=2.0), dur=14, sample_ms=10),
    "t_incast_dctcp": tcp(under_htb(20, "red limit 60000 min 30000 max 30100 avpkt 1500 burst 21 bandwidth 20mbit probability 1.0 ecn"), 10,
                          dict(kind="incast", cc="dctcp", flows=20, bytes=65536, rounds=6, every=2.0), dur=14, sample_ms=10, **ECN),
    # PIE's timer, sampled every ms
    "pie_probe": udp(under_htb(10, "pie"), G("cbr", 12, "fixed:1000", 8), dur=2, qstats_ms=1),
    # does RED's average decay while idle? slow average (ewma 7), low thresholds, long gaps
    "red_idle_htb": udp(under_htb(10, "red limit 400000 min 5000 max 30000 avpkt 1000 burst 30 bandwidth 10mbit probability 0.1"), G("onoff", 4, "tri", 2, duty=0.2, on=0.1)),
    "red_idle_tbf": udp(under_tbf(10, "red limit 400000 min 5000 max 30000 avpkt 1000 burst 30 bandwidth 10mbit probability 0.1"), G("onoff", 4, "tri", 2, duty=0.2, on=0.1)),
    # confirmation of PIE's decay of the probability on fresh arrivals (fixed before recording: no parameter was chosen by it)
    "pie_onoff_b": udp(under_htb(10, "pie"), G("onoff", 9, "tri", 12, duty=0.25, on=0.08)),
    "pie_onoff_c": udp(under_htb(10, "pie"), G("onoff", 8, "tri", 8, duty=0.2, on=0.1)),
}

def sd(c, seed):
    c["seed"] = seed
    return c


# one application workload under several queues: what-if, checked
CASES |= {f"cf_short_{n}": sd(tcp(q, 25, dict(kind="short", cc="cubic", flows=900, per_s=55, cdf=CDF), dur=20, sample_ms=0, qstats_ms=100), 20270540)
          for n, q in {"tbf100k": tbf(20, 100_000), "tbf25k": tbf(20, 25_000), "fq_codel": under_htb(20, "fq_codel"), "tbf30mbit": tbf(30, 100_000)}.items()}
CASES |= {f"cf_bulk_{n}": sd(tcp(q, [20, 40, 80], bulk("cubic"), bulk("cubic", src="s2", start=1.0), bulk("reno", src="s3", start=2.0), dur=20, qstats_ms=100), 20270541)
          for n, q in {"tbf100k": tbf(20, 100_000), "tbf25k": tbf(20, 25_000), "codel": under_htb(20, "codel"), "tbf30mbit": tbf(30, 100_000)}.items()}
# reordering that happens: 25 % of every fifth packet overtakes
CASES["netem_reorder"] = sd(udp(["qdisc add DEV root netem delay 10ms reorder 25% gap 5 limit 10000"], G("poisson", 8)), 20270542)
# token buckets that count framing (tc stab), for calibration
for n in (4, 24, 38):
    CASES[f"tbf_overhead_{n}"] = sd(udp([f"qdisc add DEV root stab overhead {n} linklayer ethernet handle 1: tbf rate 10000kbit burst 2000 limit 60000"], G("poisson", 9.3, MIX)), 20270550 + n)

# Recorded when the rules of the models stood: x nests disciplines, y has netem's random parts and queue management, z odd
# numbers. A seed of its own each.
X = 20280000
REDI = "red limit 400000 min 5000 max 30000 avpkt 1000 burst 30 bandwidth 10mbit probability 0.1"
def prio2(leaf1, parent=under_htb, rate=10, head="prio bands 2 priomap 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1"):
    return parent(rate, head) + [f"qdisc add DEV parent 10:1 handle 101: {leaf1}", "qdisc add DEV parent 10:2 handle 102: bfifo limit 60000"] + by_port((1, 2))
ON = lambda **k: G("onoff", 4, "tri", 2, duty=0.2, on=0.1, **k)
CASES |= {k: sd(v, X + i) for i, (k, v) in enumerate({
    "x_red_prio": udp(prio2(REDI), ON(), G("poisson", 4, "tri", dport=5184)),
    "x_red_prio_tbf": udp(prio2(REDI, under_tbf), ON(), G("poisson", 4, "tri", dport=5184)),
    "x_red_ets": udp(prio2(REDI, head="ets bands 2 strict 1 quanta 3000"), ON(), G("poisson", 4, "tri", dport=5184)),
    "x_red_drr": udp(under_htb(10, "drr") + ["class add DEV parent 10: classid 10:1 drr quantum 1514", f"qdisc add DEV parent 10:1 handle 101: {REDI}", "class add DEV parent 10: classid 10:2 drr quantum 1514", "qdisc add DEV parent 10:2 handle 102: bfifo limit 60000"] + by_port((1, 2)), ON(), G("poisson", 4, "tri", dport=5184)),
    "x_red_adaptive": udp(under_htb(10, RED + " adaptive"), G("poisson", 10.7, "tri", 8)),
    "x_tbf_30": udp(tbf(30, 30000, 3000), G("poisson", 28.5, MIX), dur=8),
    "x_htb_odd": udp(["qdisc add DEV root handle 1: htb default 10", "class add DEV parent 1: classid 1:10 htb rate 7777kbit", "qdisc add DEV parent 1:10 handle 10: pfifo limit 40"], G("poisson", 7.5, MIX)),
    "x_codel_ce": udp(under_htb(8, "codel target 3ms interval 30ms ce_threshold 20ms"), G("onoff", 7, "tri", 6, duty=0.3, on=0.05, tos=ECT0), G("poisson", 2, dport=5184)),
    "x_drr_codel": udp(classes(10, "drr", [q for i, w in enumerate((1500, 3000), 1) for q in (f"class add DEV parent 10: classid 10:{i} drr quantum {w}", f"qdisc add DEV parent 10:{i} handle {100+i}: codel")] + by_port((1, 2))), G("poisson", 6), G("onoff", 6, "tri", dport=5184)),
    "x_tbf_drr": udp(classes(10, "drr", drr_leaves((1500, 3000, 6000), 20000), under_tbf), G("poisson", 4), G("poisson", 4, "tri", dport=5184), G("onoff", 3, "tri", dport=5248)),
    "x_tbf_ets": udp(classes(10, "ets bands 4 strict 2 quanta 4500 1500", band_leaves(4, 15000), under_tbf), G("poisson", 2, MIX), G("poisson", 3, "tri", dport=5184), G("poisson", 4, "tri", dport=5248), G("onoff", 3, "tri", dport=5312)),
    "x_tbf_sfq": udp(under_tbf(10, "sfq limit 60"), G("poisson", 11, "tri", 6)),
    "x_sfq_headdrop": udp(under_htb(10, "sfq limit 60 depth 20 headdrop divisor 1024 quantum 3000"), G("poisson", 11, "tri", 6), G("onoff", 3, "tri", 3, dport=5184)),
    "x_fq_maxrate": udp(under_htb(10, "fq maxrate 2mbit"), G("poisson", 9, "tri", 6)),
    "x_fq_slow": udp(under_htb(10, "fq maxrate 500kbit flow_limit 20"), G("poisson", 5, "tri", 8)),
    "x_tbf_fq": udp(under_tbf(10, "fq quantum 1514 initial_quantum 3000 refill_delay 5ms"), G("onoff", 9, "tri", 6), G("game_up", .5, "game:140:30", 10, dport=5184)),
    "x_tbf_pie": udp(under_tbf(10, "pie target 10ms tupdate 30ms alpha 4 beta 30"), G("poisson", 11)),
    "x_tbf_fq_codel": udp(under_tbf(10, "fq_codel limit 100 quantum 600 target 2ms interval 40ms"), G("poisson", 9, "tri", 5), G("onoff", 4, "tri", 4, dport=5184)),
    "x_htb_netem": udp(htb_children(20, [(12000, 0, 3000, "netem delay 10ms limit 200"), (8000, 0, 3000, "bfifo limit 60000")]), G("poisson", 8), G("onoff", 9, "tri", dport=5184)),
    "x_netem_tbf": udp(["qdisc add DEV root handle 1: netem delay 5ms limit 500", "qdisc add DEV parent 1:1 handle 10: tbf rate 10mbit burst 2000 limit 40000"], G("poisson", 9.8)),
    "x_tbf_mpu": udp(["qdisc add DEV root stab overhead 18 mpu 84 linklayer ethernet handle 1: tbf rate 10000kbit burst 2000 limit 60000"], G("poisson", 9.6, MIX)),
    "x_htb_atm": udp(["qdisc add DEV root stab overhead 10 linklayer atm handle 1: htb default 10", "class add DEV parent 1: classid 1:10 htb rate 10mbit ceil 10mbit burst 3000 cburst 3000", "qdisc add DEV parent 1:10 handle 10: fq_codel"], G("poisson", 9.6, MIX, 5)),
    "x_fq_codel_ecn": udp(under_htb(10, "fq_codel ce_threshold 8ms"), G("poisson", 6, "tri", 4, tos=ECT0), G("poisson", 6, "tri", 4, dport=5184)),
    "x_prio_deep": udp(prio2("fq_codel", head="prio bands 2 priomap 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", parent=under_tbf), G("onoff", 5, "tri", 4), G("poisson", 7, "tri", dport=5184)),
    "x_htb3": udp(htb_children(15, [(9000, 0, 2000, "codel"), (3000, 1, 3000, "sfq limit 50"), (3000, 1, 1600, "red limit 100000 min 8000 max 30000 avpkt 1000 burst 20 bandwidth 10mbit")]), G("poisson", 6), G("onoff", 6, "tri", 4, dport=5184), G("poisson", 6, "tri", dport=5248)),
}.items())}
N = lambda s, *g, **k: udp([f"qdisc add DEV root netem {s}"], *(g or (G("poisson", 8),)), **k)
CASES |= {k: sd(v, X + 100 + i) for i, (k, v) in enumerate({
    "y_gem_p": N("delay 5ms loss gemodel 3% limit 10000"),
    "y_gem_pr": N("delay 5ms loss gemodel 2% 30% limit 10000"),
    "y_state": N("delay 5ms loss state 1% 30% 20% 40% 0.5% limit 10000"),
    "y_state1": N("delay 5ms loss state 3% limit 10000"),
    "y_loss_corr": N("delay 5ms loss 5% 40% limit 10000"),
    "y_pareto": N("delay 20ms 4ms distribution pareto limit 10000"),
    "y_paretonormal_corr": N("delay 20ms 4ms 50% distribution paretonormal limit 10000"),
    "y_slot": N("slot 2ms 6ms packets 6 limit 400"),
    "y_slot_rate": N("delay 3ms rate 12mbit slot 1ms 1ms bytes 4000 limit 300"),
    "y_reorder_corr": N("delay 8ms reorder 30% 50% gap 3 limit 10000"),
    "y_rate_cells": N("rate 12mbit 20 53 5 limit 60", G("poisson", 9.5, MIX)),
    "y_ecn_loss": N("delay 5ms loss 10% ecn limit 1000", G("poisson", 4, tos=ECT0), G("poisson", 3, dport=5184)),
    "y_htb_pie": udp(htb_children(16, [(8000, 0, 3000, "pie target 5ms tupdate 10ms limit 200"), (8000, 0, 3000, "codel")]), G("poisson", 9), G("onoff", 9, "tri", dport=5184)),
    "y_red_bytes": udp(under_htb(10, "red limit 200000 min 20000 max 20000 avpkt 1000 burst 30 bandwidth 10mbit probability 0.1 ecn"), G("poisson", 6, tos=ECT0), G("poisson", 5, dport=5184)),
}.items())}
CASES |= {k: sd(v, X + 200 + i) for i, (k, v) in enumerate({
    "z_netem_odd": N("delay 1.234567ms limit 100"), "z_netem_rate": N("rate 7777kbit limit 60", G("poisson", 7.5, MIX)),
    "z_pie_250": udp(under_htb(10, "pie tupdate 70ms"), G("poisson", 12)),
}.items())}
CASES["z_tbf_burst"] = sd(udp(tbf(30, 30000, 2000), G("onoff", 20, MIX), dur=6), X + 301)
CASES["z_htb_burst"] = sd(udp(["qdisc add DEV root handle 1: htb default 10", "class add DEV parent 1: classid 1:10 htb rate 7700kbit ceil 33mbit burst 3100 cburst 2300", "qdisc add DEV parent 1:10 handle 10: bfifo limit 40000"], G("onoff", 7, MIX), dur=8), X + 302)
CASES |= {k: sd(v, X + s) for k, s, v in (
    ("fq_pie_ecn", 400, udp(under_htb(10, "fq_pie limit 300 target 10ms tupdate 30ms alpha 4 beta 30 ecn ecn_prob 20"), G("poisson", 6, "tri", 3, tos=ECT0), G("poisson", 6, "tri", 3, dport=5184))),
    ("fq_pie_onoff", 401, udp(under_htb(10, "fq_pie quantum 600"), G("onoff", 9, "tri", 6, duty=0.25, on=0.08), G("game_up", .5, "game:140:30", 10, dport=5184))),
    ("fq_pie_flows", 402, udp(under_htb(10, "fq_pie flows 5000 target 5ms tupdate 5ms limit 120"), G("poisson", 12, "tri", 5), G("onoff", 3, "tri", 3, dport=5184))),
    ("fq_pie_memory", 403, udp(under_htb(10, "fq_pie memory_limit 20k target 100ms"), G("poisson", 12, "tri", 4))),
    ("fq_pie_tbf", 404, udp(under_tbf(10, "fq_pie target 5ms tupdate 10ms"), G("cbr", 11, MTU, 3, jitter=0.02), G("poisson", 2, "tri", 3, dport=5184))),
    ("fq_pie_ecn_light", 420, udp(under_htb(10, "fq_pie ecn quantum 3000"), G("poisson", 6, "tri", 2, tos=ECT0), G("poisson", 4.6, "tri", 2, dport=5184))),
    ("fq_pie_slow_timer", 421, udp(under_htb(10, "fq_pie tupdate 70ms limit 250"), G("poisson", 8, "tri", 2), G("onoff", 5, "tri", 3, duty=0.3, on=0.3, dport=5184))),
)}
CASES["fq_pie_steps"] = sd(udp(under_htb(10, "fq_pie flows 65536 tupdate 1ms target 10ms"), G("poisson", 9, "tri", 2), G("onoff", 4, "tri", 2, duty=0.3, on=0.3, dport=5184)), X + 422)


def cake(s, *g, **k):
    return udp([f"qdisc add DEV root cake {s}"], *g, qstats_ms=100, **k)


# Three source and three destination addresses.
SIP = [f"10.9.1.{n}" for n in (3, 4, 5)]
DIP = [f"10.9.200.{n}" for n in (3, 4, 5)]
CASES |= {k: sd(v, 20263300 + i) for i, (k, v) in enumerate({
    "cake_dual_dst": cake("bandwidth 10mbit besteffort dual-dsthost raw", *[G("poisson", 5, "tri", n, dport=5120 + 64 * i, dip=DIP[i]) for i, n in enumerate((1, 4, 7))], G("game_up", 1, "game:140:30", 10, dport=5400, dip=DIP[0])),
    "cake_triple": cake("bandwidth 10mbit besteffort", *[G("poisson", 3, "tri", 3, dport=5120 + 64 * (3 * i + j), sip=SIP[i], dip=DIP[j]) for i in range(2) for j in range(2)], G("onoff", 3, "tri", 4, dport=5440, sip=SIP[2], dip=DIP[2])),
    "cake_diffserv8": cake("bandwidth 10mbit diffserv8 flows", *[G("poisson", 2.2, "tri", 3, dport=5120 + 64 * i, tos=t) for i, t in enumerate((0x00, 0x20, 0x28, 0x48, 0x88, 0xb8))]),
    "cake_ecn": cake("bandwidth 10mbit besteffort flows", G("poisson", 5, "tri", 4, tos=ECT0), G("poisson", 5, "tri", 4, dport=5184), G("onoff", 3, "tri", 3, dport=5248, tos=ECT0)),
    "cake_memlimit": cake("bandwidth 10mbit besteffort flows memlimit 120000", G("poisson", 8, "tri", 5), G("poisson", 3, MIX, 4, dport=5184), G("onoff", 5, "tri", 3, dport=5248)),
    "cake_atm": cake("bandwidth 10mbit besteffort flows overhead 24 mpu 64 atm", G("poisson", 9.5, MIX, 6)),
    "cake_ptm": cake("bandwidth 10mbit besteffort flows bridged-ptm ether-vlan", G("poisson", 8, MIX, 6), G("onoff", 3, "tri", 3, dport=5248)),
    "cake_slow": cake("bandwidth 600kbit rtt 50ms diffserv3", G("poisson", .4, "tri", 3), G("onoff", .4, "tri", 2, dport=5184, tos=0x20), G("game_up", .1, "game:140:30", 5, dport=5248, tos=0xb8), dur=40),
    "cake_htb_diffserv4": udp(under_htb(10, "cake diffserv4"), G("poisson", 6, "tri", 6), G("poisson", 2, MIX, 6, dport=5184, tos=0xb8), G("onoff", 4, "tri", 6, dport=5248, tos=0x20), qstats_ms=100),
    "cake_tbf": udp(under_tbf(10, "cake besteffort rtt 20ms"), G("poisson", 10, "tri", 6), G("onoff", 3, "tri", 3, dport=5184), qstats_ms=100),
    "cake_ingress": cake("bandwidth 10mbit besteffort flows ingress", G("poisson", 9, "tri", 6), G("onoff", 5, "tri", 3, dport=5184)),
    "cake_precedence": cake("bandwidth 10mbit precedence wash flows lan", *[G("poisson", 2.5, "tri", 3, dport=5120 + 64 * i, tos=t) for i, t in enumerate((0x00, 0x20, 0x40, 0x80, 0xc0))]),
    "cake_hosts": cake("bandwidth 10mbit besteffort hosts metro", *[G("poisson", 4, "tri", 3, dport=5120 + 64 * (3 * i + j), sip=SIP[i], dip=DIP[j]) for i in range(2) for j in range(2)]),
    "cake_flowblind": cake("bandwidth 10mbit besteffort flowblind", G("poisson", 11, "tri", 6)),
}.items())}

# Nothing random decides in these: lengths are multiples of a turn of 300 B and its parts, or a tin has one queue.
M300 = "mix:300=3,600=2,900=2,1500=3"
CASES |= {k: sd(v, 20263400 + i) for i, (k, v) in enumerate({
    "cake_exact_flows": cake("bandwidth 8mbit besteffort flows", G("poisson", 7, M300, 5), G("onoff", 4, M300, 4, dport=5184), G("poisson", .2, "fixed:300", 12, dport=5248), G("poisson", 1, M300, 2, dport=5312, tos=ECT0)),
    "cake_exact_triple": cake("bandwidth 8mbit besteffort", *[G("poisson", 2.5, M300, n, dport=5120 + 64 * (3 * i + j), sip=SIP[i], dip=DIP[j]) for (i, j), n in zip(((0, 0), (0, 1), (1, 1)), (2, 2, 1))], G("onoff", 3, M300, 2, dport=5440, sip=SIP[2], dip=DIP[2])),
    "cake_exact_dual_dst": cake("bandwidth 8mbit diffserv4 dual-dsthost", *[G("poisson", 3, M300, n, dport=5120 + 64 * i, dip=DIP[i]) for i, n in enumerate((1, 3, 4))], G("onoff", 3, M300, 2, dport=5440, dip=DIP[2], tos=0xb8)),
    "cake_exact_diffserv4": cake("bandwidth 10mbit diffserv4 flowblind", G("poisson", 6, "tri", 6), G("poisson", 2, MIX, 6, dport=5184, tos=0xb8), G("onoff", 3, "tri", 6, dport=5248, tos=0x22), G("poisson", 2, "tri", 3, dport=5312, tos=0x88)),
    "cake_exact_diffserv8": cake("bandwidth 9999kbit diffserv8 flowblind", *[G("poisson", 2.2, "tri", 3, dport=5120 + 64 * i, tos=t) for i, t in enumerate((0x00, 0x20, 0x28, 0x4a, 0x88, 0xb8))]),
    "cake_exact_precedence": cake("bandwidth 10mbit precedence wash flowblind lan", *[G("poisson", 2.5, "tri", 3, dport=5120 + 64 * i, tos=t) for i, t in enumerate((0x00, 0x20, 0x40, 0x80, 0xc0))]),
    "cake_exact_atm": cake("bandwidth 10mbit besteffort flowblind overhead 24 mpu 64 atm", G("poisson", 9.5, MIX, 6), G("onoff", 2, MIX, 2, dport=5184, tos=ECT0)),
    "cake_exact_ptm": cake("bandwidth 10mbit besteffort flowblind bridged-ptm ether-vlan metro", G("poisson", 8, MIX, 6), G("onoff", 3, "tri", 3, dport=5248)),
    "cake_exact_slow": cake("bandwidth 600kbit rtt 50ms diffserv3 flowblind", G("poisson", .4, "tri", 3), G("onoff", .4, "tri", 2, dport=5184, tos=0x20), G("game_up", .1, "game:140:30", 5, dport=5248, tos=0xb8), dur=40),
    "cake_exact_htb": udp(under_htb(10, "cake diffserv4 flowblind"), G("poisson", 6, "tri", 6), G("poisson", 2, MIX, 6, dport=5184, tos=0xb8), G("onoff", 4, "tri", 6, dport=5248, tos=0x20), qstats_ms=100),
    "cake_exact_tbf": udp(under_tbf(10, "cake bandwidth 9mbit besteffort flowblind rtt 20ms"), G("poisson", 9, "tri", 6), G("onoff", 3, "tri", 3, dport=5184), qstats_ms=100),
    "cake_exact_ingress": cake("bandwidth 10mbit besteffort flowblind ingress", G("poisson", 9, "tri", 6), G("onoff", 3, "tri", 3, dport=5184)),
}.items())}
