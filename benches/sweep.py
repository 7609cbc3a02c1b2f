#!/usr/bin/env python3
"""What a sweep costs over its runs, and whether a killed and a divided sweep give the same tables.

    benches/sweep.py [--taunet PROGRAM] [--sweep FILE] [--jobs N] [--rounds N] [--keep DIR]

Each round runs the sweep, and then each of its jobs as a `taunet run` process on one thread, as many at a time as the sweep ran.
Then the sweep is killed (SIGKILL) when half of its jobs are done and started again, and runs as three shards at a time, each
with one job at a time. Prints a line for each step; exit code 1: tables differ, or a job ran twice. Needs Python 3 alone.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile
import time

TABLES = ["results.parquet", "means.parquet", "differences.parquet"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--taunet", default="target/release/taunet")
    parser.add_argument("--sweep", default="scenarios/sweeps/fat-tree-8.toml")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--keep", type=pathlib.Path, help="the results of the sweeps stay in this directory")
    options = parser.parse_args()
    place = options.keep or pathlib.Path(tempfile.mkdtemp())
    place.mkdir(exist_ok=True)
    try:
        measure(options, place)
    finally:
        if not options.keep:
            shutil.rmtree(place)


def measure(options, place):
    jobs, began = options.jobs, time.strftime("%Y-%m-%d")
    print(f"{began}, {os.cpu_count()} cores, {jobs} jobs at a time, load {os.getloadavg()[0]:.2f} before")
    for number in range(options.rounds):
        out = place / f"round-{number}"
        wall, cpu = timed(lambda: subprocess.run(sweep(options, out, jobs), check=True))
        done = [json.loads(path.read_text()) for path in sorted((out / "jobs").iterdir())]
        own = sum(job["summary"]["wall_s"] for job in done)
        print(f"round {number}: sweep of {len(done)} jobs: wall {wall:.2f} s, CPU {cpu:.2f} s;", end=" ")
        print(f"times of its jobs {own:.2f} s, over {jobs}: {own / jobs:.2f} s; ratio {wall * jobs / own:.3f}", flush=True)
        (alone, cpu), each = processes(options, done, jobs)
        print(f"round {number}: taunet run, {jobs} at a time: wall {alone:.2f} s, CPU {cpu:.2f} s;", end=" ")
        print(f"times of the processes {each:.2f} s, over {jobs}: {each / jobs:.2f} s;", end=" ")
        print(f"sweep over that: {wall * jobs / each:.3f}, over the wall time: {wall / alone:.3f}", flush=True)
        check(tables(out) == tables(place / "round-0"), "rounds: same tables")
    whole = tables(place / "round-0")
    kill(options, place / "killed", jobs, len(done), whole)
    shards = [
        subprocess.Popen([*sweep(options, place / "shards", 1), "--shard", f"{index}/3"]) for index in range(3)
    ]
    check([shard.wait() for shard in shards] == [0, 0, 0], "three shards: each ended well")
    check(len(times(place / "shards")) == len(done), f"three shards: {len(done)} jobs")
    check(tables(place / "shards") == whole, "three shards: same tables, to the byte")


def sweep(options, out, jobs):
    return [options.taunet, "sweep", options.sweep, "--out", out, "--jobs", str(jobs), "--quiet"]


def processes(options, done, jobs):
    """Wall and CPU time of all runs, and the sum of their wall times. The order is that of the sweep: seed by seed."""
    place = {}
    ordered = sorted(done, key=lambda job: (place.setdefault(job["seed"], len(place)), job["overrides"]))

    def run(job):
        with tempfile.TemporaryDirectory() as folder:
            sets = [word for text in job["overrides"] for word in ("--set", text)]
            seed = ["--seed", str(job["seed"]), "--threads", "1", "--out", os.path.join(folder, "run"), "--quiet"]
            began = time.perf_counter()
            subprocess.run([options.taunet, "run", job["scenario"], *sets, *seed], check=True)
            return time.perf_counter() - began

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        each = []
        return timed(lambda: each.extend(pool.map(run, ordered))), sum(each)


def kill(options, out, jobs, count, whole):
    child = subprocess.Popen(sweep(options, out, jobs))
    while len(times(out)) < count // 2:
        if child.poll() is not None:
            sys.exit("FAILED: the sweep ended before it could be killed")
        time.sleep(0.01)
    child.kill()
    child.wait()
    before, began = times(out), time.time_ns()
    wall, _ = timed(lambda: subprocess.run(sweep(options, out, jobs), check=True))
    after = times(out)
    again = [name for name, at in before.items() if after[name] != at]
    new = [name for name, at in after.items() if at >= began]
    print(f"killed after {len(before)} of {count} jobs; again: {len(new)} jobs in {wall:.2f} s", flush=True)
    check(not again and len(new) == count - len(before), "killed: only what was missing ran again")
    check(tables(out) == whole, "killed: same tables, to the byte")


def times(out):
    jobs = (out / "jobs").glob("[!.]*.json") if (out / "jobs").is_dir() else []
    return {path.name: path.stat().st_mtime_ns for path in jobs}


def tables(out):
    return [(out / name).read_bytes() for name in TABLES]


def timed(call):
    def used():
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    cpu, began = used(), time.perf_counter()
    call()
    return time.perf_counter() - began, used() - cpu


def check(holds, what):
    if not holds:
        sys.exit(f"FAILED: {what}")
    print(f"ok: {what}", flush=True)


if __name__ == "__main__":
    main()
