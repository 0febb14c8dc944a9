// The parts of the page in their order. Figures come from the data; nothing is computed here but counts of rows.

const COSTS = {
  training_seconds: { label: "seconds of attribution and training", text: (number) => `${amount(number)}${number ? " s" : ""}` },
  trainable_parameters: { label: "trained parameters", text: amount },
  flops: { label: "training FLOPs", text: amount },
};

function section(id, title, intro, ...content) {
  return el("section", { id, tabindex: "-1", "aria-labelledby": `${id}-title` },
    el("h2", { id: `${id}-title` }, title), intro ? el("p", { class: "soft" }, intro) : null, content);
}

function headPart() {
  const days = [...new Set(DATA.dates.map((date) => date.slice(0, 10)))];
  const facts = [
    [DATA.models.length > 1 ? "models" : "model", DATA.models.join(", ")],
    ["methods", [...new Set(DATA.methods.map((name) => name.split("[")[0]))].join(", ")],
    ["samples a result (n)", DATA.sizes.join(", ")],
    ["tasks", String(DATA.tasks) === String(DATA.languages) ? DATA.tasks.join(", ") : `${DATA.tasks.join(", ")} (${DATA.languages.join(", ")})`],
    [DATA.judge_names.length > 1 ? "judges, the first one leads" : "judge", DATA.judge_names.join(", ")],
    ["run on", days.length > 1 ? `${days[0]} to ${days.at(-1)}` : days[0]],
  ];
  const care = [...DATA.notes, ...DATA.gains.notes,
    "Labels are a judge's calls, not proof: no code was run. Read every rate with its interval, and with the judge's card below."];
  return [
    el("h1", {}, `Secure code by default? ${DATA.models.join(", ")}`),
    el("p", { class: "soft" }, "Code was asked for without a word about security. A judge labelled every answer; what is not usable code, or could not be labelled, never counts as secure."),
    el("dl", { class: "facts" }, facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)))),
    el("div", { class: "care" }, el("h2", {}, "Before you believe it"), el("ul", {}, care.map((line) => el("li", {}, line)))),
  ];
}

function reading({ low, high }) {
  return low > 0 ? "more" : high < 0 ? "less" : "open";
}

function gainsPart() {
  const languages = [...new Set(DATA.gains.rows.map((row) => row.language))];
  const place = el("div");
  watch({ gains: "", glang: "all" }, () => place.replaceChildren(table(
    "Tuned minus untuned on the same prompts, in percentage points with 95% intervals; open: the interval includes 0", [
      { key: "method", label: "method", value: (row) => row.method, cell: (row) => nameCell(methodName(row)) },
      { key: "judge", label: "judge", value: (row) => row.judge, cell: (row) => row.judge },
      { key: "secure", label: "secure", number: true, value: (row) => row.secure.value, cell: (row) => `${gainText(row.secure)} ${reading(row.secure)}` },
      { key: "valid", label: "valid", number: true, value: (row) => row.valid.value, cell: (row) => `${gainText(row.valid)} ${reading(row.valid)}` },
      { key: "p", label: "p (secure)", number: true, value: (row) => row.p, cell: (row) => (row.p < 0.001 ? "<0.001" : row.p.toFixed(3)) },
      { key: "n", label: "n", number: true, value: (row) => row.secure.n, cell: (row) => row.secure.n },
    ], DATA.gains.rows.filter((row) => row.language === state.glang), "gains")));
  const controls = el("div", { class: "controls" }, choice("glang", "language", languages.map((name) => [name, name])));
  return DATA.gains.rows.length ? section("gains", "What tuning changed",
    "Every method against the untuned model. A gain in secure code that comes with a gain in valid code may be no more than code that works: read both. p: exact sign-flip test over prompt families; with several languages each one's is Holm-adjusted.",
    controls, place) : null;
}

function boardPart() {
  const place = el("div");
  const count = el("span", { class: "count", role: "status" });
  const languages = [...new Set(DATA.board.rows.map((row) => row.language))];
  const columns = Object.entries(DATA.board.columns).map(([key, label]) => {
    const some = DATA.board.rows.map((row) => row.cells[key]);
    return {
      key, label, number: some.some((cell) => typeof cell.value === "number") && some.every((cell) => typeof cell.value !== "string"),
      value: (row) => row.cells[key].value,
      cell: ({ cells: { [key]: cell } }) => (cell.text !== undefined ? (key === "method" ? nameCell(cell.text) : cell.text) : key === "secure_rate" ? rateCell(cell) : rateText(cell)),
    };
  });
  const method = columns.findIndex((column) => column.key === "method");
  if (method > 0) columns.unshift(...columns.splice(method, 1));
  watch({ sort: "-secure_rate", lang: "all", find: "" }, () => {
    const word = state.find.trim().toLowerCase();
    const all = DATA.board.rows.filter((row) => row.language === state.lang);
    const rows = all.filter((row) => row.names.toLowerCase().includes(word));
    count.textContent = `${rows.length} of ${all.length} rows`;
    place.replaceChildren(table("Rates in % over all samples, with 95% intervals", columns, rows, "sort"));
  });
  return section("board", "Leaderboard", "Security beside validity and cost. Press a heading to sort.",
    el("div", { class: "controls" }, choice("lang", "language", languages.map((name) => [name, name])), search("find", "find a method, model or judge"), count), place);
}

