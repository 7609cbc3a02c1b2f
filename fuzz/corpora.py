#!/usr/bin/env python3
"""The inputs of the fuzz targets: FOLDER/TARGET/FILE, and corpora.tar.xz, which holds the kept ones.

    fuzz/corpora.py seeds FOLDER    writes the seeds, from files of the repository, the public captures
                                    (TAUNET_PUBLIC_CAPTURES) and the kept inputs
    fuzz/corpora.py words FILE      writes the words of the schemas, for libFuzzer's mutations of TOML
    fuzz/corpora.py pack FOLDER     replaces corpora.tar.xz by the smallest inputs of FOLDER, within KIB; those whose names
                                    begin with found- always stay
"""

import hashlib
import io
import json
import lzma
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
ARCHIVE = HERE / "corpora.tar.xz"
# Of the archive, and of the head of a capture.
KIB = 16
HEAD = 4096


def write(folder, target, content):
    place = folder / target
    place.mkdir(parents=True, exist_ok=True)
    (place / hashlib.sha256(content).hexdigest()[:16]).write_bytes(content)


def counted(first, second):
    """A length in two bytes, and both parts."""
    first = first[:65535]
    return len(first).to_bytes(2, "little") + first + second


def captures():
    folders = [ROOT / "tests/captures", ROOT / "scenarios/captures"]
    folders += [Path(folder) for folder in filter(None, os.environ.get("TAUNET_PUBLIC_CAPTURES", "").split(":"))]
    for folder in folders:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            content = path.read_bytes()
            yield content
            # The head of a recording, which is compressed.
            if path.suffix == ".xz":
                yield lzma.LZMADecompressor().decompress(content, max_length=HEAD)


def frames(capture):
    """The first frames of a classic capture."""
    order = {b"\xd4\xc3\xb2\xa1": "little", b"\x4d\x3c\xb2\xa1": "little", b"\xa1\xb2\xc3\xd4": "big"}.get(capture[:4])
    if order is None:
        return
    link_type, at = capture[20:22] if order == "little" else capture[23:21:-1], 24
    for _ in range(5):
        length = int.from_bytes(capture[at + 8 : at + 12], order)
        frame = capture[at + 16 : at + 16 + length]
        if not frame:
            return
        yield link_type + min(len(frame), 65535).to_bytes(2, "little") + frame[:300]
        at += 16 + length


def tables(folder):
    program = ROOT / "target/release/taunet"
    if not program.exists():
        return
    with tempfile.TemporaryDirectory() as place:
        for kind, extension in enumerate(["parquet", "csv"]):
            out = Path(place) / extension
            command = [program, "run", ROOT / "scenarios/notebook.toml", "--out", out, "--format", extension, "--quiet"]
            subprocess.run(command + ["--set", "traffic.0.packets=3"], check=True)
            write(folder, "tables", bytes([kind]) + (out / f"flows.{extension}").read_bytes())
    write(folder, "tables", b"\x02source,destination,bandwidth_bps\na,b,1000\n")
    header = b"\x03timestamp (sec),pkt len (byte),priority,src,dst,time_in_sys\n"
    write(folder, "tables", header + b"0.1,100,0,1,2,0.01\n0.2,100,,1,2,\n")


def seeds(folder):
    for content in captures():
        whole = content[:HEAD]
        write(folder, "captures", whole)
        write(folder, "matching", counted(whole, whole))
        for frame in frames(content):
            write(folder, "frames", frame)
    for pattern in ["topologies/*.toml", "scenarios/**/*.toml", "training/*.toml", "tests/cmd/**/*.toml"]:
        for path in filter(Path.is_file, sorted(ROOT.glob(pattern))):
            write(folder, "documents", path.read_bytes()[: 4 * HEAD])
    kinds = {".graphml": 0, ".gml": 1, ".dot": 2, ".gv": 2, ".xml": 3, ".txt": 3, ".json": 4}
    for path in sorted(ROOT.glob("tests/**/*")):
        if path.suffix in kinds and path.stat().st_size < 8 * HEAD:
            write(folder, "imports", bytes([kinds[path.suffix]]) + path.read_bytes())
    for kind, text in enumerate(TEXTS):
        write(folder, "imports", bytes([kind]) + text)
    for path in sorted(ROOT.glob("models/*.safetensors")):
        write(folder, "models", counted(path.with_suffix(".toml").read_bytes(), path.read_bytes()))
    tables(folder)
    script = []
    for line in (ROOT / "tests/tc/recorded.tc").read_text().splitlines() + ["##"]:
        if line.startswith("##"):
            write(folder, "commands", "\n".join(script).encode())
            script = []
        elif not line.startswith("#"):
            script.append(line)
    for path in sorted(ROOT.glob("tests/cmd/tc.in/*")):
        write(folder, "commands", path.read_bytes())
    for number in range(16):
        write(folder, "networks", hashlib.shake_128(bytes([number])).digest(600))
    if ARCHIVE.exists():
        unpack(folder, "")


