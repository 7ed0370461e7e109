// What waits in the queue, what was given up, and the log.

import { $, keyed, setData, setHidden, setText, slots, stamp } from "./dom.js";
import { age, brief, clock, counted, visible } from "./words.js";

const NUMBERS = ["waiting", "in_flight", "delayed", "looked_at", "dead"];

export function showJobs({ queue }) {
  const counts = slots($("counts"));
  for (const name of NUMBERS) setText(counts[name], queue[name].toLocaleString("en"));
  setData($("counts"), "dead", String(queue.dead > 0));
  setHidden($("jobs-empty"), queue.jobs.length > 0);
  setHidden($("jobs"), queue.jobs.length === 0);
  list($("jobs"), queue.jobs);
  setHidden($("looked-at"), queue.looks.length === 0);
  list($("looks"), queue.looks);
  setHidden($("dead"), queue.dead_jobs.length === 0);
  list($("dead-jobs"), queue.dead_jobs);
}

function list(parent, jobs) {
  keyed(parent, jobs, (each) => `${each.provider} ${each.action} ${each.first}`, () => stamp("job"), (row, job) => {
    const slot = slots(row);
    // A change that the handler hasn't read is for nobody yet.
    setText(slot.provider, visible(job.provider || job.action));
    setText(slot.what, job.provider ? `${visible(job.action)} ${counted(job.targets, "target")}` : "");
    setText(slot.first, brief(job.first) + (job.targets > 1 ? " …" : ""));
    setText(slot.reason, brief(job.reason, 300));
    const tries = job.attempt ? `${counted(job.attempt, "attempt")}, ` : "";
    setText(slot.when, `${tries}${age(job.age)} old${job.due > 0 ? `, next in ${age(job.due)}` : ""}`);
  });
}

export function showLog({ log }) {
  const list = $("log");
  const atEnd = list.scrollTop + list.clientHeight >= list.scrollHeight - 4;
  setHidden($("log-empty"), log.length > 0);
  setHidden(list, log.length === 0);
  keyed(list, log, (each) => `${each.at} ${each.text}`, makeRecord, () => {});
  if (atEnd) list.scrollTop = list.scrollHeight;
}

/** A record never changes. */
function makeRecord(record) {
  const row = stamp("record");
  const slot = slots(row);
  setText(slot.at, clock(record.at));
  setText(slot.level, visible(record.level));
  setData(slot.level, "level", record.level);
  setText(slot.text, brief(record.text, 2000));
  return row;
}
