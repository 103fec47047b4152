/*
 * page.js: panels, the table of kernels, the colours, and a test of all this by itself (#selftest).
 */

/* element("p", {className: "note"}, "text", child...) */
function element(name, fields, ...children) {
	const node = document.createElement(name);
	for (const [field, value] of Object.entries(fields || {}))
		field.includes("-") || field === "role" || field === "scope" ? node.setAttribute(field, value) : node[field] = value;
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

function device_panel(device) {
	const first = [
		["processor", [device.cpu, device.arch, device.cores && plural(device.cores, "core")].filter(Boolean).join(", ")],
		...device.ceilings.map((one) => ["roof, " + plural(one.threads, "thread"), (one.core ? one.core + ": " : "") +
			show(one.gbps) + " GB/s from memory, " + show(one.gmacs) + " int8 GMAC/s"]),
		["run", [device.budget && "budget " + device.budget, device.seconds && device.seconds.toFixed(0) + " s",
			device.tried && device.tried + " kernels tried", plural(device.failed.length, "failure")].filter(Boolean).join(", ")],
		["compiler", [device.compiler, device.clang].filter(Boolean).join("; ") + (device.flags ? " (" + device.flags + ")" : "")],
	];
	const rest = [
		["it has", device.features],
		["caches", [["L1d", device.l1d], ["L2", device.l2], ["last level", device.llc]].filter((one) => one[1])
			.map((one) => one[0] + " " + bytes(one[1])).join(", ")],
		["system", device.os],
		["governor", device.governor],
		["thermal", device.thermal],
		["counters", (device.counters || "").replace(/,(?=\S)/g, ", ")],
		["journal", device.searches ? device.searches.length + (device.searches.length === 1 ? " search" : " searches") :
			device.estimated ? "" : "none beside the file, so nothing is told of the search"],
		["made by", device.version && "quern " + device.version + (device.templates ? ", templates " + device.templates : "")],
		["file", device.file],
	];
	const panel = element("article", { className: "panel" }, element("h3", {}, device.label));
	if (device.estimated)
		panel.append(element("p", { className: "warn" }, "Estimated for " + device.estimated.core + " by llvm-mca " +
			(device.estimated.llvm_mca || "") + (device.estimated.model ? " (model " + device.estimated.model +
			(device.estimated.note ? "; " + device.estimated.note : "") + ")" : "") + ". Nothing was run."));
	if (!device.complete)
		panel.append(element("p", { className: "warn" }, "The run was stopped before its end."));
	panel.append(facts(first), element("details", {}, element("summary", {}, "more"), facts(rest)));
	if (device.failed.length)
		panel.append(element("details", {}, element("summary", {}, plural(device.failed.length, "failure")),
			element("ul", {}, ...device.failed.map((one) => element("li", {}, one.point + ": " + one.reason)))));
	return panel;
}

/* ---- charts ---- */

const drawn = new Map(); /* by id of the chart: Chart of Chart.js */

function plain_table(head, rows, caption) {
	return element("div", { className: "scroll", tabIndex: 0 }, element("table", {},
		element("caption", {}, caption),
		element("thead", {}, element("tr", {}, ...head.map((name) => element("th", { scope: "col" }, name)))),
		element("tbody", {}, ...rows.map((row) => element("tr", {}, ...row.map((cell) => element("td", {}, String(cell))))))));
}

/* Fills the selects from the changed one on; a choice that is still possible stays. */
function fill_controls(chart, panel) {
	const chosen = {};
	for (const control of chart.controls) {
		const select = panel.querySelector("select[name=" + control.name + "]"), before = select.value;
		const first = chart.controls.indexOf(control) === 0 || chosen[chart.controls[0].name] !== undefined;
		const options = first ? control.options(chosen) : [];
		select.replaceChildren(...options.map((one) => element("option", { value: one.value }, one.label)));
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
		content.replaceChildren(element("p", { className: "why" }, result.why));
		return result;
	}
	const canvas = element("canvas", { role: "img", "aria-label": result.summary });
	const box = element("div", { className: "canvas" }, canvas);
	if (result.height)
		box.style.height = Math.max(200, result.height) + "px";
	const open = (content.querySelector("details") || {}).open;
	content.replaceChildren(box, element("p", { className: "note" }, result.summary), element("details", { open: !!open },
		element("summary", {}, "these figures as a table"), plain_table(result.head, result.rows, chart.title)));
	drawn.set(chart.id, new Chart(canvas, result.config));
	return result;
}

function draw_all() {
	Object.assign(Chart.defaults, { color: colour("quiet"), borderColor: colour("grid") });
	Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
	Chart.defaults.font.size = 12;
	Chart.defaults.plugins.legend.labels.boxWidth = 12;
	charts.forEach(draw_chart);
}

function chart_panel(chart) {
	const controls = element("div", { className: "controls" }, ...chart.controls.map((control) => {
		const select = element("select", { name: control.name });
		select.addEventListener("change", () => draw_chart(chart));
		return element("label", {}, control.label + " ", select);
	}));
	return element("article", { className: "panel", id: "chart-" + chart.id }, element("h3", {}, chart.title),
		element("p", { className: "note" }, chart.note), controls, element("div", { className: "content" }));
}

/* ---- the table of kernels ---- */

const entries = data.devices.flatMap((device) => device.entries);
const has = (field) => entries.some((entry) => entry[field]);

/* value: for sorting; text: for people (the value when absent). */
const columns = [
	{ name: "device", if: data.devices.length > 1, value: (e) => e.device.label },
	{ name: "format", value: (e) => e.format },
	{ name: "M × K", number: true, value: (e) => e.m * 1e6 + e.k, text: (e) => e.shape },
	{ name: "N", number: true, value: (e) => e.n },
	{ name: "thr", number: true, value: (e) => e.threads },
	{ name: "core", if: has("core"), value: (e) => e.core || "" },
	{ name: "kernel", value: (e) => e.kernel },
	{ name: "time µs", if: has("us"), number: true, value: (e) => e.us,
		text: (e) => show(e.us, 4) + (e.low ? "  (" + show(e.low, 4) + " to " + show(e.high, 4) + ")" : "") },
	{ name: "at load µs", if: has("sustained"), number: true, value: (e) => e.sustained, text: (e) => show(e.sustained, 4) },
	{ name: "GB/s", if: has("gbps"), number: true, value: (e) => e.gbps, text: (e) => show(e.gbps) },
	{ name: "roof", if: has("roof"), number: true, value: (e) => e.roof,
		text: (e) => e.roof ? (100 * e.roof).toFixed(0) + " %" : "–" },
	{ name: "speed-up", if: has("speedup"), number: true, value: (e) => e.speedup,
		text: (e) => e.speedup ? e.speedup.toFixed(2) + "×" : "–" },
	{ name: "NMSE", if: has("nmse"), number: true, value: (e) => e.nmse,
		text: (e) => e.nmse === undefined ? "–" : e.nmse.toExponential(1) + (e.lossy ? " lossy" : "") },
	{ name: "cycles/w, estimated", if: estimated.length > 0, number: true, value: (e) => e.estimate && e.estimate.cycles,
		text: (e) => e.estimate ? show(e.estimate.cycles) : "–" },
	{ name: "as good", number: true, value: (e) => e.equivalent.length },
].filter((column) => column.if !== false);
const sorting = { column: -1, down: false };

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
		return sign * (typeof x === "string" ? x.localeCompare(y, "en", { numeric: true }) : x - y);
	});
}

