"use strict";
(() => {
  const points = JSON.parse(document.getElementById("points").textContent);
  const root = document.documentElement;
  const css = (name) => getComputedStyle(root).getPropertyValue(name).trim();

  const decoded = (text, Numbers) => new Numbers(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
  const singles = (text) => Array.from(decoded(text, Float32Array));
  const doubles = (text) => Array.from(decoded(text, Float64Array));

  // [how many of the unit are a second, its name], for numbers up to `most` seconds.
  const unitOf = (most) => {
    if (most >= 1) return [1, "s"];
    if (most >= 1e-3) return [1e3, "ms"];
    if (most >= 1e-6) return [1e6, "us"];
    return [1e9, "ns"];
  };
  // [how many bits per second the unit is, its name], for rates up to `most` of them.
  const bitRateUnitOf = (most) =>
    [[1e12, "Tbps"], [1e9, "Gbps"], [1e6, "Mbps"], [1e3, "kbps"]].find(([size]) => most >= size) ?? [1, "bps"];
  const bytes = (n) => {
    const [size, unit] = [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"]].find(([size]) => n >= size) ?? [1, "B"];
    return `${short(n / size)} ${unit}`;
  };
  const most = (numbers) => numbers.reduce((a, b) => (Number.isFinite(b) && Math.abs(b) > a ? Math.abs(b) : a), 0);
  const scaled = (numbers, factor) => numbers.map((n) => (Number.isFinite(n) ? n * factor : null));
  const short = (n) => (n == null ? "-" : Number(n.toPrecision(5)).toLocaleString("en", { maximumSignificantDigits: 5 }));

  // What a chart is: its lines, the labels of its axes, the range of x, and the points to draw between two x.
  // Measured is drawn first and broad, simulated over it and fine, so that both are seen where they agree.
  const sides = (count, broad) => (count === 3
    ? [["measured", "--measured", broad, "80"], ["simulated", "--simulated", 2, ""], ["next best", "--other", 1, ""]] : count === 2
    ? [["measured", "--measured", broad, "80"], ["simulated", "--simulated", 2, ""]] : [["delay", "--simulated", 2, ""]]);
  const measuredFirst = (lines) => [...lines].reverse();
  const kinds = {
    completions(source, log) {
      const chart = kinds.cumulated(source, log);
      const [, unit] = unitOf(most(singles(source.distribution.delays)));
      return { ...chart, lines: [["flows", "--simulated", 2]], x: `completion time (${unit})`, y: "part of the flows" };
    },
    slowdowns({ slowdowns: [size, p50, p95, p99] }, log) {
      return {
        lines: [["p50", "--simulated", 2], ["p95", "--measured", 2], ["p99", "--other", 2]], x: "size of the flow", xText: bytes,
        y: "completion time / ideal", log, logY: log, canLog: true, dotted: [0, 1, 2], data: [size, p50, p95, p99],
      };
    },
    queues: ({ queues, flows }) => perFlow(queues, flows, "waiting", () => [1, "packets"]),
    marks: ({ marks }) => counts(marks, `packets marked per ${short(marks.width)} s`, 1, ["marked", "--measured"]),
    cumulated({ distribution }, log) {
      const delays = singles(distribution.delays);
      const [factor, unit] = unitOf(most(delays));
      const x = scaled(delays, factor);
      const lines = distribution.cumulated.map(singles);
      const from = log ? x.findIndex((n) => n > 0) : 0;
      // No packet is faster than the fastest.
      if (!log) { x.unshift(x[0]); lines.forEach((line) => line.unshift(0)); }
      return {
        lines: sides(lines.length, 6), x: `delay (${unit})`, y: "part of the packets", yRange: [0, 1], log,
        canLog: x[x.length - 1] > 0, stepped: true,
        data: [x.slice(from), ...measuredFirst(lines).map((line) => line.slice(from))],
      };
    },
    quantiles({ distribution }, log) {
      let [measured, simulated] = distribution.quantiles.map(singles);
      const [factor, unit] = unitOf(Math.max(most(measured), most(simulated)));
      [measured, simulated] = [scaled(measured, factor), scaled(simulated, factor)];
      if (log) {
        const positive = measured.map((n, i) => n > 0 && simulated[i] > 0);
        [measured, simulated] = [measured, simulated].map((all) => all.filter((_, i) => positive[i]));
      }
      return {
        lines: [["simulated quantile", "--simulated"], ["equal", "--diagonal"]], x: `measured quantile (${unit})`,
        y: `simulated quantile (${unit})`, dots: [0], dashed: [1], log, logY: log, canLog: most(measured) > 0,
        data: [measured, simulated, measured],
      };
    },
    errors({ distribution }) {
      const { errors, errors_from: from, errors_width: width } = distribution;
      const [factor, unit] = unitOf(Math.max(Math.abs(from), Math.abs(from + width * errors.length)));
      const x = errors.map((_, bin) => (from + (bin + 0.5) * width) * factor);
      return {
        lines: [["packets", "--simulated"]], x: `simulated - measured (${unit})`, y: "packets", bars: true,
        margin: (width * factor) / 2, zero: true, data: [x, errors],
      };
    },
    delays({ delays }) {
      const levels = delays.times ? pointLevels(delays) : bucketLevels(delays);
      return {
        lines: sides(levels.lines, 1).map(([label, colour]) => [label, colour, 1, levels.lines > 1 ? "b0" : ""]), x: "time sent (s)", y: `delay (${levels.unit})`, zero: levels.zero, tall: true,
        range: levels.range, dataFor: levels.dataFor,
      };
    },
    rate: ({ rate }) => counts(rate, "packets per second", 1 / rate.width, ["packets", "--simulated"]),
    bits: ({ bits }) => bitRate(bits),
    both_goodputs: ({ goodput }) => bitRate(goodput),
    losses: ({ losses }) => counts(losses, `packets lost per ${short(losses.width)} s`, 1),
    loss: ({ training, validation }) => ({
      lines: [["training", "--simulated", 2], ["validation", "--measured", 2]], x: "pass", y: "loss",
      data: [training.map((_, pass) => pass + 1), training, validation],
    }),
    scatter({ measured, simulated }, log) {
      const [factor, unit] = unitOf(Math.max(most(measured), most(simulated)));
      let [x, y] = [scaled(measured, factor), scaled(simulated, factor)];
      if (log) {
        const positive = x.map((n, i) => n > 0 && y[i] > 0);
        [x, y] = [x, y].map((all) => all.filter((_, i) => positive[i]));
      }
      return {
        lines: [["predicted", "--simulated"], ["equal", "--diagonal"]], x: `measured delay (${unit})`,
        y: `predicted delay (${unit})`, dots: [0], dashed: [1], log, logY: log, canLog: most(measured) > 0, data: [x, y, x],
      };
    },
    // What is cumulated above each delay.
    tail({ distribution }) {
      const delays = singles(distribution.delays);
      const [factor, unit] = unitOf(most(delays));
      const above = distribution.cumulated.map((line) => singles(line).map((part) => (part < 1 ? 1 - part : null)));
      return {
        lines: sides(above.length, 6), x: `delay (${unit})`, y: "part of the packets beyond", logY: true, stepped: true,
        data: [scaled(delays, factor), ...measuredFirst(above)],
      };
    },
    sojourns({ measured, simulated, rate }) {
      const all = [rate, measured, simulated].map((dots) => dots.map(singles));
      const [factor, unit] = unitOf(Math.max(...all.map(([, sojourns]) => most(sojourns))));
      const shown = all.map(([waiting, sojourns]) => [waiting, scaled(sojourns, factor)]);
      return {
        lines: [["backlog / rate", "--diagonal", 2], ["measured", "--measured"], ["simulated", "--simulated"]],
        x: "waiting as the packet arrives (B)", y: `sojourn time (${unit})`, dots: [1, 2], gaps: [0], tall: true, zero: true,
        data: joined(shown),
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
        lines, x: "waiting as the packet arrives (B)", y: "part lost or marked", zero: true, data, dotted: [2],
        bands: [{ series: [2, 1], colour: "--measured" }],
      };
    },
    cwnd: ({ cwnd, flows }) => perFlow(cwnd, flows, "congestion window", () => [1, "segments"]),
    rtt: ({ rtt, flows }) => perFlow(rtt, flows, "smoothed round-trip time", unitOf),
    goodput({ goodput, flows }) {
      const perSecond = 8 / goodput.width;
      const [size, unit] = bitRateUnitOf(most(goodput.counts.flat()) * perSecond);
      const { lines, data, ...rest } = counts(goodput, unit, perSecond / size);
      return { ...rest, lines: flowLines(flows), data: [data[0], ...measuredFirst(data.slice(1))] };
    },
    drops: ({ drops }) => counts(drops, `packets dropped per ${short(drops.width)} s`, 1, ["dropped", "--measured"]),
  };

  // Marks of a logarithmic axis: 1 to 9 times each power of ten; even steps where little is in sight.
  function logMarks(min, max) {
    if (!(min > 0)) return [];
    if (max < 4 * min) {
      const step = Number(((max - min) / 4).toExponential(0));
      const first = Math.ceil(min / step);
      return Array.from({ length: 6 }, (_, i) => (first + i) * step).filter((n) => n <= max);
    }
    const marks = [];
    for (let ten = Math.floor(Math.log10(min)); ten <= Math.log10(max); ten++) {
      for (let n = 1; n < 10; n++) marks.push(Number(`${n}e${ten}`));
    }
    return marks.filter((n) => n >= min && n <= max);
  }
  // Of these as many have a text as fit: all, those that begin with 1, 2 or 5, with 1, or every so many powers of ten.
  function logTexts(marks, room) {
    const leads = (digits) => (n) => digits.includes(n.toExponential()[0]);
    const fitting = ["123456789", "125", "1"].map(leads).find((has) => marks.filter(has).length <= room);
    const ten = Math.ceil(marks.filter(leads("1")).length / room);
    const has = fitting ?? ((n) => leads("1")(n) && Math.round(Math.log10(n)) % ten === 0);
    return marks.map((n) => (has(n) ? n : null));
  }

  // Lines with points of their own on one axis: where a line has none, there is a gap.
  function joined(lines) {
    const points = lines.flatMap(([x, y], line) => x.map((at, i) => [at, line, y[i]]));
    points.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    return [points.map(([at]) => at), ...lines.map((_, line) => points.map(([, of, y]) => (of === line ? y : null)))];
  }

  // Bytes per window as bits per second.
  function bitRate(bytes) {
    const perSecond = 8 / bytes.width;
    const [size, unit] = bitRateUnitOf(most(bytes.counts.flat()) * perSecond);
    return counts(bytes, unit, perSecond / size, ["bits", "--simulated"]);
  }
  function counts({ start, width, counts }, y, factor, one) {
    const x = counts[0].map((_, window) => start + (window + 0.5) * width);
    return {
      lines: counts.length === 2 ? sides(2, 4) : [one], x: "time (s)", y, zero: true, margin: width / 2,
      data: [x, ...measuredFirst(counts).map((side) => side.map((count) => count * factor))],
    };
  }

  const flowLines = (flows) => flows.map((name, flow) => [name, `--flow${flow}`, 1.5]);

  // A line for each flow, by extremes of buckets.
  function perFlow(series, flows, name, unitFor) {
    const { least, greatest } = series;
    // What is turned round twice stays.
    const levels = bucketLevels({ ...series, least: [...least].reverse(), greatest: [...greatest].reverse() }, unitFor);
    return {
      lines: flowLines(flows), x: "time (s)", y: `${name} (${levels.unit})`, zero: true, tall: true,
      range: levels.range, dataFor: levels.dataFor,
    };
  }

  // Every point is known: those in sight, or the extremes of each pixel.
  function pointLevels({ times, lines }) {
    const x = doubles(times);
    const raw = measuredFirst(lines.map(singles));
    const [factor, unit] = unitOf(Math.max(...raw.map(most)));
    const y = raw.map((line) => scaled(line, factor));
    const place = (at) => {
      let [low, high] = [0, x.length];
      while (low < high) {
        const middle = (low + high) >> 1;
        if (x[middle] < at) low = middle + 1;
        else high = middle;
      }
      return low;
    };
    const dataFor = (min, max, width) => {
      const from = Math.max(0, place(min) - 1);
      const to = Math.min(x.length, place(max) + 2);
      if (to - from <= 2 * width) return [x.slice(from, to), ...y.map((line) => line.slice(from, to))];
      const size = (max - min) / width;
      const least = y.map(() => []), greatest = y.map(() => []), starts = [];
      let bucket = -Infinity;
      for (let i = from; i < to; i++) {
        const here = Math.floor((x[i] - min) / size);
        if (here !== bucket) {
          bucket = here;
          starts.push(min + here * size);
          y.forEach((line, l) => { least[l].push(line[i]); greatest[l].push(line[i]); });
        } else {
          const last = starts.length - 1;
          y.forEach((line, l) => {
            if (line[i] < least[l][last]) least[l][last] = line[i];
            if (line[i] > greatest[l][last]) greatest[l][last] = line[i];
          });
        }
      }
      return sticks(starts, size, least, greatest);
    };
    return { lines: y.length, unit, range: [x[0], x[x.length - 1]], dataFor, zero: isPositive(y) };
  }

  // Extremes of buckets are known: coarser levels by pairs, and of these the one that has a bucket per pixel or two.
  function bucketLevels({ start, width, least, greatest }, unitFor = unitOf) {
    const [lows, highs] = [least, greatest].map((lines) => measuredFirst(lines.map(singles)));
    const [factor, unit] = unitFor(Math.max(...highs.map(most), ...lows.map(most)));
    const levels = [{ width, lows: lows.map((l) => scaled(l, factor)), highs: highs.map((l) => scaled(l, factor)) }];
    const paired = (line, better) => {
      const half = new Array(Math.ceil(line.length / 2));
      for (let i = 0; i < half.length; i++) {
        const [a, b] = [line[2 * i], line[2 * i + 1]];
        half[i] = a == null ? (b ?? null) : b == null ? a : better(a, b);
      }
      return half;
    };
    while (levels[levels.length - 1].lows[0].length > 256) {
      const finer = levels[levels.length - 1];
      levels.push({
        width: 2 * finer.width,
        lows: finer.lows.map((line) => paired(line, Math.min)),
        highs: finer.highs.map((line) => paired(line, Math.max)),
      });
    }
    const dataFor = (min, max, pixels) => {
      const level = levels.find((level) => (max - min) / level.width <= pixels) ?? levels[levels.length - 1];
      const from = Math.max(0, Math.floor((min - start) / level.width) - 1);
      const to = Math.min(level.lows[0].length, Math.ceil((max - start) / level.width) + 1);
      const starts = [];
      for (let i = from; i < to; i++) starts.push(start + i * level.width);
      const cut = (lines) => lines.map((line) => line.slice(from, to));
      return sticks(starts, level.width, cut(level.lows), cut(level.highs));
    };
    const end = start + width * lows[0].length;
    return { lines: lows.length, unit, range: [start, end], dataFor, zero: isPositive(levels[0].lows) };
  }

  const isPositive = (lines) => lines.every((line) => line.every((n) => n == null || n >= 0));

  // Two points for each bucket: a line through them shows its extremes.
  function sticks(starts, width, least, greatest) {
    const x = [];
    for (const start of starts) x.push(start + width / 4, start + (3 * width) / 4);
    const lines = least.map((lows, l) => {
      const line = [];
      lows.forEach((low, i) => line.push(low, greatest[l][i]));
      return line;
    });
    return [x, ...lines];
  }

  const charts = [];

  function build(figure) {
    const plot = figure.querySelector(".plot");
    const source = figure.dataset.of.split(".").reduce((all, key) => all[key], points);
    const bar = document.createElement("div");
    bar.className = "bar";
    plot.before(bar);
    let log = ["completions", "slowdowns"].includes(figure.dataset.kind), spec, u, full, view;
    const height = () => (spec.tall ? 340 : 280);
    const width = () => Math.max(240, plot.clientWidth);

    const draw = () => {
      spec = kinds[figure.dataset.kind](source, log);
      const margin = spec.margin ?? 0;
      const last = spec.data && spec.data[0].length - 1;
      full = spec.range ?? [spec.data[0][0] - margin, spec.data[0][last] + margin];
      if (!(full[1] > full[0])) full = spec.log ? [full[0] * 0.9, full[0] * 1.1] : [full[0] - 1e-6, full[0] + 1e-6];
      view = full;
      if (u) u.destroy();
      u = new uPlot(options(), dataFor(full), plot);
      plot.querySelectorAll(".u-legend th").forEach((head) => {
        head.tabIndex = 0;
        head.addEventListener("keydown", (event) => {
          if (event.key === "Enter" || event.key === " ") { event.preventDefault(); event.stopPropagation(); head.click(); }
        });
      });
    };
    const dataFor = ([min, max]) => (spec.dataFor ? spec.dataFor(min, max, width()) : spec.data);
    const zoom = (min, max) => {
      const least = (full[1] - full[0]) * 1e-7;
      min = Math.max(full[0], min);
      max = Math.min(full[1], max);
      if (!(max - min > least)) return;
      view = [min, max];
      u.batch(() => {
        u.setData(dataFor(view), false);
        u.setScale("x", { min, max });
      });
    };
    // By a part of what is in sight: on a logarithmic axis that is a part of the logarithm.
    const to = spec => (n) => (spec.log ? Math.log(n) : n), from = spec => (n) => (spec.log ? Math.exp(n) : n);
    const move = (left, right) => {
      const [min, max] = view.map(to(spec));
      let [a, b] = [min + left * (max - min), max + right * (max - min)];
      const [first, last] = full.map(to(spec));
      // A pan stops at the ends and keeps its width.
      if (left === right) {
        const shift = Math.min(Math.max(a, first), last - (b - a)) - a;
        [a, b] = [a + shift, b + shift];
      }
      zoom(from(spec)(a), from(spec)(b));
    };
    const reset = () => zoom(full[0], full[1]);

    const options = () => {
      // `room`: the space of a text, in pixels.
      const axis = (label, size, log, room, text) => ({
        label, size, labelSize: 22, stroke: () => css("--ink"), font: "12px system-ui, sans-serif", labelFont: "12px system-ui, sans-serif",
        grid: { stroke: () => css("--grid"), width: 1 }, ticks: { stroke: () => css("--grid"), width: 1 },
        values: (_, splits) => splits.map((n) => (n == null ? "" : text(n))),
        ...(log && {
          splits: (_, axis, min, max) => logMarks(min, max),
          filter: (u, splits, axis) => logTexts(splits, Math.max(2, (axis ? u.bbox.height : u.bbox.width) / devicePixelRatio / room)),
        }),
      });
      const plain = (n) => n.toLocaleString("en", { maximumSignificantDigits: 6 });
      const series = spec.lines.map(([label, colour, width = 1, alpha = ""], line) => ({
        label, stroke: () => css(colour) + alpha, width, value: (_, n) => short(n),
        dash: spec.dashed?.includes(line) ? [6, 4] : undefined,
        points: { show: (spec.dots ?? spec.dotted)?.includes(line) ?? false, size: spec.gaps ? 3 : 5, fill: () => css(colour) },
        spanGaps: spec.gaps?.includes(line) ?? false,
        paths: spec.bars ? uPlot.paths.bars({ size: [1, Infinity] }) : spec.dots?.includes(line) ? () => null
          : spec.stepped ? uPlot.paths.stepped({ align: 1 }) : uPlot.paths.linear(),
        fill: spec.bars ? () => css(colour) + "80" : undefined,
      }));
      const yRange = spec.yRange ? () => spec.yRange : spec.logY ? undefined
        : (_, min, max) => {
          if (min == null) return [0, 1];
          const pad = (max - min || Math.abs(max) || 1) * 0.05;
          return [spec.zero ? Math.min(0, min) : min - pad, max + pad];
        };
      return {
        width: width(), height: height(), padding: [8, 20, 0, 0],
        bands: spec.bands?.map(({ series, colour }) => ({ series, fill: () => css(colour) + "40" })),
        series: [{ label: spec.x, value: (_, n) => (spec.xText && n != null ? spec.xText(n) : short(n)) }, ...series],
        scales: {
          x: { time: false, distr: spec.log ? 3 : 1, range: (_, min, max) => [min ?? 0, max ?? 1] },
          y: { distr: spec.logY ? 3 : 1, range: yRange },
        },
        axes: [axis(spec.x, 34, spec.log, 60, spec.xText ?? plain), axis(spec.y, 62, spec.logY, 24, plain)],
        cursor: {
          drag: { x: true, y: false, setScale: false },
          bind: { dblclick: () => () => { reset(); return null; } },
        },
        legend: { live: true },
        hooks: {
          ready: [(u) => u.setScale("x", { min: full[0], max: full[1] })],
          setSelect: [(u) => {
            if (u.select.width < 4) return;
            const [min, max] = [u.posToVal(u.select.left, "x"), u.posToVal(u.select.left + u.select.width, "x")];
            u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
            zoom(min, max);
          }],
        },
      };
    };

    draw();
    const button = (text, label, act) => {
      const element = document.createElement("button");
      element.type = "button";
      element.textContent = text;
      element.title = label;
      element.setAttribute("aria-label", label);
      element.addEventListener("click", () => act(element));
      bar.append(element);
      return element;
    };
    if (spec.canLog) {
      button("log", "Logarithmic axis", (element) => {
        log = !log;
        element.setAttribute("aria-pressed", log);
        draw();
      }).setAttribute("aria-pressed", log);
    }
    button("+", "Zoom in", () => move(0.25, -0.25));
    button("\u2212", "Zoom out", () => move(-0.5, 0.5));
    button("\u2190", "Earlier, or less", () => move(-0.25, -0.25));
    button("\u2192", "Later, or more", () => move(0.25, 0.25));
    button("all", "Show all", reset);
    plot.setAttribute("aria-label", `${plot.getAttribute("aria-label")} Keys: plus and minus zoom, arrows move, 0 shows all.`);
    plot.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const act = {
        "+": () => move(0.25, -0.25), "=": () => move(0.25, -0.25), "-": () => move(-0.5, 0.5),
        ArrowLeft: () => move(-0.2, -0.2), ArrowRight: () => move(0.2, 0.2), 0: reset, Home: reset, Escape: reset,
      }[event.key];
      if (act) { event.preventDefault(); act(); }
    });
    const chart = {
      kind: figure.dataset.kind, of: figure.dataset.of,
      get view() { return view; },
      get full() { return full; },
      get drawn() { return u.data[0].length; },
      get texts() { return u.axes.map((axis) => axis._values.filter(Boolean)); },
      resize() {
        u.setSize({ width: width(), height: height() });
        zoom(view[0], view[1]);
      },
      redraw: () => u.redraw(false, true),
    };
    let known = width();
    new ResizeObserver(() => {
      if (width() !== known) { known = width(); chart.resize(); }
    }).observe(plot);
    charts.push(chart);
  }

  function rows(box) {
    const SHOWN = 100;
    const body = box.querySelector("tbody");
    const all = [...body.rows];
    const texts = all.map((row) => row.textContent.toLowerCase());
    const heads = [...box.querySelectorAll("thead th")];
    const [input, shown, more] = ["input", ".shown", ".all"].map((name) => box.querySelector(name));
    let order = all.map((_, i) => i), everything = false;
    const show = () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      const found = order.filter((i) => words.every((word) => texts[i].includes(word)));
      const visible = everything ? found : found.slice(0, SHOWN);
      body.replaceChildren(...visible.map((i) => all[i]));
      shown.textContent = `${visible.length} of ${found.length} rows` + (words.length ? ` (${all.length} without the filter)` : "");
      more.hidden = visible.length === found.length;
    };
    const compare = (column, a, b) => {
      const [x, y] = [all[a].cells[column], all[b].cells[column]];
      const [i, j] = [x.dataset.key, y.dataset.key];
      if (i != null && j != null) return i - j;
      // What has no number goes last, whichever way.
      if (i != null || j != null) return null;
      return x.textContent.localeCompare(y.textContent, "en", { numeric: true });
    };
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const first = head.classList.contains("number") ? "descending" : "ascending";
        const other = first === "ascending" ? "descending" : "ascending";
        const direction = head.getAttribute("aria-sort") === first ? other : first;
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", direction);
        const sign = direction === "ascending" ? 1 : -1;
        order.sort((a, b) => {
          const less = compare(column, a, b);
          if (less == null) return all[a].cells[column].dataset.key == null ? 1 : -1;
          return sign * less || a - b;
        });
        show();
      });
    });
    input.addEventListener("input", show);
    more.addEventListener("click", () => { everything = true; show(); });
    box.querySelector(".tools").hidden = all.length < 2;
    // On paper a filter has no say, but a thousand rows would have none either.
    show();
  }

  const theme = document.getElementById("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const themed = () => {
    theme.textContent = isDark() ? "Light" : "Dark";
    theme.setAttribute("aria-label", `Show in ${isDark() ? "light" : "dark"} colours`);
    charts.forEach((chart) => chart.redraw());
  };
  theme.hidden = false;
  theme.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    themed();
  });
  system.addEventListener("change", themed);

  // Paper is white, whatever the screen is.
  let screen;
  addEventListener("beforeprint", () => {
    screen = root.dataset.theme;
    root.dataset.theme = "light";
    charts.forEach((chart) => chart.redraw());
  });
  addEventListener("afterprint", () => {
    if (screen) root.dataset.theme = screen;
    else delete root.dataset.theme;
    charts.forEach((chart) => chart.redraw());
  });

  document.querySelectorAll("figure.chart").forEach(build);
  document.querySelectorAll(".rows").forEach(rows);
  themed();
  // Charts have pushed down what the address points at.
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
  // For tests, and for the curious.
  window.taunet = { charts };
})();
