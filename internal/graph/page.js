"use strict";
const view = document.getElementById("view"), svg = document.getElementById("picture"), details = document.getElementById("details");
const search = document.getElementById("search"), found = document.getElementById("found");
const whole = { w: svg.viewBox.baseVal.width, h: svg.viewBox.baseVal.height };
const parts = [...svg.querySelectorAll("[tabindex]")];
const lanes = [...svg.querySelectorAll(".lane")];

// What browsers would show as a tooltip is shown beside the pointer, and searched.
const text = new Map();
for (const part of parts) {
  const title = part.querySelector("title");
  text.set(part, title.textContent.split("\n"));
  title.remove();
}

// The part of the picture that is shown.
let at = { x: 0, y: 0, w: whole.w, h: whole.h };
svg.setAttribute("preserveAspectRatio", "xMidYMin meet");

function show(x, y, w) {
  w = Math.min(Math.max(w, 120), 4 * whole.w);
  const h = w * view.clientHeight / view.clientWidth;
  at = { x, y, w, h };
  svg.setAttribute("viewBox", [x, y, w, h].join(" "));
}

// begin shows it from its top, as wide as the window but no larger than it was drawn.
function begin() {
  const w = Math.max(whole.w, view.clientWidth);
  show((whole.w - w) / 2, 0, w);
}
// fit shows all of it.
function fit() {
  const w = Math.max(whole.w, whole.h * view.clientWidth / view.clientHeight);
  show((whole.w - w) / 2, 0, w);
}

// zoom keeps what is at a place of the window where it is.
function zoom(by, x, y) {
  const box = view.getBoundingClientRect();
  const fx = (x - box.left) / box.width, fy = (y - box.top) / box.height;
  const w = Math.min(Math.max(at.w / by, 120), 4 * whole.w);
  const h = w * box.height / box.width;
  show(at.x + fx * (at.w - w), at.y + fy * (at.h - h), w);
}
function zoomMiddle(by) {
  const box = view.getBoundingClientRect();
  zoom(by, box.left + box.width / 2, box.top + box.height / 2);
}
view.addEventListener("wheel", (e) => {
  e.preventDefault();
  zoom(Math.exp(-Math.sign(e.deltaY) * Math.min(Math.abs(e.deltaY), 100) / 500), e.clientX, e.clientY);
}, { passive: false });

// One pointer moves the picture, two zoom it.
const pointers = new Map();
let moved = false;
view.addEventListener("pointerdown", (e) => { pointers.set(e.pointerId, e); moved = false; });
window.addEventListener("pointermove", (e) => {
  const was = pointers.get(e.pointerId);
  if (!was) return;
  const others = [...pointers.values()].filter((p) => p.pointerId !== e.pointerId);
  if (others.length === 1) {
    const o = others[0], span = (p) => Math.hypot(p.clientX - o.clientX, p.clientY - o.clientY);
    zoom(span(e) / Math.max(span(was), 1), o.clientX, o.clientY);
  } else if (others.length === 0) {
    if (!moved && Math.hypot(e.clientX - was.clientX, e.clientY - was.clientY) < 4) return;
    const scale = at.w / view.clientWidth;
    show(at.x - (e.clientX - was.clientX) * scale, at.y - (e.clientY - was.clientY) * scale, at.w);
    view.classList.add("moves");
  }
  moved = true;
  pointers.set(e.pointerId, e);
});
for (const end of ["pointerup", "pointercancel"]) {
  window.addEventListener(end, (e) => { pointers.delete(e.pointerId); view.classList.remove("moves"); });
}

