// One image: what it is, what each run made of it, and what is near it.
import { html, useEffect, useLayoutEffect, useRef, useState } from "../vendor/ui.js";
import { get, imageAddress, offline, store, useLoaded } from "../api.js";
import { close, follow, go, link, state } from "../state.js";
import { basename, bytes, count, share, shell } from "./format.js";
import { AsCommand } from "./command.js";
import { listed } from "./gallery.js";
import { Trouble } from "./problem.js";

function Facts({ image }) {
  const rows = [
    ["Category", image.category],
    ["Condition", image.condition],
    ["Split", image.split],
    ["Size", image.width && `${count(image.width)} × ${count(image.height)} pixels${image.size_bytes === undefined ? "" : `, ${bytes(image.size_bytes)}`}`],
    ["Taken", image.taken_at && String(image.taken_at).slice(0, 19).replace("T", " ")],
    ["Camera", image.camera],
    ["Path", image.path],
    ["Source", image.source],
    ...Object.entries(image.metadata ?? {}).map(([name, value]) => [name, typeof value === "string" ? value : JSON.stringify(value)]),
    ["Number", image.image_id],
  ];
  return html`<dl class="facts">${rows.filter(([, value]) => value !== null && value !== undefined && value !== "").map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}

// The k best classes of a run as bars of their probability; the true one is marked.
function Predictions({ run, truth }) {
  const verdict = run.true_rank === null || run.true_rank === undefined ? "" : run.true_rank === 1 ? "right" : `true class at rank ${run.true_rank}`;
  return html`<section class="predictions"><h3>${run.run}<span class=${`verdict ${run.true_rank === 1 ? "right" : run.true_rank ? "wrong" : ""}`}>${verdict}</span></h3>
    <table><caption class="hidden">Predictions of ${run.run}</caption>
      <thead class="hidden"><tr><th scope="col">Class</th><th scope="col">Probability</th><th scope="col">Value</th><th scope="col">Cosine</th></tr></thead>
      <tbody>${run.predictions.map((one) => html`<tr class=${one.category === truth ? "true" : ""} title=${`${one.prompt ? one.prompt + ": " : ""}cosine ${one.cosine.toFixed(4)}`}>
        <th scope="row">${one.category}${one.category === truth && html`<span class="hidden"> (true)</span>`}</th>
        <td class="track"><svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true"><rect width=${(100 * one.probability).toFixed(2)} height="8" rx="1" /></svg></td>
        <td class="number">${share(one.probability)}</td><td class="number muted">${share(one.cosine)}</td></tr>`)}</tbody></table>
  </section>`;
}

function Neighbours({ id }) {
  const { value, problem } = useLoaded(id, (options) => get(`images/${id}/neighbours`, { k: 12 }, options));
  if (problem) return html`<${Trouble} problem=${problem} />`;
  const hits = value?.hits ?? [];
  return html`<section><h3>Nearest images</h3><ul class="strip">${hits.map((hit) => {
    const open = { open: String(hit.image_id) };
    return html`<li key=${hit.image_id}><a href=${link(open)} onClick=${follow(open)} aria-label=${`${hit.category ?? basename(hit.path)}, cosine ${share(hit.cosine)}`}><img src=${imageAddress(hit.image_id, 96)} alt="" loading="lazy" /><span>${share(hit.cosine)}</span></a></li>`;
  })}</ul></section>`;
}

function Large({ image }) {
  const [gone, setGone] = useState(false);
  useEffect(() => setGone(false), [image.image_id]);
  const words = [image.category, image.condition].filter(Boolean).join(", ") || basename(image.path);
  if (gone) return html`<div class="large gone"><p>The file is gone: ${image.path}</p></div>`;
  return html`<div class="large"><img key=${image.image_id} src=${imageAddress(image.image_id, 1024)} alt=${words} onError=${() => setGone(true)} /></div>`;
}

function Contents({ id }) {
  const { value, problem } = useLoaded(id, (options) => get(`images/${id}`, {}, options));
  if (problem) return html`<${Trouble} problem=${problem} />`;
  if (!value || String(value.image_id) !== id) return html`<div class="large"></div><div class="beside"></div>`;
  const image = value;
  const similar = { view: "search", image: id, open: "", text: [], minus: [], cell: "" };
  const shown = { view: "map", open: "", at: `id:${id}` };
  return html`<${Large} image=${image} />
    <div class="beside">
      <h2>${image.category ?? basename(image.path)}</h2>
      <p class="actions">${!offline.answers && html`<a class="button" href=${link(similar)} onClick=${follow(similar)}>Search with this image</a>`}
        ${store.value.maps.length > 0 && html`<a class="button" href=${link(shown)} onClick=${follow(shown)}>Show on the map</a>`}</p>
      ${value.runs.map((run) => html`<${Predictions} key=${run.run} run=${run} truth=${run.category ?? image.category} />`)}
      <${Neighbours} id=${id} />
      <${Facts} image=${image} />
      <${AsCommand} command=${offline.answers ? "" : `shotdex search --image ${shell(image.path)} -k 12`} sql=${`SELECT name, rank, category, probability, prompt\nFROM predictions JOIN runs USING (run_id)\nWHERE image_id = ${image.image_id} ORDER BY run_id, rank`} />
    </div>`;
}

// The images around this one in the gallery behind it, for the arrow keys.
function neighbour(id, step) {
  const at = listed.value.indexOf(id);
  return at < 0 ? undefined : listed.value[at + step];
}

export function ImageDialog() {
  const id = state.value.open;
  const box = useRef();
  const before = useRef(null);
  useLayoutEffect(() => {
    if (id && !box.current.open) {
      before.current = document.activeElement;
      box.current.showModal();
    }
    if (!id && box.current.open) {
      box.current.close();
      const tile = before.current?.isConnected ? before.current : document.querySelector("main .gallery a");
      tile?.focus();
    }
  }, [id]);
  const step = (by) => {
    const next = neighbour(id, by);
    if (next) go({ open: next }, { replace: true });
  };
  const keys = (event) => {
    if (event.target.closest("pre, input, .scroll")) return;
    if (event.key === "ArrowRight") step(1);
    if (event.key === "ArrowLeft") step(-1);
  };
  const cancel = (event) => {
    event.preventDefault();
    close();
  };
  return html`<dialog class="image" ref=${box} onCancel=${cancel} onKeyDown=${keys} onClick=${(event) => event.target === box.current && close()} aria-label="One image">
    ${id && html`<div class="inside"><div class="bar-top">
      <button type="button" class="quiet" disabled=${!neighbour(id, -1)} onClick=${() => step(-1)}>← Previous</button>
      <button type="button" class="quiet" disabled=${!neighbour(id, 1)} onClick=${() => step(1)}>Next →</button>
      <span class="grow"></span><button type="button" class="quiet" onClick=${close}>Close <kbd>Esc</kbd></button></div>
      <div class="two"><${Contents} id=${id} /></div></div>`}
  </dialog>`;
}
