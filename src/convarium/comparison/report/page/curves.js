// Training curves of the chosen rows, along the whole chain of stages: a plot for each dataset, a line for each seed.
const DASHES = ["solid", "dash", "dot", "dashdot", "longdash"];
const MOST = 6;
const curvePlots = new Map(datasets.map((dataset) => [dataset, el("div", { class: "plot wide" })]));

// The chosen rows, else the first of the front of file size.
function curved() {
  const list = visible(), chosen = list.filter((row) => state.chosen.has(row.place));
  const best = (dataset) => front(list.filter((row) => row.dataset === dataset), "file_bytes").slice(0, MOST);
  return chosen.length ? chosen : datasets.flatMap(best);
}

function reports(signature) {
  return data.stages[signature].curves.flatMap(({ phase, epoch, ...figures }) => epoch.map((number, place) => ({
    phase, epoch: number, first: place === 0, value: figures[state.curve][place],
  })));
}

// Stages one after the other that belong to the same rows. What rows share is drawn once, and each goes on from its
// end; it is the line of the row that ends there, where there is one.
function segmentsOf(list) {
  const owners = new Map(), segments = new Map();
  for (const row of list) {
    for (const signature of row.chains.flat()) owners.set(signature, (owners.get(signature) ?? new Set()).add(row));
  }
  for (const row of list) {
    row.chains.forEach((chain, seed) => {
      let place = 0, placed = 0, open = null, last = null;
      for (const signature of chain.filter((one) => reports(one).length)) {
        const whose = [...owners.get(signature)], own = reports(signature);
        if (open?.whose.length !== whose.length) {
          open = { whose, ends: [], seed: row.seeds[seed], start: place, before: last, points: [] };
          open = segments.get(signature) ?? open;
          segments.set(signature, open);
          placed = open.points.length;
        }
        if (!placed) open.points.push(...own);
        place += own.length;
        last = own.at(-1);
      }
      open?.ends.push(row);
    });
  }
  return [...segments.values()];
}

// A row's colour is its family's; its dash tells it from others of that colour.
function lineOf(row, list) {
  const shade = markOf(row.family).colour, alike = list.filter((one) => markOf(one.family).colour === shade);
  return { shade, dash: DASHES[alike.indexOf(row) % DASHES.length] };
}

function rowOf({ whose, ends }) {
  const last = unique(ends);
  return whose.length === 1 ? whose[0] : last.length === 1 ? last[0] : null;
}

function told({ whose, seed }, { phase, epoch, value }) {
  const figure = value === null ? "not a number" : state.curve === "loss" ? `loss ${value}` : `${percent(value)} %`;
  const names = whose.slice(0, MOST).map((row) => plain(fullName(row))).join("<br>");
  const others = whose.length > MOST ? `<br>and ${whose.length - MOST} more` : "";
  return `<b>${names}${others}</b><br>seed ${seed}, ${plain(phase)}, epoch ${epoch}<br>${figure}`;
}

function curveOf(segment, list) {
  const { start, before, points } = segment, row = rowOf(segment), shared = !row, line = row && lineOf(row, list);
  const all = before ? [before, ...points] : points, from = before ? start : start + 1;
  const size = all.map(({ first }, place) => before && place === 0 ? 0 : first ? 9 : 4);
  const scale = state.curve === "loss" ? 1 : 100, shade = colour(shared ? "--quiet" : line.shade);
  return {
    type: "scatter", mode: "lines+markers", opacity: shared ? 0.55 : 1,
    text: all.map((one) => told(segment, one)), hovertemplate: "%{text}<extra></extra>",
    x: all.map((_, place) => from + place), y: all.map(({ value }) => value === null ? null : scale * value),
    line: { color: shade, width: shared ? 4 : 1.8, dash: shared ? "solid" : line.dash },
    marker: { color: shade, size, symbol: all.map(({ first }) => first ? "diamond" : "circle") },
  };
}

function lineIcon(shade, dash, width) {
  const pattern = { dash: "7 4", dot: "2 3", dashdot: "7 3 2 3", longdash: "11 4" }[dash] ?? null;
  return svgIcon("0 0 28 10", "M0 5h28", {
    class: "stroke", stroke: `var(${shade})`, "stroke-width": width, "stroke-dasharray": pattern,
  });
}

function drawCurvePlot(plot, list) {
  const y = state.curve === "loss" ? { title: { text: "training loss, log" }, type: "log" }
    : { title: { text: "validation accuracy, %" } };
  const layout = frame({ title: { text: "epoch, over the whole chain" }, rangemode: "tozero" }, y);
  layout.uirevision = [state.curve, ...list.map((row) => row.place)].join();
  const segments = segmentsOf(list);
  Plotly.react(plot, segments.map((segment) => curveOf(segment, list)), layout, CONFIG);
  return unique(segments.map(rowOf));
}

function drawCurves() {
  const list = curved().filter((row) => row.chains.flat().some((signature) => reports(signature).length));
  const chosen = list.some((row) => state.chosen.has(row.place));
  const whose = chosen ? "The chosen rows" : "No row is chosen: the front of file size";
  byId("curves-of").textContent = list.length ? `${whose}; a line for each seed, a diamond where a phase begins.`
    : "No curves are stored for these rows.";
  const names = [], shared = () => lineIcon("--quiet", "solid", 4);
  let anyShared = false;
  for (const [dataset, plot] of curvePlots) {
    const own = list.filter((row) => row.dataset === dataset);
    plot.parentElement.hidden = !own.length;
    if (!own.length) continue;
    const drawn = drawCurvePlot(plot, own);
    anyShared ||= drawn.includes(null);
    names.push(...own.map((row) => {
      const { shade, dash } = lineOf(row, own);
      const icon = drawn.includes(row) ? lineIcon(shade, dash, 2) : shared();
      return el("span", { class: "chip" }, icon, fullName(row));
    }));
  }
  if (anyShared) names.push(el("span", { class: "chip" }, shared(), "the same in several rows"));
  byId("curve-legend").replaceChildren(...names);
}

function startCurves() {
  for (const [dataset, plot] of curvePlots) byId("curve-plots").append(facet(dataset, plot));
  byId("curve").addEventListener("change", (event) => { state.curve = event.target.value; drawCurves(); });
  listeners.push(drawCurves);
}
