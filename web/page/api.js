// The only place that talks to the server.
import { useEffect, useState, signal } from "./vendor/ui.js";

const ROOT = new URL("api/", document.baseURI);

// In a file that was exported the answers are in the file itself; set by offline.js.
export const offline = { answers: null };

// What went wrong, in the server's words: a title, and a hint that names the next step.
export class Problem extends Error {
  constructor(message, hint = "", status = 0, field = "") {
    super(message);
    Object.assign(this, { hint, status, field });
  }
}

const SILENT = () => new Problem("The server does not answer.", "Is shotdex serve still running?");

export function address(path, params = {}) {
  const url = new URL(path, ROOT);
  for (const [name, value] of Object.entries(params)) {
    // An empty label in a list means images without one; an empty single value means nothing was said.
    if (Array.isArray(value)) value.forEach((one) => url.searchParams.append(name, one));
    else if (value !== undefined && value !== null && value !== "") url.searchParams.append(name, value);
  }
  return url.href;
}

async function answer(url, options) {
  let response;
  try {
    response = await fetch(url, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw SILENT();
  }
  return answered(response);
}

async function answered(response) {
  if (response.ok) return response;
  const said = await response.json().catch(() => ({}));
  throw new Problem(said.detail || said.title || `The server answered ${response.status}.`, said.hint, response.status, said.field);
}

export async function get(path, params, options) {
  if (offline.answers) return offline.answers.get(path, params);
  return (await answer(address(path, params), options)).json();
}

export async function bytes(path, params, options) {
  if (offline.answers) return offline.answers.bytes(path);
  return (await answer(address(path, params), options)).arrayBuffer();
}

export async function post(path, body, options = {}) {
  if (offline.answers) return offline.answers.post(path, body);
  const headers = { "Content-Type": "application/json", "X-Shotdex": "1" };
  return (await answer(address(path), { method: "POST", body: JSON.stringify(body), headers, ...options })).json();
}

export async function upload(path, params, blob, options = {}) {
  const form = new FormData();
  form.append("image", blob, "image");
  return (await answer(address(path, params), { method: "POST", body: form, headers: { "X-Shotdex": "1" }, ...options })).json();
}

// A run or a baseline in a path: by its name, or by its number where the name would be taken for two parts of the path.
const inPath = (name, all, number) => encodeURIComponent(name.includes("/") ? all.find((one) => one.name === name)?.[number] ?? name : name);
export const runPath = (name) => inPath(name, store.value.runs, "run_id");
export const baselinePath = (name) => inPath(name, store.value.baselines, "baseline");

export const imageAddress = (id, side) => (offline.answers ? offline.answers.image(id) : address(`images/${id}/picture`, { side }));

// The store as it is now: {counts, runs, ...}; asked again every two seconds while somebody looks.
export const store = signal(null);
export const trouble = signal(null);

export async function look() {
  if (offline.answers) return void (store.value = offline.answers.store);
  try {
    const known = store.value ? { "If-None-Match": `"${store.value.generation}"` } : {};
    const response = await fetch(address("store"), { headers: known });
    if (response.status !== 304) store.value = await (await answered(response)).json();
    trouble.value = store.value.notice ? new Problem(store.value.notice) : null;
  } catch (problem) {
    trouble.value = problem instanceof Problem ? problem : SILENT();
  }
}

export function keepLooking() {
  if (!offline.answers) setInterval(() => document.hidden || look(), 2000);
}

// What `load` answers, and nothing that came too late: {value, problem, busy}; loaded again when `key` changes.
export function useLoaded(key, load) {
  const [found, set] = useState({ value: null, problem: null, busy: true, key: null });
  useEffect(() => {
    if (key === null) return set({ value: null, problem: null, busy: false, key });
    const abort = new AbortController();
    set((before) => ({ ...before, busy: true }));
    load({ signal: abort.signal }).then(
      (value) => abort.signal.aborted || set({ value, problem: null, busy: false, key }),
      (problem) => abort.signal.aborted || set({ value: null, problem, busy: false, key }),
    );
    return () => abort.abort();
  }, [key]);
  return { ...found, busy: found.busy || found.key !== key };
}
