// Numbers: how the page encodes them, in which unit they are shown, and how they are written.

const points = JSON.parse(document.getElementById("points").textContent);
const root = document.documentElement;
const css = (name) => getComputedStyle(root).getPropertyValue(name).trim();
// What the two sides of a comparison are called; the second one is the reference.
const [SUBJECT, REFERENCE] = points.sides ?? ["simulated", "measured"];

const decoded = (text, Numbers) => new Numbers(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
const singles = (text) => Array.from(decoded(text, Float32Array));
const doubles = (text) => Array.from(decoded(text, Float64Array));

// [how many of the unit are a second, its name], for numbers up to `most` seconds.
const unitOf = (most) => {
  if (most >= 1 || most === 0) return [1, "s"];
  if (most >= 1e-3) return [1e3, "ms"];
  if (most >= 1e-6) return [1e6, "us"];
  return [1e9, "ns"];
};
// [how many bits per second the unit is, its name], for rates up to `most` of them.
const bitRateUnitOf = (most) =>
  [[1e12, "Tbps"], [1e9, "Gbps"], [1e6, "Mbps"], [1e3, "kbps"]].find(([size]) => most >= size) ?? [1, "bps"];
// [how many bytes the unit is, its name], for sizes up to `most` bytes.
const byteUnitOf = (most) => [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"]].find(([size]) => most >= size) ?? [1, "B"];
// [size of the unit, how it begins], for counts up to `most`: none below 20,000.
const countUnitOf = (most) =>
  [[1e9, "billion "], [1e6, "million "], [1e3, "thousand "]].find(([size]) => most >= Math.max(size, 2e4)) ?? [1, ""];

const most = (numbers) => numbers.reduce((a, b) => (Number.isFinite(b) && Math.abs(b) > a ? Math.abs(b) : a), 0);
const mostOf = (lines) => Math.max(0, ...lines.map(most));
const scaled = (numbers, factor) => numbers.map((n) => (Number.isFinite(n) ? n * factor : null));

const short = (n) => Number(n.toPrecision(5)).toLocaleString("en", { maximumSignificantDigits: 5 });
const bytes = (n) => {
  const [size, unit] = byteUnitOf(n);
  return `${short(n / size)} ${unit}`;
};
const duration = (seconds) => {
  const [factor, unit] = unitOf(seconds);
  return `${short(seconds * factor)} ${unit}`;
};
// A number at an axis with a mark every `step`: as many digits as tell neighbours apart.
const stepped = (n, step) => {
  let digits = 0;
  for (let of = step; digits < 12 && Math.abs(of - Math.round(of)) > 1e-6 * of; of *= 10) digits++;
  return (Math.abs(n) < step * 1e-6 ? 0 : n).toLocaleString("en", { maximumFractionDigits: digits });
};
// A number at a logarithmic axis; small ones as powers of ten.
const power = (n) => {
  if (n >= 1e-3 && n < 1e7) return n.toLocaleString("en", { maximumSignificantDigits: 6 });
  const [digits, exponent] = n.toExponential().split("e");
  const raised = [...String(Number(exponent))].map((c) => (c === "-" ? "\u207b" : "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079"[c]));
  return `${digits === "1" ? "" : `${digits}\u00b7`}10${raised.join("")}`;
};

// Marks of a logarithmic axis: 1 to 9 times each power of ten; even steps where the axis covers less than a factor of 4.
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
// The marks that get a text: as many as fit. All of them, else those that begin with 1, 2 or 5, else powers of ten,
// else every second, third, ... power of ten.
function logTexts(marks, room) {
  const leads = (digits) => (n) => digits.includes(n.toExponential()[0]);
  const fitting = ["123456789", "125", "1"].map(leads).find((has) => marks.filter(has).length <= room);
  const ten = Math.ceil(marks.filter(leads("1")).length / room);
  const has = fitting ?? ((n) => leads("1")(n) && Math.round(Math.log10(n)) % ten === 0);
  return marks.map((n) => (has(n) ? n : null));
}

const FONT = "12px system-ui, sans-serif";
const ruler = document.createElement("canvas").getContext("2d");
const textWidth = (text, font = FONT) => {
  ruler.font = font;
  return ruler.measureText(text).width;
};
