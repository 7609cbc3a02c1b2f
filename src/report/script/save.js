// Charts as files: SVG and PNG of what is in sight, CSV of all points.

const escaped = (text) => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
const rounded = (n) => Number(n.toFixed(2));
const TITLE = 30;
const LEGEND_ROW = 20;

// Whether points of a line are drawn as dots: those of charts with dots, and of lines with few points between gaps.
function hasDots(u, spec, place) {
  if ((spec.dots ?? spec.dotted)?.includes(place)) return true;
  if (!spec.sparse) return false;
  const there = u.data[place + 1].reduce((count, n) => count + (n != null), 0);
  return there < u.width / 3 && there < u.data[0].length / 2;
}

// The visible lines of a chart, and where each stands in the legend: [line, x, row], and how many rows there are.
function legendOf(u, spec, width) {
  const placed = [];
  let [x, row] = [12, 0];
  spec.lines.forEach((line, place) => {
    if (!u.series[place + 1].show) return;
    const wide = textWidth(line[0]) + 40;
    if (x > 12 && x + wide > width) [x, row] = [12, row + 1];
    placed.push([place, x, row]);
    x += wide;
  });
  return { placed, rows: row + 1 };
}

// Runs of points of a line between gaps, in pixels of the plot. Points on a level line are left out.
function runs(u, line, spanGaps) {
  const found = [[]];
  const x = u.data[0], y = u.data[line + 1];
  for (let i = 0; i < x.length; i++) {
    const run = found[found.length - 1];
    if (y[i] == null) {
      if (!spanGaps && run.length) found.push([]);
    } else {
      const point = [rounded(u.valToPos(x[i], "x")), rounded(u.valToPos(y[i], "y"))];
      if (run.length > 1 && run[run.length - 1][1] === point[1] && run[run.length - 2][1] === point[1]) run.pop();
      run.push(point);
    }
  }
  return found.filter((run) => run.length);
}

function lineSvg(u, spec, place) {
  const [, name, width = 1, alpha = "", dash] = spec.lines[place];
  const colour = css(name);
  const opacity = alpha ? ` opacity="${rounded(parseInt(alpha, 16) / 255)}"` : "";
  const all = runs(u, place, spec.gaps?.includes(place));
  const [zero] = [rounded(u.valToPos(Math.max(0, u.scales.y.min), "y"))];
  let text = "";
  if (spec.bars) {
    const half = Math.abs(u.valToPos(u.data[0][0] + (spec.margin ?? 0), "x") - u.valToPos(u.data[0][0], "x"));
    for (const [x, y] of all.flat()) {
      text += `<rect x="${rounded(x - half)}" y="${y}" width="${rounded(2 * half)}" height="${rounded(zero - y)}" fill="${colour}" fill-opacity="0.5" stroke="${colour}"/>`;
    }
    return text;
  }
  if (!spec.dots?.includes(place) && width > 0) {
    const path = all.map((run) => run.map(([x, y], i) =>
      (i === 0 ? `M${x},${y}` : spec.stepped ? `H${x}V${y}` : `L${x},${y}`)).join("")).join("");
    const dashes = dash ?? (spec.dashed?.includes(place) ? [6, 4] : undefined);
    text += `<path d="${path}" fill="none" stroke="${colour}" stroke-width="${width}"${opacity}${dashes ? ` stroke-dasharray="${dashes}"` : ""}/>`;
  }
  if (hasDots(u, spec, place)) {
    const radius = spec.gaps || spec.sparse ? 1.5 : 2.5;
    for (const [x, y] of all.flat()) text += `<circle cx="${x}" cy="${y}" r="${radius}" fill="${colour}"/>`;
  }
  return text;
}

