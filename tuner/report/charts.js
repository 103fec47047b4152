/*
 * charts.js: what is drawn from the figures, with Chart.js.
 *
 * A chart has controls (selects; a later one may depend on those before it) and draw(chosen), which returns
 * {config, height, summary, head, rows} (rows are the same figures as a table) or {why} when there is nothing to
 * be drawn.
 */

const POINTS = { lut: "circle", dot: "rect", gemm: "triangle" };

function colour(name) {
	return getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
}

function family_colour(family) {
	const i = FAMILIES.indexOf(family);
	return colour("c" + (i < 0 ? 5 : i));
}

function fade(hex, alpha) {
	return hex + Math.round(255 * alpha).toString(16).padStart(2, "0");
}

/* Stripes, for what is estimated or did not come from a final. */
function striped(hex) {
	const tile = document.createElement("canvas"), pen = tile.getContext("2d");
	tile.width = tile.height = 8;
	pen.fillStyle = fade(hex, .2);
	pen.fillRect(0, 0, 8, 8);
	pen.strokeStyle = hex;
	pen.lineWidth = 1.5;
	pen.beginPath();
	for (const x of [-4, 0, 4, 8]) {
		pen.moveTo(x, 8);
		pen.lineTo(x + 8, 0);
	}
	pen.stroke();
	return pen.createPattern(tile, "repeat");
}

function show(value, digits) {
	if (value === undefined || value === null || Number.isNaN(value))
		return "–";
	return value === 0 || Math.abs(value) >= 1000 ? value.toFixed(0) : value.toPrecision(digits || 3);
}

/* ---- marks that Chart.js has not ---- */

/* Intervals of values ({low, high} of a point), names of points ({name}), and a line across at options.level. */
const marks = {
	id: "marks",
	/* Beside the point where no other name is, or nowhere. */
	write(pen, name, point, area, taken) {
		const width = pen.measureText(name).width;
		for (const [x, y] of [[7, -6], [7, 14], [-7 - width, -6], [-7 - width, 14]]) {
			const box = { left: point.x + x, right: point.x + x + width, top: point.y + y - 10, bottom: point.y + y + 2 };
			if (box.left < area.left || box.right > area.right || taken.some((other) => box.left < other.right &&
				other.left < box.right && box.top < other.bottom && other.top < box.bottom))
				continue;
			taken.push(box);
			pen.fillText(name, box.left, point.y + y);
			return;
		}
	},
	afterDatasetsDraw(chart, _, options) {
		const pen = chart.ctx, ink = colour("text");
		const area = chart.chartArea, taken = [];
		pen.save();
		pen.strokeStyle = pen.fillStyle = ink;
		pen.lineWidth = 1;
		pen.font = "11px " + Chart.defaults.font.family;
		chart.data.datasets.forEach((set, i) => {
			if (!chart.isDatasetVisible(i))
				return;
			const drawn = chart.getDatasetMeta(i).data;
			(set.ranges || []).forEach((range, j) => {
				if (!range || !drawn[j])
					return;
				const low = chart.scales.y.getPixelForValue(range[0]);
				const high = chart.scales.y.getPixelForValue(range[1]);
				pen.globalAlpha = .65;
				pen.beginPath();
				pen.moveTo(drawn[j].x, low);
				pen.lineTo(drawn[j].x, high);
				pen.stroke();
				pen.globalAlpha = 1;
			});
			(set.names || []).forEach((name, j) => {
				if (drawn[j])
					marks.write(pen, name, drawn[j], area, taken);
			});
		});
		for (const { value, text } of options.levels || []) {
			const across = chart.options.indexAxis === "y";
			const at = chart.scales[across ? "x" : "y"].getPixelForValue(value);
			pen.setLineDash([5, 4]);
			pen.beginPath();
			if (across) {
				pen.moveTo(at, area.top);
				pen.lineTo(at, area.bottom);
			} else {
				pen.moveTo(area.left, at);
				pen.lineTo(area.right, at);
			}
			pen.stroke();
			pen.textAlign = across ? "left" : "right";
			pen.fillText(text, across ? at + 4 : area.right - 4, across ? area.top + 10 : at - 5);
		}
		pen.restore();
	},
};

function axis(title, more) {
	return Object.assign({ title: { display: true, text: title }, beginAtZero: true }, more);
}

