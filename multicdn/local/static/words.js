// What the page says: numbers, times and states in plain words.

// Signs that can't be seen, or that turn the text after them around: they show as JSON writes them.
const STEERING = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** A text from outside, in which nothing steers what stands beside it. */
export const visible = (text) =>
  String(text).replace(STEERING, (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`);

/** A text from outside that nobody would read to its end. */
export const brief = (text, most = 160) => {
  const signs = [...visible(text)];
  return signs.length > most ? `${signs.slice(0, most - 1).join("")}…` : signs.join("");
};

/** Seconds as people say them: 0.40 s, 12.3 s, 2 min 5 s, 1 h 3 min. */
export function seconds(number) {
  if (number < 9.995) return `${Math.max(0, number).toFixed(2)} s`;
  if (number < 59.95) return `${number.toFixed(1)} s`;
  const whole = Math.round(number);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** An age, which nobody wants to the hundredth. */
export const age = (number) => (number < 60 ? `${Math.max(0, Math.floor(number))} s` : seconds(Math.floor(number)));

export const counted = (number, word) => `${number.toLocaleString("en")} ${word}${number === 1 ? "" : "s"}`;

export const clock = (epoch) => new Date(epoch * 1000).toLocaleTimeString("en-GB");

export const version = (number) => (number === "" || number == null ? "" : `v${visible(number)}`);

/** What a fault does, said when it is on. */
export const FAULTS = {
  throttle: "It answers “too many requests”. multicdn slows down and keeps what waits.",
  outage: "It answers every call with an error. Its jobs go back into the queue; the other vendors don’t wait.",
  hang: "It takes calls and never answers. multicdn gives up waiting and tries again later.",
  slow: "It says yes at once, and its edge drops the old bytes only 8 seconds later: accepted isn’t finished.",
  ignore:
    "It says yes, and its edge keeps the old bytes. Where a route has verify, multicdn sees it, purges again, and tells in " +
    "the end. Elsewhere only another upload mends that.",
};

/** Where no route has verify, nobody but this page looks. */
const ours = (row) => (row.verified ? "" : " (by this page)");

/** How far a vendor is with an upload. */
export function progress(row) {
  const accepted = [
    row.accepted == null ? "" : `accepted after ${seconds(row.accepted)}`,
    row.finished == null ? "" : `finished after ${seconds(row.finished)}${row.asked ? "" : " by its published time"}`,
  ].filter(Boolean).join(", ");
  const again = row.purges > 1 ? `, ${row.purges} purges` : "";
  const tries = row.attempts > 1 ? `, ${row.attempts} tries` : "";
  const why = row.reason ? `: ${brief(row.reason)}` : "";
  switch (row.state) {
    case "fresh":
      return [accepted, `fresh after ${seconds(row.fresh ?? 0)}`].filter(Boolean).join(", ") + ours(row) + again + tries;
    case "accepted":
    case "finished":
      return `${accepted || row.state}, not ${row.verified ? "seen " : ""}fresh yet${again}${tries}`;
    case "stale":
      return `${accepted ? `${accepted}, ` : ""}still stale${ours(row)}${again}${tries}${why}`;
    case "unknown":
    case "superseded":
      return `${accepted ? `${accepted}, ` : ""}${row.state}${again}${tries}${why}`;
    case "requeued":
      return `requeued${tries}${why}`;
    case "dead":
      return `given up${tries}${why}`;
    case "calling":
      return `being called${tries}`;
    default:
      return `waiting${tries}${why}`;
  }
}
