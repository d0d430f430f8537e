// Keeps a page alive: parts that have changed come as server-sent events. Without this script the page shows the same, once.

const SILENCE_MS = 15_000;
const RETRY_MS = 5_000;
const page = document.body;
const lost = document.getElementById("lost");
const said = document.getElementById("said");
const dialog = document.getElementById("confirm");

let serverAhead = Date.parse(page.dataset.now) - Date.now();
let source = null;
let heardAt = performance.now();
let heardTime = new Date(Date.now() + serverAhead);
let retry = 0;

function agoText(seconds) {
  if (seconds < 2) return "just now";
  if (seconds < 90) return `${Math.floor(seconds)} s ago`;
  if (seconds < 5400) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86400)} days ago`;
}

function tellAges() {
  const now = Date.now() + serverAhead;
  for (const time of document.querySelectorAll("time[data-ago]")) {
    time.title ||= time.textContent;
    const text = agoText((now - Date.parse(time.dateTime)) / 1000);
    if (time.textContent !== text) time.textContent = text;
  }
}

function clock(time) {
  return `${time.toISOString().slice(11, 19)} UTC`;
}

function setLost(isLost) {
  if (!lost || lost.hidden !== isLost) return;
  page.classList.toggle("lost", isLost);
  if (isLost) lost.textContent = `This page has lost its dashboard. What you see is the state of ${clock(heardTime)}. It tries again by itself.`;
  lost.hidden = !isLost;
}

// What somebody opened, focused or scrolled stays as they left it.
function replacePart(part, html) {
  const open = new Set([...part.querySelectorAll("details[open]")].map((each) => each.id));
  const focused = part.contains(document.activeElement) ? document.activeElement.id : "";
  const scrolled = [...part.querySelectorAll(".scroll")].map((each) => each.scrollLeft);
  part.innerHTML = html;
  for (const each of part.querySelectorAll("details")) each.open = open.has(each.id);
  part.querySelectorAll(".scroll").forEach((each, index) => { each.scrollLeft = scrolled[index] ?? 0; });
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
}

function takeParts(parts) {
  const before = document.querySelector("[data-state]")?.dataset.state;
  for (const [name, html] of Object.entries(parts)) {
    const part = document.querySelector(`[data-section="${name}"]`);
    if (part && (part.dataset.html ?? null) !== html) {
      replacePart(part, html);
      part.dataset.html = html;
    }
  }
  const answer = document.querySelector("[data-state]");
  const name = document.getElementById("name")?.dataset.name;
  if (answer && name) {
    document.title = `${answer.dataset.title} · ${name} · covey`;
    if (before && before !== answer.dataset.state) said.textContent = `${name} is now ${answer.dataset.state}`;
  }
}

function listen() {
  clearTimeout(retry);
  source?.close();
  source = new EventSource(page.dataset.stream);
  source.addEventListener("parts", (event) => {
    const message = JSON.parse(event.data);
    heardAt = performance.now();
    heardTime = new Date(message.now);
    serverAhead = heardTime - Date.now();
    takeParts(message.parts);
    tellAges();
    setLost(false);
  });
  source.addEventListener("ended", () => location.reload());
  source.onerror = () => {
    setLost(true);
    // A refusal closes the stream for good, as far as the browser is concerned.
    if (source.readyState === EventSource.CLOSED) retry = setTimeout(comeBack, RETRY_MS);
  };
}

// Streams do not say why they are refused; a page that leads to the form means that the session is over.
async function comeBack() {
  try {
    const answer = await fetch("/", { method: "HEAD", redirect: "manual" });
    if (answer.type === "opaqueredirect") return location.reload();
  } catch {
    // It is still away.
  }
  return listen();
}

async function ask(event, link) {
  event.preventDefault();
  try {
    const answer = await fetch(link.href, { headers: { "x-covey-part": "1" }, redirect: "error" });
    if (!answer.ok) throw new Error(answer.statusText);
    dialog.innerHTML = await answer.text();
  } catch {
    location.assign(link.href);
    return;
  }
  dialog.setAttribute("aria-labelledby", "confirm-title");
  dialog.removeAttribute("aria-label");
  dialog.showModal();
  dialog.querySelector("input:not([type=hidden]), textarea, select, button")?.focus();
  dialog.addEventListener("close", () => document.getElementById(link.id)?.focus(), { once: true });
}

document.addEventListener("click", (event) => {
  const isPlain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
  const target = event.target.closest?.("a");
  if (!dialog || !target || !isPlain) return;
  if (target.matches("[data-confirm]")) ask(event, target);
  if (target.matches("dialog [data-cancel]")) {
    event.preventDefault();
    dialog.close();
  }
});
document.addEventListener("submit", (event) => {
  for (const button of event.target.querySelectorAll("button")) button.setAttribute("aria-disabled", "true");
});

if (page.dataset.stream) {
  listen();
  // A hidden page needs no stream, and browsers have few of them for a host.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) source?.close();
    else listen();
  });
  addEventListener("pagehide", () => source?.close());
  setInterval(() => {
    if (!document.hidden && performance.now() - heardAt > SILENCE_MS) {
      setLost(true);
      if (source.readyState !== EventSource.CONNECTING) listen();
    }
  }, 3_000);
}
if (new URLSearchParams(location.search).has("done")) history.replaceState(null, "", location.pathname);
setInterval(tellAges, 1_000);
tellAges();
