// Charts of points with intervals: secure and valid rate over a cost or a utility. Drawn here, for a chart on a canvas
// can be neither read aloud nor walked by keyboard. Every chart has a table with the same figures.

const SHAPES = [
  "M-6,0a6,6 0 1,0 12,0a6,6 0 1,0 -12,0Z", "M-5.5,-5.5h11v11h-11Z", "M0,-7L6.5,5.5H-6.5Z",
  "M0,-7.5L7.5,0L0,7.5L-7.5,0Z", "M0,7L6.5,-5.5H-6.5Z", "M-2,-6.5h4v4.5h4.5v4h-4.5v4.5h-4v-4.5h-4.5v-4h4.5Z",
];
const RING = "M-3.5,0a3.5,3.5 0 1,0 7,0a3.5,3.5 0 1,0 -7,0Z";

function names(points) {
  return [...new Set(points.map(methodName))];
}

// axis: {label, value(point), log, text(number)}; points without a value are left out, and said to be.
function chart(title, points, axis) {
  const drawn = points.filter((point) => typeof axis.value(point) === "number");
  const missing = points.length - drawn.length;
  const plot = el("div", { class: "plot" });
  const figure = el("figure", {}, el("figcaption", {}, title), plot, legend(names(points)),
    missing ? el("p", { class: "small soft" }, `${missing} of ${points.length} results have no figure for it.`) : null,
    el("details", {}, el("summary", {}, "The same as a table"), chartTable(title, drawn, axis)));
  new ResizeObserver(() => {
    const width = Math.round(plot.clientWidth);
    if (width && plot.dataset.width !== String(width)) {
      plot.dataset.width = width;
      plot.replaceChildren(...draw(title, drawn, axis, width, names(points)));
    }
  }).observe(plot);
  return figure;
}

function chartTable(title, points, axis) {
  return table(`${title}; rates in %, 95% intervals`, [
    { key: "method", label: "method", cell: (point) => nameCell(resultName(point)) },
    { key: "x", label: axis.label, number: true, cell: (point) => axis.text(axis.value(point)) },
    { key: "secure", label: "secure", number: true, cell: (point) => rateText(point.secure) },
    { key: "valid", label: "valid", number: true, cell: (point) => rateText(point.valid) },
    { key: "n", label: "n", number: true, cell: (point) => point.secure.n },
  ], points);
}

function legend(all) {
  const sign = (path, name, number) => svg("svg", { width: 16, height: 16, viewBox: "-8 -8 16 16", "aria-hidden": "true", class: `m${number % 6}` },
    svg("path", { class: name, d: path }));
  return el("ul", { class: "legend" }, all.map((name, place) => el("li", {}, sign(SHAPES[place % 6], "body", place), name)),
    el("li", {}, sign(RING, "valid", 5), "ring: valid rate"));
}

function draw(title, points, axis, width, all) {
  const box = { left: 44, right: 14, top: 12, bottom: 44, width, height: Math.max(260, Math.min(380, width * 0.6)) };
  const scale = axis.log ? logScale(points.map(axis.value), box) : linearScale(points.map(axis.value), box);
  const y = (share) => box.height - box.bottom - share * (box.height - box.top - box.bottom);
  const tip = el("div", { class: "tip", hidden: "" });
  const placed = points.map((point) => ({ point, x: scale.x(axis.value(point)), y: y(point.secure.value), place: all.indexOf(methodName(point)) }));
  placed.sort((a, b) => a.x - b.x || b.y - a.y);
  const marks = placed.map((one, place) => mark(one, y, tip, axis, place === 0));
  const drawing = svg("svg", { viewBox: `0 0 ${width} ${box.height}`, role: "group", "aria-label": `${title}. Arrow keys go from point to point.`, keydown: walk },
    frame(axis, scale, box, y), width >= 460 ? labels(placed, box, y) : [], marks);
  return [drawing, tip];
}

function frame(axis, scale, box, y) {
  const rows = [0, 0.25, 0.5, 0.75, 1].flatMap((share) => [
    svg("line", { class: "grid", x1: box.left, x2: box.width - box.right, y1: y(share), y2: y(share) }),
    svg("text", { class: "tick", x: box.left - 6, y: y(share) + 4, "text-anchor": "end" }, `${100 * share}`)]);
  const columns = scale.ticks.flatMap((number) => [
    svg("line", { class: "grid", x1: scale.x(number), x2: scale.x(number), y1: y(0), y2: y(0) + 5 }),
    svg("text", { class: "tick", x: scale.x(number), y: y(0) + 19, "text-anchor": "middle" }, axis.text(number))]);
  return [...rows, ...columns,
    svg("text", { x: (box.left + box.width - box.right) / 2, y: box.height - 6, "text-anchor": "middle" }, axis.label),
    svg("text", { x: 12, y: y(0.5), "text-anchor": "middle", transform: `rotate(-90 12 ${y(0.5)})` }, "rate in %")];
}

