// The table of rows: sorted by a column, filtered by text, family and group.
const anyGroup = groups.length > 1, timed = rows.some((row) => mean(row, "latency_ms") !== null);
// A column shows a metric (`of`) or what `value` and `cell` say; `down`: high values come first.
const columns = [
  { title: "network", name: true, value: (row) => row.label.toLowerCase(), cell: nameCell },
  ...(anyGroup ? [{ title: "trained as, on", words: true, value: (row) => row.group, cell: groupCell }] : []),
  {
    title: "test acc %", down: true, of: "accuracy", write: percent,
    small: (row) => interval(row.metrics.accuracy, percent, 1),
    hint: "Test accuracy, mean over seeds; below it the 95 % interval over seeds and test images.",
  },
  {
    title: "Δ acc (pp)", down: true, cell: differenceCell,
    value: (row) => row.versus_dense.accuracy?.difference ?? null,
    hint: "Test accuracy less that of the dense network of the same seed, 95 % interval, and what that shows.",
  },
  {
    title: "val acc %", down: true, of: "validation_accuracy", write: percent,
    hint: "Validation accuracy; what rows are chosen by.",
  },
  { title: "bytes", of: "file_bytes", write: whole, hint: "The whole file that was decoded and measured." },
  { title: "ratio", down: true, of: "ratio", write: times, hint: "Bytes of the dense network's file over bytes." },
  {
    title: "parameters", of: "parameters", write: short,
    small: (row) => mean(row, "nonzeros") === null ? "" : `${short(mean(row, "nonzeros"))} nonzero`,
    hint: "Parameters, and below them those that are not zero.",
  },
  { title: "MACs", of: "macs", write: short, hint: "Multiply-accumulate operations for one image." },
  ...(timed ? [{
    title: "latency (ms)", of: "latency_ms", write: milliseconds,
    small: (row) => mean(row, "speedup") === null ? "" : `${mean(row, "speedup").toFixed(2)}x`,
    hint: "One forward pass; below it the speed-up: time of the dense network over this one.",
  }] : []),
  {
    title: "audit", words: true, value: (row) => row.audit.length, cell: codesCell,
    hint: "What a reader should know before believing the row.",
  },
].map((column) => ({ value: (row) => mean(row, column.of), cell: (row) => metricCell(row, column), ...column }));

function metricCell(row, { of, write, small }) {
  return el("td", {}, write(mean(row, of)), small ? el("small", {}, small(row)) : null);
}

function nameCell(row) {
  const box = el("input", { type: "checkbox", "aria-label": `choose ${row.label}`, change: () => toggle(row.place) });
  const text = el("span", {}, row.label, el("small", {}, seeds(row) + (row.status ? ` · ${row.status}` : "")));
  return el("th", { class: "name", scope: "row" }, el("label", {}, box, markIcon(row.family), text));
}

function differenceCell(row) {
  const entry = row.versus_dense.accuracy;
  if (!entry) return el("td", {});
  const kind = entry.verdict === "worse" ? "worse" : entry.verdict === "better" || entry.equivalent ? "better" : null;
  const verdict = el("small", { class: kind }, judged(entry));
  return el("td", {}, signed(entry.difference), el("small", {}, interval(entry, signed)), verdict);
}

function groupCell(row) {
  return el("td", { class: "words" }, row.architecture, el("small", {}, row.dataset));
}

function codesCell(row) {
  const button = (code) => el("button", {
    type: "button", class: "code", "data-tip": meaning(code), "aria-label": `${readable(code)}: ${meaning(code)}`,
  }, readable(code));
  return el("td", { class: "words" }, ...row.audit.map(button));
}

const lines = rows.map((row) => el("tr", {
  "data-row": row.place,
  click: (event) => { if (!event.target.closest("label, input, button")) toggle(row.place); },
  mouseenter: () => hover(row.place), mouseleave: () => hover(null),
}, ...columns.map((column) => column.cell(row))));

const heads = columns.map((column) => {
  const button = el("button", { type: "button", "data-tip": column.hint, click: () => sortBy(column) }, column.title);
  return el("th", { scope: "col", class: column.name ? "name" : column.words ? "words" : null }, button);
});

function sortBy(column) {
  const first = column.down ? -1 : 1, before = state.sort;
  if (before?.column !== column) state.sort = { column, sign: first };
  else state.sort = before.sign === first ? { column, sign: -first } : null;
  changed();
}

function sorted(list) {
  if (!state.sort) return list;
  const { column: { value }, sign } = state.sort, missing = (entry) => entry === null || entry === undefined;
  return [...list].sort((one, other) => {
    const a = value(one), b = value(other);
    if (missing(a) || missing(b)) return missing(a) - missing(b);
    return sign * (a < b ? -1 : a > b ? 1 : 0);
  });
}

function drawTable() {
  const shown = new Set(visible().map((row) => row.place));
  const order = sorted(rows).map((row) => lines[row.place]), body = byId("rows");
  if (order.some((line, place) => body.children[place] !== line)) body.replaceChildren(...order);
  lines.forEach((line, place) => {
    line.hidden = !shown.has(place);
    line.classList.toggle("chosen", state.chosen.has(place));
    line.querySelector("input").checked = state.chosen.has(place);
  });
  heads.forEach((head, place) => {
    const way = state.sort?.sign > 0 ? "ascending" : "descending";
    if (state.sort?.column === columns[place]) head.setAttribute("aria-sort", way);
    else head.removeAttribute("aria-sort");
  });
  byId("count").textContent = `${shown.size === rows.length ? "" : `${shown.size} of `}${rows.length} row${rows.length === 1 ? "" : "s"}`;
  byId("clear").hidden = !state.chosen.size;
}

// What the pointer is on, in the table or in a plot, stands out in the others.
function hover(place, fromPlot = false) {
  for (const node of document.querySelectorAll(".hovered")) node.classList.remove("hovered");
  for (const node of document.querySelectorAll(`[data-row="${place}"]`)) node.classList.add("hovered");
  if (!fromPlot) point(place);
}

function chip(family) {
  const button = el("button", { type: "button", class: "chip", "aria-pressed": "true" }, markIcon(family), family);
  button.addEventListener("click", () => {
    state.hidden.has(family) ? state.hidden.delete(family) : state.hidden.add(family);
    button.setAttribute("aria-pressed", String(!state.hidden.has(family)));
    changed();
  });
  return button;
}

byId("heads").append(...heads);
byId("families").append(...families.map(chip));
byId("text").addEventListener("input", (event) => { state.text = event.target.value.trim(); changed(); });
byId("clear").addEventListener("click", () => { state.chosen.clear(); changed(); });
if (anyGroup) {
  byId("group-label").hidden = false;
  byId("group").append(el("option", { value: "" }, "all"), ...groups.map((group) => el("option", {}, group)));
  byId("group").addEventListener("change", (event) => { state.group = event.target.value; changed(); });
}
listeners.push(drawTable);
