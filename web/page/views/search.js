// Search and look through: texts, minus terms, an image, filters; the answer as a gallery.
import { html, useEffect, useRef, useState } from "../vendor/ui.js";
import { address, get, imageAddress, offline, post, store, upload, useLoaded } from "../api.js";
import { choose, chosen, go, state, uploaded } from "../state.js";
import { AsCommand } from "../parts/command.js";
import { Chips, Filters, splitCell } from "../parts/filters.js";
import { count, counted, literal, shell } from "../parts/format.js";
import { Gallery } from "../parts/gallery.js";
import { Empty, Trouble } from "../parts/problem.js";

const PAGE = 200;

// What is asked, as parameters of /api/search.
export function parameters(now = state.value) {
  const [truth, predicted] = now.cell ? splitCell(now.cell) : [];
  return {
    text: now.text.filter(Boolean),
    minus: now.minus.filter(Boolean),
    image_id: now.image,
    category: now.category,
    true: truth,
    predicted,
    condition: now.condition,
    split: now.split,
    run: now.run,
    outcome: now.outcome,
    where: now.where,
    sort: now.run && !now.text.length && !now.image ? now.sort : "",
  };
}

// A box for each text: the first is always there, the others come with "and" and "minus".
function Texts() {
  const { text, minus } = state.value;
  const first = useRef();
  const timer = useRef();
  const rows = [...(text.length ? text : [""]).map((value, index) => ["text", index, value]), ...minus.map((value, index) => ["minus", index, value])];
  const set = (name, index, value, commit) => {
    const list = name === "text" && !text.length ? [""] : [...state.value[name]];
    list[index] = value;
    clearTimeout(timer.current);
    const act = () => go({ [name]: name === "text" && list.length === 1 && !value ? [] : list }, { replace: !commit });
    if (commit) act();
    else timer.current = setTimeout(act, 250);
  };
  const drop = (name, index) => go({ [name]: state.value[name].filter((_, at) => at !== index) });
  const add = (name) => {
    go({ [name]: [...(name === "text" && !text.length ? [""] : state.value[name]), ""] });
    setTimeout(() => [...document.querySelectorAll(`input[data-kind=${name}]`)].pop()?.focus());
  };
  const submit = (event) => {
    event.preventDefault();
    clearTimeout(timer.current);
    const boxes = [...event.target.querySelectorAll("input[data-kind]")];
    const of = (kind) => boxes.filter((box) => box.dataset.kind === kind).map((box) => box.value.trim()).filter(Boolean);
    if (of("text").length) choose(null);
    go({ text: of("text"), minus: of("minus") });
  };
  return html`<form role="search" class="asked" onSubmit=${submit}>
    ${rows.map(([name, index, value]) => html`<div class="row" key=${name + index}>
      ${(index > 0 || name === "minus") && html`<span class=${`sign ${name}`}>${name === "minus" ? "minus" : "and"}</span>`}
      <input ref=${name === "text" && index === 0 ? first : undefined} id=${name === "text" && index === 0 ? "search" : undefined} data-kind=${name} type="search" autocomplete="off" maxlength="500"
        aria-label=${name === "minus" ? "Minus text" : index ? "And text" : "Search text"} placeholder=${name === "minus" ? "without this" : index ? "and this" : "Describe an image, such as “a red cup”"}
        value=${value} onInput=${(event) => set(name, index, event.target.value, false)} />
      ${(index > 0 || name === "minus") && html`<button type="button" class="quiet" aria-label=${`Remove ${name} ${value}`} onClick=${() => drop(name, index)}>×</button>`}
    </div>`)}
    <div class="row buttons">
      <button type="submit" class="hidden">Search</button>
      <button type="button" class="quiet" onClick=${() => add("text")}>+ and</button>
      <button type="button" class="quiet" onClick=${() => add("minus")}>− minus</button>
      <${FromFile} />
    </div>
  </form>`;
}

function FromFile() {
  const file = useRef();
  return html`<button type="button" class="quiet" onClick=${() => file.current.click()}>Image…</button>
    <input ref=${file} type="file" accept="image/*" class="hidden" tabindex="-1" aria-label="Search with an image file" onChange=${(event) => event.target.files[0] && searchWith(event.target.files[0])} />`;
}

// Search with an image that was chosen, dropped or pasted.
export function searchWith(blob) {
  if (uploaded.value) URL.revokeObjectURL(uploaded.value.url);
  uploaded.value = { blob, url: URL.createObjectURL(blob), name: blob.name || "pasted image" };
  go({ view: "search", image: "", open: "" });
}

function QueryImage() {
  const { image } = state.value;
  const shown = uploaded.value ? { url: uploaded.value.url, words: uploaded.value.name } : image ? { url: imageAddress(image, 96), words: `image ${image}` } : null;
  if (!shown) return null;
  const drop = () => {
    uploaded.value = null;
    go({ image: "" });
  };
  return html`<div class="query-image"><img src=${shown.url} alt="" /><span>like ${shown.words}</span><button type="button" class="quiet" onClick=${drop} aria-label="Search without this image">×</button></div>`;
}

