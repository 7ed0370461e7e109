// From upload to fresh bytes: for each upload a bar a vendor, all on one scale.

import { $, keyed, setData, setHidden, setText, slots, stamp } from "./dom.js";
import { brief, clock, counted, progress, seconds, version, visible } from "./words.js";

// Linear up to a tenth of a second, logarithmic beyond: 40 ms and an outage of minutes fit on one scale.
const BEND = 0.1;
const ENDS = [1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 4 * 3600, 24 * 3600];
const TICKS = [0.1, 0.5, 2, 10, 60, 600, 3600];
const OPEN_AT_FIRST = 2;
const SETTLED = ["fresh", "dead", "unknown", "superseded"];

const touched = new WeakSet(); // rows that somebody opened or closed stay as they are

/** @param now a State; @param epoch the time now, in seconds. */
export function showTimeline(now, epoch) {
  setHidden($("uploads-empty"), now.uploads.length > 0);
  const end = scaleEnd(now.uploads, epoch);
  showAxis(end, now.uploads.length > 0);
  keyed($("uploads"), now.uploads, (each) => String(each.id), makeRow, showUpload);
  openNewest();
  now.uploads.forEach((upload, index) => {
    const row = $("uploads").children[index];
    if (row.firstElementChild.open) showBars(slots(row).bars, upload, epoch, end);
  });
}

const isOpen = (row) => !SETTLED.includes(row.state);
const lasts = (row, elapsed) => (isOpen(row) ? elapsed : (row.fresh ?? row.finished ?? row.accepted ?? 0));
const place = (number, end) => `${(100 * Math.log1p(Math.max(0, number) / BEND)) / Math.log1p(end / BEND)}%`;

/** Where the scale ends: steps, or it would change with every state. */
function scaleEnd(uploads, epoch) {
  const all = uploads.flatMap((each) => Object.values(each.providers).map((row) => lasts(row, epoch - each.at)));
  const longest = Math.max(0, ...all);
  return ENDS.find((each) => each >= longest) ?? longest;
}

function showAxis(end, hasUploads) {
  setHidden($("axis"), !hasUploads);
  const ticks = hasUploads ? [0, ...TICKS.filter((each) => each < end * 0.6), end] : [];
  keyed($("axis"), ticks, String, () => document.createElement("span"), (tick, each) => {
    setText(tick, each === 0 ? "0" : short(each));
    tick.style.left = place(each, end);
  });
}

const short = (number) => (number < 60 ? `${number} s` : number < 3600 ? `${number / 60} min` : `${number / 3600} h`);

function makeRow() {
  const row = stamp("upload-row");
  row.querySelector("summary").addEventListener("click", () => touched.add(row));
  return row;
}

function openNewest() {
  [...$("uploads").children].forEach((row, index) => {
    const details = row.firstElementChild;
    if (!touched.has(row) && details.open !== index < OPEN_AT_FIRST) details.open = index < OPEN_AT_FIRST;
  });
}

function showUpload(row, upload) {
  const slot = slots(row);
  setText(slot.key, brief(upload.key, 120));
  slot.key.title ||= visible(`s3://${upload.bucket}/${upload.key}`);
  setText(slot.version, upload.kind === "removed" ? "removed" : version(upload.version));
  setText(slot.when, clock(upload.at));
  showSum(slot.sum, Object.values(upload.providers));
}

function showBars(parent, upload, epoch, end) {
  keyed(parent, Object.entries(upload.providers), ([name]) => name, () => stamp("bar"), (line, [name, each]) => {
    showBar(slots(line), name, each, epoch - upload.at, end);
  });
}

function showSum(node, rows) {
  const fresh = rows.filter((each) => each.state === "fresh");
  const dead = rows.filter((each) => each.state === "dead").length;
  const all = fresh.length === rows.length;
  const slowest = Math.max(0, ...fresh.map((each) => each.fresh ?? 0));
  const text = rows.length === 0 ? "no route" : `fresh at ${fresh.length} of ${rows.length}`;
  const more = dead ? `, ${counted(dead, "job")} given up` : all && rows.length ? ` after ${seconds(slowest)}` : "";
  setText(node, text + more);
  setData(node, "state", dead ? "dead" : all && rows.length ? "fresh" : "waiting");
}

function showBar(slot, name, row, elapsed, end) {
  setText(slot.vendor, visible(name));
  setText(slot.words, progress(row));
  setData(slot.words, "state", row.state);
  setData(slot.bar, "state", row.state);
  const total = lasts(row, elapsed);
  slot.bar.style.setProperty("--told", place(Math.min(row.accepted ?? total, total), end));
  slot.bar.style.setProperty("--end", place(total, end));
  setHidden(slot.finished, row.finished == null);
  slot.finished.style.left = place(Math.min(row.finished ?? 0, total), end);
}
