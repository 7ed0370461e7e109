// The page of `multicdn local`: states come as server-sent events, what is pressed goes out as requests.

import { announce, compare, reply } from "./announce.js";
import { $, keyed, setData, setHidden, setText } from "./dom.js";
import { showEdges } from "./edges.js";
import { showJobs, showLog } from "./jobs.js";
import { showTimeline } from "./timeline.js";
import { age, brief, clock, counted, visible } from "./words.js";

const AGAIN = 2000; // ms until a connection that the browser gave up is tried again
const TICK = 1000; // ms between two looks at the clock, for what only grows older
const EVERY = "every edge";
const GONE = "multicdn local doesn’t answer. Does it still run?";

let state = null;
let arrived = 0; // epoch seconds of the last state
let drawn = true; // whether it is on the page
const fetched = new Map();
const done = new Set(); // steps of the guide

// States

function connect() {
  const source = new EventSource("api/events");
  source.addEventListener("state", (event) => take(JSON.parse(event.data)));
  source.onopen = () => link("live", "live");
  source.onerror = () => {
    if ($("link").dataset.link !== "lost" && state) announce(`Connection lost: what you see is from ${clock(arrived)}`);
    link("lost", "connection lost, trying again …");
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, AGAIN);
  };
}

function link(name, text) {
  setData($("link"), "link", name);
  setText($("link"), text);
}

function take(now) {
  if (state) compare(state, now);
  else welcome(now);
  [state, arrived] = [now, Date.now() / 1000];
  if (drawn) requestAnimationFrame(draw); // several states may come before the next frame
  drawn = false;
}

function welcome({ providers, uploads }) {
  const begin = uploads.length ? "" : "; upload a file to begin";
  announce(`Connected: ${counted(providers.length, "edge")}, ${counted(uploads.length, "upload")} so far${begin}`);
}

function draw() {
  drawn = true;
  const epoch = Date.now() / 1000;
  const now = aged(state, epoch - arrived);
  setText($("config"), visible(now.config));
  setText($("s3"), visible(now.s3));
  keyed($("notes"), now.notes, (each) => each, () => document.createElement("li"), (item, each) => setText(item, visible(each)));
  showEdges(now, fetched, act);
  showTimeline(now, epoch);
  showJobs(now);
  showLog(now);
  offer(now);
  guide(now);
}

/** A state as it is some seconds later. */
function aged(now, later) {
  const older = (each) => ({ ...each, age: each.age + later, ...(each.due ? { due: Math.max(0, each.due - later) } : {}) });
  const queue = { ...now.queue, jobs: now.queue.jobs.map(older), dead_jobs: now.queue.dead_jobs.map(older) };
  return { ...now, queue, providers: now.providers.map((each) => ({ ...each, edge: each.edge.map(older) })) };
}

/** Offer known keys, URLs, buckets and providers to the two forms. */
function offer(now) {
  const edge = now.providers.flatMap((each) => each.edge);
  options($("keys"), unique([...edge.map((each) => each.key), ...now.uploads.map((each) => each.key)]));
  options($("urls"), unique(edge.map((each) => each.url)));
  options($("through"), [EVERY, ...now.providers.map((each) => each.name)]);
  options($("bucket"), now.buckets);
  setHidden($("bucket"), now.buckets.length < 2);
  if (!$("key").value && !$("key").dataset.offered) $("key").value = edge[0]?.key ?? "index.html";
  if (!$("url").value && !$("url").dataset.offered) $("url").value = edge[0]?.url ?? "";
  $("key").dataset.offered = "once"; // whoever empties the field wants it empty
  if (edge.length) $("url").dataset.offered = "once";
}

const unique = (texts) => [...new Set(texts.filter(Boolean))].slice(0, 200);

function options(parent, values) {
  keyed(parent, values, (each) => each, (each) => new Option(visible(each), each), () => {});
}

/** Tick the steps that were taken. */
function guide(now) {
  const broken = now.providers.some((each) => each.fault !== "none");
  const isFresh = (upload) => Object.values(upload.providers).every((row) => row.state === "fresh");
  if (now.uploads.length) done.add("upload");
  if (now.providers.some((each) => each.edge.some(({ cache }) => cache !== "none"))) done.add("fetch");
  if (now.uploads.some((each) => each.version > 1 && isFresh(each))) done.add("again");
  if (broken) done.add("break");
  if (done.has("break") && !broken) done.add("mend");
  for (const step of $("steps").children) setData(step, "done", String(done.has(step.dataset.step)));
}

// Requests

async function post(path, body) {
  let answer;
  try {
    answer = await fetch(`api/${path}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
  } catch {
    throw new Error(GONE);
  }
  const text = await answer.json().catch(() => ({ error: `${answer.status} ${answer.statusText}` }));
  if (!answer.ok) throw new Error(text.error ?? String(answer.status));
  return text;
}

/** Do something that was asked for, and say what is wrong with it, if anything is. */
async function attempt(action) {
  setText($("answer"), "");
  try {
    await action();
  } catch (error) {
    setText($("answer"), visible(error.message));
  }
}

const act = {
  fault: (provider, fault) => attempt(() => post("fault", { provider, fault })),
  fetch: (provider, url) => attempt(() => fetchThrough(provider, url)),
};

async function fetchThrough(provider, url) {
  const found = await post("fetch", { provider, url });
  const head = visible([found.cache, found.status, `${age(found.age)} old`, found.verdict].filter(Boolean).join(", "));
  fetched.set(provider, `${brief(url, 80)}: ${head}. “${brief(found.body.trim(), 60)}”`);
  reply(`${brief(provider, 40)}: ${head}`);
  draw();
}

/** Fetch a URL through the edges that know it; through all of them, if none does. */
async function fetchEverywhere(url) {
  const knowing = state.providers.filter((each) => each.edge.some((entry) => entry.url === url));
  for (const each of knowing.length ? knowing : state.providers) await fetchThrough(each.name, url);
}

function object() {
  const bucket = $("bucket").value;
  return { ...(bucket ? { bucket } : {}), key: $("key").value };
}

$("upload").onsubmit = (event) => {
  event.preventDefault();
  attempt(() => post("upload", object()));
};
$("remove").onclick = () => {
  if ($("upload").reportValidity()) attempt(() => post("remove", object()));
};
$("fetch").onsubmit = (event) => {
  event.preventDefault();
  const [provider, url] = [$("through").value, $("url").value];
  attempt(() => (provider === EVERY ? fetchEverywhere(url) : fetchThrough(provider, url)));
};
// A row gets its bars when it is opened, and the event doesn't bubble.
$("uploads").addEventListener("toggle", ({ target }) => target.querySelector("li") || draw(), { capture: true });
$("copy").onclick = () =>
  attempt(async () => {
    getSelection().selectAllChildren($("s3")); // for browsers that let no page copy
    await navigator.clipboard.writeText(state?.s3 ?? "");
    reply("Copied");
  });

// Light and dark

const isDark = () =>
  document.documentElement.dataset.theme
    ? document.documentElement.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;

const nameTheme = () => setText($("theme"), isDark() ? "Light" : "Dark");

$("theme").onclick = () => {
  document.documentElement.dataset.theme = isDark() ? "light" : "dark";
  nameTheme();
  localStorage.setItem("theme", document.documentElement.dataset.theme);
};
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", nameTheme);
nameTheme();

setInterval(() => state && draw(), TICK);
connect();
