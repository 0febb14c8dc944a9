// What all parts of the report stand on: untrusted text made harmless, elements, and a state that lies in the address.
// It knows nothing of results. Nothing here or elsewhere makes markup of text.

const SVG = "http://www.w3.org/2000/svg";
const OUTCOMES = { secure: "\u2713", insecure: "\u2715", unusable: "\u2013", unjudged: "?" };
const HIDDEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/gu;

// Names and notes: letters that do not show, or that turn others around, become one that does.
function plain(text) {
  return String(text).replace(HIDDEN, "\uFFFD");
}

// Code: the same letters are shown by their numbers; line ends and tabs stay.
function shown(text) {
  const nodes = document.createDocumentFragment();
  let from = 0;
  for (const found of text.matchAll(HIDDEN)) {
    if (found[0] === "\n" || found[0] === "\t") continue;
    nodes.append(text.slice(from, found.index));
    const number = found[0].codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
    nodes.append(el("span", { class: "hidden-letter" }, `U+${number}`));
    from = found.index + found[0].length;
  }
  nodes.append(text.slice(from));
  return nodes;
}

function el(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

// An attribute that is a function listens; one that is false or null is left out. A child that is text stays text.
function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(key, value);
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(key, plain(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined) node.append(child instanceof Node ? child : plain(child));
  }
  return node;
}

const percent = (share) => (100 * share).toFixed(1);
const signed = (share) => (share < 0 ? "\u2212" : "+") + percent(Math.abs(share));

function rateText(rate) {
  return `${percent(rate.value)} [${(100 * rate.low).toFixed(0)}, ${(100 * rate.high).toFixed(0)}]`;
}

function gainText(gain) {
  return `${signed(gain.value)} [${signed(gain.low)}, ${signed(gain.high)}]`;
}

function amount(number) {
  for (const [size, unit] of [[1e15, "P"], [1e12, "T"], [1e9, "B"], [1e6, "M"], [1e3, "k"]]) {
    if (number >= size) return `${+(number / size).toPrecision(3)}${unit}`;
  }
  return String(+number.toPrecision(3));
}

function tag(outcome) {
  return el("span", { class: `tag ${outcome}` }, `${OUTCOMES[outcome]} ${outcome}`);
}

// A method's name, with its model's where there are several.
function methodName(one) {
  return (DATA.models.length > 1 ? `${one.model} ` : "") + one.method;
}

// The same with its seed, where that tells results apart.
function resultName(one) {
  const alike = DATA.results.filter((other) => methodName(other) === methodName(one));
  return methodName(one) + (alike.length > 1 ? ` (seed ${one.seed})` : "");
}

// A name in a table: settings in brackets go to a line of their own.
function nameCell(name) {
  const [first, ...settings] = name.split("[");
  return settings.length ? [first, el("span", { class: "settings" }, `[${settings.join("[")}`)] : name;
}

// The state: what differs from the defaults stands in the address, so that a link shows the same.
const DATA = JSON.parse(document.getElementById("data").textContent);
const DEFAULTS = {};
const state = {};
const watchers = [];

function watch(defaults, draw) {
  Object.assign(DEFAULTS, defaults);
  for (const key of Object.keys(defaults)) state[key] = defaults[key];
  watchers.push({ keys: Object.keys(defaults), draw });
}

function readAddress() {
  const said = new URLSearchParams(location.hash.slice(1));
  const changed = [];
  for (const key of Object.keys(DEFAULTS)) {
    const value = said.get(key) ?? DEFAULTS[key];
    if (state[key] !== value) changed.push(key);
    state[key] = value;
  }
  return changed;
}

function set(changes) {
  Object.assign(state, changes);
  const said = new URLSearchParams();
  for (const key of Object.keys(DEFAULTS)) if (state[key] !== DEFAULTS[key]) said.set(key, state[key]);
  history.replaceState(null, "", `#${said}`);
  redraw(Object.keys(changes));
}

function redraw(changed) {
  for (const watcher of watchers) if (watcher.keys.some((key) => changed.includes(key))) watcher.draw();
}

// Controls that hold one key of the state. A value that is none of the options counts as the first.
function choice(key, label, options) {
  const control = el("select", { id: `control-${key}`, change: () => set({ [key]: control.value }) },
    options.map(([value, text]) => el("option", { value }, text)));
  const values = options.map(([value]) => value);
  follow(key, () => { control.value = values.includes(state[key]) ? state[key] : values[0]; });
  return el("div", { class: "control", hidden: options.length < 2 ? "" : null }, el("label", { for: control.id }, label), control);
}

function search(key, label) {
  let waiting = 0;
  const control = el("input", {
    id: `control-${key}`, type: "search", spellcheck: "false", autocomplete: "off",
    input: () => { clearTimeout(waiting); waiting = setTimeout(() => set({ [key]: control.value }), 120); },
  });
  follow(key, () => { if (control.value !== state[key]) control.value = state[key]; });
  return el("div", { class: "control" }, el("label", { for: control.id }, label), control);
}

function follow(key, draw) {
  watchers.push({ keys: [key], draw });
}
