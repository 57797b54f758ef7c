// Numbers as people read them. A value that is not there is a dash.

const NONE = "–";

function plain(value, digits = 4) {
  if (value === null || value === undefined) return NONE;
  if (value !== 0 && (Math.abs(value) >= 1e7 || Math.abs(value) < 1e-4)) return value.toExponential(digits - 1);
  return Number(value.toPrecision(digits)).toLocaleString("en", { maximumSignificantDigits: digits });
}

const whole = (value) => (value === null || value === undefined ? NONE : Math.round(value).toLocaleString("en"));

function fixed(value, digits) {
  if (value === null || value === undefined) return NONE;
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

const percent = (share, digits = 1) =>
  share === null || share === undefined
    ? NONE
    : `${fixed(share * 100 + 0, digits).replace(/^-(0(\.0*)?)$/, "$1")}\u00a0%`;

const times = (ratio) => (ratio === null || ratio === undefined ? NONE : `${fixed(ratio, 2)}×`);

function scaled(value, units) {
  const [unit, factor] = units.findLast(([, size]) => Math.abs(value) >= size) ?? units[0];
  return `${plain(value / factor, 3)}\u00a0${unit}`;
}

const energy = (pj) =>
  scaled(pj, [
    ["pJ", 1],
    ["nJ", 1e3],
    ["µJ", 1e6],
    ["mJ", 1e9],
    ["J", 1e12],
  ]);
const byteSize = (size) =>
  scaled(size, [
    ["B", 1],
    ["KB", 1024],
    ["MB", 1048576],
    ["GB", 1073741824],
  ]);
const short = (value, unit = "") =>
  scaled(value, [
    [unit, 1],
    [`k${unit}`, 1e3],
    [`M${unit}`, 1e6],
    [`G${unit}`, 1e9],
    [`T${unit}`, 1e12],
  ]).trim();

const fileName = (path) => path.split(/[\\/]/).pop();
const middle = (text, most) => {
  if (text.length <= most) return text;
  const tail = Math.floor(most / 2);
  return `${text.slice(0, most - 1 - tail)}…${text.slice(-tail)}`;
};
const counted = (amount, noun) => `${whole(amount)} ${noun}${amount === 1 ? "" : "s"}`;
