// Tables that sort by any column, and the small drawings within them. The order lies in the state.

// columns: {key, label, number, value(row) to sort by, cell(row) text or node}. The first one names the row.
function table(caption, columns, rows, key = null) {
  const order = key ? state[key] : "";
  const down = order.startsWith("-");
  const by = columns.find((column) => column.key === order.replace(/^-/, ""));
  const sorted = by ? [...rows].sort((a, b) => compareValues(by.value(a), by.value(b), down)) : rows;
  const body = sorted.map((row) => el("tr", {}, columns.map((column, place) =>
    el(place ? "td" : "th", { class: column.number ? "number" : null, scope: place ? null : "row" }, column.cell(row)))));
  return el("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": caption },
    el("table", {},
      el("caption", {}, caption),
      el("thead", {}, el("tr", {}, columns.map((column) => heading(column, column === by, down, key)))),
      el("tbody", {}, body)));
}

function heading(column, chosen, down, key) {
  const sort = chosen ? (down ? "descending" : "ascending") : null;
  const turned = () => {
    set({ [key]: chosen ? (down ? column.key : `-${column.key}`) : (column.number ? `-${column.key}` : column.key) });
    document.querySelector(`[data-sort="${key} ${CSS.escape(column.key)}"]`)?.focus();
  };
  const text = key ? el("button", { type: "button", click: turned, "data-sort": `${key} ${column.key}` }, column.label) : column.label;
  return el("th", { scope: "col", class: column.number ? "number" : null, "aria-sort": sort }, text);
}

// What has no value stands last, whichever way.
function compareValues(a, b, down) {
  const [noA, noB] = [a === null || a === undefined || a === "", b === null || b === undefined || b === ""];
  if (noA || noB) return noA - noB;
  const found = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
  return down ? -found : found;
}

function rateCell(rate) {
  const x = (share) => (1 + 88 * share).toFixed(1);
  return [rateText(rate), svg("svg", { class: "range", width: 90, height: 9, "aria-hidden": "true" },
    svg("line", { class: "track", x1: 1, x2: 89, y1: 4.5, y2: 4.5 }),
    svg("line", { class: "interval", x1: x(rate.low), x2: x(rate.high), y1: 4.5, y2: 4.5 }),
    svg("circle", { cx: x(rate.value), cy: 4.5, r: 4 }))];
}

// Four outcomes as one bar; each part that is wide enough carries its sign.
function outcomeBar(row) {
  const width = 150;
  let from = 0;
  const parts = Object.keys(OUTCOMES).flatMap((outcome) => {
    const wide = (width * row[outcome]) / row.n;
    const drawn = wide ? [svg("rect", { class: outcome, x: from, y: 0, width: Math.max(wide - 1, 0.5), height: 14 })] : [];
    if (wide >= 12) drawn.push(svg("text", { x: from + wide / 2, y: 11 }, OUTCOMES[outcome]));
    from += wide;
    return drawn;
  });
  return svg("svg", { class: "bar", width, height: 14, "aria-hidden": "true" }, parts);
}
