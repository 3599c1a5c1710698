// Charts, drawn by uPlot in the colours of the style sheet. The same numbers are in the table below each.
"use strict";
(() => {
  const COLOURS = { accepted: "--blue", delivered: "--good", rejected: "--bad", timeout: "--warn-dot", unreachable: "--edge", failed: "--accent", p50: "--good", p95: "--warn-dot", waiting: "--warn-dot" };
  const HEIGHT = 168;
  const drawn = new Map();
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const two = (number) => String(number).padStart(2, "0");
  function clock(at) {
    const then = new Date(at * 1000);
    const time = `${two(then.getHours())}:${two(then.getMinutes())}`;
    return time === "00:00" ? `${then.getDate()}.${then.getMonth() + 1}.` : time;
  }

  function options(kind, names, width) {
    const ink = colour("--quiet");
    const axis = { stroke: ink, grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
    const bars = kind === "bars";
    return {
      width, height: HEIGHT, padding: [8, 18, 0, 0],
      cursor: { points: { show: !bars }, drag: { x: false, y: false } },
      legend: { show: true, live: true },
      scales: { y: { range: (self, low, high) => [0, Math.max(high || 0, 1) * 1.06] } },
      axes: [{ ...axis, grid: { show: false }, space: 56, size: 26, values: (self, ticks) => ticks.map(clock) }, { ...axis, size: 44, values: (self, ticks) => ticks.map((each) => each % 1 ? "" : each.toLocaleString("en")) }],
      series: [{ label: "Time", value: (self, at) => at == null ? "–" : clock(at) }, ...names.map((name) => ({
        label: name, stroke: colour(COLOURS[name] ?? "--ink"), width: bars ? 0 : 1.6, points: { show: false },
        fill: bars ? colour(COLOURS[name] ?? "--ink") : undefined, paths: bars ? uPlot.paths.bars({ size: [0.8, 14] }) : undefined,
        value: (self, value) => value == null ? "–" : value.toLocaleString("en"),
      }))],
    };
  }

  // Bars lie on one another: each series is drawn as the sum of itself and those after it, and says its own number.
  function stacked(series, settings) {
    const sums = series.map((each) => each.slice());
    for (let at = sums.length - 2; at >= 0; at--) sums[at] = sums[at].map((value, index) => value + sums[at + 1][index]);
    settings.series.slice(1).forEach((each, at) => {
      each.value = (self, value, index, place) => place == null ? "–" : series[at][place].toLocaleString("en");
    });
    return sums;
  }

  function draw(place) {
    const given = JSON.parse(place.dataset.series);
    const settings = options(place.dataset.chart, given.names, place.clientWidth);
    const series = place.dataset.chart === "bars" ? stacked(given.series, settings) : given.series;
    place.replaceChildren();
    drawn.set(place, new uPlot(settings, [given.times, ...series], place));
  }

  function drawAll(root = document) {
    for (const [place, chart] of drawn) if (!place.isConnected) { chart.destroy(); drawn.delete(place); }
    root.querySelectorAll("[data-chart]").forEach((each) => { if (!drawn.has(each) && each.clientWidth) draw(each); });
  }

  document.addEventListener("tidings:ready", (event) => drawAll(event.detail));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { drawn.forEach((chart, place) => { chart.destroy(); draw(place); }); });
  new ResizeObserver(() => { for (const [place, chart] of drawn) if (place.clientWidth !== chart.width) chart.setSize({ width: place.clientWidth, height: HEIGHT }); }).observe(document.body);
  drawAll();
})();
