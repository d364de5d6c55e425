// <upswing-chart>: the still drawing of the server, made interactive. Without this script the still one stays.
import { shown, tick } from "./numbers.js";

let library;

export function define(address) {
  library = address;
  customElements.define("upswing-chart", UpswingChart);
}

class UpswingChart extends HTMLElement {
  async connectedCallback() {
    if (this.ready) return;
    this.ready = true;
    const data = JSON.parse(this.querySelector("script[type='application/json']").textContent);
    const { init } = await import(library);
    if (!this.isConnected) return;
    const live = document.createElement("div");
    live.className = ["flow", "scatter", "dose"].includes(data.kind) ? "live tall" : "live";
    live.setAttribute("role", "img");
    live.setAttribute("aria-label", data.title);
    for (const still of this.querySelectorAll(".still > svg")) still.remove(); // its key stays
    this.append(live);
    const chart = init(live, null, { renderer: "svg" });
    const paint = () => chart.setOption(options(data), true);
    paint();
    this.watch = new ResizeObserver(() => chart.resize());
    this.watch.observe(live);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
    const png = this.closest("figure")?.querySelector("[data-png]");
    if (png) { png.hidden = false; png.onclick = () => save(chart, data.title); }
    if (data.kind === "flow") chart.on("click", (event) => anchor(event));
  }

  disconnectedCallback() { this.watch?.disconnect(); }
}

function options(data) {
  const look = colours();
  if (data.kind === "flow") return flow(data, look);
  return data.kind === "scatter" || data.kind === "dose" ? plane(data, look) : cartesian(data, look);
}

function colours() {
  const probe = document.createElement("i");
  document.body.append(probe);
  const read = (name) => { probe.style.color = `var(${name})`; return getComputedStyle(probe).color; };
  const look = { ink: read("--ink-2"), faint: read("--ink-3"), line: read("--line"), paper: read("--surface"), text: read("--ink"),
    series: [read("--accent")], font: getComputedStyle(document.body).fontFamily };
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const theme = document.documentElement.dataset.theme;
  look.series.push(...((theme === "dark" || (theme === "auto" && dark)) ? ["#5cc4bd", "#a3c585", "#bfa3e8", "#d9bd6a", "#8f959e"] : ["#2a837e", "#5a7d3a", "#7a5aa8", "#8a6d1a", "#6b7079"]));
  probe.remove();
  return look;
}

const locale = () => (document.documentElement.lang.startsWith("zh") ? "zh-CN" : "en");

function cartesian(data, look) {
  const bars = data.kind === "bar" || data.kind === "stacked";
  const last = data.open?.length ? Math.min(...data.open) : Infinity;
  const series = data.series.map((one, i) => ({
    name: one.name, type: bars ? "bar" : "line", stack: data.kind === "stacked" ? "all" : undefined,
    data: one.values.map((value, at) => (bars && at >= last ? { value, itemStyle: { opacity: 0.45 } } : value)),
    color: look.series[i % 6], symbol: one.values.length > 60 ? "none" : "circle", symbolSize: 4,
    lineStyle: { width: 1.75 }, barMaxWidth: 28, connectNulls: false, animation: false,
    markLine: i === 0 && data.marks?.length ? marks(data, look) : undefined,
    markArea: i === 0 && !bars && Number.isFinite(last) ? { silent: true, itemStyle: { color: look.line, opacity: 0.35 }, data: [[{ xAxis: last }, { xAxis: data.labels.length - 1 }]] } : undefined,
  }));
  for (const [i, one] of (data.before ?? []).entries()) {
    series.push({ name: data.series.length > 1 ? `${one.name} · ${data.before_name}` : data.before_name, type: "line", data: one.values.slice(0, data.labels.length),
      color: look.series[i % 6], symbol: "none", lineStyle: { width: 1.25, type: "dashed", opacity: 0.7 }, silent: true, animation: false });
  }
  if (data.band?.length === 2) series.push(...band(data, look));
  return {
    animation: false, textStyle: { fontFamily: look.font, fontSize: 11 },
    grid: { left: 8, right: 36, top: data.marks?.length ? 26 : 12, bottom: 4, containLabel: true },
    xAxis: { type: "category", data: data.labels, axisLine: { lineStyle: { color: look.line } }, axisTick: { show: false }, axisLabel: { color: look.ink, hideOverlap: true } },
    yAxis: { type: "value", minInterval: data.unit === "count" ? 1 : 0, axisLabel: { color: look.ink, formatter: (value) => tick(value, data.unit, locale()) }, splitLine: { lineStyle: { color: look.line } } },
    tooltip: { trigger: "axis", renderMode: "richText", confine: true, backgroundColor: look.paper, borderColor: look.line, textStyle: { color: look.text, fontFamily: look.font, fontSize: 12 },
      formatter: (points) => [points[0].axisValue, ...points.filter((p) => !String(p.seriesName).startsWith("\u0000")).map((p) => `${data.series.length > 1 || data.before ? `${p.seriesName}  ` : ""}${shown(value(p), data.unit, locale())}`), ...limits(data, points[0].dataIndex)].join("\n") },
    series,
  };
}

