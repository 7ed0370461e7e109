// The few helpers that the parts of the page share. Text only ever goes in as text nodes, and what didn't change isn't
// touched: there may be ten states a second, and whoever reads, scrolls or has the focus somewhere must not notice.

export const $ = (id) => document.getElementById(id);

/** A copy of what a <template> holds. */
export const stamp = (id) => $(id).content.firstElementChild.cloneNode(true);

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function setData(node, name, value) {
  if (node.dataset[name] !== value) node.dataset[name] = value;
}

export function setHidden(node, hidden) {
  if (node.hidden !== hidden) node.hidden = hidden;
}

const slotsOf = new WeakMap();

/** The elements with data-slot below a node, by their names. */
export function slots(node) {
  if (!slotsOf.has(node)) {
    const found = [...node.querySelectorAll("[data-slot]")].map((each) => [each.dataset.slot, each]);
    slotsOf.set(node, Object.fromEntries(found));
  }
  return slotsOf.get(node);
}

const childrenOf = new WeakMap();

/**
 * Let a parent have one child for each item, in their order; a child stays the same element as long as its key is there.
 * @param make called with an item without a child: returns the child.
 * @param update called with each child and its item.
 */
export function keyed(parent, items, keyOf, make, update) {
  const before = childrenOf.get(parent) ?? new Map();
  const after = new Map();
  for (const item of items) {
    let key = keyOf(item);
    while (after.has(key)) key += "\n"; // alike ones are told apart by their order
    after.set(key, item);
  }
  for (const [key, child] of before) if (!after.has(key)) drop(child);
  let place = parent.firstElementChild;
  for (const [key, item] of after) {
    const child = before.get(key) ?? make(item);
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
    update(child, item);
    after.set(key, child);
  }
  childrenOf.set(parent, after);
}

/** Remove an element; the focus in it goes to its neighbour, else to the section's heading. */
function drop(child) {
  if (child.contains(document.activeElement)) {
    const near = child.nextElementSibling ?? child.previousElementSibling;
    (near?.querySelector("button, summary") ?? child.closest("section").querySelector("h2"))?.focus();
  }
  child.remove();
}
