// One chart: uPlot, its zoom by mouse, keys and buttons, and its controls.

const charts = [];

function build(figure) {
  const plot = figure.querySelector(".plot");
  const { kind, of } = figure.dataset;
  const title = figure.querySelector("strong").textContent;
  const source = of.split(".").reduce((all, key) => all[key], points);
  const state = stateOf(source, kind);
  const bar = document.createElement("div");
  bar.className = "bar";
  plot.before(bar);
  const remark = document.createElement("p");
  remark.className = "remark";
  plot.after(remark);
  let spec, u, full, view;
  const height = () => (spec.tall ? 340 : 280);
  const width = () => Math.max(240, plot.clientWidth);

  const draw = () => {
    const before = view && full && (view[0] > full[0] || view[1] < full[1]) && !spec.log ? view : undefined;
    spec = kinds[kind](source, state);
    remark.textContent = spec.remark ?? "";
    const margin = spec.margin ?? 0;
    const last = spec.data && spec.data[0].length - 1;
    full = spec.range ?? [spec.data[0][0] - margin, spec.data[0][last] + margin];
    if (!(full[1] > full[0])) full = spec.log ? [full[0] * 0.9, full[0] * 1.1] : [full[0] - 1e-6, full[0] + 1e-6];
    view = full;
    if (u) u.destroy();
    u = new uPlot(options(), dataFor(full), plot);
    const keys = plot.querySelectorAll(".u-legend .u-series");
    spec.hidden?.forEach((line) => { keys[line + 1].hidden = true; });
    plot.querySelectorAll(".u-legend th").forEach((head) => {
      head.tabIndex = 0;
      head.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === " ") { event.preventDefault(); event.stopPropagation(); head.click(); }
      });
    });
    return before;
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
  // By a fraction of what is in sight: on a logarithmic axis a fraction of the logarithm.
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
    // An axis is as large as its longest text. `room`: the space of a text along it, in pixels.
    const axis = (label, across, log, room, text) => ({
      label, labelSize: 22, stroke: () => css("--ink"), font: FONT, labelFont: FONT,
      size: (u, values, axis, cycle) => {
        if (cycle > 1) return u.axes[axis]._size;
        return across ? 34 : Math.ceil(Math.max(20, ...(values ?? []).map((value) => textWidth(value ?? "")))) + 18;
      },
      grid: { stroke: () => css("--grid"), width: 1 }, ticks: { stroke: () => css("--grid"), width: 1, size: 6 },
      values: (_, splits, axis, space, step) => splits.map((n) => (n == null ? "" : text ? text(n) : log ? power(n) : stepped(n, step))),
      ...(across && !log && {
        space: (_, axis, min, max) => Math.max(room, ...[min, max].map((n) => textWidth(text ? text(n) : stepped(n, (max - min) / 8)) + 20)),
      }),
      ...(log && {
        splits: (_, axis, min, max) => logMarks(min, max),
        filter: (u, splits, axis) => logTexts(splits, Math.max(2, (axis ? u.bbox.height : u.bbox.width) / devicePixelRatio / room)),
      }),
    });
    const series = spec.lines.map(([label, colour, width = 1, alpha = "", dash], line) => ({
      label, stroke: () => css(colour) + alpha, width,
      value: (_, n, series, index) => (index == null ? "" : n == null ? "none" : short(n)),
      dash: dash ?? (spec.dashed?.includes(line) ? [6, 4] : undefined),
      points: { show: (u) => hasDots(u, spec, line), size: spec.gaps || spec.sparse ? 3 : 5, fill: () => css(colour) },
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
    // Half of the last text stands beyond the end of the axis.
    const right = (u) => Math.max(20, textWidth([...(u.axes[0]._values ?? [])].reverse().find(Boolean) ?? "") / 2 + 4);
    return {
      width: width(), height: height(), padding: [8, right, 0, 0],
      bands: spec.bands?.map(({ series, colour }) => ({ series, fill: () => css(colour) + "40" })),
      series: [{
        label: spec.x, value: (_, n, series, index) => (index == null || n == null ? "" : spec.xText ? spec.xText(n) : short(n)),
      }, ...series],
      scales: {
        x: { time: false, distr: spec.log ? 3 : 1, range: (_, min, max) => [min ?? 0, max ?? 1] },
        y: { distr: spec.logY ? 3 : 1, range: yRange },
      },
      axes: [axis(spec.x, true, spec.log, 60, spec.xText), axis(spec.y, false, spec.logY, 24)],
      cursor: {
        drag: { x: true, y: false, setScale: false },
        bind: { dblclick: () => () => { reset(); return null; } },
      },
      legend: { live: true },
      hooks: {
        ready: [(u) => { u.root.classList.add("idle"); u.setScale("x", { min: full[0], max: full[1] }); }],
        // Without a cursor there is no value to show.
        setCursor: [(u) => u.root.classList.toggle("idle", u.cursor.idx == null)],
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
  const button = (box, text, label, act) => {
    const element = document.createElement("button");
    element.type = "button";
    element.textContent = text;
    element.title = label;
    element.setAttribute("aria-label", label);
    element.addEventListener("click", () => act(element));
    box.append(element);
    return element;
  };
  const group = (name) => {
    const box = document.createElement("span");
    box.className = name;
    bar.append(box);
    return box;
  };
  const choosing = group("choosing");
  choose(choosing, source, kind, state, () => {
    const before = draw();
    if (before) zoom(before[0], before[1]);
  });
  const zooming = group("zooming");
  if (spec.canLog) {
    button(zooming, "log", "Logarithmic axis", (element) => {
      state.log = !state.log;
      element.setAttribute("aria-pressed", state.log);
      draw();
    }).setAttribute("aria-pressed", state.log);
  }
  button(zooming, "+", "Zoom in", () => move(0.25, -0.25));
  button(zooming, "\u2212", "Zoom out", () => move(-0.5, 0.5));
  button(zooming, "\u2190", "Move left", () => move(-0.25, -0.25));
  button(zooming, "\u2192", "Move right", () => move(0.25, 0.25));
  button(zooming, "all", "Show all", reset);
  const saving = group("saving");
  const name = (extension) => `${[document.querySelector("h1").textContent, of, kind].join("-").replace(/[^\w.-]+/g, "_").slice(0, 100)}.${extension}`;
  const files = {
    svg: () => new Blob([chart.svg()], { type: "image/svg+xml" }),
    png: () => chart.png(),
    csv: () => new Blob([chart.csv()], { type: "text/csv" }),
  };
  for (const [extension, make] of Object.entries(files)) {
    const text = extension.toUpperCase();
    button(saving, text, `Save as ${text}`, async () => saveAs(name(extension), await make()));
  }
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
    kind, of,
    get view() { return view; },
    get full() { return full; },
    get drawn() { return u.data[0].length; },
    get data() { return u.data; },
    get labels() { return { x: spec.x, y: spec.y, lines: spec.lines.map(([label]) => label) }; },
    // An axis without a scale, as of a chart whose lines have no point, has no text.
    get texts() { return u.axes.map((axis) => (axis._values ?? []).filter(Boolean)); },
    // For each axis: the pixels that its longest text takes, and those that it has.
    get room() {
      return u.axes.map((axis, place) => {
        const texts = (axis._values ?? []).filter(Boolean);
        return place ? [Math.max(0, ...texts.map((text) => textWidth(text))), axis._size - 6 - 5]
          : [textWidth(texts[texts.length - 1] ?? "") / 2, u.width - (u.bbox.left + u.bbox.width) / devicePixelRatio];
      });
    },
    svg: () => chartSvg(u, spec, title),
    png: () => chartPng(u, spec, title),
    csv: () => chartCsv(spec, full),
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