function config(type, labels, datasets, x, y, more) {
	return { type, data: { labels, datasets }, plugins: [marks],
		options: Object.assign({
			responsive: true, maintainAspectRatio: false, animation: false,
			scales: { x, y },
			plugins: Object.assign({ legend: { display: datasets.length > 1 } }, (more || {}).plugins),
		}, more && more.options) };
}

function tooltip(label) {
	return { tooltip: { callbacks: { label } } };
}

/* ---- controls ---- */

function options_of(values) {
	return unique(values).map((value) => ({ value: String(value), label: String(value) }));
}

function device_control(devices) {
	return { name: "device", label: "device", options: () =>
		devices.map((device) => ({ value: String(data.devices.indexOf(device)), label: device.label })) };
}

const setting_control = { name: "setting", label: "case", options: (chosen) =>
	options_of(data.devices[chosen.device].measured.map((entry) => entry.setting)) };

/* ---- the charts ---- */

const none_measured = "Nothing was measured: these files hold estimates only.";

/* Cases with most formats first, so that the first choice says most. */
function case_options() {
	const formats = new Map();
	for (const entry of exact(measured.flatMap((device) => device.measured))) {
		const name = entry.shape + ", " + entry.setting;
		formats.set(name, (formats.get(name) || new Set()).add(entry.format));
	}
	return [...formats].sort((a, b) => b[1].size - a[1].size)
		.map(([name]) => ({ value: name, label: name }));
}

function draw_bits(chosen) {
	const datasets = [], rows = [];
	if (!measured.length)
		return { why: none_measured };
	measured.forEach((device, d) => {
		const entries = exact(device.measured).filter((entry) => entry.bits &&
			entry.shape + ", " + entry.setting === chosen.case).sort((a, b) => a.bits - b.bits);
		if (!entries.length)
			return;
		const own = colour("c" + d % 8), most = 1.12 * entries[entries.length - 1].bits;
		const { m, k, n, ceiling } = entries[0];
		datasets.push({ label: device.label, showLine: false, pointRadius: 5, pointHoverRadius: 7,
			data: entries.map((entry) => ({ x: entry.bits, y: entry.us, entry })),
			ranges: entries.map((entry) => entry.low && [entry.low, entry.high]),
			names: entries.map((entry) => entry.format),
			pointStyle: entries.map((entry) => POINTS[entry.family] || "star"),
			borderColor: own,
			backgroundColor: entries.map((entry) => measured.length > 1 ? own : family_colour(entry.family)) });
		if (ceiling.gbps)
			datasets.push({ label: "roof of " + device.label, pointRadius: 0, borderColor: own,
				borderDash: [6, 4], borderWidth: 1.5, pointHitRadius: 0,
				data: Array.from({ length: 41 }, (_, i) => ({ x: most * i / 40,
					y: roof_us(ceiling, m, k, n, most * i / 40) })) });
		for (const entry of entries)
			rows.push([device.label, entry.format, entry.bits.toFixed(2), show(entry.us, 4),
				ceiling.gbps ? show(roof_us(ceiling, m, k, n, entry.bits), 4) : "–", entry.kernel]);
	});
	if (!datasets.length)
		return { why: "No entry of this case says how many bytes it read." };
	return { head: ["device", "format", "bits", "time µs", "roof µs", "kernel"], rows,
		summary: "Time of " + chosen.case + " against bits of a weight for " + rows.length + " winners.",
		config: config("line", undefined, datasets, axis("bits a weight, scales included", { type: "linear" }),
			axis("time, µs", { suggestedMax: Math.max(...datasets.flatMap((set) => set.ranges || []).map((range) =>
				range ? range[1] : 0)) }), { options: { interaction: { mode: "nearest", intersect: true } }, plugins: Object.assign(
				{ legend: { labels: { usePointStyle: false } } },
				tooltip((item) => item.raw.entry ? item.raw.entry.format + ": " + show(item.raw.y, 4) + " µs, " +
					item.raw.entry.kernel : "roof: " + show(item.raw.y, 4) + " µs")) }) };
}