const value = (point) => (typeof point.value === "object" && point.value ? point.value.value : point.value);

function limits(data, at) {
  if (data.band?.length !== 2 || data.band[0][at] === null) return [];
  return [`[${shown(data.band[0][at], data.unit, locale())}, ${shown(data.band[1][at], data.unit, locale())}]`];
}

function band(data, look) {
  const [low, high] = data.band;
  const blank = { type: "line", stack: "band", symbol: "none", lineStyle: { opacity: 0 }, silent: true, animation: false };
  return [
    { ...blank, name: "\u0000low", data: low },
    { ...blank, name: "\u0000high", data: high.map((v, i) => (v === null || low[i] === null ? null : v - low[i])), areaStyle: { color: look.series[0], opacity: 0.14 } },
  ];
}

function marks(data, look) {
  return { silent: false, symbol: "none", label: { formatter: (p) => p.name, color: look.ink, fontSize: 11 }, lineStyle: { color: look.faint, type: "dashed" },
    data: data.marks.map(([day, text]) => ({ name: text.slice(0, 24), xAxis: data.labels.findIndex((l) => l.slice(0, 10) === day) })) };
}

// Two numeric axes: dots with thresholds, or lines over a dose with the interval as a band.
function plane(data, look) {
  const axis = (unit) => ({ type: "value", scale: data.dots.length > 0, axisLabel: { color: look.ink, hideOverlap: true, formatter: (at) => tick(at, unit, locale()) },
    minInterval: unit === "count" ? 1 : 0, splitLine: { lineStyle: { color: look.line } }, axisLine: { show: false, onZero: false }, axisTick: { show: false }, nameTextStyle: { color: look.ink, fontSize: 11 } });
  const series = data.series.map((one, i) => ({ name: one.name, type: "line", data: one.points, color: look.series[(data.dots.length ? 1 : i) % 6], animation: false,
    symbol: data.dots.length ? "none" : "circle", symbolSize: 4, lineStyle: { width: 1.75 }, silent: data.dots.length > 0 }));
  series.push(...data.dots.map((one, i) => ({ name: one.name, type: "scatter", data: one.points.map(([x, y, radius, label]) => ({ value: [x, y], symbolSize: 2 * radius, label_: label })),
    color: look.series[i % 6], itemStyle: { opacity: 0.6 }, animation: false })));
  if (data.band.length) series.unshift({ type: "custom", silent: true, animation: false, tooltip: { show: false }, data: [[data.band[0][0], Math.min(...data.band.map((b) => b[1]))], [data.band[0][0], Math.max(...data.band.map((b) => b[2]))]], renderItem: (at, api) => at.dataIndex ? null : ({ type: "polygon",
    shape: { points: [...data.band.map(([x, low]) => [x, low]), ...[...data.band].reverse().map(([x, , high]) => [x, high])].map((at) => api.coord(at)) }, style: { fill: look.series[0], opacity: 0.14 } }) });
  if (series.length && data.marks.length) series[series.length - 1].markLine = { silent: true, symbol: "none", label: { show: false }, lineStyle: { color: look.faint, type: "dashed" },
    data: data.marks.map(([name, at]) => (name === "x" ? { xAxis: at } : { yAxis: at })) };
  return {
    animation: false, textStyle: { fontFamily: look.font, fontSize: 11 },
    grid: { left: 8, right: 24, top: data.y ? 30 : 12, bottom: 26, containLabel: true },
    xAxis: { ...axis(data.x_unit), name: data.x, nameLocation: "middle", nameGap: 28, splitLine: { show: false } },
    yAxis: { ...axis(data.unit), name: data.y, nameGap: 12, nameTextStyle: { color: look.ink, fontSize: 11, align: "left" } },
    tooltip: { trigger: data.dots.length ? "item" : "axis", renderMode: "richText", confine: true, backgroundColor: look.paper, borderColor: look.line, textStyle: { color: look.text, fontFamily: look.font, fontSize: 12 },
      formatter: (at) => (Array.isArray(at) ? [`${data.x} ${shown(at[0].value[0], data.x_unit, locale())}`, ...at.filter((p) => p.seriesType === "line").map((p) => `${p.seriesName}  ${shown(p.value[1], data.unit, locale())}`)].join("\n") : at.data.label_) },
    series,
  };
}

