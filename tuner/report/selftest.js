/*
 * selftest.js: the page tries itself out when its address ends in #selftest.
 *
 * What came of it is in data-selftest of the body: "ok: 8 charts, 112 rows" or "error: ...".
 */

function must(is_right, what) {
  if (!is_right)
    throw new Error(what);
}

function has_ink(canvas) {
  const pixels = canvas.width > 0 &&
    canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  return pixels && pixels.some((value, i) => i % 4 === 3 && value > 0);
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
        must(result.why || drawn.get(chart.id).data.datasets.length, chart.id + ": nothing drawn");
        must(result.why || has_ink(panel.querySelector("canvas")), chart.id + ": no ink");
        must(result.why || result.rows.length, chart.id + ": no figures");
      }
    }
    n += is_drawn;
    must(document.documentElement.scrollWidth <= document.documentElement.clientWidth,
      chart.id + ": wider than the page");
  }
  return n;
}

function test_table() {
  const table = by_id("winners"), filter = by_id("filter");
  const rows = () => [...table.querySelectorAll("tbody tr")];
  table.querySelectorAll("th").forEach((head, i) => {
    for (const [direction, sign] of [["ascending", 1], ["descending", -1]]) {
      head.querySelector("button").click();
      must(head.getAttribute("aria-sort") === direction, "not sorted by " + columns[i].name);
      const sorted = sort_rows(filtered());
      const values = sorted.map(columns[i].value).filter((value) => typeof value === "number");
      must(values.every((value, j) => !j || sign * (value - values[j - 1]) >= 0),
        "wrong order of " + columns[i].name);
      must(rows().length === entries.length, "sorting loses rows");
      must(rows().every((row, j) => row.cells[i].textContent === cell_text(columns[i], sorted[j])),
        "rows in another order than sorted by " + columns[i].name);
    }
  });
  filter.value = entries[0].format + " " + entries[0].m + "x" + entries[0].k;
  filter.dispatchEvent(new Event("input"));
  must(rows().length > 0 && rows().every((row) => row.textContent.includes(entries[0].format)),
    "the filter is wrong");
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
    must(
      code ? code.textContent.includes(name) : dialog.querySelector(".warn"), name + " has no C");
    must(
      seen.size > 5 || document.documentElement.scrollWidth <= document.documentElement.clientWidth,
      "a kernel is wider than the page");
    seen.add(name);
    dialog.close();
  });
  must(Object.keys(data.kernels).every((name) => seen.has(name)), "not every kernel can be opened");
}

function test_figures() {
  const samples = [1, 2, 3, 4].flatMap(
    (a) => [1, 2, 3].map((b) => ({point: {A: String(a), B: String(b), C: "1"}, log: a})));
  must(share(samples, "A") === 1 && share(samples, "B") === 0 && share(samples, "C") === null,
    "importance is wrong");
  must(roof_us({gbps: 10}, 1000, 1000, 1, 8) === 100 &&
      roof_us({gbps: 10, gmacs: 1}, 1000, 1000, 1, 8) === 1000,
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
