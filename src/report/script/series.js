// Points over time: those in sight, or the extremes of each pixel.

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

// Every point is known. `lines` are in the order in which they are drawn.
function pointLevels({ times, lines }) {
  const seconds = doubles(times);
  const [perSecond, timeUnit] = unitOf(most(seconds));
  const x = scaled(seconds, perSecond);
  const raw = lines.map(singles);
  const [factor, unit] = unitOf(mostOf(raw));
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
  return { lines: y.length, unit, timeUnit, range: [x[0], x[x.length - 1]], dataFor, zero: isPositive(y) };
}

// Extremes of buckets are known: pairs of buckets give coarser levels, and the page draws the level that has a bucket
// per pixel or two.
function bucketLevels({ start, width, least, greatest }, unitFor = unitOf) {
  const [lows, highs] = [least, greatest].map((lines) => lines.map(singles));
  const [perSecond, timeUnit] = unitOf(start + width * lows[0].length);
  const [factor, unit] = unitFor(Math.max(mostOf(highs), mostOf(lows)));
  const first = start * perSecond;
  const levels = [{ width: width * perSecond, lows: lows.map((l) => scaled(l, factor)), highs: highs.map((l) => scaled(l, factor)) }];
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
    const from = Math.max(0, Math.floor((min - first) / level.width) - 1);
    const to = Math.min(level.lows[0].length, Math.ceil((max - first) / level.width) + 1);
    const starts = [];
    for (let i = from; i < to; i++) starts.push(first + i * level.width);
    const cut = (lines) => lines.map((line) => line.slice(from, to));
    return sticks(starts, level.width, cut(level.lows), cut(level.highs));
  };
  const end = first + width * perSecond * lows[0].length;
  return { lines: lows.length, unit, timeUnit, range: [first, end], dataFor, zero: isPositive(levels[0].lows) };
}

// Lines with points of their own on one axis: where a line has none, there is a gap.
function joined(lines) {
  const points = lines.flatMap(([x, y], line) => x.map((at, i) => [at, line, y[i]]));
  points.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  return [points.map(([at]) => at), ...lines.map((_, line) => points.map(([, of, y]) => (of === line ? y : null)))];
}

// Steps with points of their own on one axis: each holds its value until its next point; `before` its first.
function joinedSteps(lines, before) {
  const x = [...new Set(lines.flatMap(([x]) => x))].sort((a, b) => a - b);
  const held = lines.map(([at, values]) => {
    let next = 0;
    return x.map((n) => {
      while (next < at.length && at[next] <= n) next++;
      return next ? values[next - 1] : before;
    });
  });
  return [x, ...held];
}
