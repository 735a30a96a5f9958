// What chosen rows answer to test images: the classes that they confuse, and the images that cost most.
const MOST_CLASSES = 20;
const MOST_CONFUSIONS = 15;
const aSeed = (count, answers) => Number((count / answers.seeds).toFixed(1)).toLocaleString("en-US");
const className = (answers, place) => data.datasets[answers.dataset].names?.[place] ?? String(place);

function confusionTip(answers, from, to, count, dense) {
  const images = answers.right[from][0];
  const before = dense === null ? "" : `; dense network: ${aSeed(dense, answers)}`;
  const names = `${className(answers, from)}, called ${className(answers, to)}`;
  return `${names}: ${aSeed(count, answers)} of ${aSeed(images, answers)} images${before}`;
}

function confusionCell(answers, from, to, counts) {
  const [images, right] = answers.right[from];
  if (from === to) return el("td", { class: "right" }, aSeed(right, answers));
  const [count, dense] = counts.get(`${from} ${to}`) ?? [0, answers.lost === null ? null : 0];
  if (!count) return el("td", {});
  const depth = Math.round(10 + 75 * Math.min(1, 4 * count / images));
  return el("td", {
    style: `background: color-mix(in srgb, var(--bad) ${depth}%, transparent)`, tabindex: 0,
    "data-tip": confusionTip(answers, from, to, count, dense),
  }, aSeed(count, answers));
}

function confusionMatrix(answers) {
  const counts = new Map(answers.confusions.map(([from, to, count, dense]) => [`${from} ${to}`, [count, dense]]));
  const places = answers.right.map((_, place) => place);
  const head = (place) => el("th", { scope: "col" }, className(answers, place));
  const line = (from) => el("tr", {}, el("th", { scope: "row" }, className(answers, from)),
    ...places.map((to) => confusionCell(answers, from, to, counts)));
  return el("table", { class: "matrix" },
    el("thead", {}, el("tr", {}, el("th", {}, "class ╲ answer"), ...places.map(head))),
    el("tbody", {}, ...places.map(line)));
}

function confusionList(answers) {
  const lines = answers.confusions.filter(([, , count]) => count).slice(0, MOST_CONFUSIONS);
  const tips = lines.map(([from, to, count, dense]) => el("li", {}, confusionTip(answers, from, to, count, dense)));
  return el("ol", {}, ...tips);
}

// The answers of the seeds: one where they agree, else each with how many of the seeds say it.
function said(answers, given) {
  const different = unique(given);
  if (different.length === 1) return className(answers, different[0]);
  const count = (place) => given.filter((one) => one === place).length;
  return different.map((place) => `${className(answers, place)} (${count(place)} of ${given.length})`).join(", ");
}

function costlyImage(answers, { image, label, answers: given, dense, cost }) {
  const uri = data.datasets[answers.dataset].images[image], name = className(answers, label);
  const picture = uri ? el("img", { src: uri, alt: `test image ${image}, ${name}` })
    : el("span", { class: "blank" }, `test image ${image}`);
  const before = dense ? [["dense", said(answers, dense)]] : [];
  const lines = [["is", name], ...before, [dense ? "compressed" : "answer", said(answers, given)]];
  const loss = `${dense && cost >= 0 ? "+" : ""}${cost} nats`.replace("-", "−");
  return el("figure", {}, picture, el("figcaption", {},
    ...lines.map(([word, text]) => el("span", {}, el("small", {}, word), ` ${text}`)), el("small", {}, loss)));
}

function answersText({ seeds: count, right, lost, gained }) {
  const images = whole(right.reduce((sum, [all]) => sum + all, 0) / count);
  const figure = (value) => Number(value.toFixed(1));
  const each = count > 1 ? `; means over ${count} seeds` : "";
  if (lost === null) return `${images} test images${each}.`;
  const change = `compression loses ${figure(lost)} of them (the dense network is right, this one wrong)`;
  return `${images} test images: ${change} and gains ${figure(gained)}${each}.`;
}

function answersCard(row) {
  const answers = row.answers, title = el("h3", {}, markIcon(row.family), fullName(row));
  if (!answers) {
    const why = row.signatures.length ? "Measured before predictions were kept." : "Nothing was made.";
    return el("article", { class: "card" }, title, el("p", { class: "quiet" }, why));
  }
  const small = answers.right.length <= MOST_CLASSES, { problem } = data.datasets[answers.dataset];
  const order = answers.lost === null ? "The wrong answers of greatest loss"
    : "Right before compression, wrong after it: those first to which it adds most loss";
  const images = answers.costly.map((one) => costlyImage(answers, one));
  return el("article", { class: "card", "data-row": row.place }, title, el("p", {}, answersText(answers)),
    el("div", { class: "answers" },
      el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Confusions, scrolls" },
        el("h4", {}, small ? "Confusions" : "Most frequent confusions"),
        small ? confusionMatrix(answers) : confusionList(answers)),
      el("div", {}, el("h4", {}, images.length ? order : "No image is lost"),
        problem && images.length ? el("p", { class: "quiet" }, `Images are missing: ${problem}.`) : null,
        el("div", { class: "images" }, ...images))));
}

let answered = "";
function drawAnswers() {
  const chosen = visible().filter((row) => state.chosen.has(row.place));
  const list = chosen.length ? chosen : curved().filter((row) => row.answers).slice(0, 1);
  const now = list.map((row) => row.place).join();
  const whose = chosen.length ? "The chosen rows." : "No row is chosen: the smallest file of the front.";
  byId("answers-of").textContent = list.length ? whose : "These rows were measured before predictions were kept.";
  if (now !== answered || !list.length) byId("answer-cards").replaceChildren(...list.map(answersCard));
  answered = now;
}

function startAnswers() {
  listeners.push(drawAnswers);
}
