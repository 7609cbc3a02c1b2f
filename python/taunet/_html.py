"""How objects look in a notebook."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._captures import Calibration, Comparison
    from ._learned import TrainedModel
    from ._topology import Topology

_MOST_DEVICES = 200


def time(seconds: float | None) -> str:
    """A time with a unit that fits: `620.670 us`."""
    if seconds is None:
        return "undefined"
    for factor, unit in ((1.0, "s"), (1e3, "ms"), (1e6, "us"), (1e9, "ns")):
        if abs(seconds) * factor >= 1 or unit == "ns":
            return f"{seconds * factor:.3f} {unit}"
    return ""


def rate(bps: float | None) -> str:
    """A rate with a unit that fits: `9.820 Mbps`."""
    if bps is None:
        return "undefined"
    for factor, unit in ((1e9, "Gbps"), (1e6, "Mbps"), (1e3, "kbps")):
        if abs(bps) >= factor:
            return f"{bps / factor:.3f} {unit}"
    return f"{bps:.3f} bps"


def _cell(value: object) -> str:
    return escape(f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value))


def _table(rows: list[list[object]], head: list[str] | None = None) -> str:
    title = "<thead><tr>" + "".join(f"<th>{escape(name)}</th>" for name in head) + "</tr></thead>" if head else ""
    body = "".join(
        "<tr><th>" + _cell(row[0]) + "</th>" + "".join(f"<td>{_cell(cell)}</td>" for cell in row[1:]) + "</tr>" for row in rows
    )
    return f"<table>{title}<tbody>{body}</tbody></table>"


def topology(found: Topology) -> str:
    """Counts, and a picture unless the network is large."""
    numbers = found.statistics
    bandwidths = ", ".join(f"{it['directions'] / 2:g} x {it['bandwidth']}" for it in numbers["bandwidths"])
    rows: list[list[object]] = [
        ["devices", f"{numbers['devices']:,}"],
        ["hosts, switches, routers", f"{numbers['hosts']:,}, {numbers['switches']:,}, {numbers['routers']:,}"],
        ["links", numbers["links"]],
        ["diameter", f"{numbers['diameter']}{'' if numbers['diameter_is_exact'] else ' or more'} links"],
        ["bandwidth", bandwidths],
    ]
    picture = found.to_svg() if numbers["devices"] <= _MOST_DEVICES else ""
    return f"<p><b>{escape(found.name)}</b></p>{_table(rows)}<div style='max-width:40em'>{picture}</div>"


_QUANTILES = (("mean", "mean"), ("p50", "p50"), ("p90", "p90"), ("p99", "p99"), ("p99.9", "p999"))


def summary(found: dict[str, Any]) -> str:
    """The figures of a run."""
    packets = found["packets"]
    rows: list[list[object]] = [
        ["packets", f"{packets['injected']:,} injected, {packets['delivered']:,} delivered, {packets['dropped']:,} dropped"],
        ["flows", found["flows"]],
        ["simulated", f"{time(found['simulated_s'])}, in {time(found['wall_s'])}"],
    ]
    if found.get("loss_ratio") is not None:
        rows.append(["loss", f"{100 * found['loss_ratio']:.3f} %"])
    rows.append(["offered, carried", f"{rate(found.get('offered_bps'))}, {rate(found.get('carried_bps'))}"])
    delay = found.get("delay_s")
    if delay:
        rows.append(["delay", ", ".join(f"{name} {time(delay[key])}" for name, key in _QUANTILES if key in delay)])
    rows += [["engine", found["engine"]], ["seed", str(found["seed"])], ["fingerprint", found["fingerprint"]]]
    said = "".join(f"<p>warning: {escape(warning)}</p>" for warning in found["warnings"])
    text = f"<p><b>{escape(found['scenario'])}</b></p>{_table(rows)}{said}"
    for measured in found["measured"]:
        title = f"{measured['vantage']} against {measured['capture']}: {measured['matched']:,} packets matched"
        text += f"<p>{escape(title)}</p>{_sides(measured, 'simulated', 'measured')}"
    return text


def _sides(found: dict[str, Any], left: str, right: str) -> str:
    delays = found.get("delay_s")
    if not delays:
        return ""
    rows: list[list[object]] = []
    for name, key in _QUANTILES:
        one, two = delays[left].get(key), delays[right].get(key)
        base, new = (two, one) if right == "measured" else (one, two)
        change = f"{100 * (new - base) / base:+.3f} %" if base and new is not None else "undefined"
        rows.append([name, time(one), time(two), change])
    metrics = ("w1_normalized", "pearson", "spearman", "ks")
    said = ", ".join(f"{name} {found[name]:.6f}" for name in metrics if found.get(name) is not None)
    return _table(rows, ["delay", left, right, "error" if right == "measured" else "change"]) + f"<p>{said}</p>"


def comparison(found: Comparison) -> str:
    """The figures of a comparison."""
    numbers = found.summary
    if found.kind == "run and capture":
        measured = numbers["measured"]
        title = f"{measured['vantage']} against {measured['capture']}: {measured['matched']:,} packets matched"
        return f"<p><b>{escape(title)}</b></p>{_sides(measured, 'simulated', 'measured')}"
    if found.kind == "runs":
        title = f"{numbers['matched']:,} packets delivered in both runs"
        return f"<p><b>{title}</b></p>{_sides(numbers, 'first', 'second')}"
    rows: list[list[object]] = [
        ["packets", f"{numbers['packets_first']:,} in the first capture, {numbers['packets_second']:,} in the second"],
        ["matched", numbers["matched"]],
        ["lost", numbers["lost"]],
        ["reordered", numbers["reordered"]],
    ]
    delay = numbers.get("delay_s")
    if delay:
        rows += [[f"delay, {name}", time(delay[key])] for name, key in _QUANTILES]
    rows.append(["jitter", time(numbers.get("jitter_s"))])
    return f"<p><b>two captures of one path</b></p>{_table(rows)}"


def calibration(found: Calibration) -> str:
    """The device, and how close it comes."""
    numbers = found.summary
    model = numbers["model"]
    score = numbers["held_out"] or numbers["in_sample"]
    rows: list[list[object]] = [
        ["discipline", found.discipline],
        ["bottleneck", found.bottleneck],
        ["rate", rate(model["rate_bps"])],
        ["packets", f"{numbers['packets']['matched']:,} matched, {numbers['packets']['lost']:,} lost"],
    ]
    if score.get("w1_normalized") is not None:
        rows.append(["w1_normalized", f"{score['w1_normalized']:.6f}"])
    unknown = "".join(f"<p>not identified: {escape(it)}</p>" for it in numbers["not_identified"])
    return f"<p><b>calibrated device</b></p>{_table(rows)}{unknown}"


def trained(found: TrainedModel) -> str:
    """How close a model is to its data."""
    head = ["data", "part", "output", "packets", "pearson", "w1_normalized", "mean absolute error"]
    rows: list[list[object]] = []
    for row in found.scores:
        metrics = ("undefined" if row[name] is None else f"{row[name]:.5f}" for name in ("pearson", "w1_normalized"))
        rows.append([row["data"], row["part"], row["output"], row["packets"], *metrics, time(1e-6 * row["mae_us"])])
    training = found.card["training"]
    said = f"{training['parameters']:,} weights, {training['epochs_in_all']} epochs in {training['seconds']:.0f} s"
    return f"<p><b>{escape(str(found.path))}</b>: {said}</p>{_table(rows, head)}"