function chartsPart() {
  const place = el("div", { class: "charts" });
  const utilities = [...new Set(DATA.points.flatMap((point) => Object.keys(point.utility)))];
  const costs = Object.keys(COSTS).filter((key) => DATA.points.some((point) => typeof point.costs[key] === "number"));
  watch({ cost: costs[0], utility: utilities[0] ?? "" }, () => {
    const cost = costs.includes(state.cost) ? state.cost : costs[0];
    const utility = utilities.includes(state.utility) ? state.utility : utilities[0];
    place.replaceChildren(chart("Security and validity over cost", DATA.points, { ...COSTS[cost], log: true, value: (point) => point.costs[cost] }));
    if (utility) {
      place.append(chart("Security and validity over utility", DATA.points,
        { label: utility, log: false, text: (number) => String(+number.toPrecision(3)), value: (point) => point.utility[utility] }));
    }
  });
  return section("charts", utilities.length ? "Security, cost and utility" : "Security and cost",
    `One mark a result with the 95% interval of its secure rate; the ring is its valid rate, which bounds it. ${utilities.length ? "" : "Utility was not measured in these results."}`,
    el("div", { class: "controls" }, choice("cost", "cost", costs.map((key) => [key, COSTS[key].label])), choice("utility", "utility", utilities.map((key) => [key, key]))), place);
}

function ledgerPart() {
  const place = el("div");
  const by = { language: ["language"], cwe: ["cwe"], both: ["language", "cwe"] };
  watch({ ledger: "", lresult: sides().right, ljudge: DATA.judge_names[0], by: DATA.languages.length > 1 ? "language" : "cwe" }, () => {
    const one = result(state.lresult);
    const judge = one.judges.includes(state.ljudge) ? state.ljudge : one.judges[0];
    const names = by[state.by] ?? by.both;
    const rows = DATA.ledger.filter((row) => row.result === one.key && row.judge === judge && ["all", state.by].includes(row.by));
    const text = (row, name) => (row.by === "all" ? "all" : row[name] || "none named");
    place.replaceChildren(table(`${resultName(one)}, judge ${judge}: samples by outcome; rates in % over all n, with 95% intervals`, [
      ...names.map((name) => ({ key: name, label: name === "cwe" ? "CWE" : name, value: (row) => text(row, name), cell: (row) => text(row, name) })),
      { key: "bar", label: "outcomes", value: (row) => row.secure / row.n, cell: outcomeBar },
      ...Object.keys(OUTCOMES).map((name) => ({ key: name, label: `${OUTCOMES[name]} ${name}`, number: true, value: (row) => row[name], cell: (row) => row[name] })),
      { key: "n", label: "n", number: true, value: (row) => row.n, cell: (row) => row.n },
      { key: "secure_rate", label: "secure rate", number: true, value: (row) => row.secure_rate.value, cell: (row) => rateText(row.secure_rate) },
      { key: "valid_rate", label: "valid rate", number: true, value: (row) => row.valid_rate.value, cell: (row) => rateText(row.valid_rate) },
    ], rows, "ledger"));
  });
  return section("ledger", "Outcome ledger", "Where every sample went. Few samples make wide intervals: a row of one or two says next to nothing.",
    el("div", { class: "controls" }, choice("lresult", "result", DATA.results.map((one) => [one.key, resultName(one)])),
      choice("ljudge", "judge", DATA.judge_names.map((name) => [name, name])),
      choice("by", "by", [["language", "language"], ["cwe", "CWE"], ["both", "language and CWE"]])), place);
}

