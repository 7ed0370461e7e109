// What happened between two states, in one line that screen readers say, too: gathered for a moment, and never long.

import { $, setText } from "./dom.js";
import { brief, seconds } from "./words.js";

const GATHER = 300; // ms: vendors that are fresh at almost the same time make one sentence
const PAUSE = 2000; // ms: nobody listens to more than a sentence in this time
const MOST = 8;

let waiting = [];
let timer = 0;
let last = 0;

/** Put a sentence into the live region, with others of this moment. */
export function announce(text) {
  waiting.push(text);
  plan();
}

/** The same for an answer to whoever pressed something: before all others, so that it isn't among those left out. */
export function reply(text) {
  waiting.unshift(text);
  plan();
}

function plan() {
  if (!timer) timer = setTimeout(flush, Math.max(GATHER, last + PAUSE - Date.now()));
}

function flush() {
  const said = waiting.slice(0, MOST);
  if (waiting.length > MOST) said.push(`and ${waiting.length - MOST} more`);
  setText($("news"), `${said.join("; ")}.`);
  [waiting, timer, last] = [[], 0, Date.now()];
}

/** Announce what is new in a state, compared with the one before. */
export function compare(before, now) {
  const uploads = new Map(before.uploads.map((each) => [each.id, each]));
  for (const upload of [...now.uploads].reverse()) {
    const old = uploads.get(upload.id);
    if (!old) announce(`${brief(upload.key, 40)} ${upload.kind === "removed" ? "removed" : "uploaded"}`);
    for (const [name, row] of Object.entries(upload.providers)) {
      const sentence = row.state === old?.providers[name]?.state ? "" : turn(row);
      if (sentence) announce(`${brief(name, 40)} ${sentence}`);
    }
  }
  const faults = new Map(before.providers.map((each) => [each.name, each.fault]));
  for (const { name, fault } of now.providers) {
    const old = faults.get(name) ?? fault;
    if (old !== fault) announce(`${brief(name, 40)} ${fault === "none" ? `${old} off` : `${fault} on`}`);
  }
}

function turn(row) {
  if (row.state === "fresh") return `fresh after ${seconds(row.fresh ?? 0)}`;
  if (row.state === "requeued") return "requeued";
  if (row.state === "dead") return "given up";
  if (row.state === "stale") return "still stale";
  if (row.state === "unknown") return "unknown";
  return "";
}
