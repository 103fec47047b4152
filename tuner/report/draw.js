/*
 * draw.js: what all charts share: colours, patterns, axes, and marks that Chart.js has not.
 */

const POINTS = {
  lut: "circle",
  dot: "rect",
  gemm: "triangle"
};

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

/*
 * Of a dataset intervals (ranges: [low, high] of each value) and names of points, and of the chart
 * lines across (levels: {value, text}).
 */
const marks = {
  id: "marks",
  /* Beside the point where no other name is, or nowhere. */
  write(pen, name, point, area, taken) {
    const width = pen.measureText(name).width;
    for (const [x, y] of [[7, -6], [7, 14], [-7 - width, -6], [-7 - width, 14]]) {
      const box = {
        left: point.x + x,
        right: point.x + x + width,
        top: point.y + y - 10,
        bottom: point.y + y + 2
      };
      if (box.left < area.left || box.right > area.right ||
        taken.some((other) => box.left < other.right && other.left < box.right &&
            box.top < other.bottom && other.top < box.bottom))
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
    for (const {value, text} of options.levels || []) {
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
  return Object.assign({title: {display: true, text: title}, beginAtZero: true}, more);
}

function config(type, labels, datasets, x, y, more) {
  return {
    type,
    data: {labels, datasets},
    plugins: [marks],
    options: Object.assign({
      responsive: true,
      maintainAspectRatio: false,
      animation: false,
      scales: {x, y},
      plugins: Object.assign({legend: {display: datasets.length > 1}}, (more || {}).plugins),
    },
      more && more.options)
  };
}

function tooltip(label) {
  return {tooltip: {callbacks: {label}}};
}

function line_at(value, text) {
  return {marks: {levels: [{value, text}]}};
}

const untitled = {title: {display: false}, beginAtZero: true};
const nearest = {interaction: {mode: "nearest", intersect: true}};