def unpack(folder, start):
    """The kept inputs whose names begin with `start`."""
    with tarfile.open(ARCHIVE) as archive:
        for member in archive:
            path = folder / member.name
            if path.name.startswith(start):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.extractfile(member).read())


TEXTS = [
    b'<graphml><key id="d0" for="node" attr.name="label" attr.type="string"/><graph edgedefault="undirected">'
    b'<node id="a"><data key="d0">A</data></node><node id="b"/><edge source="a" target="b"/></graph></graphml>',
    b'graph [ label "x" node [ id 0 label "a" Latitude 1.5 Longitude 2 ] node [ id 1 ] '
    b'edge [ source 0 target 1 LinkSpeedRaw 10000000.0 ] ]',
    b'graph { a -- b [bandwidth="1 Gbps", delay="2 ms"]; b -- c; subgraph x { d -- {e f} } }',
    b'?SNDlib native format; type: network; version: 1.0\nNODES (\n a ( 1.0 2.0 )\n b ( 2.0 3.0 )\n)\n'
    b'LINKS (\n l ( a b ) 10.0 0.0 0.0 0.0 ( 40.0 1.0 )\n)\nDEMANDS (\n d ( a b ) 1 5.0 UNLIMITED\n)\n',
    b'{"directed": false, "nodes": [{"id": 0, "lat": 1.5}, {"id": "b"}], "links": [{"source": 0, "target": "b", '
    b'"bandwidth": "1 Gbps", "dist": NaN}]}',
]


def pack(folder):
    """The smallest inputs of each target in turn, as many as fit."""
    if ARCHIVE.exists():
        unpack(folder, "found-")
    targets = sorted(path for path in folder.iterdir() if path.is_dir())
    by_size = lambda path: (not path.name.startswith("found-"), path.stat().st_size, path.name)
    files = {target: sorted(target.iterdir(), key=by_size) for target in targets}

    def packed(fraction):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w:xz", format=tarfile.USTAR_FORMAT, preset=9) as archive:
            for target in targets:
                for path in files[target][: max(1, int(len(files[target]) * fraction))]:
                    name = path.name if path.name.startswith("found-") else path.name[:12]
                    member = tarfile.TarInfo(f"{target.name}/{name}")
                    member.size = path.stat().st_size
                    archive.addfile(member, io.BytesIO(path.read_bytes()))
        return out.getvalue()

    low, high = 0.0, 1.0
    archive = packed(high)
    if len(archive) > KIB * 1024:
        for _ in range(12):
            middle = (low + high) / 2
            attempt = packed(middle)
            if len(attempt) <= KIB * 1024:
                low, archive = middle, attempt
            else:
                high = middle
    ARCHIVE.write_bytes(archive)
    print(f"{ARCHIVE.name}: {len(archive)} bytes")


def words(path):
    """Keys and names of kinds."""
    found = set()

    def walk(value):
        if isinstance(value, dict):
            found.update(value.get("properties", {}))
            found.update(name for name in [value.get("const"), *value.get("enum", [])] if isinstance(name, str))
            value = list(value.values())
        if isinstance(value, list):
            for item in value:
                walk(item)

    for schema in sorted(ROOT.glob("schemas/*.json")):
        walk(json.loads(schema.read_text()))
    plain = sorted(word for word in found if word.isascii() and not set(word) & set('"\\'))
    path.write_text("".join(f'"{word}"\n' for word in plain))


if __name__ == "__main__":
    command, path = sys.argv[1:]
    {"pack": pack, "seeds": seeds, "words": words}[command](Path(path))
