// What each kind of chart shows. A kind takes its source and the state of its chart, and gives
//
// - `lines`: [label, colour, width, opacity as two hexadecimal digits, dash] of each, in the order in which they are drawn;
// - `x` and `y`: the labels of the axes, with their units;
// - `data`: x and the lines; or `dataFor` (of the range in sight and pixels) and `range`;
// - how they are drawn: `log`, `logY`, `canLog`, `dots`, `dotted`, `dashed`, `bars`, `bands`, `stepped`, `zero`, `yRange`,
//   `margin` (on either side of the points), `tall`, `sparse` (dots where a line has few points between gaps), `hidden` (lines without a place in the key);
// - `remark`: what a reader has to know beside the title's note.

// The reference is drawn first and broad, the subject over it and fine, so that both are seen where they agree.
const sides = (count, broad, alpha = "80") => (count === 3
  ? [[REFERENCE, "--measured", broad, alpha], [SUBJECT, "--simulated", 2], ["next best", "--other", 1]] : count === 2
  ? [[REFERENCE, "--measured", broad, alpha], [SUBJECT, "--simulated", 2]] : [["delay", "--simulated", 2]]);
// Sources have the subject first.
const referenceFirst = (lines) => [...lines].reverse();

// Colours and dashes of lines that are chosen by name: 8 colours, and another dash for each further 8.
const DASHES = [undefined, [7, 3], [2, 3], [8, 3, 2, 3]];
const nameStyle = (place) => [`--flow${place % 8}`, DASHES[Math.floor(place / 8) % DASHES.length]];
const namedLines = (names, places, width = 1.5) => places.map((place) => {
  const [colour, dash] = nameStyle(place);
  return [names[place], colour, width, "", dash];
});
// The lines of both sides for each chosen name; for one name, in the colours of the sides.
const namedSides = (names, places, count) => places.flatMap((place) => {
  const [colour, dash] = nameStyle(place);
  if (count === 1) return [[names[place], colour, 1.5, "", dash]];
  if (places.length === 1) return sides(2, 5).map(([side, ...style]) => [`${names[place]}, ${side}`, ...style]);
  return [[`${names[place]}, ${REFERENCE}`, colour, 5, "60"], [`${names[place]}, ${SUBJECT}`, colour, 1.5, "", dash]];
});

// The groups of a chart's source that are shown, if any are; and the places of those chosen.
const grouped = (source, state) => (state.by ? [source.by[state.by], [...state.chosen[state.by]].sort((a, b) => a - b)] : []);

// [delays, fractions above each of every line] of a distribution or of the chosen groups.
function tails(source, state) {
  const [group, places] = grouped(source, state);
  const of = ({ delays, above }) => {
    const x = singles(delays);
    return referenceFirst(above.map(singles)).map((line) => [x, line]);
  };
  if (!group) {
    const lines = of(source.distribution);
    return { lines: lines.map(([, line]) => line), x: lines[0][0], styles: sides(lines.length, 6) };
  }
  const all = places.flatMap((place) => of(group.distributions[place]));
  const count = all.length / places.length;
  const [x, ...lines] = joinedSteps(all, 1);
  return { lines, x, styles: namedSides(group.names, places, count) };
}

function cumulated(source, state, x, y) {
  const { lines, x: delays, styles } = tails(source, state);
  const [factor, unit] = unitOf(most(delays));
  const at = scaled(delays, factor);
  const fractions = lines.map((line) => line.map((above) => 1 - above));
  const from = state.log ? at.findIndex((n) => n > 0) : 0;
  // No delay is below the minimum.
  if (!state.log) { at.unshift(at[0]); fractions.forEach((line) => line.unshift(0)); }
  return {
    lines: styles, x: `${x} (${unit})`, y, yRange: [0, 1], log: state.log, canLog: at[at.length - 1] > 0, stepped: true,
    data: [at.slice(from), ...fractions.map((line) => line.slice(from))],
  };
}