function filtered() {
	const wanted = by_id("filter").value.toLowerCase().replace(/(\d)x(\d)/g, "$1×$2").split(/\s+/).filter(Boolean);
	return entries.filter((entry) => {
		const text = columns.map((column) => cell_text(column, entry)).join(" ").toLowerCase() +
			(entry.estimate ? " estimated" : " measured");
		return wanted.every((word) => text.includes(word));
	});
}

function fill_rows() {
	const list = sort_rows(filtered());
	by_id("winners").querySelector("tbody").replaceChildren(...list.map((entry) => {
		const row = element("tr", {}, ...columns.map((column) => column.name === "kernel" ?
			element("td", {}, element("button", { type: "button", className: "mono", title: "C, point and finalists" }, entry.kernel)) :
			element("td", { className: column.number ? "number" : "" }, cell_text(column, entry))));
		row.addEventListener("click", () => open_kernel(entry));
		return row;
	}));
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
		const button = element("button", { type: "button" }, column.name);
		button.addEventListener("click", () => {
			sorting.down = sorting.column === i && !sorting.down;
			sorting.column = i;
			fill_rows();
		});
		return element("th", { scope: "col", className: column.number ? "number" : "" }, button);
	});
	by_id("winners").append(element("table", {}, element("caption", {}, "Winners, one line a case"),
		element("thead", {}, element("tr", {}, ...heads)), element("tbody")));
	by_id("filter").addEventListener("input", fill_rows);
	fill_rows();
}

