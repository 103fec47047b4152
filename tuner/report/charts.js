/*
 * charts.js: what is drawn from the figures, with Chart.js.
 *
 * A chart has controls (selects; a later one may depend on those before it) and draw(chosen),
 * which returns {config, height, summary, head, rows} (rows are the same figures as a table) or
 * {why} when there is nothing to be drawn.
 */

/* ---- controls ---- */

function options_of(values) {
  return unique(values).map((value) => ({value: String(value), label: String(value)}));
}

function device_control(devices) {
  return {
    name: "device",
    label: "device",
    options: () =>
      devices.map((device) => ({value: String(data.devices.indexOf(device)), label: device.label}))
  };
}

const setting_control = {
  name: "setting",
  label: "case",
  options: (chosen) =>
    options_of(data.devices[chosen.device].measured.map((entry) => entry.setting))
};

/* ---- the charts ---- */

const none_measured = "Nothing was measured: these files hold estimates only.";

/* Cases with most formats first, so that the first choice says most. */
function case_options() {
  const formats = new Map();
  for (const entry of exact(measured.flatMap((device) => device.measured))) {
    const name = entry.shape + ", " + entry.setting;
    formats.set(name, (formats.get(name) || new Set()).add(entry.format));
  }
  return options_of([...formats].sort((a, b) => b[1].size - a[1].size).map((one) => one[0]));
}

/* Winners of one device in a case, by bits, and the line of its roof. */
function bits_sets(device, entries) {
  const own = colour("c" + measured.indexOf(device) % 8);
  const {m, k, n, ceiling} = entries[0], most = 1.12 * entries[entries.length - 1].bits;
  const points = {
    label: device.label,
    showLine: false,
    pointRadius: 5,
    pointHoverRadius: 7,
    data: entries.map((entry) => ({x: entry.bits, y: entry.us, entry})),
    ranges: entries.map((entry) => entry.low && [entry.low, entry.high]),
    names: entries.map((entry) => entry.format),
    pointStyle: entries.map((entry) => POINTS[entry.family] || "star"),
    borderColor: own,
    backgroundColor: entries.map(
      (entry) => measured.length > 1 ? own : family_colour(entry.family))
  };
  const roof = {
    label: "roof of " + device.label,
    pointRadius: 0,
    pointHitRadius: 0,
    borderColor: own,
    borderDash: [6, 4],
    borderWidth: 1.5,
    data: Array.from({length: 41}, (_, i) => most * i / 40)
            .map((bits) => ({x: bits, y: roof_us(ceiling, m, k, n, bits)}))
  };
  return ceiling.gbps ? [points, roof] : [points];
}

function draw_bits(chosen) {
  const datasets = [], rows = [];
  if (!measured.length)
    return {why: none_measured};
  for (const device of measured) {
    const entries = exact(device.measured)
                      .filter((one) => one.bits && one.shape + ", " + one.setting === chosen.case)
                      .sort((a, b) => a.bits - b.bits);
    if (!entries.length)
      continue;
    datasets.push(...bits_sets(device, entries));
    for (const {format, bits, us, kernel, ceiling, m, k, n} of entries)
      rows.push([
        device.label, format, bits.toFixed(2), show(us, 4),
        ceiling.gbps ? show(roof_us(ceiling, m, k, n, bits), 4) : "–", kernel
      ]);
  }
  if (!datasets.length)
    return {why: "No entry of this case says how many bytes it read."};
  const highs = datasets.flatMap((set) => set.ranges || []).map((range) => range ? range[1] : 0);
  const tell = ({raw}) => (raw.entry ? raw.entry.format + ": " : "roof: ") + show(raw.y, 4) +
    " µs" + (raw.entry ? ", " + raw.entry.kernel : "");
  return {
    head: ["device", "format", "bits", "time µs", "roof µs", "kernel"],
    rows,
    summary: "Time of " + chosen.case + " against bits of a weight for " + rows.length +
      " winners.",
    config: config("line", undefined, datasets,
      axis("bits a weight, scales included", {type: "linear"}),
      axis("time, µs", {suggestedMax: Math.max(...highs)}),
      {options: nearest, plugins: tooltip(tell)})
  };
}