function complementary(source, state, x, y) {
  const { lines, x: delays, styles } = tails(source, state);
  const [factor, unit] = unitOf(most(delays));
  const at = scaled(delays, factor);
  const from = state.log ? Math.max(0, at.findIndex((n) => n > 0)) : 0;
  const positive = at[at.length - 1] > 0;
  const above = lines.map((line) => line.map((n) => (n > 0 ? n : null)));
  return {
    lines: styles, x: `${x} (${unit})`, y, log: state.log && positive, canLog: positive, logY: true, stepped: true,
    data: [at.slice(from), ...above.map((line) => line.slice(from))],
  };
}

// Bytes or packets per window.
function perWindow({ start, width, covered = [1, 1], counts }, { styles, factor, y, isRate }) {
  const last = counts[0].length - 1;
  const [perSecond, unit] = unitOf(start + width * (last + 1));
  const remarks = [];
  // A window that the run covers in part is scaled to its length; one that it covers by less than half is left out.
  const share = counts[0].map(() => 1);
  if (isRate) {
    for (const [window, name, part] of [[0, "first", covered[0]], [last, "last", covered[1]]]) {
      if (part >= 1 || last === 0) continue;
      share[window] = part < 0.5 ? 0 : part;
      if (part < 0.995) remarks.push(`The ${name} window covers ${Number((part * 100).toPrecision(3))} % of its length and is ${part < 0.5 ? "left out" : "scaled"}.`);
    }
  }
  const kept = share.map((_, window) => window).filter((window) => share[window] > 0);
  return {
    lines: styles, x: `time (${unit})`, y, zero: true, margin: (width / 2) * perSecond, remark: remarks.join(" "),
    data: [
      kept.map((window) => (start + (window + 0.5) * width) * perSecond),
      ...counts.map((line) => kept.map((window) => (line[window] == null ? null : (line[window] * factor) / share[window]))),
    ],
  };
}
const perWindowLines = (bars) => bars.counts.map((line) => (typeof line === "string" ? singles(line) : line));
// The lines of a source over windows, or of its chosen groups.
function windows(source, key, state, one) {
  const [group, places] = grouped(source, state);
  if (!group) {
    const counts = referenceFirst(perWindowLines(source[key]));
    return [{ ...source[key], counts }, counts.length === 2 ? sides(2, 4) : [one]];
  }
  const counts = perWindowLines(group[key]);
  const of = counts.length / group.names.length;
  const chosen = places.flatMap((place) => referenceFirst(counts.slice(place * of, (place + 1) * of)));
  return [{ ...group[key], counts: chosen }, namedSides(group.names, places, of)];
}
function bitRate([bars, styles]) {
  const perSecond = 8 / bars.width;
  const [size, unit] = bitRateUnitOf(mostOf(bars.counts) * perSecond);
  return perWindow(bars, { styles, factor: perSecond / size, y: unit, isRate: true });
}
function packetRate([bars, styles]) {
  const [size, unit] = countUnitOf(mostOf(bars.counts) / bars.width);
  return perWindow(bars, { styles, factor: 1 / bars.width / size, y: `${unit}packets per second`, isRate: true });
}
// Events per window, in percent of the packets of the window; `of` has both.
function percent({ start, width, counts, of }, styles) {
  const ratio = (line, side) => line.map((n, window) => (of[side][window] > 0 ? (100 * n) / of[side][window] : null));
  const lines = referenceFirst(counts.map(ratio));
  return perWindow({ start, width, counts: lines }, { styles, factor: 1, y: "loss (%)" });
}