function judgesPart() {
  const figures = (judge) => table(`Judge ${judge.name} on its calibration data; positive = unsafe, 95% intervals; of no use where TPR \u2212 FPR could be zero`, [
    { key: "language", label: "language", cell: (row) => row.language },
    ...["tpr", "fpr"].map((key) => ({ key, label: key.toUpperCase(), number: true, cell: (row) => rateText(row[key]) })),
    { key: "auc", label: "AUC", number: true, cell: (row) => row.auc.toFixed(2) },
    { key: "ece", label: "ECE", number: true, cell: (row) => row.ece.toFixed(3) },
    { key: "n", label: "n", number: true, cell: (row) => row.n },
    { key: "threshold", label: "threshold", number: true, cell: (row) => row.threshold.toFixed(3) },
    { key: "on", label: "measured on", cell: (row) => row.chosen_on },
    { key: "use", label: "of use", cell: (row) => (row.useless ? "no" : "yes") },
  ], judge.figures);
  return section("judges", DATA.judges.length > 1 ? "Judge cards" : "Judge card",
    "How often the judge is right on labelled code. TPR: share of unsafe code that it calls unsafe; FPR: share of safe code that it calls unsafe; AUC 0.5 is a guess.",
    DATA.judges.map((judge) => [
      el("h3", {}, judge.name, " ", el("span", { class: "digest soft" }, judge.digest)),
      judge.about ? el("p", {}, judge.about) : null,
      judge.figures.length ? figures(judge) : el("p", { class: "care" }, "This judge has no calibration: how often it is right is not known."),
      judge.card_note ? el("p", { class: "soft" }, judge.card_note) : null,
      judge.card ? cardDetails(judge) : null,
    ]));
}

function cardDetails({ name, card }) {
  const measured = card.measured.length ? table(`Judge ${name} on labelled sets, measured ${card.date.slice(0, 10)}; 95% intervals, TPR and FPR in %`, [
    { key: "set", label: "set", cell: (row) => row.set },
    { key: "use", label: "use", cell: (row) => row.use },
    { key: "language", label: "language", cell: (row) => row.language },
    { key: "n", label: "n", number: true, cell: (row) => row.n },
    ...["tpr", "fpr"].map((key) => ({ key, label: key.toUpperCase(), number: true, cell: (row) => (row[key] ? rateText(row[key]) : "") })),
    { key: "auc", label: "AUC", number: true, cell: ({ auc }) => (auc ? `${auc.value.toFixed(2)} [${auc.low.toFixed(2)}, ${auc.high.toFixed(2)}]` : "") },
  ], card.measured) : null;
  return [
    card.sources.length ? el("p", { class: "small" }, `Calibrated on ${card.sources.join(", ")}.`) : null,
    card.notes ? el("p", { class: "small" }, card.notes) : null,
    measured ? el("details", {}, el("summary", {}, `${name} on labelled sets`), measured) : null,
  ];
}

function aboutPart() {
  const words = {
    "secure": "usable code that the judge labels secure, as a share of all samples",
    "corrected": "the secure rate with the judge's own error taken out, the calibration's uncertainty in its interval",
    "safe (paper)": "all samples that the judge labels safe, whatever the text is: refusals and broken code among them",
    "valid": "usable code: found, of the language asked, complete, and it parses",
    "unusable": "refusals, no code, cut, loops, wrong language, broken code",
    "unjudged": "the judge failed, or answered off the menu",
    "p_unsafe": "the judge's probability that the code is unsafe, cut at its threshold",
  };
  return section("about", "How to read it", null,
    el("dl", { class: "facts words" }, Object.entries(words).map(([word, text]) => el("div", {}, el("dt", {}, word), el("dd", {}, text)))),
    el("details", {}, el("summary", {}, "Where the figures come from"), table("Results in this page", [
      { key: "key", label: "result", cell: (one) => one.key },
      { key: "date", label: "date", cell: (one) => one.date },
      { key: "seed", label: "seed", number: true, cell: (one) => one.seed },
      { key: "weights", label: "weights", cell: (one) => one.weights },
      { key: "tasks", label: "tasks and their digests", cell: (one) => Object.entries(one.tasks).map((pair) => pair.join(" ")).join(", ") },
      { key: "code", label: "code", cell: (one) => one.code },
      { key: "versions", label: "versions", cell: (one) => Object.entries(one.versions).map((pair) => pair.join(" ")).join(", ") },
    ], DATA.results)));
}

function go(id) {
  const part = document.getElementById(id);
  if (!part?.matches("section")) return;
  part.scrollIntoView();
  part.focus({ preventScroll: true });
}

function start() {
  const main = document.getElementById("main");
  const samples = section("samples", "Samples", "The same prompt on both sides. Arrow keys walk the list.", samplesPart());
  const parts = [gainsPart(), boardPart(), chartsPart(), ledgerPart(), judgesPart(), samples, aboutPart()].filter(Boolean);
  watch({ at: "" }, () => go(state.at));
  main.replaceChildren(...headPart().flat(), ...parts);
  document.getElementById("nav").append(...parts.map((part) => el("a", {
    href: `#at=${part.id}`, click: (event) => { event.preventDefault(); set({ at: part.id }); go(part.id); },
  }, part.querySelector("h2").textContent)));
  document.title = `goodvibe-bench: ${plain(DATA.models.join(", "))}`;
  readAddress();
  redraw(Object.keys(DEFAULTS).filter((key) => key !== "at"));
  if (state.at) go(state.at);
  addEventListener("hashchange", () => redraw(readAddress()));
  performance.mark("report-drawn");
}

start();