// A logarithmic axis; nothing at all (an untrained model) has a place of its own left of it.
function logScale(values, box) {
  const some = values.filter((value) => value > 0);
  const left = box.left + (values.some((value) => value <= 0) ? 52 : 26);
  const low = Math.log10(some.length ? Math.min(...some) : 1);
  const high = Math.log10(some.length ? Math.max(...some) : 10);
  const room = Math.max(0, 0.4 - (high - low)) / 2 + 0.05;
  const [from, to] = [low - room, high + room];
  const x = (value) => (value <= 0 ? box.left + 18 : left + ((Math.log10(value) - from) / (to - from)) * (box.width - box.right - 14 - left));
  const powers = Array.from({ length: Math.ceil(to) - Math.floor(from) }, (_, place) => 10 ** (Math.floor(from) + place));
  const inside = (tick) => Math.log10(tick) >= from && Math.log10(tick) <= to;
  const tries = [[1], [1, 3], [1, 2, 5], [1, 1.5, 2, 3, 4, 5, 7]].map((steps) => powers.flatMap((power) => steps.map((step) => step * power)).filter(inside));
  const ticks = tries.find((some) => some.length >= 3) ?? tries.at(-1);
  const every = Math.ceil(ticks.length / Math.max(2, (box.width - left) / 64));
  const kept = ticks.filter((_, place) => place % every === 0);
  return { x, ticks: values.some((value) => value <= 0) ? [0, ...kept] : kept };
}

function linearScale(values, box) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const room = (high - low) * 0.1 || Math.abs(high) * 0.1 || 1;
  const [from, to] = [low - room, high + room];
  const x = (value) => box.left + 18 + ((value - from) / (to - from)) * (box.width - box.right - box.left - 36);
  return { x, ticks: [0, 1, 2, 3, 4].map((step) => low - room / 2 + (step * (high - low + room)) / 4) };
}

function mark({ point, x, y: middle, place }, y, tip, axis, first) {
  const lines = [resultName(point), `secure ${rateText(point.secure)} %`, `valid ${rateText(point.valid)} %`,
    `${axis.label}: ${axis.text(axis.value(point))}`, `n ${point.secure.n}`];
  const show = () => {
    tip.replaceChildren(...lines.map((line) => el("div", {}, line)));
    tip.hidden = false;
    const room = tip.parentElement.clientWidth - tip.offsetWidth;
    tip.style.left = `${Math.max(0, Math.min(room, x - tip.offsetWidth / 2))}px`;
    tip.style.top = `${middle > tip.offsetHeight + 16 ? middle - tip.offsetHeight - 14 : middle + 16}px`;
  };
  const hide = () => { tip.hidden = true; };
  return svg("g", { class: `point m${place % 6}`, role: "img", tabindex: first ? "0" : "-1", "aria-label": lines.join("; "),
    focus: show, blur: hide, mouseenter: show, mouseleave: hide },
  svg("line", { class: "interval", x1: x, x2: x, y1: y(point.secure.low), y2: y(point.secure.high) }),
  svg("path", { class: "valid", d: RING, transform: `translate(${x} ${y(point.valid.value)})` }),
  svg("path", { class: "body", d: SHAPES[place % 6], transform: `translate(${x} ${middle})` }),
  svg("circle", { class: "halo", cx: x, cy: middle, r: 11 }));
}

// One label a method, beside its best point, where it covers no mark and no other label; else the legend must do.
function labels(placed, box, y) {
  const best = new Map();
  for (const one of placed) if (!best.has(one.place) || one.y < best.get(one.place).y) best.set(one.place, one);
  const taken = placed.flatMap(({ point, x, y: middle }) => [
    { left: x - 8, right: x + 8, top: middle - 8, bottom: middle + 8 },
    { left: x - 5, right: x + 5, top: y(point.valid.value) - 5, bottom: y(point.valid.value) + 5 },
    { left: x - 2, right: x + 2, top: y(point.secure.high), bottom: y(point.secure.low) }]);
  return [...best.values()].flatMap((one) => {
    const text = methodName(one.point).split("[")[0].slice(0, 30);
    const free = spots(one, 7 * text.length, box).find((spot) => !taken.some((other) => meet(spot, other)));
    if (!free) return [];
    taken.push(free);
    const far = Math.abs(free.top + 8 - one.y) > 10;
    return [far ? svg("line", { class: "leader", x1: one.x, y1: one.y, x2: free.near, y2: free.top + 8 }) : null,
      svg("text", { x: free.near, y: free.top + 12, "text-anchor": free.anchor }, text)];
  });
}

// Places for a label that is so wide, the nearest first.
function spots({ x, y: middle }, wide, box) {
  const heights = [0, -18, 18, -36, 36, -54, 54, -72, 72, -90, 90];
  return heights.flatMap((step) => [["start", x + 14], ["end", x - 14]].map(([anchor, near]) => {
    const left = anchor === "start" ? near : near - wide;
    return { anchor, near, left, right: left + wide, top: middle + step - 8, bottom: middle + step + 8 };
  })).filter((spot) => spot.left > box.left && spot.right < box.width && spot.top > 0 && spot.bottom < box.height - box.bottom);
}

function meet(a, b) {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}

// Of all points only one is a stop of the Tab key; arrows go on from there, Escape closes the note.
function walk(event) {
  const points = [...event.currentTarget.querySelectorAll(".point")];
  const now = points.indexOf(document.activeElement);
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (event.key === "Escape" && now >= 0) points[now].blur();
  if (!step || now < 0) return;
  event.preventDefault();
  const next = points[(now + step + points.length) % points.length];
  points[now].setAttribute("tabindex", "-1");
  next.setAttribute("tabindex", "0");
  next.focus();
}
