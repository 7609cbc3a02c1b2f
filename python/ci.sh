#!/usr/bin/env bash
# The Python package: built as a wheel, installed in an environment of its own, types checked, tested.
#
# The tests compare with the command line: the program $TAUNET, or else the one that is built here.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
target=${CARGO_TARGET_DIR:-$root/target}
work=$target/python
began=$SECONDS

[ -n "${TAUNET:-}" ] || cargo build --release --locked
export TAUNET=${TAUNET:-$target/release/taunet}

# An environment of other requirements is made anew.
if ! cmp -s python/requirements-test.txt "$work/venv/requirements.txt"; then
    rm -rf "$work/venv"
    "${PYTHON:-python3}" -m venv "$work/venv"
    "$work/venv/bin/pip" install --quiet --disable-pip-version-check -r python/requirements-test.txt
    cp python/requirements-test.txt "$work/venv/requirements.txt"
fi
# The folder `python` has the package without its extension module: commands, and not `python -m`, and no
# current folder on the path of the `python -c` of tests.
PATH=$work/venv/bin:$PATH
export PYTHONSAFEPATH=1

# With training, which wheels for others leave out: a large framework.
cargo clippy --release --locked -p taunet-python --features train -- -D warnings
rm -rf "$work/wheels"
maturin build --release --locked --quiet --manifest-path python/Cargo.toml --features train --out "$work/wheels"
pip install --quiet --disable-pip-version-check --no-deps --force-reinstall "$work"/wheels/*.whl
built=$SECONDS

mypy --config-file python/pyproject.toml python/taunet python/tests
# From a folder without the sources: it is the installed package that is tested, by its own processes too.
cd "$work"
stubtest --mypy-config-file "$root/python/pyproject.toml" taunet._taunet
pytest --quiet -p no:cacheprovider -c "$root/python/pyproject.toml" "$root/python/tests"
echo "python: $((built - began)) s to build, $((SECONDS - built)) s to test"
