// Training curves of the chosen rows: a line a seed, along the whole chain of stages.
const DASHES = ["solid", "dot", "dash", "dashdot", "longdash"];
const MOST = 6;

// The chosen rows, else the first of the front of file size.
function curved() {
  const list = visible(), chosen = list.filter((row) => state.chosen.has(row.place));
  return chosen.length ? chosen : front(list, "file_bytes").slice(0, MOST);
}

function reports(row, seed) {
  const phases = (row.chains[seed] ?? []).flatMap((signature) => data.stages[signature].curves);
  return phases.flatMap(({ phase, epoch, ...figures }) => epoch.map((number, place) => ({
    phase, epoch: number, first: place === 0, value: figures[state.curve][place],
  })));
}

function told(row, seed, { phase, epoch, value }) {
  const figure = value === null ? "not a number" : state.curve === "loss" ? `loss ${value}` : `${percent(value)} %`;
  return `<b>${plain(fullName(row))}</b><br>seed ${row.seeds[seed]}, ${plain(phase)}, epoch ${epoch}<br>${figure}`;
}

function curveOf(row, seed, number) {
  const found = reports(row, seed), scale = state.curve === "loss" ? 1 : 100, shade = colour(`--mark${number % 6}`);
  const begins = found.map(({ first }) => first);
  return {
    type: "scatter", mode: "lines+markers",
    text: found.map((one) => told(row, seed, one)), hovertemplate: "%{text}<extra></extra>",
    x: found.map((_, place) => place + 1), y: found.map(({ value }) => value === null ? null : scale * value),
    line: { color: shade, width: 1.8, dash: DASHES[seed % DASHES.length] },
    marker: {
      color: shade, size: begins.map((is) => is ? 9 : 4), symbol: begins.map((is) => is ? "diamond" : "circle"),
    },
  };
}

function drawCurves() {
  const list = curved().filter((row) => row.seeds.some((_, seed) => reports(row, seed).length));
  const chosen = list.some((row) => state.chosen.has(row.place));
  const whose = chosen ? "The chosen rows" : "No row is chosen: the front of file size";
  byId("curves-of").textContent = list.length ? `${whose}; a line a seed (its dash), a diamond where a phase begins.`
    : "No curves are stored for these rows.";
  const swatch = (number) => el("span", { class: "swatch", style: `background: var(--mark${number % 6})` });
  const names = list.map((row, number) => el("span", { class: "chip" }, swatch(number), fullName(row)));
  byId("curve-legend").replaceChildren(...names);
  byId("curve-plot").hidden = !list.length;
  if (!list.length) return;
  const y = state.curve === "loss" ? { title: { text: "training loss, log" }, type: "log" }
    : { title: { text: "validation accuracy, %" } };
  const layout = frame({ title: { text: "epoch, over the whole chain" }, rangemode: "tozero" }, y);
  layout.uirevision = [state.curve, ...list.map((row) => row.place)].join();
  const curves = list.flatMap((row, number) => row.seeds.map((_, seed) => curveOf(row, seed, number)));
  Plotly.react(byId("curve-plot"), curves, layout, CONFIG);
}

function startCurves() {
  byId("curve").addEventListener("change", (event) => { state.curve = event.target.value; drawCurves(); });
  listeners.push(drawCurves);
}
