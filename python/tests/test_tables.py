"""Tables: the same rows in every package that reads Arrow."""

from __future__ import annotations

import datetime
import math

import duckdb
import numpy
import pandas
import polars
import pyarrow
import pytest
from conftest import content

import taunet
from taunet._table import _shown


@pytest.fixture(scope="module")
def results() -> taunet.Results:
    # A queue of two packets: some are lost, so that columns have nulls.
    network = taunet.star(3, bandwidth="100 Mbps", ptm={"kind": "fifo", "buffer": "2 packets"})
    found = content(topology=network)
    found["traffic"] = [
        {"kind": "poisson", "from": host, "to": "h1", "rate": {"load": 0.7}, "size": "1000 B", "packets": 2000} for host in ("h0", "h2")
    ]
    return taunet.run(found)


def test_all_packages_have_the_same_rows(results: taunet.Results) -> None:
    packets = results.packets
    lost = results.summary["packets"]["dropped"]
    assert 0 < lost < len(packets) == 4000
    by_polars = packets.to_polars()
    by_pandas = packets.to_pandas()
    by_arrow = pyarrow.table(packets)
    relation = duckdb.sql("SELECT * FROM packets")
    assert relation is not None
    by_duckdb = pyarrow.table(relation)
    assert isinstance(by_polars, polars.DataFrame) and isinstance(by_pandas, pandas.DataFrame)
    for frame in (by_polars, by_pandas, by_arrow, by_duckdb):
        assert frame.shape == packets.shape == (4000, 14)
    delays = packets.to_list("delay_ps")
    assert delays.count(None) == lost
    assert by_polars["delay_ps"].to_list() == by_arrow["delay_ps"].to_pylist() == by_duckdb["delay_ps"].to_pylist() == delays
    assert [None if math.isnan(it) else int(it) for it in by_pandas["delay_ps"]] == delays
    outcomes = packets.to_list("outcome")
    assert outcomes.count("dropped") == lost
    assert by_polars["outcome"].to_list() == by_arrow["outcome"].to_pylist() == list(by_pandas["outcome"]) == outcomes
    assert by_pandas["outcome"].dtype == "category"


def test_columns_of_numpy(results: taunet.Results) -> None:
    packets = results.packets
    assert packets.to_numpy("pid").dtype == numpy.uint64
    delays = packets.to_numpy("delay_ps")
    assert delays.dtype == numpy.float64 and numpy.isnan(delays).sum() == results.summary["packets"]["dropped"]
    assert packets.to_numpy("injected_at").dtype == "datetime64[ns]"
    assert packets.to_numpy("outcome").dtype == object
    first = packets.to_polars()["injected_at"][0]
    assert isinstance(first, datetime.datetime) and first.tzinfo is not None


def test_units_are_in_the_schema(results: taunet.Results) -> None:
    units = results.ports.units
    assert (units["bytes"] if "bytes" in units else "B", units["throughput_bps"], units["waiting_mean_ps"]) == ("B", "bit/s", "ps")
    schema = pyarrow.schema(results.packets)
    assert schema.field("delay_ps").metadata == {b"unit": b"ps"}
    assert schema.field("length_bytes").metadata == {b"unit": b"B"}
    assert schema.field("outcome").metadata is None
    assert schema == pyarrow.table(results.packets).schema


def test_parts_of_a_table(results: taunet.Results) -> None:
    packets = results.packets
    whole = packets.to_list("pid")
    assert packets[10:20].to_list("pid") == whole[10:20]
    assert packets[-3:].to_list("pid") == whole[-3:]
    assert len(packets[4000:]) == len(packets[5:2]) == 0
    assert packets.head().shape == (5, 14)
    some = packets.select("fid", "delay_ps")
    assert some.columns == ["fid", "delay_ps"] and some.units == {"delay_ps": "ps"}
    assert polars.DataFrame(some[:7]).shape == (7, 2)
    assert polars.DataFrame(packets[4000:]).shape == (0, 14)
    assert repr(packets) == "<taunet.Table packets: 4,000 rows x 14 columns>"
    html = packets._repr_html_()
    assert html.count("<tr>") == 11 and "delay_ps" in html and "3,990 more rows" in html
    shown = [_shown(value) for value in (None, 7, 20_000_694.857, 1 / 3, 1.5e-7, math.nan, "<a>")]
    assert shown == ["", "7", "20000695", "0.333333", "1.5e-07", "nan", "&lt;a&gt;"]


def test_a_stream_can_be_taken_again_and_outlives_the_table(results: taunet.Results) -> None:
    packets = results.packets.select("pid")
    once, twice = polars.DataFrame(packets), polars.DataFrame(packets)
    capsule = packets.__arrow_c_stream__()
    del packets, capsule
    assert once.equals(twice) and once["pid"].n_unique() == 4000


def test_metadata_defines_the_ideal() -> None:
    found = taunet.run({
        "name": "tcp", "topology": taunet.dumbbell(1, bandwidth="10 Mbps", delay="1 ms"), "transport": {"kind": "tcp"},
        "traffic": [{"kind": "bulk", "from": "h0", "to": "h1", "bytes": "100 kB"}],
    })
    assert "ideal_ps" in found.flows.metadata
    assert found.flows.to_list("completion_ps")[0] > 0
