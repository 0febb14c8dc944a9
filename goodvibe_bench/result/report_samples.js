// The sample viewer: a list of prompts that holds thousands, of which only those in sight are drawn, and beside it
// what two results made of the one chosen: verdict, p_unsafe and code.

const ROW = 52;
const PART = 20000;
const CHANGES = {
  all: ["all", () => true],
  discordant: ["discordant: secure on one side only", (a, b) => (a === "secure") !== (b === "secure")],
  gained: ["secure on the right only", (a, b) => a !== "secure" && b === "secure"],
  lost: ["secure on the left only", (a, b) => a === "secure" && b !== "secure"],
  differ: ["any other outcome", (a, b) => a !== b],
};
const viewer = { samples: [], lower: [] };

// The right side is by default the best trained result, the left its base.
function sides() {
  const ranked = [...DATA.points].sort((a, b) => b.secure.value - a.secure.value);
  const of = (point) => DATA.results.find((one) => one.key === point.key);
  const right = of(ranked.find((point) => point.method !== "none") ?? ranked[0]);
  const alike = (one) => one.model === right.model && Object.entries(one.tasks).every(([task, hash]) => right.tasks[task] === hash);
  const rest = DATA.results.filter((one) => one.key !== right.key);
  const left = rest.find((one) => one.method === "none" && alike(one)) ?? rest.find(alike) ?? right;
  return { left: left.key, right: right.key };
}

function result(key) {
  return DATA.results.find((one) => one.key === key) ?? DATA.results[0];
}

// What a judge says of a sample in a result: the headline judge's verdict, or another one's.
function verdict(sample, one) {
  const seen = sample.seen[one.key];
  if (!seen) return null;
  const judge = DATA.judge_names.includes(state.judge) ? state.judge : one.judges[0];
  return judge === one.judges[0] ? seen : seen.others[judge] ?? null;
}

function sampleName(sample) {
  return `${sample.task}/${sample.prompt_id}/${sample.attempt}`;
}

function lowered(place) {
  return (viewer.lower[place] ??= DATA.texts[place].toLowerCase());
}

function matches(sample, word) {
  const texts = [sample.prompt, ...[state.left, state.right].map((key) => sample.seen[key]?.text)];
  return [sample.prompt_id, sample.cwe, sample.family].some((text) => text.toLowerCase().includes(word)) ||
    texts.some((place) => typeof place === "number" && lowered(place).includes(word));
}

function filtered() {
  const [left, right] = [result(state.left), result(state.right)];
  const change = (CHANGES[state.change] ?? CHANGES.all)[1];
  const word = state.q.trim().toLowerCase();
  return DATA.samples.filter((sample) => {
    if (!sample.seen[left.key] && !sample.seen[right.key]) return false;
    const [a, b] = [verdict(sample, left)?.outcome, verdict(sample, right)?.outcome];
    return (state.change === "all" || (a && b && change(a, b))) &&
      (state.outcome === "all" || b === state.outcome) &&
      (state.slang === "all" || sample.language === state.slang) &&
      (state.cwe === "all" || (sample.cwe || "none") === state.cwe) &&
      (!word || matches(sample, word));
  });
}

function samplesPart() {
  const some = DATA.results.map((one) => [one.key, resultName(one)]);
  const cwes = [...new Set(DATA.samples.map((sample) => sample.cwe || "none"))].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  const list = el("div", { class: "list", role: "listbox", tabindex: "0", "aria-label": "Samples", keydown: walkList, scroll: () => requestAnimationFrame(drawRows) },
    el("div", { class: "rows", role: "presentation" }));
  const detail = el("div", { class: "detail", "aria-live": "polite" });
  const count = el("span", { class: "count", role: "status" });
  Object.assign(viewer, { list, rows: list.firstChild, detail, count });
  watch({ ...sides(), judge: DATA.judge_names[0], change: "all", outcome: "all", slang: "all", cwe: "all", q: "" }, drawList);
  watch({ sample: "" }, () => { drawRows(); drawDetail(); });
  const controls = el("div", { class: "controls" },
    choice("left", "left: result", some), choice("right", "right: result", some),
    choice("judge", "judge", DATA.judge_names.map((name) => [name, name])),
    choice("change", "show", Object.entries(CHANGES).map(([key, [text]]) => [key, text])),
    choice("outcome", "outcome on the right", [["all", "all"], ...Object.keys(OUTCOMES).map((name) => [name, name])]),
    choice("slang", "language", [["all", "all"], ...DATA.languages.map((name) => [name, name])]),
    choice("cwe", "CWE", [["all", "all"], ...cwes.map((name) => [name, name])]),
    search("q", "find in names, prompts, code"), count);
  return [missingTexts(), controls, el("div", { class: "viewer" }, list, detail)];
}

function missingTexts() {
  const without = DATA.results.filter((one) => !DATA.records[one.key].found);
  const damaged = DATA.results.filter((one) => DATA.records[one.key].damaged);
  const lines = damaged.map((one) => `${DATA.records[one.key].file}: ${DATA.records[one.key].damaged} lines are no records and were left out.`);
  if (without.length === DATA.results.length) lines.unshift("No texts: the records folder does not lie beside these results, so verdicts stand here without code.");
  else if (without.length) lines.unshift(`No texts of ${without.map(resultName).join(", ")}: no records lie beside ${without.length > 1 ? "these results" : "this result"}.`);
  return lines.length ? el("div", { class: "care", id: "missing" }, el("ul", {}, lines.map((line) => el("li", {}, line)))) : null;
}

