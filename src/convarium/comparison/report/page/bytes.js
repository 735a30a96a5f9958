// What each file's bytes hold, as stacked bars.
const kinds = unique(rows.flatMap((row) => Object.keys(row.bytes)));
const kindColour = (kind) => `background: var(--kind${kinds.indexOf(kind) % 7})`;
const total = (row) => Object.values(row.bytes).reduce((sum, bytes) => sum + bytes, 0);

function bar(row, widest) {
  const full = state.scale === "share" ? total(row) : widest, held = kinds.filter((kind) => row.bytes[kind]);
  const share = (kind) => percent(row.bytes[kind] / total(row), 1), width = (kind) => 100 * row.bytes[kind] / full;
  const told = held.map((kind) => `${readable(kind)}: ${whole(row.bytes[kind])} bytes, ${share(kind)} %`);
  const parts = held.map((kind) => el("span", { style: `${kindColour(kind)}; width: ${width(kind)}%` }));
  const stack = el("button", {
    type: "button", class: "stack", click: () => toggle(row.place),
    "data-tip": told.join("\n"), "aria-label": `${fullName(row)}, bytes: ${told.join("; ")}`,
  }, ...parts);
  const size = el("output", {}, `${whole(total(row))} B`);
  return el("div", { class: "bar", "data-row": row.place }, el("span", {}, fullName(row)), stack, size);
}

function barsOf(dataset, list) {
  const own = list.filter((row) => row.dataset === dataset), widest = Math.max(...own.map(total));
  return own.length ? facet(dataset, ...own.map((row) => bar(row, widest))) : "";
}

let barred = "";
function drawBytes() {
  const list = sorted(visible()).filter((row) => total(row));
  const now = [state.scale, ...list.map((row) => row.place)].join();
  if (now !== barred) byId("bars").replaceChildren(...datasets.map((dataset) => barsOf(dataset, list)));
  barred = now;
  for (const node of byId("bars").querySelectorAll(".bar")) {
    node.classList.toggle("chosen", state.chosen.has(Number(node.dataset.row)));
  }
  byId("no-bytes").hidden = list.length > 0;
}

function startBytes() {
  const swatch = (kind) => el("span", { class: "swatch", style: kindColour(kind) });
  byId("kinds").append(...kinds.map((kind) => el("span", { class: "chip" }, swatch(kind), readable(kind))));
  byId("scale").addEventListener("change", (event) => { state.scale = event.target.value; drawBytes(); });
  listeners.push(drawBytes);
}
