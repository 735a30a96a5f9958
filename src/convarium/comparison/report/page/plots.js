// Pareto plots: one panel a cost, all against the same quality.
const COSTS = [
  ["file_bytes", "File size", "bytes"], ["macs", "MACs", "MACs an image"], ["latency_ms", "Latency", "ms a pass"],
  ["parameters", "Parameters", "parameters"],
];
const QUALITIES = {
  accuracy: { title: "test accuracy, %", of: (row) => row.metrics.accuracy },
  accuracy_delta: { title: "Δ test accuracy vs dense, pp", of: accuracyDelta },
  validation_accuracy: { title: "validation accuracy, %", of: (row) => row.metrics.validation_accuracy },
};
function accuracyDelta(row) {
  const entry = row.versus_dense.accuracy;
  if (entry) return { ...entry, mean: entry.difference };
  return row.family === "dense" ? { mean: 0, low: null, high: null } : null;
}
// Of symbols that look smaller than a circle of the same size.
const SIZES = { star: 15, "triangle-up": 13, "triangle-down": 13, cross: 13 };
const touch = matchMedia("(pointer: coarse)").matches;
const CONFIG = { responsive: true, displayModeBar: false, doubleClick: "reset" };
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const plain = (text) => String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

function frame(x, y) {
  const line = colour("--line");
  const axis = { gridcolor: colour("--grid"), linecolor: line, zerolinecolor: line, automargin: true };
  const text = { size: 12, color: colour("--text") }, clear = "rgba(0,0,0,0)";
  return {
    font: { ...text, family: getComputedStyle(document.body).fontFamily }, paper_bgcolor: clear, plot_bgcolor: clear,
    margin: { l: 54, r: 14, t: 12, b: 46 }, showlegend: false, hovermode: "closest", dragmode: touch ? false : "zoom",
    hoverlabel: { bgcolor: colour("--card"), bordercolor: colour("--quiet"), font: text, align: "left", namelength: 0 },
    xaxis: { ...axis, ...x }, yaxis: { ...axis, ...y },
  };
}

// The rows that no other row beats in both: lower cost, higher validation accuracy.
function front(list, cost) {
  const all = list.map((row) => [row, mean(row, cost), mean(row, "validation_accuracy")]);
  const known = all.filter(([, c, q]) => c !== null && q !== null);
  const beats = ([, c, q], [, cost, quality]) => c <= cost && q >= quality && (c < cost || q > quality);
  const best = known.filter((one) => !known.some((other) => beats(other, one)));
  return best.sort((one, other) => one[1] - other[1]).map(([row]) => row);
}

function words(row) {
  const accuracy = row.metrics.accuracy, entry = row.versus_dense.accuracy, around = interval(accuracy, percent);
  const latency = mean(row, "latency_ms") === null ? "" : `, ${milliseconds(mean(row, "latency_ms"))} ms`;
  return [
    `<b>${plain(row.label)}</b>`,
    anyGroup ? plain(row.group) : "",
    `test ${percent(accuracy.mean)} %${around && ` (${around})`}, ${seeds(row)}`,
    entry ? `to dense ${signed(entry.difference)} pp, ${plain(judged(entry))}` : "",
    `${whole(mean(row, "file_bytes"))} bytes, ${times(mean(row, "ratio"))} smaller`,
    `${short(mean(row, "macs"))} MACs, ${short(mean(row, "parameters"))} parameters${latency}`,
    row.audit.length ? `audit: ${plain(row.audit.map(readable).join(", "))}` : "",
  ].filter(Boolean).join("<br>");
}

function errors(figures, scale, shade) {
  const known = (low) => low !== null && low !== undefined;
  const around = figures.map(({ mean: middle, low, high }) => known(low) ? [high - middle, middle - low] : [0, 0]);
  const [array, arrayminus] = [0, 1].map((side) => around.map((both) => scale * both[side]));
  return { type: "data", symmetric: false, array, arrayminus, thickness: 1.2, width: 0, color: shade };
}

