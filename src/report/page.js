"use strict";
// The page's behaviour: plots follow the colour scheme, the trial table is sorted and filtered.
(() => {
  const read = (id) => JSON.parse(document.getElementById(id)?.textContent || "null");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const { plots, templates } = read("plot-data");
  // Nothing that leaves this machine, and nothing that these plots have no use for.
  const REMOVED = ["sendChartToCloud", "lasso2d", "select2d", "zoomIn2d", "zoomOut2d", "autoScale2d"];
  const config = { responsive: true, displaylogo: false, displayModeBar: "hover", modeBarButtonsToRemove: REMOVED };

  const draw = (scheme) => Promise.all([...document.querySelectorAll("[data-plot]")].map((place) => {
    const { data, layout } = plots[place.dataset.plot];
    return Plotly.react(place, data, { ...layout, template: templates[scheme], autosize: true }, config);
  }));
  const scheme = () => (dark.matches ? "dark" : "light");
  const drawn = draw(scheme());
  drawn.then(() => { document.documentElement.dataset.drawn = scheme(); });
  dark.addEventListener("change", () => draw(scheme()).then(() => { document.documentElement.dataset.drawn = scheme(); }));
  addEventListener("beforeprint", () => draw("light"));
  addEventListener("afterprint", () => draw(scheme()));

  const table = read("trial-data");
  if (!table) return;
  const PAGE = 50;
  const { columns, rows } = table;
  const byId = (id) => document.getElementById(id);
  const head = document.querySelector("#trial-table thead tr");
  const body = document.querySelector("#trial-table tbody");
  const statusAt = columns.findIndex((column) => column.kind === "status");
  const texts = rows.map((row) => row.map((cell, at) => label(cell, columns[at])).join(" ").toLowerCase());
  const state = { sort: null, descending: false, status: null, words: "", page: 0 };

  function label(cell, column) {
    if (cell === null || cell === undefined) return "";
    if (column.kind === "link") return cell.text;
    return column.kind === "number" ? number(cell) : String(cell);
  }
  function number(value) {
    if (Number.isInteger(value)) return String(value);
    const size = Math.abs(value);
    return size >= 1e-3 && size < 1e5 ? String(Number(value.toPrecision(5))) : value.toExponential(2);
  }
  function element(name, text, attributes = {}) {
    const made = document.createElement(name);
    made.textContent = text; // never innerHTML: names and settings are whatever their authors typed
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  }

  function test(word) {
    const found = /^(.+?)(<=|>=|<|>|=)(.+)$/.exec(word);
    const at = found ? columnOf(found[1]) : -1;
    const limit = found ? Number(found[3]) : NaN;
    if (at < 0 || Number.isNaN(limit)) return (row, place) => texts[place].includes(word);
    const compare = {
      "<": (a) => a < limit, ">": (a) => a > limit, "<=": (a) => a <= limit, ">=": (a) => a >= limit,
      "=": (a) => a === limit,
    }[found[2]];
    return (row) => typeof row[at] === "number" && compare(row[at]);
  }
  function columnOf(name) {
    const exact = columns.findIndex((column) => column.name.toLowerCase() === name);
    return exact >= 0 ? exact : columns.findIndex((column) => column.name.toLowerCase().endsWith("." + name));
  }

  function chosen() {
    const tests = state.words.toLowerCase().split(/\s+/).filter(Boolean).map(test);
    const kept = rows.map((row, place) => place).filter((place) =>
      (state.status === null || rows[place][statusAt] === state.status) &&
      tests.every((passes) => passes(rows[place], place)));
    if (state.sort === null) return kept;
    const value = (place) => { const cell = rows[place][state.sort]; return cell && cell.text !== undefined ? cell.text : cell; };
    const sign = state.descending ? -1 : 1;
    return kept.sort((one, other) => {
      const [a, b] = [value(one), value(other)];
      if (a === null || b === null) return (a === null) - (b === null) || one - other; // nothing comes last
      return (a < b ? -1 : a > b ? 1 : 0) * sign || one - other;
    });
  }

  function show() {
    const kept = chosen();
    const pages = Math.max(1, Math.ceil(kept.length / PAGE));
    state.page = Math.min(state.page, pages - 1);
    body.replaceChildren(...kept.slice(state.page * PAGE, (state.page + 1) * PAGE).map(line));
    byId("count").textContent = `${kept.length} of ${rows.length} trials`;
    byId("page").textContent = `page ${state.page + 1} of ${pages}`;
    byId("previous").disabled = state.page === 0;
    byId("next").disabled = state.page === pages - 1;
    [...head.children].forEach((cell, at) => {
      if (at === state.sort) cell.setAttribute("aria-sort", state.descending ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    });
    for (const button of byId("status-buttons").children) {
      button.setAttribute("aria-pressed", String((button.dataset.status || null) === state.status));
    }
  }
  function line(place) {
    const row = document.createElement("tr");
    rows[place].forEach((cell, at) => {
      const { kind } = columns[at];
      const made = element("td", kind === "link" || kind === "status" ? "" : label(cell, columns[at]));
      made.className = kind;
      if (kind === "status") made.append(element("span", cell, { class: `state ${cell}` }));
      if (kind === "link" && cell) made.append(cell.href ? element("a", cell.text, { href: cell.href }) : cell.text);
      row.append(made);
    });
    return row;
  }
  function sortBy(at) {
    state.descending = state.sort === at ? !state.descending : false;
    state.sort = at;
    state.page = 0;
    show();
  }

  columns.forEach((column, at) => {
    const cell = element("th", "", { scope: "col" });
    if (column.kind === "number") cell.className = "number";
    const button = element("button", column.name, { type: "button" });
    button.addEventListener("click", () => sortBy(at));
    cell.append(button);
    head.append(cell);
  });
  const counts = new Map();
  for (const row of rows) counts.set(row[statusAt], (counts.get(row[statusAt]) || 0) + 1);
  for (const [status, count] of [["", rows.length], ...counts]) {
    const button = element("button", `${count} ${status || "all"}`, { type: "button", "data-status": status });
    button.addEventListener("click", () => { state.status = status || null; state.page = 0; show(); });
    byId("status-buttons").append(button);
  }
  byId("words").addEventListener("input", (event) => { state.words = event.target.value; state.page = 0; show(); });
  byId("previous").addEventListener("click", () => { state.page -= 1; show(); });
  byId("next").addEventListener("click", () => { state.page += 1; show(); });
  show();
})();
