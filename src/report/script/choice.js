// Which curves a chart shows: by what, and which of them.

// Lines that are shown at first.
const AT_FIRST = 8;
const GROUPINGS = [["traffic", "by traffic entry"], ["source", "by source"], ["flow", "by flow"], ["port", "by port"]];

// What a chart's kind takes from a group.
const NEEDS = { cumulated: "distributions", ccdf: "distributions", delays: "series", rate: "rate", bits: "bits", goodput: "goodput",
  cwnd: "cwnd", rtt: "rtt", queues: "packets", queue_bytes: "bytes" };

// The groupings that a chart can show, and whether it has lines of its own without one.
function choices(source, kind) {
  const needs = NEEDS[kind];
  const groupings = GROUPINGS.filter(([key]) => needs && source.by?.[key]?.[needs]);
  const all = { cumulated: "distribution", ccdf: "distribution" }[kind] ?? kind;
  return { groupings, hasAll: source[all] != null || !groupings.length };
}

// What a chart shows at first.
function stateOf(source, kind) {
  const { groupings, hasAll } = choices(source, kind);
  const chosen = {};
  for (const [key] of groupings) {
    chosen[key] = new Set(source.by[key].names.slice(0, AT_FIRST).map((_, place) => place));
  }
  return { log: LOG_AT_FIRST.includes(kind), by: hasAll ? "" : groupings[0][0], chosen };
}

// Builds the controls into `bar`; `changed` draws anew.
function choose(bar, source, kind, state, changed) {
  const { groupings, hasAll } = choices(source, kind);
  if (!groupings.length) return;
  const panel = document.createElement("details");
  panel.className = "choose";
  const fill = () => {
    panel.hidden = !state.by;
    if (!state.by) return;
    const { names, total } = source.by[state.by];
    const chosen = state.chosen[state.by];
    const summary = document.createElement("summary");
    const tell = () => { summary.textContent = `${chosen.size} of ${names.length} shown`; };
    tell();
    const list = document.createElement("div");
    list.className = "list";
    const boxes = names.map((name, place) => {
      const [label, box, swatch] = ["label", "input", "i"].map((tag) => document.createElement(tag));
      box.type = "checkbox";
      box.checked = chosen.has(place);
      const [colour, dash] = nameStyle(place);
      swatch.style.cssText = `border-top: 3px ${dash ? "dashed" : "solid"} var(${colour})`;
      box.addEventListener("change", () => {
        if (box.checked) chosen.add(place);
        // A chart shows one line at least.
        else if (chosen.size > 1) chosen.delete(place);
        else box.checked = true;
        tell();
        changed();
      });
      label.append(box, swatch, name);
      list.append(label);
      return box;
    });
    const only = document.createElement("button");
    only.type = "button";
    only.textContent = names.length > AT_FIRST ? `largest ${AT_FIRST}` : "all";
    only.addEventListener("click", () => {
      chosen.clear();
      boxes.forEach((box, place) => {
        box.checked = place < AT_FIRST;
        if (box.checked) chosen.add(place);
      });
      tell();
      changed();
    });
    list.append(only);
    if (total > names.length) {
      const note = document.createElement("p");
      note.textContent = `The page holds the ${names.length} largest of ${total.toLocaleString("en")}.`;
      list.append(note);
    }
    panel.replaceChildren(summary, list);
  };
  if (groupings.length + hasAll > 1) {
    const select = document.createElement("select");
    select.setAttribute("aria-label", "Curves");
    for (const [key, text] of [...(hasAll ? [["", "all packets"]] : []), ...groupings]) {
      const option = document.createElement("option");
      [option.value, option.textContent] = [key, text];
      select.append(option);
    }
    select.addEventListener("change", () => {
      state.by = select.value;
      fill();
      changed();
    });
    bar.append(select);
  }
  fill();
  // A choice among one is none.
  if (groupings.some(([key]) => source.by[key].names.length > 1)) bar.append(panel);
  addEventListener("click", (event) => { if (!panel.contains(event.target)) panel.open = false; });
  panel.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Escape") panel.open = false;
  });
}
