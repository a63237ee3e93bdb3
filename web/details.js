// The details panel: figures, each with a line of its last minute.

const HISTORY = 60;
const SVG = "http://www.w3.org/2000/svg";

const FACTS = [
  ["Resolution", (s) => (s.width ? `${s.width} × ${s.height}` : "–")],
  ["Codec", (s) => s.codec ?? "–"],
  ["Frame rate", (s) => `${s.frameRate.toFixed(0)} fps`, (s) => s.frameRate],
  ["Bitrate", (s) => bits(s.bitrate), (s) => s.bitrate],
  ["Loss", (s) => `${(s.loss * 100).toFixed(1)} %`, (s) => s.loss],
  ["Round trip", (s) => milliseconds(s.roundTrip), (s) => s.roundTrip ?? 0],
  ["Delay", (s) => milliseconds(s.delay), (s) => s.delay ?? 0],
  ["Buffer", (s) => milliseconds(s.buffer), (s) => s.buffer ?? 0],
];

export class Details {
  #rows;

  constructor(list) {
    this.#rows = FACTS.map(([name, text, value]) => {
      const row = document.createElement("div");
      row.className = "fact";
      const term = document.createElement("dt");
      term.textContent = name;
      const shown = document.createElement("dd");
      shown.textContent = "–";
      row.append(term, shown);
      const line = value && row.appendChild(chart());
      list.append(row);
      return { text, value, shown, line, history: [] };
    });
  }

  // Nothing arrives: what it was like before is no fact any more.
  clear() {
    for (const row of this.#rows) row.shown.textContent = "–";
  }

  show(sample) {
    for (const row of this.#rows) {
      row.shown.textContent = row.text(sample);
      if (!row.value) continue;
      row.history.push(row.value(sample));
      if (row.history.length > HISTORY) row.history.shift();
      draw(row.line, row.history);
    }
  }
}

function chart() {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${HISTORY - 1} 20`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS(SVG, "polyline");
  for (const [name, value] of [
    ["fill", "none"],
    ["stroke", "currentColor"],
    ["stroke-width", "1.5"],
    ["vector-effect", "non-scaling-stroke"],
  ]) {
    line.setAttribute(name, value);
  }
  svg.append(line);
  return svg;
}

function draw(svg, history) {
  const top = Math.max(...history, 1e-9);
  const points = history.map((value, i) => {
    const x = HISTORY - history.length + i;
    return `${x},${(19 - (value / top) * 17).toFixed(2)}`;
  });
  svg.firstChild.setAttribute("points", points.join(" "));
}

function bits(rate) {
  return rate >= 1e6 ? `${(rate / 1e6).toFixed(1)} Mbit/s` : `${(rate / 1e3).toFixed(0)} kbit/s`;
}

function milliseconds(seconds) {
  return seconds === undefined ? "–" : `${(seconds * 1000).toFixed(0)} ms`;
}