function draw_rate(field, unit, roof) {
	return (chosen) => {
		if (!measured.length)
			return { why: none_measured };
		const device = data.devices[chosen.device];
		const entries = exact(device.measured).filter((entry) => entry.setting === chosen.setting && entry[field]);
		if (!entries.length)
			return { why: "No entry of this case has " + unit + "." };
		const formats = unique(entries.map((entry) => entry.format)), shapes = unique(entries.map((e) => e.shape));
		const find = (format, shape) => entries.find((entry) => entry.format === format && entry.shape === shape);
		const level = entries[0].ceiling[roof];
		const datasets = shapes.map((shape, i) => ({ label: shape, backgroundColor: colour("c" + i % 8),
			data: formats.map((format) => (find(format, shape) || {})[field]) }));
		return { head: ["format", "M × K", unit, "of the roof", "kernel"],
			rows: entries.map((entry) => [entry.format, entry.shape, show(entry[field]),
				level ? (100 * entry[field] / level).toFixed(0) + " %" : "–", entry.kernel]),
			summary: unit + " of " + entries.length + " winners on " + device.label + ", " + chosen.setting +
				(level ? "; the roof is " + show(level) + "." : "; no roof was measured."),
			config: config("bar", formats, datasets, axis("", { title: { display: false } }),
				axis(unit, { suggestedMax: level && 1.08 * level }),
				{ plugins: { marks: { levels: level ? [{ value: level, text: "roof " + show(level) + " " + unit }] : [] },
					legend: { display: true } } }) };
	};
}

function draw_families(chosen) {
	if (!measured.length)
		return { why: none_measured };
	const device = data.devices[chosen.device];
	const entries = exact(device.measured).filter((entry) => entry.setting === chosen.setting &&
		entry.shape === chosen.shape);
	const families = FAMILIES.filter((family) => entries.some((entry) =>
		entry.families.some((one) => one.family === family)));
	if (!entries.some((entry) => entry.families.length > 1))
		return { why: "No case here has more than one family" + (device.searches ? "" :
			": the file names no finalists of another one, and no journal lies beside it") + "." };
	const find = (entry, family) => entry.families.find((one) => one.family === family);
	const datasets = families.map((family) => {
		const own = family_colour(family), ones = entries.map((entry) => find(entry, family));
		return { label: family, data: ones.map((one) => one && one.ratio), ones, borderColor: own, borderWidth: 1,
			ranges: ones.map((one) => one && one.low && [one.low, one.high]),
			backgroundColor: ones.map((one) => one && !one.final ? striped(own) : own) };
	});
	return { head: ["format", "family", "time over the winner's", "kernel", "known from"],
		rows: entries.flatMap((entry) => entry.families.map((one) => [entry.format, one.family,
			one.ratio.toFixed(2) + "×", one.kernel, one.final ? "final" : "race"])),
		summary: "Best kernel of every family over the winner on " + device.label + ", " + chosen.shape + ", " + chosen.setting + "." +
			(rivalled.length < measured.length ? " Nothing is known of the families on " + measured.filter((one) =>
				!rivalled.includes(one)).map((one) => one.label).join(", ") + "." : ""),
		config: config("bar", entries.map((entry) => entry.format), datasets, axis("", { title: { display: false } }),
			axis("time over the winner's"), { plugins: Object.assign({ marks: { levels: [{ value: 1, text: "" }] },
				legend: { display: true } }, tooltip((item) => {
				const one = item.dataset.ones[item.dataIndex];
				return one.family + ": " + one.ratio.toFixed(2) + "×, " + one.kernel +
					(one.final ? "" : " (lost before the final)");
			})) }) };
}

const no_journal = "No journal of quern tune (X.journal beside X.yaml) with raced candidates was there to read.";

function the_search(chosen) {
	return data.devices[chosen.device].searches[chosen.search];
}

function draw_progress(chosen) {
	if (!searched.length)
		return { why: no_journal };
	const search = the_search(chosen), steps = progress(search);
	const families = unique(steps.map((step) => step.family));
	const bests = steps.filter((step) => Number.isFinite(step.best));
	const datasets = [{ label: "best so far", data: bests.map((step) => ({ x: step.tried, y: step.best })),
		stepped: "before", pointRadius: 0, borderColor: colour("text"), borderWidth: 1.5, pointHitRadius: 0 }];
	for (const family of families) {
		const own = steps.filter((step) => step.family === family), ink = family_colour(family);
		datasets.push({ label: family || "unknown", showLine: false, pointStyle: POINTS[family] || "star", pointRadius: 3.5,
			data: own.map((step) => ({ x: step.tried, y: step.us, step })), borderColor: ink,
			backgroundColor: own.map((step) => step.dropped ? fade(ink, .12) : ink) });
	}
	const last = bests[bests.length - 1];
	return { head: ["candidate", "kernel", "time µs", "best so far µs"],
		rows: steps.map((step) => [step.tried, step.name, show(step.us, 4) + (step.dropped ? " (first call)" : ""),
			Number.isFinite(step.best) ? show(step.best, 4) : "–"]),
		summary: search_label(search) + " on " + data.devices[chosen.device].label + " at " + search.place + ": " + steps.length + " of " + search.candidates.length +
			" candidates were timed" + (last ? ", the best took " + show(last.best, 4) + " µs." : "."),
		config: config("line", undefined, datasets, axis("candidates tried", { type: "linear" }),
			axis("time, µs", { type: "logarithmic", beginAtZero: false }), { options: { interaction: { mode: "nearest", intersect: true } },
				plugins: tooltip((item) => item.raw.step ? item.raw.step.name + ": " + show(item.raw.y, 4) + " µs" +
					(item.raw.step.dropped ? ", dropped after its first call" : "") : show(item.raw.y, 4) + " µs") }) };
}