function draw_rate(field, unit, roof) {
  return (chosen) => {
    if (!measured.length)
      return {why: none_measured};
    const device = data.devices[chosen.device];
    const entries =
      exact(device.measured).filter((entry) => entry.setting === chosen.setting && entry[field]);
    if (!entries.length)
      return {why: "No entry of this case has " + unit + "."};
    const formats = unique(entries.map((entry) => entry.format));
    const shapes = unique(entries.map((entry) => entry.shape));
    const find = (format, shape) =>
      entries.find((entry) => entry.format === format && entry.shape === shape);
    const level = entries[0].ceiling[roof];
    const datasets = shapes.map((shape, i) => ({
      label: shape,
      backgroundColor: colour("c" + i % 8),
      data: formats.map((format) => (find(format, shape) || {})[field])
    }));
    return {
      head: ["format", "M × K", unit, "of the roof", "kernel"],
      rows: entries.map((entry) => [
        entry.format, entry.shape, show(entry[field]),
        level ? (100 * entry[field] / level).toFixed(0) + " %" : "–", entry.kernel
      ]),
      summary: unit + " of " + entries.length + " winners on " + device.label + ", " +
        chosen.setting + (level ? "; the roof is " + show(level) + "." : "; no roof was measured."),
      config: config("bar", formats, datasets, untitled,
        axis(unit, {suggestedMax: level && 1.08 * level}), {
          plugins: Object.assign({legend: {display: true}},
            level ? line_at(level, "roof " + show(level) + " " + unit) : {})
        })
    };
  };
}

function draw_families(chosen) {
  if (!measured.length)
    return {why: none_measured};
  const device = data.devices[chosen.device];
  const entries =
    exact(device.measured)
      .filter((entry) => entry.setting === chosen.setting && entry.shape === chosen.shape);
  const families = FAMILIES.filter(
    (family) => entries.some((entry) => entry.families.some((one) => one.family === family)));
  if (!entries.some((entry) => entry.families.length > 1))
    return {
      why: "No case here has more than one family" +
        (device.searches ? "." : ": the file names no finalists of another one, and no journal " +
          "lies beside it.")
    };
  const find = (entry, family) => entry.families.find((one) => one.family === family);
  const datasets = families.map((family) => {
    const own = family_colour(family), ones = entries.map((entry) => find(entry, family));
    return {
      label: family,
      data: ones.map((one) => one && one.ratio),
      ones,
      borderColor: own,
      borderWidth: 1,
      ranges: ones.map((one) => one && one.low && [one.low, one.high]),
      backgroundColor: ones.map((one) => one && !one.final ? striped(own) : own)
    };
  });
  const others = measured.filter((one) => !rivalled.includes(one)).map((one) => one.label);
  const tell = (item) => {
    const one = item.dataset.ones[item.dataIndex];
    return one.family + ": " + one.ratio.toFixed(2) + "×, " + one.kernel +
      (one.final ? "" : " (lost before the final)");
  };
  return {
    head: ["format", "family", "time over the winner's", "kernel", "known from"],
    rows: entries.flatMap((entry) => entry.families.map((one) => [
      entry.format, one.family, one.ratio.toFixed(2) + "×", one.kernel,
      one.final ? "final" : "race"
    ])),
    summary: "Best kernel of every family over the winner on " + device.label + ", " +
      chosen.shape + ", " + chosen.setting + "." +
      (others.length ? " Nothing is known of the families on " + others.join(", ") + "." : ""),
    config: config("bar", entries.map((entry) => entry.format), datasets, untitled,
      axis("time over the winner's"),
      {plugins: Object.assign({legend: {display: true}}, line_at(1, ""), tooltip(tell))})
  };
}

const no_journal =
  "No journal of quern tune (X.journal beside X.yaml) with raced candidates was there to read.";

function the_search(chosen) {
  return data.devices[chosen.device].searches[chosen.search];
}

function draw_progress(chosen) {
  if (!searched.length)
    return {why: no_journal};
  const search = the_search(chosen), steps = progress(search);
  const families = unique(steps.map((step) => step.family));
  const bests = steps.filter((step) => Number.isFinite(step.best));
  const datasets = [{
    label: "best so far",
    data: bests.map((step) => ({x: step.tried, y: step.best})),
    stepped: "before",
    pointRadius: 0,
    borderColor: colour("text"),
    borderWidth: 1.5,
    pointHitRadius: 0
  }];
  for (const family of families) {
    const own = steps.filter((step) => step.family === family), ink = family_colour(family);
    datasets.push({
      label: family || "unknown",
      showLine: false,
      pointStyle: POINTS[family] || "star",
      pointRadius: 3.5,
      data: own.map((step) => ({x: step.tried, y: step.us, step})),
      borderColor: ink,
      backgroundColor: own.map((step) => step.dropped ? fade(ink, .12) : ink)
    });
  }
  const last = bests[bests.length - 1];
  const tell = ({raw}) => (raw.step ? raw.step.name + ": " : "") + show(raw.y, 4) + " µs" +
    (raw.step && raw.step.dropped ? ", dropped after its first call" : "");
  return {
    head: ["candidate", "kernel", "time µs", "best so far µs"],
    rows: steps.map((step) => [
      step.tried, step.name, show(step.us, 4) + (step.dropped ? " (first call)" : ""),
      Number.isFinite(step.best) ? show(step.best, 4) : "–"
    ]),
    summary: search_label(search) + " on " + data.devices[chosen.device].label + " at " +
      search.place + ": " + steps.length + " of " + search.candidates.length +
      " candidates were timed" + (last ? ", the best took " + show(last.best, 4) + " µs." : "."),
    config: config("line", undefined, datasets, axis("candidates tried", {type: "linear"}),
      axis("time, µs", {type: "logarithmic", beginAtZero: false}),
      {options: nearest, plugins: tooltip(tell)})
  };
}