// Points of one family; chosen ones are larger and ringed, the others then step back.
function pointsOf(family, list, cost) {
  const own = list.filter((row) => row.family === family), mark = markOf(family), shade = colour(mark.colour);
  const quality = own.map(QUALITIES[state.quality].of), chosen = own.map((row) => state.chosen.has(row.place));
  const ring = mark.open ? { width: chosen.map((is) => is ? 3 : 2), color: shade }
    : { width: chosen.map((is) => is ? 3 : 1), color: chosen.map((is) => colour(is ? "--text" : "--card")) };
  return {
    type: "scatter", mode: "markers", name: family, customdata: own.map((row) => row.place),
    x: own.map((row) => mean(row, cost)), error_x: errors(own.map((row) => row.metrics[cost]), 1, shade),
    y: quality.map((entry) => 100 * entry.mean), error_y: errors(quality, 100, shade),
    text: own.map(words), hovertemplate: "%{text}<extra></extra>",
    marker: {
      symbol: mark.open ? `${mark.symbol}-open` : mark.symbol, color: shade, size: chosen.map((is) => (SIZES[mark.symbol] ?? 11) + (is ? 6 : 0)),
      opacity: chosen.map((is) => is || !state.chosen.size ? 1 : 0.45), line: ring,
    },
  };
}

function frontOf(best, cost) {
  return {
    type: "scatter", mode: "lines", hoverinfo: "skip", line: { color: colour("--quiet"), width: 1.5, dash: "dot" },
    x: best.map((row) => mean(row, cost)), y: best.map((row) => 100 * QUALITIES[state.quality].of(row).mean),
  };
}

function drawPanel(panel) {
  const { cost, unit, dataset } = panel, { title, of } = QUALITIES[state.quality];
  const known = (row) => mean(row, cost) !== null && (of(row)?.mean ?? null) !== null;
  const list = visible().filter((row) => row.dataset === dataset && known(row)), wasHidden = panel.box.hidden;
  panel.box.hidden = !list.length;
  const best = front(list, cost), shown = families.filter((family) => list.some((row) => row.family === family));
  const traces = [frontOf(best, cost), ...shown.map((family) => pointsOf(family, list, cost))];
  const ticks = panel.log ? { type: "log", dtick: panel.decades > 2.5 ? 1 : "D2" } : { type: "linear", nticks: 6 };
  const tickformat = cost === "latency_ms" ? "~r" : "~s";
  const x = { title: { text: unit + (panel.log ? ", log" : "") }, tickformat, ...ticks };
  const layout = frame(x, { title: { text: title }, tickformat: "~r" });
  layout.uirevision = [state.quality, panel.log, state.group, panel.reset].join();
  panel.box.dataset.front = best.map((row) => row.place).join(" ");
  Plotly.react(panel.plot, traces, layout, CONFIG);
  if (wasHidden && list.length) Plotly.Plots.resize(panel.plot);
}

function drawPanels() {
  panels.forEach(drawPanel);
  for (const part of byId("panels").children) part.hidden = !part.querySelector(".panel:not([hidden])");
}

function zoom(panel, factor) {
  const update = {};
  for (const axis of ["xaxis", "yaxis"]) {
    const [low, high] = panel.plot.layout[axis].range, middle = (low + high) / 2, half = (high - low) / 2 * factor;
    update[`${axis}.range`] = [middle - half, middle + half];
  }
  Plotly.relayout(panel.plot, update);
}

function extent(cost, dataset) {
  const values = rows.filter((row) => row.dataset === dataset).map((row) => mean(row, cost));
  const known = values.filter((value) => value !== null);
  return [Math.min(...known), Math.max(...known)];
}