// What is pointed at is shown with what it is on, or what is on it.
const linesOf = (part) => (part.dataset.line || part.dataset.on || "").split(" ").filter(Boolean);
function light(list) {
  const on = new Set(list.flatMap(linesOf)), all = list.length > 0;
  svg.classList.toggle("dim", all);
  for (const l of lanes) l.classList.toggle("lit", all && on.has(l.dataset.line));
  for (const p of parts) {
    const lit = list.includes(p) || (p.dataset.line ? on.has(p.dataset.line) : list.some((l) => l.dataset.line && linesOf(p).includes(l.dataset.line)));
    p.classList.toggle("lit", all && lit);
  }
}
let stays = null, hits = [];
function tell(part, x, y) {
  details.replaceChildren(...text.get(part).map((line) => { const div = document.createElement("div"); div.textContent = line; return div; }));
  details.hidden = false;
  const w = details.offsetWidth, h = details.offsetHeight;
  details.style.left = Math.max(12, x + 16 + w > innerWidth ? x - 16 - w : x + 16) + "px";
  details.style.top = Math.max(12, Math.min(y + 16, innerHeight - h - 12)) + "px";
  light([part]);
}
function hush() {
  details.hidden = true;
  stays = null;
  details.classList.remove("stays");
  light(hits);
}
for (const part of parts) {
  part.addEventListener("pointerenter", (e) => { if (!stays && pointers.size === 0) tell(part, e.clientX, e.clientY); });
  part.addEventListener("pointerleave", () => { if (!stays) hush(); });
  part.addEventListener("focus", () => {
    if (!part.matches(":focus-visible")) return;
    const box = part.getBoundingClientRect();
    tell(part, box.right, box.top);
  });
  part.addEventListener("blur", () => { if (stays !== part) hush(); });
}
// A click has the details stay, so that a key can be copied from them; the next one ends that.
view.addEventListener("click", (e) => {
  const part = e.target.closest("[tabindex]");
  if (moved) return;
  if (!part || part === stays) { hush(); return; }
  tell(part, e.clientX, e.clientY);
  stays = part;
  details.classList.add("stays");
});

// What has all words of a search is marked; Enter goes from one to the next.
let next = 0;
search.addEventListener("input", () => {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const has = (part) => { const all = text.get(part).join("\n").toLowerCase(); return words.every((w) => all.includes(w)); };
  const named = (part) => text.get(part)[0].split(":")[0].toLowerCase() === words.join(" ");
  hits = words.length ? parts.filter(has) : [];
  hits.sort((a, b) => named(b) - named(a));
  for (const p of parts) p.classList.toggle("hit", hits.includes(p));
  found.textContent = words.length ? hits.length + " found" : "";
  next = 0;
  stays = null;
  details.hidden = true;
  light(hits);
});
search.addEventListener("keydown", (e) => {
  if (e.key === "Escape") { search.value = ""; search.dispatchEvent(new Event("input")); begin(); }
  if (e.key !== "Enter" || hits.length === 0) return;
  const part = hits[next++ % hits.length], box = part.getBBox();
  const w = Math.min(whole.w, 900), h = w * view.clientHeight / view.clientWidth;
  show(box.x + box.width / 2 - w / 2, box.y + box.height / 2 - h / 2, w);
  const on = part.getBoundingClientRect();
  tell(part, on.right, on.top);
});

document.getElementById("in").addEventListener("click", () => zoomMiddle(1.3));
document.getElementById("out").addEventListener("click", () => zoomMiddle(1 / 1.3));
document.getElementById("fit").addEventListener("click", fit);
document.addEventListener("keydown", (e) => {
  if (e.target === search || e.ctrlKey || e.metaKey || e.altKey) return;
  const step = at.w / 10;
  const act = {
    "+": () => zoomMiddle(1.3), "-": () => zoomMiddle(1 / 1.3), 0: fit, Escape: hush, "/": () => search.focus(),
    ArrowLeft: () => show(at.x - step, at.y, at.w), ArrowRight: () => show(at.x + step, at.y, at.w),
    ArrowUp: () => show(at.x, at.y - step, at.w), ArrowDown: () => show(at.x, at.y + step, at.w),
  }[e.key];
  if (act) { e.preventDefault(); act(); }
});
window.addEventListener("resize", () => show(at.x, at.y, at.w));
begin();
