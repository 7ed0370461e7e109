// One card for each provider: what its edge has cached, how its API is doing, and the faults that can be switched on.

import { $, keyed, setData, setHidden, setText, slots, stamp } from "./dom.js";
import { age, brief, counted, FAULTS, version, visible } from "./words.js";

const SHOWN = 100; // rows of a card: the list scrolls, and nobody reads further
const WORDS = { fresh: "fresh", stale: "stale", soft: "soft", none: "not cached" };

/**
 * @param now a State; @param fetched what was last fetched through each provider, as a sentence.
 * @param act has fetch(provider, url) and fault(provider, name).
 */
export function showEdges(now, fetched, act) {
  setHidden($("edges-empty"), now.providers.length > 0);
  const all = now.providers.flatMap((each) => each.edge);
  const sum = (cache) => all.filter((each) => each.cache === cache).length;
  const parts = ["fresh", "stale", "soft"].filter(sum).map((cache) => `${sum(cache)} ${WORDS[cache]}`);
  setText($("edges-sum"), parts.join(", "));
  keyed($("cards"), now.providers, (each) => each.name, () => stamp("card"), (card, each) => {
    showCard(card, each, fetched.get(each.name), act);
  });
}

function showCard(card, provider, fetched, act) {
  const slot = slots(card);
  setText(slot.name, visible(provider.name));
  setText(slot.type, provider.type === provider.name ? "" : visible(provider.type));
  setText(slot.breaker, `breaker ${provider.breaker}`);
  setData(slot.breaker, "breaker", provider.breaker);
  const facts = [counted(provider.calls, "call"), counted(provider.targets, "target"), visible(provider.price)];
  setText(slot.facts, facts.filter(Boolean).join(" · "));
  showFaults(slot, provider, act);
  setHidden(slot.empty, provider.edge.length > 0);
  setHidden(slot.cached, provider.edge.length === 0);
  const shown = provider.edge.slice(0, SHOWN);
  const several = new Set(shown.filter((each, at) => at > 0 && shown[at - 1].key === each.key).map((each) => each.key));
  keyed(slot.cached, shown, (each) => each.url, () => stamp("cached"), (row, each) => {
    showCached(row, provider.name, each, several.has(each.key) ? each.url : each.key || each.url, act);
  });
  setHidden(slot.fetched, !fetched);
  setText(slot.fetched, fetched ?? "");
}

function showFaults(slot, provider, act) {
  slot.faults.ariaLabel ??= `Faults of ${visible(provider.name)}`;
  const names = provider.faults.filter((each) => each !== "none");
  setHidden(slot.faults, names.length === 0);
  keyed(slot.faults, names, (name) => name, (name) => {
    const button = stamp("fault");
    setText(button, visible(name));
    button.title = FAULTS[name] ?? "";
    // Read when pressed: what is on then is switched off.
    button.onclick = () => act.fault(provider.name, button.ariaPressed === "true" ? "none" : name);
    return button;
  }, (button, name) => {
    const on = String(name === provider.fault);
    if (button.ariaPressed !== on) button.ariaPressed = on;
  });
  const on = provider.fault !== "none";
  setHidden(slot.trouble, !on);
  setText(slot.trouble, on ? `${visible(provider.fault)} is on. ${FAULTS[provider.fault] ?? ""}` : "");
}

function showCached(row, name, entry, label, act) {
  const slot = slots(row);
  setText(slot.state, WORDS[entry.cache] ?? visible(entry.cache));
  setData(slot.state, "state", entry.cache);
  setText(slot.key, brief(label, 80));
  if (slot.key.title !== entry.url) slot.key.title = visible(entry.url);
  setText(slot.version, version(entry.version));
  setText(slot.age, entry.cache === "none" ? "" : age(entry.age));
  if (!slot.fetch.onclick) {
    slot.fetch.onclick = () => act.fetch(name, entry.url);
    slot.fetch.ariaLabel = `Fetch ${brief(entry.url)} through ${visible(name)}`;
  }
}
