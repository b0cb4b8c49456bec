// The map's canvas: points as pixels of an ImageData, which needs no GPU; images and stars are drawn over them.
import { imageAddress } from "../api.js";
import { squared } from "./points.js";

// Distinguishable with any colour vision on white and on black; after 12 kinds the rest is grey.
export const COLOURS = ["#3b7dd8", "#e07b28", "#2f9e6e", "#c8499b", "#8a6fd1", "#b3a125", "#1fa3b8", "#d6534b", "#7f8f3a", "#a5673f", "#5c6fa8", "#d48fb0"];
export const GREY = "#8d9097";

const RAMP = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]]; // viridis

// A colour for a number between 0 and 1.
export function ramp(part) {
  const at = Math.min(0.9999, Math.max(0, part)) * (RAMP.length - 1);
  const [low, high] = [RAMP[Math.floor(at)], RAMP[Math.floor(at) + 1]];
  const rgb = low.map((value, i) => Math.round(value + (high[i] - value) * (at % 1)));
  return "#" + rgb.map((value) => value.toString(16).padStart(2, "0")).join("");
}

export const THUMBNAILS = 260; // with fewer images in view than this they are drawn as images

const packed = (hex) => (0xff000000 | (parseInt(hex.slice(5, 7), 16) << 16) | (parseInt(hex.slice(3, 5), 16) << 8) | parseInt(hex.slice(1, 3), 16)) >>> 0;

const CROWD = 8000; // with more points than this, an edge is smooth against the background alone

// The pixels of a disc around a point, and how much of each it covers, in 255ths.
class Disc {
  constructor(radius) {
    const reach = Math.ceil(radius);
    const found = [];
    for (let dy = -reach; dy <= reach; dy++) {
      for (let dx = -reach; dx <= reach; dx++) {
        const cover = Math.round(255 * Math.min(1, Math.max(0, radius + 0.5 - Math.hypot(dx, dy))));
        if (cover > 0) found.push([dx, dy, cover]);
      }
    }
    [this.dx, this.dy, this.covers] = [0, 1, 2].map((part) => Int32Array.from(found, (one) => one[part]));
  }

  // How far each pixel is from the middle one in an image of a width.
  offsets(width) {
    return this.dx.map((dx, one) => this.dy[one] * width + dx);
  }

  within(one, px, py, width, height) {
    const [x, y] = [px + this.dx[one], py + this.dy[one]];
    return x >= 0 && y >= 0 && x < width && y < height;
  }
}