// The images that were chosen on the map: their ids go to SQL as one text, since there may be thousands.
async function fromMap(asked, cursor, options) {
  if (offline.answers) return post("search/chosen", { ...asked, ids: chosen.value, k: PAGE, cursor });
  const condition = conditionOf(asked);
  const statement = `SELECT i.image_id, i.path, i.width, i.height, i.category, i.condition, o.predicted, o.correct, count(*) OVER () AS total
    FROM (FROM images${condition ? ` WHERE ${condition}` : ""}) i LEFT JOIN outcomes o ON o.image_id = i.image_id AND o.run = $run
    WHERE i.image_id IN (SELECT unnest(string_split($ids, ','))::BIGINT) ORDER BY i.image_id LIMIT ${PAGE} OFFSET ${Number(cursor ?? 0)}`;
  const { columns, rows } = await post("sql", { statement, parameters: { ids: chosen.value.join(","), run: asked.run } }, options);
  const hits = rows.map((row) => Object.fromEntries(columns.map(({ name }, at) => [name, row[at]])));
  const end = Number(cursor ?? 0) + hits.length;
  const total = hits[0]?.total ?? 0;
  return { hits, total, cursor: end < total ? String(end) : null };
}

// The answer, page by page.
export function useHits(asked) {
  const [pages, setPages] = useState({ key: null, hits: [], cursor: null });
  const generation = store.value.generation;
  const question = JSON.stringify([asked, uploaded.value?.url, chosen.value]);
  const key = question + generation;
  const ask = (cursor, options) => {
    if (uploaded.value) return upload("search", { ...asked, k: PAGE, cursor }, uploaded.value.blob, options);
    if (chosen.value && !asked.text.length && !asked.image_id) return fromMap(asked, cursor, options);
    return get("search", { ...asked, k: PAGE, cursor }, options);
  };
  const first = useLoaded(key, (options) => ask(undefined, options));
  useEffect(() => {
    if (!first.value) return;
    const { hits, cursor, total } = first.value;
    // Whoever has scrolled on while images are being indexed keeps their place.
    setPages((now) => (now.question === question && now.hits.length > PAGE ? { ...now, key: first.key, total } : { key: first.key, question, hits, cursor, total }));
  }, [first.value]);
  const more = async () => {
    if (!pages.cursor) return;
    const { cursor } = pages;
    setPages((now) => ({ ...now, cursor: null }));
    const next = await ask(cursor);
    setPages((now) => (now.key === pages.key ? { ...now, hits: [...now.hits, ...next.hits], cursor: next.cursor } : now));
  };
  return { ...pages, problem: first.problem, busy: first.busy || (!first.problem && pages.key !== key), more: pages.cursor ? more : null };
}

// The command takes one text; what it cannot say, the HTTP API can.
function commandLine(asked) {
  if (asked.text.length !== 1 || asked.minus.length || asked.image_id) return `curl ${shell(address("search", { ...asked, k: PAGE }))}`;
  const words = ["shotdex search", shell(asked.text[0]), "-k", PAGE];
  const where = conditionOf(asked);
  return [...words, ...(where ? ["--where", shell(where)] : [])].join(" ");
}

export function conditionOf(asked) {
  const parts = [];
  for (const name of ["category", "condition", "split"]) {
    const named = asked[name].filter(Boolean);
    const either = [named.length && `${name} IN (${named.map(literal).join(", ")})`, asked[name].includes("") && `${name} IS NULL`].filter(Boolean);
    if (either.length) parts.push(either.length > 1 ? `(${either.join(" OR ")})` : either[0]);
  }
  const made = [`run = ${literal(asked.run)}`];
  if (asked.outcome) made.push(asked.outcome === "right" ? "correct" : "NOT correct");
  if (asked.true) made.push(`category = ${literal(asked.true)}`);
  if (asked.predicted) made.push(`predicted = ${literal(asked.predicted)}`);
  if (asked.run && made.length > 1) parts.push(`image_id IN (SELECT image_id FROM outcomes WHERE ${made.join(" AND ")})`);
  if (asked.where) parts.push(`(${asked.where})`);
  return parts.join(" AND ");
}

function sqlOf(asked) {
  const condition = conditionOf(asked);
  return `SELECT image_id, path FROM images${condition ? `\nWHERE ${condition}` : ""}\nORDER BY image_id`;
}

export function Found({ asked, label = "Images" }) {
  const { hits, total, problem, busy, more } = useHits(asked);
  const ranked = asked.text.length || asked.image_id || uploaded.value;
  const words = total === undefined || total === null ? counted(hits.length, "image") : ranked ? `${counted(total, "image")}, best first` : counted(total, "image");
  return html`<p class="total" role="status" data-busy=${busy}>${problem ? "" : busy && !hits.length ? "Searching…" : words}</p>
    <${Trouble} problem=${problem} />
    ${!problem && !busy && !hits.length && html`<${Empty}>No image is like that. Drop a filter to see more.<//>`}
    <${Gallery} hits=${hits} more=${more} label=${label} onWalk=${() => document.getElementById("search")?.focus()} />`;
}

export function Search() {
  const asked = parameters();
  const { lasso } = state.value;
  // A link to what somebody else chose on a map.
  useEffect(() => {
    if (lasso && !chosen.value) import("../map/points.js").then(({ imagesIn }) => imagesIn(lasso)).then((ids) => state.value.lasso === lasso && choose(ids, lasso), () => choose(null));
  }, [lasso]);
  const { images } = store.value;
  const ranked = (asked.text.length > 0 || asked.image_id) && !offline.answers && !uploaded.value;
  return html`<div class="with-side">
    <details class="side" open=${matchMedia("(min-width: 56rem)").matches}><summary>Filters</summary><div class="filters"><${Filters} /></div></details>
    <div class="content">
      <h1 class="hidden">Search ${count(images)} images</h1>
      ${!offline.answers && html`<${Texts} /><${QueryImage} />`}<${Chips} />
      <${Found} asked=${asked} />
      <${AsCommand} command=${ranked ? commandLine(asked) : ""} sql=${sqlOf(asked)} />
    </div></div>`;
}
