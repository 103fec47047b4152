/*
 * figures.js: what the data say, without anything that is drawn.
 *
 * An entry gets a few fields more: device, family, lossy, bits (of a weight as streamed, scales
 * included), gmacs, its ceiling, and what is chosen among: shape, run (the same on all devices) and
 * setting (the cores as well).
 */
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const FAMILIES = ["lut", "dot", "gemm"];

function words(key) {
  return Object.fromEntries(
    (key || "").split(" ").filter(Boolean).map((word) => word.split("=", 2)));
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b), n = sorted.length;
  return n ? (sorted[(n - 1) >> 1] + sorted[n >> 1]) / 2 : NaN;
}

function unique(values) {
  return [...new Set(values)];
}

/* As little of the paths as tells the files apart. */
function label_devices() {
  const parts = (device) => device.file.replace(/\.yaml$/, "").split("/");
  const end = (device, n) => parts(device).slice(-n).join("/");
  data.devices.forEach((device, i) => {
    const clashes = (n) =>
      data.devices.some((other) => other !== device && end(other, n) === end(device, n));
    let n = 1;
    while (n < parts(device).length && clashes(n))
      n++;
    device.label = end(device, n) + (clashes(n) ? " (" + (i + 1) + ")" : "");
  });
}

function prepare(entry, device, with_act) {
  const point = words(data.kernels[entry.kernel].key);
  entry.device = device;
  entry.family = point.family;
  entry.lossy = !!data.kernels[entry.kernel].lossy;
  entry.shape = entry.m + "×" + entry.k;
  entry.run = "N " + entry.n + ", " + entry.threads +
    (entry.threads === 1 ? " thread" : " threads") + (with_act ? ", " + point.act : "");
  entry.setting = entry.run + (entry.core ? " on " + entry.core : "");
  entry.ceiling = device.ceilings.find((one) => one.threads === entry.threads &&
    (one.core || "") === (entry.core || "")) || {};
  if (entry.us)
    entry.gmacs = entry.m * entry.k * entry.n / entry.us / 1000;
  if (entry.us && entry.gbps)
    entry.bits = 8000 * entry.gbps * entry.us / (entry.m * entry.k);
}

function prepare_all() {
  const acts = unique(Object.values(data.kernels).map((kernel) => words(kernel.key).act));
  label_devices();
  for (const device of data.devices) {
    device.measured = device.entries.filter((entry) => entry.us);
    device.estimates = device.entries.filter((entry) => entry.estimate);
    device.entries.forEach((entry) => prepare(entry, device, acts.length > 1));
  }
}

prepare_all();

const measured = data.devices.filter((device) => device.measured.length);
const estimated = data.devices.filter((device) => device.estimates.length);
const searched = data.devices.filter(
  (device) => (device.searches || []).some((search) => search.candidates.some((one) => one.ns)));

/* Those of which more than one family is known in some case. */
const rivalled =
  measured.filter((device) => device.measured.some((entry) => entry.families.length > 1));

function search_label(search) {
  return search.format + " " + search.act + " N " + search.n +
    (search.core ? " on " + search.core : "");
}

/* The exact winner of a case stands for it in charts; lossy ones are in the table. */
function exact(entries) {
  return entries.filter((entry) => !entry.lossy);
}

/* Microseconds that no kernel can beat: so many bits a weight from memory, so many products. */
function roof_us(ceiling, m, k, n, bits) {
  const memory = ceiling.gbps ? m * k * bits / 8000 / ceiling.gbps : 0;
  const compute = ceiling.gmacs ? m * k * n / 1000 / ceiling.gmacs : 0;
  return Math.max(memory, compute);
}

/* Best exact one so far, candidate by candidate: [{tried, us, best, family, name, dropped}]. */
function progress(search) {
  let best = Infinity;
  const steps = [];
  search.candidates.forEach((one, i) => {
    if (!one.ns)
      return;
    if (!one.dropped && !one.lossy)
      best = Math.min(best, one.ns);
    steps.push({
      tried: i + 1,
      us: one.ns / 1000,
      best: best / 1000,
      family: words(one.key).family,
      name: one.name,
      dropped: !!one.dropped
    });
  });
  return steps;
}

/*
 * The share of the variance of log time that the means of a parameter's values explain, less what
 * chance alone would: 1 - (SSW / (n - g)) / (SST / (n - 1)), among those that have the parameter.
 * null: too few to tell.
 */
function share(samples, name) {
  const having = samples.filter((one) => name in one.point), groups = {};
  for (const one of having) (groups[one.point[name]] = groups[one.point[name]] || []).push(one.log);
  const mean = (list) => list.reduce((sum, x) => sum + x, 0) / list.length;
  const squares = (list) => {
    const m = mean(list);
    return list.reduce((sum, x) => sum + (x - m) ** 2, 0);
  };
  const n = having.length, g = Object.keys(groups).length;
  if (g < 2 || n - g < 3)
    return null;
  const total = squares(having.map((one) => one.log));
  const within = Object.values(groups).reduce((sum, list) => sum + squares(list), 0);
  return total > 0 ? Math.max(0, 1 - within / (n - g) / (total / (n - 1))) : null;
}

/* {parameter: share} of a search, of the candidates that were raced. */
function importance(search) {
  const samples = search.candidates.filter((one) => one.ns && one.key && !one.dropped && !one.lossy)
                    .map((one) => ({point: words(one.key), log: Math.log(one.ns)}));
  const names = unique(samples.flatMap((one) => Object.keys(one.point)))
                  .filter((name) => !["format", "act"].includes(name));
  const shares = {};
  for (const name of names) {
    const value = share(samples, name);
    if (value !== null)
      shares[name] = value;
  }
  return {shares, n: samples.length};
}