function draw_importance(chosen) {
	if (!searched.length)
		return { why: no_journal };
	const searches = data.devices[chosen.device].searches.filter((search) => search.act + " N " + search.n +
		(search.core ? " on " + search.core : "") === chosen.act);
	const found = searches.map((search) => Object.assign({ search }, importance(search)));
	const names = unique(found.flatMap((one) => Object.keys(one.shares))).sort((a, b) =>
		Math.max(...found.map((one) => one.shares[b] || 0)) - Math.max(...found.map((one) => one.shares[a] || 0)));
	if (!names.length)
		return { why: "Too few candidates were raced to tell parameters apart." };
	const percent = (one, name) => name in one.shares ? 100 * one.shares[name] : null;
	return { head: ["parameter"].concat(found.map((one) => one.search.format)),
		rows: names.map((name) => [name].concat(found.map((one) => name in one.shares ?
			percent(one, name).toFixed(0) + " %" : "–"))),
		summary: "Share of the variance of log time explained by each parameter on " + data.devices[chosen.device].label + ", of " +
			found.map((one) => one.n + " candidates of " + one.search.format).join(", ") + ".",
		config: config("bar", names, found.map((one, i) => ({ label: one.search.format, backgroundColor: colour("c" + i % 8),
			data: names.map((name) => percent(one, name)) })), axis("", { title: { display: false } }),
		axis("share of the variance, %"), { plugins: { legend: { display: true } } }) };
}

/* Kinds of cores of a device count as devices. */
function runners_of(setting) {
	return measured.flatMap((device) => unique(device.measured.map((entry) => entry.core || "")).map((core) => ({
		label: device.label + (core ? ", " + core : ""),
		find: new Map(exact(device.measured).filter((entry) => (entry.core || "") === core &&
			setting === "N " + entry.n + ", " + entry.threads + " thr.")
			.map((entry) => [entry.format + " " + entry.shape, entry])),
	}))).filter((runner) => runner.find.size);
}

function draw_devices(chosen) {
	if (measured.length < 2 && !measured.some((device) => unique(device.measured.map((entry) => entry.core)).length > 1))
		return { why: (measured.length ? "Only one device was measured" : "No device was measured") +
			"; estimates are no times and cannot be compared with them. Name several results files." };
	const all = runners_of(chosen.threads), base = all[0];
	const runners = all.filter((one) => one === base || [...base.find.keys()].some((name) => one.find.has(name)));
	const cases = base ? [...base.find.keys()].filter((name) => runners.slice(1).some((one) => one.find.has(name))) : [];
	if (!cases.length)
		return { why: "No case of this kind was measured on more than one of the devices." };
	const speed = (runner, name) => runner.find.has(name) ? base.find.get(name).us / runner.find.get(name).us : null;
	return { height: 60 + cases.length * (10 + 9 * runners.length), head: ["case"].concat(runners.map((one) => one.label)),
		rows: cases.map((name) => [name].concat(runners.map((one) => one.find.has(name) ?
			show(one.find.get(name).us, 4) + " µs, " + speed(one, name).toFixed(2) + "×" : "–"))),
		summary: "Speed over " + base.label + " in " + cases.length + " cases; longer is faster.",
		config: config("bar", cases, runners.map((runner, i) => ({ label: runner.label, backgroundColor: colour("c" + i % 8),
			data: cases.map((name) => speed(runner, name)) })), axis("speed over " + base.label), axis("", { title: { display: false } }),
		{ options: { indexAxis: "y" }, plugins: Object.assign({ marks: { levels: [{ value: 1, text: "" }] } },
			tooltip((item) => item.dataset.label + ": " + show(item.raw) + "×, " +
				show(runners[item.datasetIndex].find.get(item.label).us, 4) + " µs")) }) };
}