// Delays of a source over time, or of its chosen groups.
function overTime(source, state) {
  const [group, places] = grouped(source, state);
  if (!group) {
    const { delays } = source;
    const turned = Object.fromEntries(["lines", "least", "greatest"].filter((key) => delays[key]).map((key) => [key, referenceFirst(delays[key])]));
    const levels = delays.times ? pointLevels({ ...delays, ...turned }) : bucketLevels({ ...delays, ...turned });
    const styles = sides(levels.lines, 3).map(([label, colour, width, alpha]) => [label, colour, Math.max(1, width - 1), alpha]);
    return levelled(levels, styles, "time sent", "delay");
  }
  const { series } = group;
  const of = series.least.length / group.names.length;
  const cut = (lines) => places.flatMap((place) => referenceFirst(lines.slice(place * of, (place + 1) * of)));
  const levels = bucketLevels({ ...series, least: cut(series.least), greatest: cut(series.greatest) });
  const styles = namedSides(group.names, places, of).map(([label, colour, , alpha, dash]) => [label, colour, 1, alpha && "b0", dash]);
  return levelled(levels, styles, "time sent", "delay");
}
const levelled = (levels, lines, x, y) => ({
  lines, x: `${x} (${levels.timeUnit})`, y: `${y} (${levels.unit})`, zero: levels.zero, tall: true, range: levels.range,
  dataFor: levels.dataFor, sparse: true,
});
// A line for each chosen name, by the extremes of buckets.
function perName(source, key, state, label, unitFor) {
  const [group, places] = grouped(source, state);
  const series = group[key];
  const cut = (lines) => places.map((place) => lines[place]);
  const levels = bucketLevels({ ...series, least: cut(series.least), greatest: cut(series.greatest) }, unitFor);
  return levelled(levels, namedLines(group.names, places), "time", label);
}
const bytesFor = (most) => {
  const [size, unit] = byteUnitOf(most);
  return [1 / size, unit];
};

// Pairs with the same quantile, or of the same packet; on a logarithmic axis the positive ones.
function pairs(x, y, { log }) {
  const [factor, unit] = unitOf(Math.max(most(x), most(y)));
  let [across, up] = [scaled(x, factor), scaled(y, factor)];
  if (log) {
    const positive = across.map((n, i) => n > 0 && up[i] > 0);
    [across, up] = [across, up].map((all) => all.filter((_, i) => positive[i]));
  }
  return { unit, dots: [0], dashed: [1], log, logY: log, canLog: most(x) > 0, data: [across, up, across] };
}