function makePanel([cost, title, unit], dataset, grid) {
  const [least, most] = extent(cost, dataset), decades = Math.log10(most / least);
  const panel = { cost, unit, dataset, decades, log: decades > 0.9, reset: 0 };
  const tool = (text, label, act, pressed = null) => el("button", {
    type: "button", "aria-label": `${title}: ${label}`, "data-tip": label, "aria-pressed": pressed, click: act,
  }, text);
  const press = (event, on) => event.currentTarget.setAttribute("aria-pressed", String(on));
  const tools = [
    tool("−", "zoom out", () => zoom(panel, 1.5)),
    tool("+", "zoom in", () => zoom(panel, 1 / 1.5)),
    tool("reset", "show all", () => { panel.reset += 1; drawPanel(panel); }),
    tool("log", "logarithmic axis", (event) => {
      panel.log = !panel.log;
      press(event, panel.log);
      drawPanel(panel);
    }, String(panel.log)),
    tool("large", "whole width", (event) => {
      press(event, panel.box.classList.toggle("large"));
      Plotly.Plots.resize(panel.plot);
    }, "false"),
  ];
  panel.plot = el("div", { class: "plot" });
  const head = el("header", {}, el("h4", {}, title), el("div", { class: "tools" }, ...tools));
  panel.box = el("article", { class: "panel", "data-cost": cost }, head, panel.plot);
  grid.append(panel.box);
  drawPanel(panel);
  panel.plot.on("plotly_click", (event) => { const place = event.points[0].customdata; toggle(place); show(place); });
  panel.plot.on("plotly_hover", (event) => hover(event.points[0].customdata, true));
  panel.plot.on("plotly_unhover", () => hover(null, true));
  return panel;
}

// Bring a row into the table's frame, without moving the page.
function show(place) {
  const frame = document.querySelector(".frame"), line = lines[place], head = frame.querySelector("thead").offsetHeight;
  const below = line.offsetTop + line.offsetHeight > frame.scrollTop + frame.clientHeight;
  if (line.offsetTop - head < frame.scrollTop || below) frame.scrollTop = line.offsetTop - frame.clientHeight / 2;
}

// Show a row's label at its point in every panel.
function point(place) {
  for (const { plot } of panels) {
    const curveNumber = plot.data.findIndex((trace) => trace.customdata?.includes(place));
    if (curveNumber < 0) Plotly.Fx.unhover(plot);
    else Plotly.Fx.hover(plot, [{ curveNumber, pointNumber: plot.data[curveNumber].customdata.indexOf(place) }]);
  }
}

const panels = [];
function drawn() {
  const theme = document.documentElement.dataset.theme;
  return [theme, state.quality, visible().map((row) => row.place), [...state.chosen]].join("|");
}
function startPlots() {
  const equal = datasets.map((dataset) => {
    const grid = el("div", { class: "panels" }), own = rows.filter((row) => row.dataset === dataset);
    byId("panels").append(facet(dataset, grid));
    const known = COSTS.filter(([cost]) => own.some((row) => mean(row, cost) !== null));
    const varies = ([cost]) => extent(cost, dataset)[0] < extent(cost, dataset)[1];
    panels.push(...known.filter(varies).map((cost) => makePanel(cost, dataset, grid)));
    const same = known.filter((cost) => !varies(cost))
      .map(([cost, , unit]) => `${short(extent(cost, dataset)[0])} ${unit}`);
    return same.join(", ") + (same.length && datasets.length > 1 ? ` (${dataset})` : "");
  }).filter(Boolean);
  if (equal.length) byId("constant").textContent = `Equal in all rows, so without a plot: ${equal.join("; ")}.`;
  byId("quality").append(...Object.entries(QUALITIES).map(([key, { title }]) => el("option", { value: key }, title)));
  byId("quality").addEventListener("change", (event) => { state.quality = event.target.value; changed(); });
  drawPanels();
  let before = drawn();
  listeners.push(() => {
    if (before === drawn()) return;
    before = drawn();
    drawPanels();
  });
}
