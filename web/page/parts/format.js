// How numbers are written: the same digits as the commands print.
const WHOLE = new Intl.NumberFormat("en");

export const count = (n) => (n === null || n === undefined ? "" : WHOLE.format(n));
export const counted = (n, one, many = one + "s") => `${count(n)} ${n === 1 ? one : many}`;

// Three decimals; a tie goes to the even digit, as in Python, so that 0.5625 is 0.562 here and there.
function fixed(x) {
  const scaled = x * 1000;
  const down = Math.floor(scaled);
  return ((scaled - down === 0.5 ? down + (down % 2) : Math.round(scaled)) / 1000).toFixed(3);
}

const known = (x) => x !== null && x !== undefined && !Number.isNaN(x);
export const share = (x) => (known(x) ? (x < 0 ? "−" + fixed(-x) : fixed(x)) : "not defined");
export const signed = (x) => (known(x) ? (x < 0 ? "−" : "+") + fixed(Math.abs(x)) : "not defined");
export const between = ({ low, high }, write = share) => (low === null || low === undefined ? "" : `${write(low)} to ${write(high)}`);

export function p(x) {
  if (x === null || x === undefined) return "";
  return x < 0.001 ? "< 0.001" : fixed(x);
}

export const basename = (path) => path.split(/[/!]/).filter(Boolean).pop() ?? path;

export function bytes(n) {
  const unit = n < 1e6 ? [1e3, "kB"] : [1e6, "MB"];
  return n < 1000 ? `${n} bytes` : `${(n / unit[0]).toFixed(1)} ${unit[1]}`;
}

// A word in a shell command, quoted only where it must be.
export const shell = (word) => (/^[\w./:=,@%+-]+$/.test(word) ? word : `'${String(word).replaceAll("'", `'\\''`)}'`);
export const literal = (text) => `'${String(text).replaceAll("'", "''")}'`;