const kinds = {
  cumulated: (source, state) => cumulated(source, state, "delay", "fraction of packets"),
  ccdf: (source, state) => complementary(source, state, "delay", "fraction of packets above"),
  completions: (source, state) => ({
    ...cumulated(source, state, "completion time", "fraction of flows"), lines: [["flows", "--simulated", 2]],
  }),
  completions_ccdf: (source, state) => ({
    ...complementary(source, state, "completion time", "fraction of flows above"), lines: [["flows", "--simulated", 2]],
  }),
  slowdowns: ({ slowdowns: [size, p50, p95, p99] }, { log }) => ({
    lines: [["p50", "--simulated", 2], ["p95", "--measured", 2], ["p99", "--other", 2]], x: "size of the flow (B)", xText: bytes,
    y: "completion time / ideal", log, logY: log, canLog: true, dotted: [0, 1, 2], data: [size, p50, p95, p99],
  }),
  queues: (source, state) => perName(source, "packets", state, "queue", () => [1, "packets"]),
  queue_bytes: (source, state) => perName(source, "bytes", state, "queue", bytesFor),
  marks: ({ marks }) => perWindow(marks, {
    styles: [["marked", "--measured"]], factor: 1, y: `packets marked per ${duration(marks.width)}`,
  }),
  quantiles({ distribution }, { log }) {
    const [measured, simulated] = distribution.quantiles.map(singles);
    const { unit, ...rest } = pairs(measured, simulated, { log });
    return {
      ...rest, lines: [[`${SUBJECT} quantile`, "--simulated"], ["equal", "--diagonal"]], x: `${REFERENCE} quantile (${unit})`,
      y: `${SUBJECT} quantile (${unit})`,
    };
  },
  errors({ distribution }) {
    const { errors, errors_from: from, errors_width: width } = distribution;
    const [factor, unit] = unitOf(Math.max(Math.abs(from), Math.abs(from + width * errors.length)));
    const x = errors.map((_, bin) => (from + (bin + 0.5) * width) * factor);
    const [size, many] = countUnitOf(most(errors));
    return {
      lines: [["packets", "--simulated"]], x: `${SUBJECT} - ${REFERENCE} (${unit})`, y: `${many}packets`, bars: true,
      margin: (width * factor) / 2, zero: true, data: [x, scaled(errors, 1 / size)],
    };
  },
  delays: overTime,
  rate: (source, state) => packetRate(windows(source, "rate", state, ["packets", "--simulated"])),
  bits: (source, state) => bitRate(windows(source, "bits", state, ["bits", "--simulated"])),
  goodput: (source, state) => bitRate(windows(source, "goodput", state, ["goodput", "--simulated"])),
  losses: ({ losses }) => percent(losses, sides(2, 4)),
  drops: ({ drops }) => percent(drops, [["dropped", "--measured"]]),
  loss: ({ training, validation }) => ({
    lines: [["training", "--simulated", 2], ["validation", "--measured", 2]], x: "epoch", y: "loss",
    data: [training.map((_, pass) => pass + 1), training, validation],
  }),
  scatter({ measured, simulated }, { log }) {
    const { unit, ...rest } = pairs(measured, simulated, { log });
    return {
      ...rest, lines: [["predicted", "--simulated"], ["equal", "--diagonal"]], x: `measured delay (${unit})`,
      y: `predicted delay (${unit})`,
    };
  },
  sojourns({ measured, simulated, rate }) {
    const all = [rate, measured, simulated].map((dots) => dots.map(singles));
    const [factor, unit] = unitOf(mostOf(all.map(([, sojourns]) => sojourns)));
    const shown = all.map(([waiting, sojourns]) => [waiting, scaled(sojourns, factor)]);
    return {
      lines: [["backlog / rate", "--diagonal", 2], ["measured", "--measured"], ["simulated", "--simulated"]],
      x: "bytes waiting at the packet's arrival (B)", y: `sojourn time (${unit})`, dots: [1, 2], gaps: [0], tall: true,
      zero: true, data: joined(shown),
    };
  },
  // A metric over a parameter: for each line its mean, in a band of its confidence interval.
  sweep({ x, names, parameter, metric, lines, more }, { log }) {
    const all = lines.flatMap(({ mean, low, high }) => [low, high, mean]);
    const style = ({ name }, line) => [[`${name} from`, `--flow${line}`, 0], [`${name} to`, `--flow${line}`, 0], [name, `--flow${line}`, 2]];
    return {
      lines: lines.flatMap(style), x: parameter, y: metric, data: [x, ...all],
      log: log && !names, canLog: !names && x[0] > 0, zero: true, margin: names ? 0.3 : 0,
      dotted: lines.map((_, line) => 3 * line + 2), hidden: lines.flatMap((_, line) => [3 * line, 3 * line + 1]),
      bands: lines.map((_, line) => ({ series: [3 * line + 2, 3 * line + 1], colour: `--flow${line}` })),
      xText: names && ((n) => (Number.isInteger(n) ? names[n] ?? "" : "")),
      remark: more > 0 ? `${more} more lines are in the table of means.` : "",
    };
  },
  chance({ losses }) {
    const [waiting, measured, low, high, rule, simulated] =
      ["waiting", "measured", "low", "high", "rule", "simulated"].map((key) => singles(losses[key]));
    const lines = [["95 % from", "--measured", 0], ["to", "--measured", 0], ["measured", "--measured", 2]];
    const data = [waiting, low, high, measured];
    for (const [name, colour, line] of [["rule", "--other", rule], ["simulated", "--simulated", simulated]]) {
      if (line.length) { lines.push([name, colour, 2]); data.push(scaled(line, 1)); }
    }
    return {
      lines, x: "bytes waiting at the packet's arrival (B)", y: "fraction lost or marked", zero: true, data, dotted: [2],
      bands: [{ series: [2, 1], colour: "--measured" }],
    };
  },
  cwnd: (source, state) => perName(source, "cwnd", state, "congestion window", () => [1, "segments"]),
  rtt: (source, state) => perName(source, "rtt", state, "smoothed round-trip time", unitOf),
};
// Charts whose axis of x is logarithmic at first.
const LOG_AT_FIRST = ["completions", "slowdowns", "ccdf", "completions_ccdf"];