/* What searches of several formats have in common. */
function search_kind(search) {
  return search.act + " N " + search.n + (search.core ? " on " + search.core : "");
}

function draw_importance(chosen) {
  if (!searched.length)
    return {why: no_journal};
  const device = data.devices[chosen.device];
  const found = device.searches.filter((search) => search_kind(search) === chosen.kind)
                  .map((search) => Object.assign({format: search.format}, importance(search)));
  const most = (name) => Math.max(...found.map((one) => one.shares[name] || 0));
  const names = unique(found.flatMap((one) => Object.keys(one.shares)))
                  .sort((a, b) => most(b) - most(a));
  if (!names.length)
    return {why: "Too few candidates were raced to tell parameters apart."};
  const percent = (one, name) => name in one.shares ? 100 * one.shares[name] : null;
  const cell = (one, name) => name in one.shares ? percent(one, name).toFixed(0) + " %" : "–";
  const datasets = found.map((one, i) => ({
    label: one.format,
    backgroundColor: colour("c" + i % 8),
    data: names.map((name) => percent(one, name))
  }));
  return {
    head: ["parameter", ...found.map((one) => one.format)],
    rows: names.map((name) => [name, ...found.map((one) => cell(one, name))]),
    summary: "Share of the variance of log time explained by each parameter on " + device.label +
      ", of " + found.map((one) => one.n + " candidates of " + one.format).join(", ") + ".",
    config: config("bar", names, datasets, untitled, axis("share of the variance, %"),
      {plugins: {legend: {display: true}}})
  };
}

/* Kinds of cores of a device count as devices. */
function runners_of(setting) {
  return measured
    .flatMap((device) => unique(device.measured.map((entry) => entry.core || "")).map((core) => ({
      label: device.label + (core ? ", " + core : ""),
      find: new Map(exact(device.measured)
                      .filter((entry) => (entry.core || "") === core &&
                          entry.run === setting)
                      .map((entry) => [entry.format + " " + entry.shape, entry])),
    })))
    .filter((runner) => runner.find.size);
}

function draw_devices(chosen) {
  if (measured.length < 2 &&
    !measured.some((device) => unique(device.measured.map((entry) => entry.core)).length > 1))
    return {
      why: (measured.length ? "Only one device was measured" : "No device was measured") +
        "; estimates are no times and cannot be compared with them. Name several results files."
    };
  const all = runners_of(chosen.threads), base = all[0];
  const runners =
    all.filter((one) => one === base || [...base.find.keys()].some((name) => one.find.has(name)));
  const cases = base
    ? [...base.find.keys()].filter((name) => runners.slice(1).some((one) => one.find.has(name)))
    : [];
  if (!cases.length)
    return {why: "No case of this kind was measured on more than one of the devices."};
  const us = (runner, name) => runner.find.has(name) ? runner.find.get(name).us : null;
  const speed = (runner, name) => us(runner, name) && us(base, name) / us(runner, name);
  const cell = (runner, name) =>
    us(runner, name)
      ? show(us(runner, name), 4) + " µs, " + speed(runner, name).toFixed(2) + "×" : "–";
  const datasets = runners.map((runner, i) => ({
    label: runner.label,
    backgroundColor: colour("c" + i % 8),
    data: cases.map((name) => speed(runner, name))
  }));
  const tell = (item) => item.dataset.label + ": " + cell(runners[item.datasetIndex], item.label);
  return {
    height: 60 + cases.length * (10 + 9 * runners.length),
    head: ["case", ...runners.map((one) => one.label)],
    rows: cases.map((name) => [name, ...runners.map((one) => cell(one, name))]),
    summary: "Speed over " + base.label + " in " + cases.length + " cases; longer is faster.",
    config: config("bar", cases, datasets, axis("speed over " + base.label), untitled,
      {options: {indexAxis: "y"}, plugins: Object.assign(line_at(1, ""), tooltip(tell))})
  };
}