// At most seven events at a step; what is left is one more node. The places keep steps apart: a flow never turns back.
function flow(data, look) {
  const first = Math.min(...data.flows.map((f) => f[3] ?? 0));
  const byStep = new Map();
  for (const [source, target, count, step] of data.flows) {
    const at = (step ?? 0) - first;
    for (const [name, place] of [[source, at], [target, at + 1]]) {
      const here = byStep.get(place) ?? byStep.set(place, new Map()).get(place);
      here.set(name, (here.get(name) ?? 0) + count);
    }
  }
  const kept = new Map([...byStep].map(([step, names]) => [step, new Set([...names].sort((a, b) => b[1] - a[1]).slice(0, 7).map(([n]) => n))]));
  const named = (name, step) => (kept.get(step).has(name) ? name : data.other);
  const links = new Map(), nodes = new Map();
  for (const [source, target, count, step] of data.flows) {
    const at = (step ?? 0) - first, a = `${at}|${named(source, at)}`, b = `${at + 1}|${named(target, at + 1)}`;
    nodes.set(a, at); nodes.set(b, at + 1);
    links.set(`${a}\n${b}`, (links.get(`${a}\n${b}`) ?? 0) + count);
  }
  return {
    animation: false, textStyle: { fontFamily: look.font, fontSize: 11 },
    tooltip: { renderMode: "richText", confine: true, backgroundColor: look.paper, borderColor: look.line, textStyle: { color: look.text, fontSize: 12, fontFamily: look.font },
      formatter: (p) => `${p.dataType === "edge" ? `${name(p.data.source)} → ${name(p.data.target)}` : name(p.name)}  ${shown(p.value, data.unit, locale())}` },
    series: [{ type: "sankey", left: 2, right: 110, top: 8, bottom: 8, nodeWidth: 8, nodeGap: 10, layoutIterations: 24, emphasis: { focus: "adjacency" },
      label: { color: look.ink, formatter: (p) => name(p.name), width: 130, overflow: "truncate" },
      itemStyle: { color: look.series[0], borderWidth: 0 }, lineStyle: { color: look.series[0], opacity: 0.16, curveness: 0.5 },
      data: [...nodes].map(([id, depth]) => ({ name: id, depth })),
      links: [...links].map(([ends, count]) => ({ source: ends.split("\n")[0], target: ends.split("\n")[1], value: count })) }],
  };
}

const name = (id) => id.slice(id.indexOf("|") + 1);

// A click on an event asks what happens after it.
function anchor(event) {
  if (event.dataType !== "node") return;
  const picked = name(event.name);
  if (/^[(（]/.test(picked)) return;
  const address = new URL(location.href);
  address.searchParams.set("after", picked);
  address.searchParams.delete("before");
  location.assign(address);
}

async function save(chart, title) {
  const svg = new XMLSerializer().serializeToString(chart.getDom().querySelector("svg"));
  const [width, height] = [chart.getWidth(), chart.getHeight()];
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`;
  await image.decode();
  const canvas = Object.assign(document.createElement("canvas"), { width: 2 * width, height: 2 * height });
  const pen = canvas.getContext("2d");
  pen.fillStyle = colours().paper;
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.drawImage(image, 0, 0, canvas.width, canvas.height);
  const link = document.createElement("a");
  link.download = `${title.slice(0, 60)}.png`;
  link.href = canvas.toDataURL("image/png");
  link.click();
}