/* ---- one kernel ---- */

function facts_of(entry) {
	const rows = [["case", entry.format + ", M × K " + entry.shape + ", " + entry.setting], ["device", entry.device.label]];
	if (entry.us)
		rows.push(["time", show(entry.us, 4) + " µs" + (entry.low ? " (95 %: " + show(entry.low, 4) + " to " +
			show(entry.high, 4) + ")" : "") + ", " + entry.samples + " samples, " + entry.flagged + " disturbed"],
		["speed", show(entry.gbps) + " GB/s, " + show(entry.gmacs) + " GMAC/s" +
			(entry.roof ? ", " + (100 * entry.roof).toFixed(0) + " % of the roof" : "")]);
	if (entry.sustained)
		rows.push(["at load", show(entry.sustained, 4) + " µs" + (entry.burst ? "; before it is warm " + entry.burst + " is faster" : "")]);
	if (entry.energy)
		rows.push(["energy", show(entry.energy) + " µJ a call (" + entry.energy_source + ")"]);
	if (entry.estimate)
		rows.push(["estimated", show(entry.estimate.cycles) + " cycles, " + show(entry.estimate.instructions) +
			" instructions a weight, " + entry.estimate.spills + " spills; " + (entry.estimate.bottleneck || "") +
			". Not a measurement."]);
	rows.push(["default", entry.default ? entry.default + (entry.speedup ? ", " + entry.speedup.toFixed(2) + "× as long" : "") : ""],
		["as good", entry.equivalent.join(", ")],
		["point", data.kernels[entry.kernel].key],
		["counters", Object.entries(entry.counters).map(([name, value]) => name + " " + show(value, 4)).join(", ")]);
	return element("div", { className: "panel" }, facts(rows));
}

function copy_button(text) {
	const button = element("button", { type: "button" }, "copy");
	button.addEventListener("click", () => {
		navigator.clipboard.writeText(text).then(() => button.textContent = "copied", () => button.textContent = "not allowed here");
	});
	return button;
}

function open_kernel(entry) {
	const dialog = by_id("kernel"), kernel = data.kernels[entry.kernel];
	const close = element("button", { type: "button", "aria-label": "close" }, "close");
	close.addEventListener("click", () => dialog.close());
	const body = element("div", { className: "body" }, facts_of(entry));
	if (entry.finalists.length)
		body.append(element("h3", {}, "Who else was in the final"), plain_table(["kernel", "time over the winner's", "95 %", "as good", "point"],
			entry.finalists.map((one) => [one.kernel, one.ratio.toFixed(3) + "×", one.low ? one.low.toFixed(3) + " to " +
				one.high.toFixed(3) : "–", one.equivalent ? "yes" : "", one.key.replace(/ format=\S+ act=\S+/, "")]), "Finalists, paired with the winner"));
	body.append(element("h3", {}, "Its C "), kernel.c ? element("div", {}, copy_button(kernel.c),
		element("pre", { tabIndex: 0 }, element("code", {}, kernel.c))) : element("p", { className: "warn" },
		"The templates of this quern do not make this kernel: " + kernel.why));
	dialog.replaceChildren(element("div", { className: "head" }, element("h3", { id: "kernel-name", className: "mono" },
		entry.kernel), close), body);
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

by_id("theme").addEventListener("click", () => set_theme(THEMES[(THEMES.indexOf(current_theme()) + 1) % 3]));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw_all);
let before_print = "system";
addEventListener("beforeprint", () => {
	before_print = current_theme();
	set_theme("light");
	drawn.forEach((chart) => chart.resize());
});
addEventListener("afterprint", () => set_theme(before_print));

/* ---- the page ---- */

by_id("devices").append(element("h2", { hidden: true }, "Devices"), ...data.devices.map(device_panel));
by_id("charts").append(...charts.map(chart_panel));
by_id("footer").textContent = "Made by quern " + data.quern + " from " + data.devices.map((device) => device.file).join(", ") +
	". Charts by Chart.js " + Chart.version + " (MIT licence, in this file).";
