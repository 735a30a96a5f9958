// Theme, explanations under the pointer, and the start.
const root = document.documentElement, wishes = matchMedia("(prefers-color-scheme: dark)");

// A page from a disk may have no storage.
function kept() {
  try { return localStorage.getItem("convarium-theme"); } catch { return null; }
}
function keep(theme) {
  try { localStorage.setItem("convarium-theme", theme); } catch { return; }
}

function setTheme(theme) {
  root.dataset.theme = theme;
  byId("theme").textContent = theme === "dark" ? "Light" : "Dark";
}
setTheme(kept() ?? (wishes.matches ? "dark" : "light"));
wishes.addEventListener("change", () => { if (!kept()) { setTheme(wishes.matches ? "dark" : "light"); changed(); } });
byId("theme").addEventListener("click", () => {
  const theme = root.dataset.theme === "dark" ? "light" : "dark";
  setTheme(theme);
  keep(theme);
  changed();
});

const tip = byId("tip");
let pointed = null;
function tell(node) {
  const text = node?.dataset.tip;
  tip.hidden = !text;
  pointed = null;
  if (!text) return;
  tip.textContent = text;
  const box = node.getBoundingClientRect(), own = tip.getBoundingClientRect();
  pointed = { node, box };
  tip.style.left = `${Math.max(8, Math.min(box.left, innerWidth - own.width - 8))}px`;
  const above = Math.max(8, box.top - own.height - 6), below = box.bottom + 6;
  tip.style.top = `${below + own.height + 6 > innerHeight ? above : below}px`;
}
for (const event of ["mouseover", "focusin", "click"]) {
  document.addEventListener(event, ({ target }) => tell(target.closest?.("[data-tip]")));
}
document.addEventListener("focusout", () => tell(null));
// The event of a scroll that was over before the pointer came may arrive after it.
function moved({ node, box }) {
  const now = node.getBoundingClientRect();
  return now.top !== box.top || now.left !== box.left;
}
document.addEventListener("scroll", () => { if (pointed && moved(pointed)) tell(null); }, true);
document.addEventListener("keydown", ({ key }) => { if (key === "Escape") tell(null); });

// Paper is light, and everything on it is open.
let before = null;
addEventListener("beforeprint", () => {
  before = { theme: root.dataset.theme, open: [...document.querySelectorAll("details")].filter((node) => node.open) };
  setTheme("light");
  document.querySelectorAll("details").forEach((node) => { node.open = true; });
  changed();
});
addEventListener("afterprint", () => {
  setTheme(before.theme);
  document.querySelectorAll("details").forEach((node) => { node.open = before.open.includes(node); });
  changed();
});

const networks = rows.reduce((sum, row) => sum + row.signatures.length, 0);
const sizes = `${networks} network${networks === 1 ? "" : "s"} in ${rows.length} row${rows.length === 1 ? "" : "s"}`;
byId("summary").append(el("code", {}, data.command), el("br"), [sizes, ...groups].join("; "));
byId("foot").textContent = `Made ${data.made} by convarium ${data.version}.`;
if (data.missing) {
  byId("missing").hidden = false;
  byId("missing").textContent = `${data.missing} point${data.missing > 1 ? "s are" : " is"} not measured yet; convarium run with the same words.`;
}
startBytes();
startCurves();
startAnswers();
startDetails();
changed();
startPlots();