// The chart as it is in sight, in the colours of the page.
function chartSvg(u, spec, title) {
  const width = u.width;
  const plot = Object.fromEntries(Object.entries(u.bbox).map(([key, n]) => [key, rounded(n / devicePixelRatio)]));
  const legend = legendOf(u, spec, width);
  const height = TITLE + u.height + legend.rows * LEGEND_ROW + 8;
  const [ink, grid] = [css("--ink"), css("--grid")];
  const marks = u.axes.map((axis) => (axis._splits ?? []).map((n, i) => [n, axis._values?.[i] || ""]));
  let lines = "", texts = "";
  for (const [n, text] of marks[0]) {
    const x = rounded(u.valToPos(n, "x"));
    if (n == null || x < -1 || x > plot.width + 1) continue;
    lines += `<path d="M${x},0V${plot.height + 6}" stroke="${grid}"/>`;
    texts += `<text x="${x}" y="${plot.height + 20}" text-anchor="middle">${escaped(text)}</text>`;
  }
  for (const [n, text] of marks[1]) {
    const y = rounded(u.valToPos(n, "y"));
    if (n == null || y < -1 || y > plot.height + 1) continue;
    lines += `<path d="M-6,${y}H${plot.width}" stroke="${grid}"/>`;
    texts += `<text x="-10" y="${y + 4}" text-anchor="end">${escaped(text)}</text>`;
  }
  const bands = (spec.bands ?? []).map(({ series: [above, below], colour }) => {
    const [upper, lower] = [above, below].map((line) => runs(u, line - 1).flat());
    return `<path d="M${[...upper, ...lower.reverse()].join("L")}Z" fill="${css(colour)}" fill-opacity="0.25"/>`;
  });
  const drawn = spec.lines.map((_, place) => (u.series[place + 1].show ? lineSvg(u, spec, place) : ""));
  const entries = legend.placed.map(([place, x, row]) => {
    const [label, colour, , , dash] = spec.lines[place];
    const y = TITLE + u.height + row * LEGEND_ROW + 10;
    return `<path d="M${x},${y}h18" stroke="${css(colour)}" stroke-width="3"${dash ? ` stroke-dasharray="${dash}"` : ""}/>`
      + `<text x="${x + 24}" y="${y + 4}">${escaped(label)}</text>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" `
    + `font-family="system-ui, sans-serif" font-size="12" fill="${ink}"><title>${escaped(title)}</title>`
    + `<rect width="100%" height="100%" fill="${css("--paper")}"/><text x="12" y="20" font-size="14" font-weight="600">${escaped(title)}</text>`
    + `<g transform="translate(${plot.left} ${plot.top + TITLE})">${lines}${texts}`
    + `<text x="${plot.width / 2}" y="${plot.height + 42}" text-anchor="middle">${escaped(spec.x)}</text>`
    + `<text transform="translate(${14 - plot.left} ${plot.height / 2}) rotate(-90)" text-anchor="middle">${escaped(spec.y)}</text>`
    // An inner picture shows nothing outside its borders.
    + `<svg width="${plot.width}" height="${plot.height}">${bands.join("")}${drawn.join("")}</svg></g>${entries.join("")}</svg>\n`;
}

// The chart as it is in sight: the canvas on the page's background, with title and legend.
function chartPng(u, spec, title) {
  const legend = legendOf(u, spec, u.width);
  const scale = devicePixelRatio;
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(u.width * scale);
  canvas.height = Math.round((TITLE + u.height + legend.rows * LEGEND_ROW + 8) * scale);
  const drawing = canvas.getContext("2d");
  drawing.fillStyle = css("--paper");
  drawing.fillRect(0, 0, canvas.width, canvas.height);
  drawing.drawImage(u.ctx.canvas, 0, Math.round(TITLE * scale));
  drawing.scale(scale, scale);
  const write = (text, x, y, font) => {
    drawing.fillStyle = css("--ink");
    drawing.font = font;
    drawing.fillText(text, x, y);
  };
  write(title, 12, 20, "600 14px system-ui, sans-serif");
  for (const [place, x, row] of legend.placed) {
    const [label, colour, , , dash = []] = spec.lines[place];
    const y = TITLE + u.height + row * LEGEND_ROW + 10;
    drawing.strokeStyle = css(colour);
    drawing.lineWidth = 3;
    drawing.setLineDash(dash);
    drawing.beginPath();
    drawing.moveTo(x, y);
    drawing.lineTo(x + 18, y);
    drawing.stroke();
    write(label, x + 24, y + 4, FONT);
  }
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}

// All points that the page has of the lines shown, in the units of the axes: two rows, minimum and maximum, of each
// bucket where the page has the extremes alone.
function chartCsv(spec, full) {
  const name = (text) => text.replaceAll(" - ", " minus ").replace(/[^\p{L}\p{N}.:%\/]+/gu, "_").replace(/^_+|_+$/g, "");
  const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const data = spec.dataFor ? spec.dataFor(full[0], full[1], Infinity) : spec.data;
  const y = name(spec.y);
  const heads = [name(spec.x), ...spec.lines.map(([label]) => (y.startsWith(name(label)) ? y : `${name(label)}_${y}`))];
  const number = (n) => (n == null ? "" : Number(n.toPrecision(10)));
  const rows = data[0].map((_, row) => data.map((column) => number(column[row])).join(","));
  return `${heads.map(quoted).join(",")}\n${rows.join("\n")}\n`;
}

function saveAs(name, blob) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