draw_all();
make_table();

/* ---- the test ---- */

function must(is_right, what) {
	if (!is_right)
		throw new Error(what);
}

function has_ink(canvas) {
	return canvas.width > 0 && canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data
		.some((value, i) => i % 4 === 3 && value > 0);
}

/* Every choice of every control once; returns how many charts had something to draw. */
function test_charts() {
	let n = 0;
	for (const chart of charts) {
		const panel = by_id("chart-" + chart.id);
		let result = draw_chart(chart), is_drawn = !result.why;
		for (const control of chart.controls) {
			const select = panel.querySelector("select[name=" + control.name + "]");
			for (const option of [...select.options].map((one) => one.value)) {
				select.value = option;
				result = draw_chart(chart);
				is_drawn = is_drawn || !result.why;
				must(result.why || drawn.get(chart.id).data.datasets.length, chart.id + ": nothing is drawn");
				must(result.why || has_ink(panel.querySelector("canvas")), chart.id + ": the canvas is empty");
				must(result.why || result.rows.length, chart.id + ": no figures");
			}
		}
		n += is_drawn;
		must(document.documentElement.scrollWidth <= document.documentElement.clientWidth, chart.id + ": wider than the page");
	}
	return n;
}

function test_table() {
	const table = by_id("winners"), rows = () => [...table.querySelectorAll("tbody tr")], filter = by_id("filter");
	table.querySelectorAll("th").forEach((head, i) => {
		for (const [direction, sign] of [["ascending", 1], ["descending", -1]]) {
			head.querySelector("button").click();
			must(head.getAttribute("aria-sort") === direction, "not sorted by " + columns[i].name);
			const values = sort_rows(filtered()).map(columns[i].value).filter((value) => typeof value === "number");
			must(values.every((value, j) => !j || sign * (value - values[j - 1]) >= 0), "wrong order of " + columns[i].name);
			must(rows().length === entries.length, "sorting loses rows");
		}
	});
	filter.value = entries[0].format + " " + entries[0].m + "x" + entries[0].k;
	filter.dispatchEvent(new Event("input"));
	must(rows().length > 0 && rows().every((row) => row.textContent.includes(entries[0].format)), "the filter is wrong");
	filter.value = "no such kernel";
	filter.dispatchEvent(new Event("input"));
	must(rows().length === 0, "the filter lets everything pass");
	filter.value = "";
	filter.dispatchEvent(new Event("input"));
	return rows().length;
}

/* Every kernel there is, once. */
function test_kernels() {
	const seen = new Set();
	by_id("winners").querySelectorAll("tbody tr").forEach((row) => {
		const dialog = by_id("kernel"), shown = row.querySelector("button").textContent;
		if (seen.has(shown))
			return;
		row.querySelector("button").click();
		const name = by_id("kernel-name").textContent, code = dialog.querySelector("pre");
		must(dialog.open && shown === name, "another kernel opens");
		must(code ? code.textContent.includes(name) : dialog.querySelector(".warn"), name + " has no C");
		must(seen.size > 5 || document.documentElement.scrollWidth <= document.documentElement.clientWidth,
			"a kernel is wider than the page");
		seen.add(name);
		dialog.close();
	});
	must(Object.keys(data.kernels).every((name) => seen.has(name)), "not every kernel can be opened");
}

function test_figures() {
	const samples = [1, 2, 3, 4].flatMap((a) => [1, 2, 3].map((b) => ({ point: { A: String(a), B: String(b), C: "1" }, log: a })));
	must(share(samples, "A") === 1 && share(samples, "B") === 0 && share(samples, "C") === null, "importance is wrong");
	must(roof_us({ gbps: 10 }, 1000, 1000, 1, 8) === 100 && roof_us({ gbps: 10, gmacs: 1 }, 1000, 1000, 1, 8) === 1000,
		"the roof is wrong");
}

if (location.hash === "#selftest") {
	let n_charts = 0, n_rows = 0;
	test_figures();
	for (const theme of ["dark", "light"]) {
		set_theme(theme);
		n_charts = test_charts();
		n_rows = test_table();
	}
	test_kernels();
	if (!document.body.dataset.selftest)
		document.body.dataset.selftest = "ok: " + n_charts + " charts, " + n_rows + " rows";
}