export class Painter {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { willReadFrequently: true });
    this.points = { ids: new Int32Array(0), x: new Float32Array(0), y: new Float32Array(0) };
    this.kinds = null; // a kind for each point, whose colours are `palette`
    this.palette = [GREY];
    this.hidden = new Set();
    this.bright = null; // which points are chosen, or null for all
    this.stars = [];
    this.lasso = null;
    this.focused = -1;
    this.transform = { k: 1, x: 0, y: 0 };
    this.loaded = new Map();
    this.painted = 0;
  }

  open(found) {
    const { points, scale } = squared(found);
    Object.assign(this, { points, scale });
    this.index = new Map(Array.from(points.ids, (id, at) => [id, at]));
    this.ask();
  }

  // A place of the map's own coordinates in that square.
  place({ x, y }) {
    return { x: (x - this.scale.left) / this.scale.side, y: 1 - (y - this.scale.low) / this.scale.side };
  }

  resize() {
    const box = this.canvas.getBoundingClientRect();
    const ratio = devicePixelRatio || 1;
    const [width, height] = [Math.max(1, Math.round(box.width * ratio)), Math.max(1, Math.round(box.height * ratio))];
    if (width !== this.canvas.width || height !== this.canvas.height) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
    this.ratio = ratio;
    this.box = box;
    this.ask();
  }

  // From the square to CSS pixels: the whole map with a margin, then the transform of the gestures.
  get base() {
    const { width, height } = this.box ?? { width: 1, height: 1 };
    const side = Math.max(1, Math.min(width, height) - 48);
    return { side, left: (width - side) / 2, top: (height - side) / 2 };
  }

  screen(at) {
    const { side, left, top } = this.base;
    const { k, x, y } = this.transform;
    return [(left + this.points.x[at] * side) * k + x, (top + this.points.y[at] * side) * k + y];
  }

  ask() {
    if (this.asked) return;
    this.asked = true;
    const paint = () => {
      this.asked = false;
      if (this.box && this.canvas.isConnected) this.paint();
    };
    // A hidden tab gets no frames; the map is right when it is looked at again.
    if (document.hidden) setTimeout(paint);
    else requestAnimationFrame(paint);
  }

  visible(at) {
    return !this.kinds || !this.hidden.has(this.kinds[at]);
  }

  paint() {
    const began = performance.now();
    const { canvas, context, ratio } = this;
    const { width, height } = canvas;
    if (this.image?.width !== width || this.image?.height !== height) this.image = context.createImageData(width, height);
    const { image } = this;
    const pixels = new Uint32Array(image.data.buffer);
    pixels.fill(0);
    const { side, left, top } = this.base;
    const { k, x: moveX, y: moveY } = this.transform;
    const scale = side * k * ratio;
    const [originX, originY] = [(left * k + moveX) * ratio, (top * k + moveY) * ratio];
    const { x, y } = this.points;
    const radius = this.radius();
    const stamp = new Disc(radius);
    const margin = Math.ceil(radius);
    const shades = this.palette.map(packed);
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const dim = packed(dark ? "#3d4047" : "#d8d9de");
    const offsets = stamp.offsets(width);
    const crowded = x.length > CROWD;
    if (this.places?.length !== x.length) this.places = new Int32Array(x.length);
    const { places } = this;
    let found = 0;
    // Chosen points lie above the others.
    for (const pass of this.bright ? [false, true] : [true]) {
      for (let at = 0; at < x.length; at++) {
        if (this.bright && this.bright[at] !== Number(pass)) continue;
        const kind = this.kinds ? this.kinds[at] : 0;
        if (this.kinds && this.hidden.has(kind)) continue;
        const px = Math.round(originX + x[at] * scale);
        const py = Math.round(originY + y[at] * scale);
        if (px < -margin || py < -margin || px >= width + margin || py >= height + margin) continue;
        if (px >= 0 && py >= 0 && px < width && py < height) places[found++] = at;
        const shade = pass ? (shades[kind] ?? shades[shades.length - 1]) : dim;
        const inside = px >= margin && py >= margin && px < width - margin && py < height - margin;
        const centre = py * width + px;
        for (let one = 0; one < offsets.length; one++) {
          if (!inside && !stamp.within(one, px, py, width, height)) continue;
          const place = centre + offsets[one];
          const cover = stamp.covers[one];
          if (cover === 255) pixels[place] = shade;
          else if (!crowded) pixels[place] = blend(pixels[place], shade, cover);
          else if (pixels[place] >>> 24 === 0) pixels[place] = ((cover << 24) | (shade & 0xffffff)) >>> 0;
        }
      }
    }
    const inView = places.subarray(0, found);
    context.putImageData(image, 0, 0);
    this.milliseconds = performance.now() - began;
    this.inView = inView;
    this.painted += 1;
    context.save();
    context.scale(ratio, ratio);
    if (inView.length <= THUMBNAILS && x.length && k > 1) this.paintImages(Array.from(inView));
    this.paintStars(dark);
    this.paintFocused(dark);
    this.paintLasso(dark);
    context.restore();
    this.onPaint?.();
  }

  radius() {
    const crowd = this.points.x.length;
    const base = crowd > 50000 ? 1.4 : crowd > 8000 ? 2 : 3;
    return Math.min(6, base * Math.min(2, 1 + Math.log2(Math.max(1, this.transform.k)) / 6)) * this.ratio;
  }

  // The images themselves, in a frame of their colour, each at its place.
  paintImages(inView) {
    const { context } = this;
    const side = inView.length < 40 ? 84 : inView.length < 120 ? 60 : 44;
    // The one that was asked for lies on top.
    for (const at of inView.includes(this.focused) ? [...inView.filter((one) => one !== this.focused), this.focused] : inView) {
      const id = this.points.ids[at];
      const image = this.loaded.get(id);
      if (!image) this.load(id);
      if (!image?.complete || !image.naturalWidth) continue;
      const [px, py] = this.screen(at);
      const fit = side / Math.max(image.naturalWidth, image.naturalHeight);
      const [width, height] = [image.naturalWidth * fit, image.naturalHeight * fit];
      const kind = this.kinds ? this.kinds[at] : 0;
      context.globalAlpha = this.bright && !this.bright[at] ? 0.35 : 1;
      context.fillStyle = this.palette[kind] ?? GREY;
      context.fillRect(px - width / 2 - 2, py - height / 2 - 2, width + 4, height + 4);
      context.fillStyle = "#fff";
      context.fillRect(px - width / 2, py - height / 2, width, height);
      context.drawImage(image, px - width / 2, py - height / 2, width, height);
    }
    context.globalAlpha = 1;
  }

  load(id) {
    const image = new Image();
    image.onload = () => this.ask();
    image.src = imageAddress(id, 96);
    this.loaded.set(id, image);
    if (this.loaded.size > 3000) this.loaded.delete(this.loaded.keys().next().value);
  }

  // Prompts: a star each among the images nearest to it, with its name.
  paintStars(dark) {
    const { context } = this;
    const { side, left, top } = this.base;
    const { k, x, y } = this.transform;
    context.font = "600 13px system-ui, sans-serif";
    context.textBaseline = "middle";
    for (const star of this.stars) {
      const at = this.place(star);
      const [px, py] = [(left + at.x * side) * k + x, (top + at.y * side) * k + y];
      context.beginPath();
      for (let i = 0; i < 10; i++) {
        const reach = i % 2 ? 4 : 9;
        const angle = (Math.PI * i) / 5 - Math.PI / 2;
        context.lineTo(px + reach * Math.cos(angle), py + reach * Math.sin(angle));
      }
      context.closePath();
      context.lineWidth = 4;
      context.lineJoin = "round";
      context.strokeStyle = dark ? "#17181b" : "#fff";
      context.stroke();
      context.fillStyle = dark ? "#fff" : "#1d1d1f";
      context.fill();
      context.strokeText(star.name, px + 13, py);
      context.fillText(star.name, px + 13, py);
    }
  }

  paintFocused(dark) {
    if (this.focused < 0) return;
    const [px, py] = this.screen(this.focused);
    const { context } = this;
    context.lineWidth = 2;
    context.strokeStyle = dark ? "#fff" : "#1d1d1f";
    const image = this.inView.length <= THUMBNAILS && this.loaded.get(this.points.ids[this.focused]);
    const reach = image ? (this.inView.length < 40 ? 50 : this.inView.length < 120 ? 38 : 30) : 11;
    context.beginPath();
    context.arc(px, py, reach, 0, 2 * Math.PI);
    context.stroke();
  }

  paintLasso(dark) {
    if (!this.lasso || this.lasso.length < 2) return;
    const { context } = this;
    context.beginPath();
    for (const [px, py] of this.lasso) context.lineTo(px, py);
    context.closePath();
    context.fillStyle = dark ? "rgb(124 196 245 / 18%)" : "rgb(0 90 146 / 12%)";
    context.fill();
    context.setLineDash([5, 4]);
    context.lineWidth = 1.5;
    context.strokeStyle = dark ? "#7cc4f5" : "#005a92";
    context.stroke();
  }
}

function blend(under, over, cover) {
  const alpha = under >>> 24;
  if (alpha === 0) return ((cover << 24) | (over & 0xffffff)) >>> 0;
  const keep = 255 - cover;
  const blue = ((((under >>> 16) & 255) * keep + ((over >>> 16) & 255) * cover) / 255) | 0;
  const green = ((((under >>> 8) & 255) * keep + ((over >>> 8) & 255) * cover) / 255) | 0;
  const red = (((under & 255) * keep + (over & 255) * cover) / 255) | 0;
  return (((alpha > cover ? alpha : cover) << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}
