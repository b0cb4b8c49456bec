// Images in rows of one height, justified by CSS alone; arrows walk through them, Enter opens one.
import { html, signal, useEffect, useRef, useState } from "../vendor/ui.js";
import { imageAddress } from "../api.js";
import { follow, link } from "../state.js";
import { basename, share } from "./format.js";

// The ids of the gallery that was last walked through, for the arrow keys in one image.
export const listed = signal([]);

const MOST = 2000; // tiles in the page at once; scrolling stays at 16 ms a frame

// Why an image looks the way it does: its label, and what a run took it for.
export function caption(hit) {
  const truth = hit.category ?? "no label";
  if (!hit.predicted) return hit.category ?? basename(hit.path ?? "");
  if (hit.correct) return `${truth}, right`;
  return hit.category ? `${truth} taken for ${hit.predicted}` : `taken for ${hit.predicted}`;
}

function Tile({ hit, current, onFocus }) {
  const [gone, setGone] = useState(false);
  const ratio = hit.width && hit.height ? Math.min(3, Math.max(0.4, hit.width / hit.height)) : 1;
  const words = caption(hit);
  const open = { open: String(hit.image_id) };
  const mark = hit.predicted && hit.category ? (hit.correct ? "right" : "wrong") : "";
  return html`<li style=${{ "--r": ratio.toFixed(3) }} class=${mark}>
    <a href=${link(open)} onClick=${follow(open)} tabindex=${current ? 0 : -1} onFocus=${onFocus} data-id=${hit.image_id}>
      ${gone ? html`<span class="gone">The file is gone</span>` : html`<img src=${imageAddress(hit.image_id, 192)} alt="" loading="lazy" decoding="async" onError=${() => setGone(true)} />`}
      <span class="words"><span>${words}</span>${Number.isFinite(hit.cosine) && html`<span class="score">${share(hit.cosine)}</span>`}</span>
    </a>
  </li>`;
}

// The tile above or below: the one in the next row whose middle is nearest.
function vertical(tiles, from, down) {
  const here = tiles[from].getBoundingClientRect();
  const middle = here.left + here.width / 2;
  const rows = tiles.map((tile, index) => ({ index, box: tile.getBoundingClientRect() }));
  const beyond = rows.filter(({ box }) => (down ? box.top > here.top + 4 : box.top < here.top - 4));
  if (!beyond.length) return from;
  const row = down ? Math.min(...beyond.map(({ box }) => box.top)) : Math.max(...beyond.map(({ box }) => box.top));
  const off = ({ box }) => Math.abs(box.left + box.width / 2 - middle);
  return beyond.filter(({ box }) => Math.abs(box.top - row) < 4).reduce((best, one) => (off(one) < off(best) ? one : best)).index;
}

// `more` loads the next page, where there is one; `label` says what the images are.
export function Gallery({ hits, more, label, onWalk }) {
  const [current, setCurrent] = useState(0);
  const list = useRef();
  const end = useRef();
  useEffect(() => setCurrent(0), [label]);
  const walked = () => (listed.value = hits.map((hit) => String(hit.image_id)));
  useEffect(() => void walked(), [hits]);
  useEffect(() => {
    if (!more || !end.current) return undefined;
    const watch = new IntersectionObserver(([entry]) => entry.isIntersecting && hits.length < MOST && more(), { rootMargin: "600px" });
    watch.observe(end.current);
    return () => watch.disconnect();
  }, [more, hits.length]);

  const walk = (event) => {
    const tiles = [...list.current.querySelectorAll("a")];
    const from = tiles.indexOf(document.activeElement);
    if (from < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
    const steps = {
      ArrowRight: () => Math.min(from + 1, tiles.length - 1),
      ArrowLeft: () => Math.max(from - 1, 0),
      ArrowDown: () => vertical(tiles, from, true),
      ArrowUp: () => vertical(tiles, from, false),
      Home: () => 0,
      End: () => tiles.length - 1,
    };
    const step = steps[event.key];
    if (!step) return;
    event.preventDefault();
    const next = step();
    if (next === from && event.key === "ArrowUp" && onWalk) return onWalk();
    setCurrent(next);
    tiles[next].focus();
    tiles[next].scrollIntoView({ block: "nearest" });
  };

  return html`<ul class="gallery" ref=${list} onKeyDown=${walk} aria-label=${label}>
      ${hits.map((hit, index) => html`<${Tile} key=${hit.image_id} hit=${hit} current=${index === Math.min(current, hits.length - 1)} onFocus=${() => (setCurrent(index), walked())} />`)}
    </ul>
    ${more && hits.length < MOST && html`<div ref=${end} class="end"><button type="button" onClick=${more}>Show more</button></div>`}
    ${more && hits.length >= MOST && html`<p class="muted">These are the first ${MOST}; narrow the search to see others.</p>`}`;
}
