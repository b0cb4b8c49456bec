// Answers from the exported file itself, in the form of the server's; there is no model, so nothing here is searched by text.
import { offline } from "./api.js";

const data = JSON.parse(document.getElementById("shotdex-data").textContent);
const unpack = (text) => Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
const places = new Map(data.images.map((one, at) => [one.image_id, at]));
const addresses = new Map();

// As the exporter writes them: the path, then the parameters that are set, by name; two runs stay in their order.
function key(path, params = {}) {
  const said = Object.entries(params).sort(([a], [b]) => (a < b ? -1 : 1)).flatMap(([name, value]) => [value].flat().filter((one) => one !== undefined && one !== null && one !== "").map((one) => `${name}=${one}`));
  return decodeURIComponent(path) + (said.length ? "?" + said.join("&") : "");
}

// What a run made of an image, in the words of the server; columns are in the order of the images.
function judged(at, name, suffix = "") {
  const run = data.runs[name];
  if (!run || run.predicted[at] < 0) return {};
  const made = { predicted: run.classes[run.predicted[at]], correct: run.correct[at] === null ? null : Boolean(run.correct[at]), true_rank: run.true_rank[at], probability: run.probability[at], true_probability: run.true_probability[at] };
  return Object.fromEntries(Object.entries(made).map(([name_, value]) => [name_ + suffix, value]));
}

const FLIPS = {
  gained: (one) => one.correct === false && one.correct_against === true,
  lost: (one) => one.correct === true && one.correct_against === false,
  changed: (one) => one.predicted !== one.predicted_against,
};

function search(asked) {
  const labelled = (one, name) => !asked[name]?.length || asked[name].includes(one[name] ?? "");
  const inCell = (one, suffix) => one[`predicted${suffix}`] === asked.predicted && one.category === asked.true;
  const { run, against, outcome, flip } = asked;
  const cell = Boolean(asked.true && asked.predicted);
  const found = data.images
    .map((one, at) => ({ ...one, ...(run ? judged(at, run) : {}), ...(against ? judged(at, against, "_against") : {}) }))
    .filter((one) => ["category", "condition", "split"].every((name) => labelled(one, name)))
    .filter((one) => !outcome || one.correct === (outcome === "right"))
    .filter((one) => !flip || !FLIPS[flip] || FLIPS[flip](one))
    .filter((one) => !cell || (flip === "came" ? inCell(one, "_against") && !inCell(one, "") : flip === "left" ? inCell(one, "") && !inCell(one, "_against") : inCell(one, "")));
  const sure = (one) => one.probability - (asked.sort === "margin" ? (one.true_probability ?? 0) : 0);
  if (run && (asked.sort === "confidence" || asked.sort === "margin")) found.sort((a, b) => sure(b) - sure(a) || a.image_id - b.image_id);
  const start = Number(asked.cursor ?? 0);
  const end = start + asked.k;
  return { hits: found.slice(start, end), total: found.length, cursor: end < found.length ? String(end) : null };
}

function neighbours(id) {
  const [ids, cosines] = data.neighbours[places.get(Number(id))] ?? [[], []];
  return { hits: ids.map((one, at) => ({ ...data.images[places.get(one)], cosine: cosines[at] })) };
}

function image(id) {
  const at = places.get(Number(id));
  const one = data.images[at];
  const runs = Object.entries(data.runs).filter(([, run]) => run.best[at]).map(([name, run]) => ({
    run: name,
    category: one.category,
    true_rank: run.true_rank[at],
    predictions: run.best[at].map(([category, probability, cosine]) => ({ category: run.classes[category], probability, cosine, prompt: "" })),
  }));
  return { ...one, runs };
}

offline.answers = {
  store: data.store,
  views: ["search", "evaluate", ...(data.store.maps.length ? ["map"] : [])],
  async get(path, params) {
    if (path === "search") return search(params);
    if (path.endsWith("/neighbours")) return neighbours(path.split("/")[1]);
    if (path.startsWith("images/")) return image(path.slice(7));
    const found = data.answers[key(path, params)];
    if (!found) throw new Error("This file holds no answer to that; shotdex serve has.");
    return found;
  },
  async bytes(path) {
    return unpack(data.bytes[decodeURIComponent(path)]).buffer;
  },
  async post(path, body) {
    if (path !== "search/chosen") return {};
    const chosen = new Set(body.ids);
    const all = search({ ...body, k: Infinity, cursor: 0 }).hits.filter((one) => chosen.has(one.image_id));
    return { hits: all, total: all.length, cursor: null };
  },
  image(number) {
    const id = String(number);
    if (!addresses.has(id)) addresses.set(id, URL.createObjectURL(new Blob([unpack(data.thumbnails[id] ?? "")], { type: "image/webp" })));
    return addresses.get(id);
  },
};
