// Chosen rows in full, the commands, the audit in words, and what all was made with.
const inBytes = (value) => `${whole(value)} bytes`, inPercent = (value, digits) => `${percent(value, digits)} %`;
const NAMES = {
  accuracy: ["test accuracy", inPercent], validation_accuracy: ["validation accuracy", inPercent],
  balanced_accuracy: ["balanced test accuracy", inPercent],
  validation_balanced_accuracy: ["balanced validation accuracy", inPercent],
  loss: ["test loss", (value) => `${value.toPrecision(4)} nats`],
  file_bytes: ["file", inBytes], dense_bytes: ["dense file", inBytes],
  ratio: ["ratio", times], xz_bytes: ["dense file after xz", inBytes], parameters: ["parameters", whole],
  nonzeros: ["nonzero parameters", whole], macs: ["MACs an image", whole],
  latency_ms: ["latency", (value) => `${milliseconds(value)} ms`],
  speedup: ["speed-up", (value) => `${value.toFixed(2)}x`], peak_memory_bytes: ["peak memory", inBytes],
};

function fact(name, text, small) {
  const under = small ? el("small", { class: "quiet" }, ` ${small}`) : null;
  return el("div", {}, el("dt", {}, name), el("dd", {}, text, under));
}

function command(row) {
  if (row.command) return copyable(row.command);
  const networks = row.signatures.join(", ");
  const why = networks ? `No stored plan tells the command; networks: ${networks}.` : "Nothing was made.";
  return el("p", { class: "quiet" }, why);
}

function copyable(text) {
  const button = el("button", { type: "button", click: () => copy(text, button) }, "Copy");
  return el("div", { class: "command" }, el("pre", {}, text), button);
}

// The clipboard's own interface is missing in pages from a disk of some browsers.
async function copy(text, button) {
  try { await navigator.clipboard.writeText(text); }
  catch {
    const area = el("textarea", {});
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
}

function stageLine(row, seed, signature) {
  const { stage, name, seconds, device, threads, started } = data.stages[signature];
  const told = [seconds !== null && `${seconds} s`, device, threads && `${threads} threads`, started].filter(Boolean);
  const what = `seed ${row.seeds[seed]}: ${stage} ${name ?? ""} `;
  return el("li", {}, what, el("code", {}, signature), `, ${told.join(", ")}`);
}

function metricFact([metric, figures]) {
  const [name, write] = NAMES[metric] ?? [readable(metric), short];
  return fact(name, write(figures.mean), figures.low === figures.high ? "" : interval(figures, write));
}

function timingFact({ executor, batch, latency_ms, speedup, speedup_range, accuracy, quantized_by }) {
  const told = latency_ms === null ? "void" : `${milliseconds(latency_ms)} ms`;
  const range = speedup_range && ` (${speedup_range.map((end) => end.toFixed(2)).join(" to ")})`;
  const faster = speedup === null ? null : `${speedup.toFixed(2)}x speed-up${range ?? ""}`;
  const right = accuracy === null ? null : `${inPercent(accuracy)} right`;
  const quantizer = quantized_by && `quantized by ${quantized_by}`, how = [faster, right, quantizer].filter(Boolean);
  return fact(`${executor}, ${batch} image${batch === 1 ? "" : "s"}`, told, how.join("; "));
}

function differenceFact(entry) {
  const most = entry.loss_upper, told = most < 0 ? `at least ${percent(-most)} gained` : `at most ${percent(most)} lost`;
  const bound = most === undefined ? "" : `; ${told} (one-sided, 95 %)`;
  return fact("Δ accuracy vs dense (pp)", signed(entry.difference), `${interval(entry, signed)} ${judged(entry)}${bound}`);
}

function card(row) {
  const known = Object.entries(row.metrics).filter(([, figures]) => figures.mean !== null);
  const entry = row.versus_dense.accuracy, knobs = Object.entries(row.differs).filter(([key]) => key !== "compression");
  const set = knobs.map(([key, value]) => `${key}=${typeof value === "object" ? JSON.stringify(value) : value}`);
  const stages = row.chains.flatMap((chain, seed) => chain.map((signature) => stageLine(row, seed, signature)));
  return el("article", { class: "card", "data-row": row.place },
    el("h3", {}, row.label),
    el("p", { class: "quiet" }, `${row.group}, seeds ${row.seeds.join(", ")}${row.status ? `: ${row.status}` : ""}`),
    el("dl", { class: "facts" }, ...(entry ? [differenceFact(entry)] : []), ...known.map(metricFact),
      ...(row.timings.length > 1 ? row.timings.map(timingFact) : [])),
    set.length ? el("p", {}, el("b", {}, "Set: "), set.join(", ")) : null,
    el("ul", {}, ...row.audit.map((code) => el("li", {}, el("b", {}, readable(code)), `: ${meaning(code)}`))),
    command(row),
    stages.length ? el("details", {}, el("summary", {}, "Stages that made it"), el("ul", {}, ...stages)) : null);
}

function drawCards() {
  const chosen = rows.filter((row) => state.chosen.has(row.place));
  const hint = el("p", { class: "quiet" }, "Choose rows in the table or points in a plot.");
  byId("cards").replaceChildren(...(chosen.length ? chosen.map(card) : [hint]));
}

function settingOf({ host, versions, git, source }, place) {
  const stages = Object.values(data.stages).filter((stage) => stage.setting === place).length;
  const told = {
    host: [host.name, host.cpu, host.cores && `${host.cores} cores`],
    versions: Object.entries(versions).map((pair) => pair.join(" ")),
    source: [
      git?.sha && `commit ${git.sha.slice(0, 12)}`, git?.dirty && `with changes ${git.dirty}`,
      source && `source ${source}`,
    ],
    stages: [String(stages)],
  };
  const written = (texts) => texts.filter(Boolean).join(", ") || "not stored";
  const parts = Object.entries(told).map(([name, texts]) => [el("dt", {}, name), el("dd", {}, written(texts))]);
  return el("dl", { class: "card" }, ...parts.flat());
}

function auditOf(code) {
  const names = rows.filter((row) => row.audit.includes(code)).map(fullName);
  const whose = names.length === rows.length ? "all rows" : names.join(", ");
  return [el("dt", {}, readable(code)), el("dd", {}, `${meaning(code)}. `, el("span", { class: "quiet" }, whose))];
}

function startDetails() {
  const name = (row) => el("p", {}, fullName(row));
  byId("command-list").append(...rows.map((row) => el("div", {}, name(row), command(row))));
  const used = Object.keys(data.audit);
  byId("audit").append(...(used.length ? used.flatMap(auditOf) : [el("dd", {}, "Nothing to say of any row.")]));
  byId("settings").append(...data.settings.map(settingOf));
  byId("margin").textContent = String(Number((100 * data.margin).toPrecision(3)));
  listeners.push(drawCards);
}