function draw_estimates(chosen) {
  const of_n = (device) =>
    device.estimates.filter((entry) => String(entry.n) === chosen.n && !entry.lossy);
  const shown = estimated.filter((device) => of_n(device).length);
  const formats = unique(shown.flatMap((device) => of_n(device).map((entry) => entry.format)));
  const find = (device, format) => of_n(device).find((entry) => entry.format === format);
  const entries = shown.flatMap((device) => formats.map((format) => find(device, format)))
                    .filter(Boolean);
  const datasets = shown.map((device, i) => ({
    label: device.label + " (estimated)",
    borderWidth: 1,
    borderColor: colour("c" + i % 8),
    backgroundColor: striped(colour("c" + i % 8)),
    data: formats.map((format) => (find(device, format) || {estimate: {}}).estimate.cycles)
  }));
  const tell = (item) => item.dataset.label + ": " + show(item.raw) + ", " +
    find(shown[item.datasetIndex], item.label).kernel;
  return {
    head: ["device", "format", "cycles a weight", "kernel", "what it waits for"],
    rows: entries.map((entry) => [
      entry.device.label, entry.format, show(entry.estimate.cycles), entry.kernel,
      entry.estimate.bottleneck || "–"
    ]),
    summary: "Estimated, not measured: cycles a weight and token of the best kernels by " +
      "llvm-mca; shorter is faster.",
    config: config("bar", formats, datasets, untitled, axis("cycles a weight, estimated"),
      {plugins: Object.assign({legend: {display: true}}, tooltip(tell))})
  };
}

const charts = [
  {
    id: "bits",
    title: "Time against bits of a format",
    note: "Each point is the winner of a format; the dashed line is the least time that the " +
      "measured roof allows.",
    controls: [{name: "case", label: "case", options: case_options}],
    draw: draw_bits
  },
  {
    id: "gbps",
    title: "GB/s against the roof of memory",
    note: "Bytes of weights that one product streams, over its time.",
    controls: [device_control(measured), setting_control],
    draw: draw_rate("gbps", "GB/s", "gbps")
  },
  {
    id: "gmacs",
    title: "GMAC/s against the int8 roof",
    note: "Products of a weight and an activation; few tokens end at the roof of memory long " +
      "before this one.",
    controls: [device_control(measured), setting_control],
    draw: draw_rate("gmacs", "GMAC/s", "gmacs")
  },
  {
    id: "families",
    title: "Families against each other",
    note: "The best kernel of each family over the winner, paired, 1 is the winner; striped: it " +
      "lost in a race before the final.",
    controls: [
      device_control(rivalled.length ? rivalled : measured), setting_control, {
        name: "shape",
        label: "M × K",
        options: (chosen) =>
          options_of(data.devices[chosen.device]
                       .measured.filter((entry) => entry.setting === chosen.setting)
                       .map((entry) => entry.shape))
      }
    ],
    draw: draw_families
  },
  {
    id: "progress",
    title: "Search progress",
    note: "Every candidate at the search's first shape, median of its races; faint ones were " +
      "dropped after their first call.",
    controls: [
      device_control(searched), {
        name: "search",
        label: "search",
        options: (chosen) =>
          data.devices[chosen.device]
            .searches.map((search, i) => ({value: String(i), label: search_label(search), search}))
            .filter((one) => one.search.candidates.some((candidate) => candidate.ns))
      }
    ],
    draw: draw_progress
  },
  {
    id: "importance",
    title: "Parameter importance",
    note: "How much of the variance of log time the means of one parameter's values explain " +
      "(main effect, less what chance would), among the candidates that were raced.",
    controls: [
      device_control(searched), {
        name: "kind",
        label: "activations",
        options: (chosen) => options_of(data.devices[chosen.device].searches.map(search_kind))
      }
    ],
    draw: draw_importance
  },
  {
    id: "compare",
    title: "Devices compared",
    note: "Time of the first device over that of each, in the cases that both have.",
    controls: [{
      name: "threads",
      label: "case",
      options: () =>
        options_of(measured.flatMap((device) => device.measured.map((entry) => entry.run)))
    }],
    draw: draw_devices
  },
];
if (estimated.length)
  charts.push({
    id: "estimates",
    title: "Estimates",
    note: "By llvm-mca's model of a core, with data in the first-level " +
      "cache. These are not measurements and no times.",
    controls: [{
      name: "n",
      label: "tokens",
      options: () =>
        options_of(estimated.flatMap((device) => device.estimates.map((entry) => entry.n)))
    }],
    draw: draw_estimates
  });
