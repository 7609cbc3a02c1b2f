// The page around the charts: tables, colours, print.

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
    // Rows without a number come last in both directions.
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
  const save = document.createElement("button");
  save.type = "button";
  save.textContent = "CSV";
  save.setAttribute("aria-label", "Save the table as CSV");
  save.addEventListener("click", () => {
    const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
    const line = (cells) => [...cells].map((cell) => quoted(cell.dataset.key ?? cell.textContent)).join(",");
    const lines = [line(heads), ...order.map((i) => line(all[i].cells))];
    saveAs(`${box.querySelector(".scroll").getAttribute("aria-label")}.csv`, new Blob([`${lines.join("\n")}\n`], { type: "text/csv" }));
  });
  more.before(save);
  input.addEventListener("input", show);
  more.addEventListener("click", () => { everything = true; show(); });
  box.querySelector(".tools").hidden = all.length < 2;
  show();
}

// A picture larger than its box scrolls; a button fits it into the width.
function fitting(box) {
  const button = document.createElement("button");
  button.type = "button";
  const tell = () => {
    const fits = box.classList.contains("fit");
    button.textContent = fits ? "Full size" : "Fit to width";
  };
  const width = box.querySelector("svg").width.baseVal.value;
  const part = () => box.parentElement.clientWidth / width;
  const needed = () => { button.hidden = part() >= 1; };
  // Names are still legible at 70 %.
  if (part() < 1 && part() >= 0.7) box.classList.add("fit");
  button.addEventListener("click", () => { box.classList.toggle("fit"); tell(); });
  new ResizeObserver(needed).observe(box.parentElement);
  tell();
  needed();
  box.before(button);
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

// Paper is white.
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
document.querySelectorAll(".picture").forEach(fitting);
themed();
// Charts have moved the section that the address names.
if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
// For tests.
window.taunet = { charts };
