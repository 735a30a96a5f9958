// What is shown and what is chosen; every part of the page listens to it.
const data = JSON.parse(document.getElementById("data").textContent);
const rows = data.rows;
rows.forEach((row, place) => { row.place = place; row.group = `${row.architecture} on ${row.dataset}`; });
const state = {
  text: "", group: "", hidden: new Set(), sort: null, chosen: new Set(),
  quality: "accuracy", curve: "validation_accuracy", scale: "share",
};
const listeners = [];
const changed = () => listeners.forEach((listener) => listener());
const byId = (id) => document.getElementById(id);

// An element; attributes that are functions are event listeners, children are nodes or text, never HTML.
function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(key, value);
    else if (value !== null && value !== undefined) node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

const mean = (row, metric) => row.metrics[metric]?.mean ?? null;
const unique = (values) => [...new Set(values)];
const groups = unique(rows.map((row) => row.group));
// Labels are distinct within one group only.
const fullName = (row) => groups.length > 1 ? `${row.label} (${row.group})` : row.label;
const families = unique(rows.map((row) => row.family));
// Accuracies of different data can't be compared: plots have a part for each dataset.
const datasets = unique(rows.map((row) => row.dataset));
function facet(dataset, ...parts) {
  const name = datasets.length > 1 ? el("h3", {}, dataset) : null;
  return el("div", { class: "facet", "data-dataset": dataset }, name, ...parts);
}

// Marks are the same in every report: the colour is that of the kind of method that a chain begins with, the shape
// says which kind follows. What only serves as a scale is grey and open.
const COLOURS = {
  pruning: "--pruning", quantization: "--quantization", decomposition: "--decomposition", transfer: "--transfer",
  coding: "--coding",
};
const SHAPES = {
  circle: "M14 8a6 6 0 1 1-12 0a6 6 0 1 1 12 0", square: "M3 3h10v10H3z", "triangle-up": "M8 2l6.5 11.5h-13z",
  diamond: "M8 1l6 7l-6 7l-6-7z", "triangle-down": "M8 14L1.5 2.5h13z", cross: "M6 2h4v4h4v4h-4v4h-4v-4h-4v-4h4z",
  hexagon: "M8 1.5l5.6 3.2v6.6L8 14.5l-5.6-3.2V4.7z",
  star: "M8 1l2 4.6 5 .4-3.8 3.3 1.2 4.9L8 11.6l-4.4 2.6 1.2-4.9L1 6l5-.4z",
};
const NEXT_SHAPES = {
  pruning: "triangle-up", quantization: "triangle-down", decomposition: "cross", transfer: "diamond", coding: "square",
};
function markOf(family) {
  if (family === "dense") return { symbol: "square", open: true, colour: "--control" };
  if (family === "control") return { symbol: "diamond", open: true, colour: "--control" };
  const [first, ...next] = family.split(" + "), shape = NEXT_SHAPES[next[0]] ?? "hexagon";
  const symbol = next.length > 1 ? "star" : next.length ? shape : "circle";
  return { symbol, open: false, colour: COLOURS[first] ?? "--outside" };
}
function svgIcon(viewBox, d, attributes) {
  const space = "http://www.w3.org/2000/svg";
  const [svg, path] = ["svg", "path"].map((tag) => document.createElementNS(space, tag));
  const set = (node, entries) => Object.entries(entries).forEach(([key, value]) => {
    if (value !== null) node.setAttribute(key, value);
  });
  set(svg, { viewBox, "aria-hidden": "true", class: attributes.class ?? null });
  set(path, { ...attributes, class: null, d });
  svg.append(path);
  return svg;
}
function markIcon(family) {
  const mark = markOf(family), shade = `var(${mark.colour})`;
  const style = mark.open ? `fill: none; stroke: ${shade}; stroke-width: 2` : `fill: ${shade}`;
  return svgIcon("0 0 16 16", SHAPES[mark.symbol], { style });
}

function isVisible(row) {
  if ((state.group && row.group !== state.group) || state.hidden.has(row.family)) return false;
  const methods = row.compression.map((step) => step.method);
  const text = [row.label, row.group, row.family, row.status ?? "", ...methods, ...row.audit].join(" ").toLowerCase();
  return state.text.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}
const visible = () => rows.filter(isVisible);
function toggle(place) {
  state.chosen.has(place) ? state.chosen.delete(place) : state.chosen.add(place);
  changed();
}

// Figures as people read them.
const whole = (value) => value === null ? "" : Math.round(value).toLocaleString("en-US");
const percent = (value, digits = 2) => value === null ? "" : (100 * value).toFixed(digits);
const signed = (value, digits = 2) => `${value < 0 ? "−" : "+"}${Math.abs(100 * value).toFixed(digits)}`;
const times = (value) => value === null ? "" : `${value >= 100 ? value.toFixed(0) : value.toFixed(1)}x`;
function short(value) {
  if (value === null) return "";
  const [unit, size] = [["G", 1e9], ["M", 1e6], ["k", 1e3]].find(([, least]) => value >= 0.9995 * least) ?? ["", 1];
  return `${Number((value / size).toPrecision(3))}${unit}`;
}
// With as few further digits as keep the two ends apart, around the mean, and from a zero that is not theirs.
function interval({ low, high, mean, difference }, write, digits = 2) {
  if (low === null || low === undefined) return "";
  const number = (text) => Number(text.replace("−", "-")), middle = number(write(mean ?? difference));
  for (let further = 0; ; further++) {
    const [least, most] = [low, high].map((end) => write(end, digits + further));
    const zeros = (number(least) === 0 && low !== 0) || (number(most) === 0 && high !== 0);
    const told = least !== most && !zeros && !(number(least) > middle) && !(number(most) < middle);
    if (told || further === 3) return `${least} to ${most}`;
  }
}
const readable = (name) => name.replaceAll("_", " ");
const milliseconds = (value) => value === null ? "" : value.toPrecision(3);
const seeds = (row) => `${row.seeds.length} seed${row.seeds.length === 1 ? "" : "s"}`;
const meaning = (code) => data.audit[code] ?? code;
function judged({ verdict, equivalent, margin }) {
  const mark = { better: "▲ ", worse: "▼ " }[verdict] ?? "", bounded = verdict === "worse" && equivalent;
  return mark + verdict + (bounded ? `, by less than ${Number((100 * margin).toPrecision(3))}` : "");
}
