// What the page shows is what its address says: this is the only place that reads or writes the address.
import { signal } from "./vendor/ui.js";

const LISTS = ["text", "minus", "category", "condition", "split"];
const SINGLE = ["view", "image", "run", "against", "by", "outcome", "where", "cell", "map", "color", "at", "open", "sql", "baseline", "flip", "sort", "lasso"];

export const VIEWS = { search: "Search", evaluate: "Evaluate", live: "Try prompts", map: "Map", sql: "SQL" };

// In a file that was exported the state is behind a "#": a file's address may not change before that.
const MARK = location.protocol === "file:" ? "#" : "?";

// Each list is an array, everything else a string, empty where the address says nothing.
export function parse(search) {
  const params = new URLSearchParams(search);
  const found = {};
  for (const name of LISTS) found[name] = params.getAll(name);
  for (const name of SINGLE) found[name] = params.get(name) ?? "";
  if (!(found.view in VIEWS)) found.view = "search";
  return found;
}

export function format(state) {
  const params = new URLSearchParams();
  params.set("view", state.view);
  for (const name of SINGLE) if (name !== "view" && state[name]) params.set(name, state[name]);
  for (const name of LISTS) for (const value of state[name]) params.append(name, value);
  return MARK + params;
}

const address = () => (MARK === "#" ? location.hash.slice(1) : location.search);

export const state = signal(parse(address()));

// The address with changes; for links, so that a middle click opens a view in a tab of its own.
export const link = (changes) => format({ ...state.value, ...changes });

// An image that was dropped or pasted: {blob, url, name}. It is in no address, since it is nowhere but here.
export const uploaded = signal(null);

// Images chosen on the map, by id; kept for the tab. The address has the lasso that chose them, where one did.
const kept = sessionStorage.getItem("chosen");
export const chosen = signal(kept ? JSON.parse(kept) : null);

export function choose(ids, lasso = "") {
  chosen.value = ids && ids.length ? ids : null;
  if (chosen.value) sessionStorage.setItem("chosen", JSON.stringify(chosen.value));
  else sessionStorage.removeItem("chosen");
  go({ lasso: chosen.value ? lasso : "" }, { replace: true });
}

// Go somewhere: a new entry of the history, unless `replace` says that it is the same place, still being typed.
export function go(changes, { replace = false } = {}) {
  const next = { ...state.value, ...changes };
  if (format(next) === format(state.value)) return;
  state.value = next;
  history[replace ? "replaceState" : "pushState"]({ inside: !replace || Boolean(history.state?.inside) }, "", format(next));
}

// Leave an image: back, where it was opened from here, so that the history does not grow with each look.
export function close() {
  if (history.state?.inside) history.back();
  else go({ open: "" }, { replace: true });
}

addEventListener("popstate", () => {
  state.value = parse(address());
});

// For a link: an ordinary click goes there without loading the page again.
export function follow(changes) {
  return (event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
    event.preventDefault();
    go(changes);
  };
}
