/*
 * page.js: panels, the table of kernels, the colours.
 */

/* element("p", {className: "note"}, "text", child...) */
function element(name, fields, ...children) {
  const node = document.createElement(name);
  for (const [field, value] of Object.entries(fields || {}))
    if (field.includes("-") || field === "role" || field === "scope")
      node.setAttribute(field, value);
    else
      node[field] = value;
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

function by_id(id) {
  return document.getElementById(id);
}

/* ---- devices ---- */

function bytes(n) {
  return n >= 1 << 20 ? n / (1 << 20) + " MiB" : n / 1024 + " KiB";
}

function facts(rows) {
  const list = element("dl");
  for (const [name, value] of rows.filter((row) => row[1]))
    list.append(element("dt", {}, name), element("dd", {}, value));
  return list;
}

function plural(n, what) {
  return n + " " + what + (n === 1 ? "" : "s");
}

function joined(...parts) {
  return parts.filter(Boolean).join(", ");
}

function roof_fact(one) {
  return [
    "roof, " + plural(one.threads, "thread"),
    (one.core ? one.core + ": " : "") + show(one.gbps) + " GB/s from memory, " +
      show(one.gmacs) + " int8 GMAC/s"
  ];
}

function first_facts(device) {
  const compilers = [device.compiler, device.clang].filter(Boolean).join("; ");
  return [
    ["processor", joined(device.cpu, device.arch, device.cores && plural(device.cores, "core"))],
    ...device.ceilings.map(roof_fact),
    ["run", joined(device.budget && "budget " + device.budget,
      device.seconds && device.seconds.toFixed(0) + " s",
      device.tried && device.tried + " kernels tried", plural(device.failed.length, "failure"))],
    ["compiler", compilers + (device.flags ? " (" + device.flags + ")" : "")],
  ];
}

function more_facts(device) {
  const searches = (device.searches || []).map(search_label).join("; ");
  return [
    ["it has", device.features],
    ["caches", joined(device.l1d && "L1d " + bytes(device.l1d),
      device.l2 && "L2 " + bytes(device.l2), device.llc && "last level " + bytes(device.llc))],
    ["system", device.os],
    ["governor", device.governor],
    ["thermal", device.thermal],
    ["counters", (device.counters || "").replace(/,(?=\S)/g, ", ")],
    ["journal", device.searches ? "searches: " + searches : "none beside the file"],
    ["made by", joined(device.version && "quern " + device.version,
      device.templates && "templates " + device.templates)],
    ["file", device.file],
  ];
}

function estimated_text({core, llvm_mca, model, note}) {
  return "Estimated for " + core + " by llvm-mca " + (llvm_mca || "") +
    (model ? " (model " + model + (note ? "; " + note : "") + ")" : "") + ". Nothing was run.";
}

function device_panel(device) {
  const panel = element("article", {className: "panel"}, element("h2", {}, device.label));
  if (device.estimated)
    panel.append(element("p", {className: "warn"}, estimated_text(device.estimated)));
  if (!device.complete)
    panel.append(element("p", {className: "warn"}, "The run was stopped before its end."));
  panel.append(facts(first_facts(device)),
    element("details", {}, element("summary", {}, "more"), facts(more_facts(device))));
  if (device.failed.length) {
    const list = device.failed.map((one) => element("li", {}, one.point + ": " + one.reason));
    panel.append(element("details", {},
      element("summary", {}, plural(device.failed.length, "failure")), element("ul", {}, ...list)));
  }
  return panel;
}

/* ---- charts ---- */

const drawn = new Map(); /* by id of the chart: Chart of Chart.js */

function plain_table(head, rows, caption) {
  const line = (name, cells) =>
    element("tr", {}, ...cells.map((cell) => element(name, name === "th" ? {scope: "col"} : {},
      String(cell))));
  return element("div", {className: "scroll", tabIndex: 0},
    element("table", {}, element("caption", {}, caption), element("thead", {}, line("th", head)),
      element("tbody", {}, ...rows.map((row) => line("td", row)))));
}

/* Fills the selects from the changed one on; a choice that is still possible stays. */
function fill_controls(chart, panel) {
  const chosen = {};
  for (const control of chart.controls) {
    const select = panel.querySelector("select[name=" + control.name + "]"), before = select.value;
    const first =
      chart.controls.indexOf(control) === 0 || chosen[chart.controls[0].name] !== undefined;
    const options = first ? control.options(chosen) : [];
    select.replaceChildren(
      ...options.map((one) => element("option", {value: one.value}, one.label)));
    if (options.some((one) => one.value === before))
      select.value = before;
    select.parentElement.hidden = options.length < 2;
    chosen[control.name] = options.length ? select.value : undefined;
  }
  return chosen;
}

function draw_chart(chart) {
  const panel = by_id("chart-" + chart.id), content = panel.querySelector(".content");
  const chosen = fill_controls(chart, panel), result = chart.draw(chosen);
  if (drawn.has(chart.id))
    drawn.get(chart.id).destroy();
  drawn.delete(chart.id);
  if (result.why) {
    content.replaceChildren(element("p", {className: "why"}, result.why));
    return result;
  }
  const canvas = element("canvas", {role: "img", "aria-label": result.summary});
  const box = element("div", {className: "canvas"}, canvas);
  if (result.height)
    box.style.height = Math.max(200, result.height) + "px";
  const open = (content.querySelector("details") || {}).open;
  content.replaceChildren(box, element("p", {className: "note"}, result.summary),
    element("details", {open: !!open}, element("summary", {}, "these figures as a table"),
      plain_table(result.head, result.rows, chart.title)));
  drawn.set(chart.id, new Chart(canvas, result.config));
  return result;
}

function draw_all() {
  Object.assign(Chart.defaults, {color: colour("quiet"), borderColor: colour("grid")});
  Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
  Chart.defaults.font.size = 12;
  Chart.defaults.plugins.legend.labels.boxWidth = 12;
  charts.forEach(draw_chart);
}

function chart_panel(chart) {
  const controls = element("div", {className: "controls"}, ...chart.controls.map((control) => {
    const select = element("select", {name: control.name});
    select.addEventListener("change", () => draw_chart(chart));
    return element("label", {}, control.label + " ", select);
  }));
  return element("article", {className: "panel", id: "chart-" + chart.id},
    element("h2", {}, chart.title), element("p", {className: "note"}, chart.note), controls,
    element("div", {className: "content"}));
}

/* ---- the table of kernels ---- */

const entries = data.devices.flatMap((device) => device.entries);
const has = (field) => entries.some((entry) => entry[field]);

/* value: for sorting; text: for people (the value when absent). */
const columns = [
  {name: "device", shown: data.devices.length > 1, value: (e) => e.device.label},
  {name: "format", value: (e) => e.format},
  {name: "M × K", number: true, value: (e) => e.m * 1e6 + e.k, text: (e) => e.shape},
  {name: "N", number: true, value: (e) => e.n},
  {name: "thr", number: true, value: (e) => e.threads},
  {name: "core", shown: has("core"), value: (e) => e.core || ""},
  {name: "kernel", value: (e) => e.kernel},
  {name: "time µs", shown: has("us"), number: true, value: (e) => e.us,
    text: (e) => show(e.us, 4) +
      (e.low && e.high ? "  (" + show(e.low, 4) + " to " + show(e.high, 4) + ")" : "")},
  {name: "at load µs", shown: has("sustained"), number: true, value: (e) => e.sustained,
    text: (e) => show(e.sustained, 4)},
  {name: "GB/s", shown: has("gbps"), number: true, value: (e) => e.gbps, text: (e) => show(e.gbps)},
  {name: "roof", shown: has("roof"), number: true, value: (e) => e.roof,
    text: (e) => e.roof ? (100 * e.roof).toFixed(0) + " %" : "–"},
  {name: "speed-up", shown: has("speedup"), number: true, value: (e) => e.speedup,
    text: (e) => e.speedup ? e.speedup.toFixed(2) + "×" : "–"},
  {name: "NMSE", shown: has("nmse"), number: true, value: (e) => e.nmse,
    text: (e) => e.nmse === undefined ? "–"
      : e.nmse.toExponential(1) + (e.lossy ? " lossy" : "")},
  {name: "cycles/w, estimated", shown: estimated.length > 0, number: true,
    value: (e) => e.estimate && e.estimate.cycles,
    text: (e) => e.estimate ? show(e.estimate.cycles) : "–"},
  {name: "as good", number: true, value: (e) => e.equivalent.length},
].filter((column) => column.shown !== false);
const sorting = {column: -1, down: false};

function cell_text(column, entry) {
  return String(column.text ? column.text(entry) : column.value(entry));
}

/* What is not known goes last, either way. */
function sort_rows(list) {
  const column = columns[sorting.column];
  if (!column)
    return list;
  const sign = sorting.down ? -1 : 1;
  return [...list].sort((a, b) => {
    const x = column.value(a), y = column.value(b);
    if (x === undefined || y === undefined)
      return (x === undefined) - (y === undefined);
    return sign * (typeof x === "string" ? x.localeCompare(y, "en", {numeric: true}) : x - y);
  });
}

function filtered() {
  const text = by_id("filter").value.toLowerCase().replace(/(\d)x(\d)/g, "$1×$2");
  const wanted = text.split(/\s+/).filter(Boolean);
  return entries.filter((entry) => {
    const line = columns.map((column) => cell_text(column, entry)).join(" ").toLowerCase() +
      (entry.estimate ? " estimated" : " measured");
    return wanted.every((word) => line.includes(word));
  });
}

function row_of(entry) {
  const button = element("button",
    {type: "button", className: "mono", title: "C, point and finalists"}, entry.kernel);
  const row = element("tr", {}, ...columns.map((column) => column.name === "kernel"
    ? element("td", {}, button)
    : element("td", {className: column.number ? "number" : ""}, cell_text(column, entry))));
  row.addEventListener("click", () => open_kernel(entry));
  return row;
}

function fill_rows() {
  const list = sort_rows(filtered());
  by_id("winners").querySelector("tbody").replaceChildren(...list.map(row_of));
  by_id("count").textContent = list.length + " of " + entries.length;
  by_id("winners").querySelectorAll("th").forEach((head, i) => {
    if (i === sorting.column)
      head.setAttribute("aria-sort", sorting.down ? "descending" : "ascending");
    else
      head.removeAttribute("aria-sort");
  });
}

function make_table() {
  const heads = columns.map((column, i) => {
    const button = element("button", {type: "button"}, column.name);
    button.addEventListener("click", () => {
      sorting.down = sorting.column === i && !sorting.down;
      sorting.column = i;
      fill_rows();
    });
    return element("th", {scope: "col", className: column.number ? "number" : ""}, button);
  });
  by_id("winners").append(element("table", {}, element("caption", {}, "Winners, one line a case"),
    element("thead", {}, element("tr", {}, ...heads)), element("tbody")));
  by_id("filter").addEventListener("input", fill_rows);
  fill_rows();
}

/* ---- one kernel ---- */

function flags_text(flags) {
  const list = Object.entries(flags || {}).map(([name, n]) => name + " " + n);
  return list.length ? " (" + list.join(", ") + ")" : "";
}

/* What a library has in the place of the winner, and why. */
function shipped_text(entry) {
  const one = entry.finalists.find((other) => other.kernel === entry.shipped);
  return one && joined(one.kernel, one.ratio.toFixed(3) + "× the time",
    one.energy && entry.energy && (one.energy / entry.energy).toFixed(3) + "× the energy",
    one.layout !== entry.layout && "packed as " + one.layout + " for all numbers of tokens");
}

function time_facts(entry) {
  const interval = entry.low && entry.high
    ? " (95 %: " + show(entry.low, 4) + " to " + show(entry.high, 4) + ")" : "";
  return [
    ["time", joined(show(entry.us, 4) + " µs" + interval, plural(entry.samples || 0, "sample"),
      plural(entry.flagged || 0, "disturbed sample") + flags_text(entry.flags))],
    ["control", entry.control && "the default over itself " + entry.control[0].toFixed(3) + "× (95 %: " +
      entry.control[1].toFixed(3) + " to " + entry.control[2].toFixed(3) + ")"],
    ["speed", joined(show(entry.gbps) + " GB/s", show(entry.gmacs) + " GMAC/s",
      entry.roof && (100 * entry.roof).toFixed(0) + " % of the roof")],
    ["at load", entry.sustained && show(entry.sustained, 4) + " µs" +
      (entry.burst ? "; before it is warm " + entry.burst + " is faster" : "")],
    ["energy", entry.energy && show(entry.energy) + " µJ a call (" + entry.energy_source + ")"],
  ];
}

function entry_facts(entry) {
  const slower = entry.speedup ? ", " + entry.speedup.toFixed(2) + "× as long" : "";
  const counters = Object.entries(entry.counters)
    .map(([name, value]) => name + " " + show(value, 4));
  const {cycles, instructions, spills, bottleneck} = entry.estimate || {};
  return [
    ["case", joined(entry.format, "M × K " + entry.shape, entry.setting)],
    ["device", entry.device.label],
    ...(entry.us ? time_facts(entry) : []),
    ["estimated", cycles && joined(show(cycles) + " cycles and " + show(instructions) +
      " instructions a weight", plural(spills, "spill"), bottleneck) + ". Not a measurement."],
    ["default", entry.default && entry.default + slower],
    ["as good", entry.equivalent.join(", ")],
    ["shipped instead", shipped_text(entry)],
    ["packed as", entry.layout],
    ["point", data.kernels[entry.kernel].key],
    ["counters", counters.join(", ")],
  ];
}

/* Energy over the winner's; on the front when nobody is better in time and energy at once. */
function energy_text(entry, one) {
  const all = [{ratio: 1, energy: entry.energy}, ...entry.finalists.filter((other) => other.energy)];
  const is_beaten = all.some((other) => other.ratio <= one.ratio && other.energy <= one.energy &&
    (other.ratio < one.ratio || other.energy < one.energy));
  return one.energy ? (one.energy / entry.energy).toFixed(3) + "×" + (is_beaten ? "" : ", on the front")
    : "–";
}

function finalists_table(entry) {
  const columns = [
    ["kernel", (one) => one.kernel],
    ["time over the winner's", (one) => one.ratio.toFixed(3) + "×"],
    ["95 %", (one) => one.low && one.high ? one.low.toFixed(3) + " to " + one.high.toFixed(3) : "–"],
    ["energy", entry.energy && ((one) => energy_text(entry, one))],
    ["as good", (one) => one.equivalent ? "yes" : ""],
    ["packed as", (one) => one.layout || ""],
    ["point", (one) => one.key.replace(/ format=\S+ act=\S+/, "")],
  ].filter(([, text]) => text);
  return plain_table(columns.map(([name]) => name),
    entry.finalists.map((one) => columns.map(([, text]) => text(one))),
    "Finalists, paired with the winner");
}

function copy_button(text) {
  const button = element("button", {type: "button"}, "copy");
  button.addEventListener("click", () => {
    navigator.clipboard.writeText(text).then(
      () => button.textContent = "copied", () => button.textContent = "not allowed here");
  });
  return button;
}

function open_kernel(entry) {
  const dialog = by_id("kernel"), kernel = data.kernels[entry.kernel];
  const close = element("button", {type: "button", "aria-label": "close"}, "close");
  close.addEventListener("click", () => dialog.close());
  const body = element("div", {className: "body"},
    element("div", {className: "panel"}, facts(entry_facts(entry))));
  if (entry.finalists.length)
    body.append(element("h3", {}, "Who else was in the final"), finalists_table(entry));
  body.append(element("h3", {}, "Its C"), kernel.c
    ? element("div", {}, copy_button(kernel.c),
      element("pre", {tabIndex: 0}, element("code", {}, kernel.c)))
    : element("p", {className: "warn"},
      "The templates of this quern do not make this kernel: " + kernel.why));
  dialog.replaceChildren(element("div", {className: "head"},
    element("h2", {id: "kernel-name", className: "mono"}, entry.kernel), close), body);
  if (!dialog.open)
    dialog.showModal();
  dialog.scrollTop = 0;
}

by_id("kernel").addEventListener("click", (event) => {
  if (event.target === event.currentTarget)
    event.currentTarget.close();
});

/* ---- colours ---- */

const THEMES = ["system", "light", "dark"];

function set_theme(theme) {
  if (theme === "system")
    delete document.documentElement.dataset.theme;
  else
    document.documentElement.dataset.theme = theme;
  by_id("theme").textContent = "colours: " + theme;
  draw_all();
}

function current_theme() {
  return document.documentElement.dataset.theme || "system";
}

by_id("theme").addEventListener(
  "click", () => set_theme(THEMES[(THEMES.indexOf(current_theme()) + 1) % 3]));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw_all);
let before_print = "system";
addEventListener("beforeprint", () => {
  before_print = current_theme();
  set_theme("light");
  drawn.forEach((chart) => chart.resize());
});
addEventListener("afterprint", () => set_theme(before_print));

/* ---- the page ---- */

by_id("devices").append(...data.devices.map(device_panel));
by_id("charts").append(...charts.map(chart_panel));
by_id("footer").textContent = "Made by quern " + data.quern + " from " +
  data.devices.map((device) => device.file).join(", ") + ". Charts by Chart.js " + Chart.version +
  " (MIT licence, in this file).";
draw_all();
make_table();