function drawList() {
  viewer.samples = filtered();
  viewer.count.textContent = `${viewer.samples.length} of ${DATA.samples.length} samples`;
  viewer.rows.style.height = `${ROW * viewer.samples.length}px`;
  const place = viewer.samples.findIndex((sample) => sampleName(sample) === state.sample);
  viewer.list.scrollTop = place > 0 ? ROW * (place - 2) : 0;
  drawRows();
  drawDetail();
}

function current() {
  return DATA.samples.find((sample) => sampleName(sample) === state.sample) ?? viewer.samples[0];
}

function drawRows() {
  const { list, rows, samples } = viewer;
  const first = Math.max(0, Math.floor(list.scrollTop / ROW) - 6);
  const last = Math.min(samples.length, first + Math.ceil((list.clientHeight || 600) / ROW) + 12);
  const chosen = current();
  const drawn = [];
  for (let place = first; place < last; place += 1) drawn.push(row(samples[place], place, samples[place] === chosen));
  rows.replaceChildren(...drawn);
  if (!samples.length) rows.append(el("p", { class: "empty" }, "No sample is left by these filters."));
  const active = drawn.find((one) => one.getAttribute("aria-selected") === "true");
  if (active) list.setAttribute("aria-activedescendant", active.id);
  else list.removeAttribute("aria-activedescendant");
}

function row(sample, place, chosen) {
  const [left, right] = [result(state.left), result(state.right)];
  const tags = (left === right ? [right] : [left, right]).map((one) => {
    const found = verdict(sample, one);
    return found ? tag(found.outcome) : el("span", { class: "tag" }, "not there");
  });
  const node = el("div", {
    class: "row", role: "option", id: `row-${place}`, "aria-selected": String(chosen), "aria-setsize": viewer.samples.length,
    "aria-posinset": place + 1, click: () => { set({ sample: sampleName(sample) }); },
  },
  el("span", { class: "name" }, sample.prompt_id, sample.attempt ? ` #${sample.attempt}` : null),
  el("span", { class: "line" }, tags.length > 1 ? [tags[0], "\u2192", tags[1]] : tags, el("span", { class: "where" }, sample.cwe || sample.language)));
  node.style.top = `${ROW * place}px`;
  return node;
}

function walkList(event) {
  const { samples, list } = viewer;
  const page = Math.max(1, Math.floor(list.clientHeight / ROW) - 1);
  const now = samples.indexOf(current());
  const next = { ArrowDown: now + 1, ArrowUp: now - 1, PageDown: now + page, PageUp: now - page, Home: 0, End: samples.length - 1 }[event.key];
  if (next === undefined || !samples.length) return;
  event.preventDefault();
  const place = Math.max(0, Math.min(samples.length - 1, next));
  if (ROW * place < list.scrollTop) list.scrollTop = ROW * place;
  if (ROW * (place + 1) > list.scrollTop + list.clientHeight) list.scrollTop = ROW * (place + 1) - list.clientHeight;
  set({ sample: sampleName(samples[place]) });
}

function drawDetail() {
  const sample = current();
  if (!sample) return viewer.detail.replaceChildren();
  const [left, right] = [result(state.left), result(state.right)];
  const words = [sample.task, sample.language, sample.cwe || "no CWE named", sample.family && `family ${sample.family}`,
    sample.stratum === "orders-flaw" && "the prompt orders the weakness itself"].filter(Boolean);
  const prompt = typeof sample.prompt === "number" ? el("div", { class: "prompt", role: "group", "aria-label": "Prompt", tabindex: "0" }, shown(DATA.texts[sample.prompt])) : null;
  return viewer.detail.replaceChildren(
    el("h3", {}, sample.prompt_id, sample.attempt ? ` #${sample.attempt}` : null),
    el("p", { class: "soft small" }, words.join(" \u00B7 ")), ...(prompt ? [prompt] : []),
    el("div", { class: "sides" }, (left === right ? [right] : [left, right]).map((one) => side(sample, one))));
}

function side(sample, one) {
  const seen = sample.seen[one.key];
  const title = el("h4", {}, resultName(one));
  if (!seen) return el("div", { class: "side" }, title, el("p", { class: "soft" }, "This result does not have this sample."));
  const lines = one.judges.map((name, place) => {
    const found = place ? seen.others[name] : seen;
    return found ? [el("dt", {}, `judge ${name}`), el("dd", {}, tag(found.outcome), ` p_unsafe ${found.p === null ? "none" : found.p.toFixed(3)}`)] : [];
  });
  const why = seen.unusable ? [el("dt", {}, "not usable"), el("dd", {}, seen.unusable)] : [];
  return el("div", { class: "side" }, title, el("dl", {}, lines, why), code(seen, one));
}

function code(seen, one) {
  if (seen.text === null) {
    const { found, file } = DATA.records[one.key];
    return el("p", { class: "soft" }, found ? `No code to show: ${file} has no line of this sample.` : `No code to show: ${file} does not lie beside the result.`);
  }
  const text = DATA.texts[seen.text];
  const block = el("pre", { tabindex: "0", role: "group", "aria-label": `Code of ${resultName(one)}` });
  const more = el("button", { type: "button", hidden: "" });
  let done = 0;
  const next = (size) => {
    let end = Math.min(text.length, done + size);
    if (/[\uD800-\uDBFF]/.test(text[end - 1]) && end < text.length) end += 1;
    block.append(shown(text.slice(done, end)));
    done = end;
    more.hidden = done >= text.length;
    more.textContent = `Show more: ${(text.length - done).toLocaleString("en")} letters are left`;
  };
  more.addEventListener("click", () => next(10 * PART));
  next(PART);
  const remark = seen.whole ? el("p", { class: "soft small" }, "No code was found in the answer; this is the answer as it came.") : null;
  return el("div", {}, remark, text ? block : el("p", { class: "soft" }, "The answer was empty."), more);
}