function draw_estimates(chosen) {
	const of_n = (device) => device.estimates.filter((entry) => String(entry.n) === chosen.n && !entry.lossy);
	const shown = estimated.filter((device) => of_n(device).length);
	const formats = unique(shown.flatMap((device) => of_n(device).map((entry) => entry.format)));
	const find = (device, format) => of_n(device).find((entry) => entry.format === format);
	return { head: ["device", "format", "cycles a weight", "kernel", "what it waits for"],
		rows: shown.flatMap((device) => formats.map((format) => find(device, format)).filter(Boolean).map((entry) =>
			[device.label, entry.format, show(entry.estimate.cycles), entry.kernel, entry.estimate.bottleneck || "–"])),
		summary: "Estimated, not measured: cycles a weight and token of the best kernels by llvm-mca; shorter is faster.",
		config: config("bar", formats, shown.map((device, i) => ({ label: device.label + " (estimated)", borderWidth: 1,
			borderColor: colour("c" + i % 8), backgroundColor: striped(colour("c" + i % 8)),
			data: formats.map((format) => (find(device, format) || { estimate: {} }).estimate.cycles) })),
		axis("", { title: { display: false } }), axis("cycles a weight, estimated"),
		{ plugins: Object.assign({ legend: { display: true } }, tooltip((item) => item.dataset.label + ": " +
			show(item.raw) + ", " + find(shown[item.datasetIndex], item.label).kernel)) }) };
}

const charts = [
	{ id: "bits", title: "Time against bits of a format",
		note: "Each point is the winner of a format; the dashed line is the least time that the measured roof allows.",
		controls: [{ name: "case", label: "case", options: case_options }], draw: draw_bits },
	{ id: "gbps", title: "GB/s against the roof of memory",
		note: "Bytes of weights that one product streams, over its time.",
		controls: [device_control(measured), setting_control], draw: draw_rate("gbps", "GB/s", "gbps") },
	{ id: "gmacs", title: "GMAC/s against the int8 roof",
		note: "Products of a weight and an activation; few tokens end at the roof of memory long before this one.",
		controls: [device_control(measured), setting_control], draw: draw_rate("gmacs", "GMAC/s", "gmacs") },
	{ id: "families", title: "Families against each other",
		note: "The best kernel of each family over the winner, paired, 1 is the winner; striped: it lost in a race before the final.",
		controls: [device_control(rivalled.length ? rivalled : measured), setting_control, { name: "shape", label: "M × K", options: (chosen) =>
			options_of(data.devices[chosen.device].measured.filter((entry) => entry.setting === chosen.setting)
				.map((entry) => entry.shape)) }], draw: draw_families },
	{ id: "progress", title: "Search progress",
		note: "Every candidate at the search's first shape, median of its races; faint ones were dropped after their first call.",
		controls: [device_control(searched), { name: "search", label: "search", options: (chosen) =>
			data.devices[chosen.device].searches.map((search, i) => ({ value: String(i), label: search_label(search), search }))
				.filter((one) => one.search.candidates.some((candidate) => candidate.ns)) }], draw: draw_progress },
	{ id: "importance", title: "Parameter importance",
		note: "How much of the variance of log time the means of one parameter's values explain (main effect, less what " +
			"chance would), among the candidates that were raced.",
		controls: [device_control(searched), { name: "act", label: "activations", options: (chosen) =>
			options_of(data.devices[chosen.device].searches.map((search) => search.act + " N " + search.n +
				(search.core ? " on " + search.core : ""))) }], draw: draw_importance },
	{ id: "compare", title: "Devices compared", note: "Time of the first device over that of each, in the cases that both have.",
		controls: [{ name: "threads", label: "case", options: () => options_of(measured.flatMap((device) =>
			device.measured.map((entry) => "N " + entry.n + ", " + entry.threads + " thr."))) }], draw: draw_devices },
];
if (estimated.length)
	charts.push({ id: "estimates", title: "Estimates", note: "By llvm-mca's model of a core, with data in the first-level " +
		"cache. These are not measurements and no times.",
	controls: [{ name: "n", label: "tokens", options: () => options_of(estimated.flatMap((device) =>
		device.estimates.map((entry) => entry.n))) }], draw: draw_estimates });
