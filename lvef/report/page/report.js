"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const cases = new Map(data.cases.map((each) => [each.number, each]));
  const byId = (id) => document.getElementById(id);
  const table = byId("table"), body = table.tBodies[0], dialog = byId("case");
  const rows = [...body.rows];
  const COLOURS = { plain: "#0072B2", flagged: "#D55E00", line: "#888888" };

  /* small helpers */
  const make = (tag, attributes = {}, ...children) => {
    const svg = ["svg", "polygon", "line", "rect", "circle", "path", "text"].includes(tag);
    const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag)
      : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  };
  const known = (value) => value !== null && value !== undefined;
  const round = (value, digits = 0) => known(value) ? value.toFixed(digits) : "unknown";

  /* the table: filter and sort */
  const matches = (each) => {
    const kind = byId("kind").value, ef = known(each.ef) ? each.ef : each.ef_true;
    const low = byId("low").value, high = byId("high").value, number = byId("number").value;
    const kinds = { all: true, flagged: each.review, wrong: each.wrong === true,
      reduced: each.reduced === true, failed: each.status !== "ok" };
    return kinds[kind] && (low === "" || (known(ef) && ef >= Number(low))) &&
      (high === "" || (known(ef) && ef <= Number(high))) &&
      (number === "" || each.number === Number(number));
  };
  const filter = () => {
    let count = 0;
    for (const row of rows) {
      row.hidden = !matches(cases.get(Number(row.dataset.case)));
      count += row.hidden ? 0 : 1;
    }
    byId("shown").textContent = `${count} of ${rows.length} cases`;
  };
  byId("filters").addEventListener("input", filter);
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("filters").addEventListener("reset", () => setTimeout(filter));
  for (const button of table.tHead.querySelectorAll("button")) {
    button.addEventListener("click", () => {
      const header = button.closest("th"), column = Number(button.dataset.column);
      const up = header.getAttribute("aria-sort") !== "ascending";
      for (const other of table.tHead.rows[0].cells) other.setAttribute("aria-sort", "none");
      header.setAttribute("aria-sort", up ? "ascending" : "descending");
      const key = (row) => row.cells[column].dataset.value;
      rows.sort((one, other) => {
        const a = key(one), b = key(other);
        if (a === "" || b === "") return (a === "") - (b === "");  // unknown ones last
        const order = isNaN(a) || isNaN(b) ? a.localeCompare(b) : Number(a) - Number(b);
        return up ? order : -order;
      });
      body.append(...rows);
    });
  }

  /* one case */
  const shown = { heat: true, contour: true };
  let current = null;
  const scale = (each) => {
    const x = (ef) => 20 + 3.6 * ef, words = [`EF ${round(each.ef, 1)} %`];
    const svg = make("svg", { viewBox: "0 0 400 62", class: "scale", role: "img" });
    svg.append(make("line", { x1: x(0), x2: x(100), y1: 40, y2: 40, stroke: "currentColor" }));
    for (let ef = 0; ef <= 100; ef += 20) {
      svg.append(make("line", { x1: x(ef), x2: x(ef), y1: 37, y2: 43, stroke: "currentColor" }));
      svg.append(make("text", { x: x(ef), y: 57, "text-anchor": "middle" }, String(ef)));
    }
    svg.append(make("line", { x1: x(40), x2: x(40), y1: 8, y2: 44, stroke: COLOURS.flagged,
      "stroke-dasharray": "4 3", "stroke-width": 1.5 }));
    if (known(each.ef_lower) && known(each.ef_upper)) {
      svg.append(make("rect", { x: x(each.ef_lower), width: Math.max(1, x(each.ef_upper) - x(each.ef_lower)),
        y: 26, height: 9, fill: COLOURS.plain, opacity: .45 }));
      words.push(`${data.level} % interval ${round(each.ef_lower, 0)} to ${round(each.ef_upper, 0)} %`);
    }
    svg.append(make("circle", { cx: x(each.ef), cy: 30.5, r: 5, fill: COLOURS.plain }));
    if (known(each.ef_true)) {
      const at = x(each.ef_true);
      svg.append(make("path", { d: `M${at} 10 l5 6 l-5 6 l-5 -6 z`, fill: "none", stroke: "currentColor",
        "stroke-width": 1.5 }));
      words.push(`true EF ${round(each.ef_true, 0)} %, the hollow diamond`);
    }
    words.push("dashed line: EF 40 %");
    svg.setAttribute("aria-label", words.join(", "));
    return make("div", {}, svg, make("p", { class: "small" }, words.join("; ") + "."));
  };
  const frameOf = (each, frame) => {
    const box = make("div", { class: "frame" });
    box.append(make("img", { src: frame.picture, alt: `${frame.name}, frame ${frame.number}` }));
    if (frame.heat) box.append(make("img", { src: frame.heat, class: "heat", alt: "heat map" }));
    if (frame.contour) {
      const svg = make("svg", { viewBox: `-0.5 -0.5 ${each.picture_size} ${each.picture_size}`,
        class: "contour", role: "img", "aria-label": `LV contour, ${frame.contour_source}` });
      svg.append(make("polygon", { points: frame.contour.map((point) => point.join(",")).join(" ") }));
      box.append(svg);
    }
    const words = [`frame ${frame.number}`];
    if (frame.contour) words.push(frame.contour_source);
    if (!frame.heat) words.push("not seen by the model, or no heat map");
    return make("figure", {}, box,
      make("figcaption", {}, make("strong", {}, frame.name), ` ${words.join("; ")}`));
  };
  const toggle = (name, label, host) => {
    const input = make("input", { type: "checkbox", id: `show-${name}` });
    input.checked = shown[name];
    const apply = () => { shown[name] = input.checked; host.classList.toggle(`no-${name}`, !input.checked); };
    input.addEventListener("change", apply);
    apply();
    return make("label", {}, input, ` ${label}`);
  };
  const theme = () => {
    const css = getComputedStyle(document.documentElement);
    return { dragmode: false, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: css.getPropertyValue("--text").trim(), family: "system-ui, sans-serif" } };
  };
  const axis = (title, more = {}) => ({ title: { text: title }, gridcolor: "rgba(128,128,128,.25)",
    zeroline: false, ...more });
  /* a plot is as wide as its box, whatever makes that narrower: a window, a grid, a dialog */
  const fit = new ResizeObserver((changes) => {
    for (const { target } of changes) if (target.layout && target.offsetWidth) Plotly.Plots.resize(target);
  });
  const legend = { orientation: "h", y: 1.06, yanchor: "bottom", x: 0 };  // above: it may take several rows
  const settings = { displaylogo: false, responsive: false, displayModeBar: false };
  const drawCurve = (each, host) => {
    const { area, fps, source } = each.curve, seconds = area.map((_, i) => i / fps);
    const traces = [{ x: seconds, y: area, mode: "lines", name: "LV area", line: { color: COLOURS.plain },
      hovertemplate: "frame %{customdata}: %{y}<extra></extra>", customdata: area.map((_, i) => i) }];
    const marks = [["ED", "triangle-up"], ["ES", "triangle-down"]];
    for (const [moment, symbol] of marks) {
      const at = each.curve[`${moment.toLowerCase()}_frames`];
      if (at.length) traces.push({ x: at.map((i) => i / fps), y: at.map((i) => area[i]), mode: "markers",
        name: `${moment} of a beat`, marker: { symbol, size: 8, color: COLOURS.line } });
    }
    traces.push({ x: each.frames.map((f) => f.number / fps), y: each.frames.map((f) => area[f.number]),
      mode: "markers+text", text: each.frames.map((f) => f.name), textposition: "top center",
      name: "chosen frames", cliponaxis: false, marker: { size: 10, symbol: "circle-open", color: COLOURS.flagged,
        line: { width: 2 } } });
    Plotly.newPlot(host, traces, { ...theme(), margin: { l: 60, r: 15, t: 25, b: 50 },
      xaxis: axis("seconds"), yaxis: axis("square pixels", { rangemode: "tozero" }),
      legend }, settings);
    fit.observe(host);
    host.setAttribute("aria-label", `LV area over time, ${source}`);
  };
  const open = (number) => {
    const each = cases.get(number);
    if (!each) return;
    current = number;
    byId("case-title").textContent = `Case ${number}`;
    const host = byId("case-body"), parts = [];
    host.className = "";
    if (each.status !== "ok") {
      parts.push(make("p", { class: "flag" }, `Not predicted: ${each.reason}`));
    } else {
      if (each.review) parts.push(make("p", { class: "flag" },
        make("strong", {}, "Flagged for review. "), each.why));
      const answers = [];
      if (known(each.ef)) answers.push(`EF ${round(each.ef, 1)} %` +
        (known(each.ef_std) ? ` ± ${round(each.ef_std, 1)}` : ""));
      if (known(each.p_reduced)) answers.push(`probability of EF ≤ 40 %: ${round(100 * each.p_reduced, 1)} %`);
      if (known(each.reduced)) answers.push(each.reduced ? "called reduced" : "called normal");
      if (known(each.ef_true)) answers.push(`true EF ${round(each.ef_true, 1)} %`);
      if (each.wrong !== null) answers.push(each.wrong ? "the call is wrong" : "the call is right");
      parts.push(make("p", {}, answers.join("; ") + "."));
      if (known(each.ef)) parts.push(scale(each));
      if (each.frames.length) {
        const toggles = make("div", { class: "toggles" },
          toggle("heat", "Heat map", host), toggle("contour", "LV contour", host),
          make("span", { class: "small" }, "heat map: low ", make("span", { class: "ramp" }), " high"));
        parts.push(toggles, make("div", { class: "frames" }, ...each.frames.map((f) => frameOf(each, f))));
      }
    }
    if (each.curve) {
      parts.push(make("h3", {}, "LV area over time"), make("p", { class: "small" }, each.curve.source + "."),
        make("div", { class: "curve", role: "img", id: "curve" }));
    }
    if (each.beats.length) {
      const list = make("table", {}, make("caption", {}, "Beats"));
      const head = make("tr");
      for (const name of ["Beat", "ED frame", "ES frame", "MF", "EF (%)", "EF by geometry (%)", "P(EF ≤ 40 %)"])
        head.append(make("th", { scope: "col" }, name));
      list.append(make("thead", {}, head));
      const lines = each.beats.map((beat, i) => {
        const row = make("tr", {}, make("th", { scope: "row" }, String(i + 1)));
        for (const text of [beat.ed_frame, beat.es_frame, known(beat.mid_frame) ? beat.mid_frame : "", known(beat.ef) ? round(beat.ef, 1) : "",
          known(beat.ef_geometric) ? round(beat.ef_geometric, 1) : "",
          known(beat.p_reduced) ? round(beat.p_reduced, 3) : ""]) row.append(make("td", {}, String(text)));
        return row;
      });
      list.append(make("tbody", {}, ...lines));
      parts.push(make("h3", {}, "Beats"), make("div", { class: "scroll" }, list));
    }
    parts.push(make("p", { class: "small" }, data.note));
    host.replaceChildren(...parts);
    if (!dialog.open) dialog.showModal();
    if (each.curve) drawCurve(each, byId("curve"));
    byId("case-title").focus();
    history.replaceState(null, "", `#case-${number}`);
  };
  const step = (by) => {
    const visible = [...body.rows].filter((row) => !row.hidden).map((row) => Number(row.dataset.case));
    const at = visible.indexOf(current);
    if (visible.length) open(visible[(at + by + visible.length) % visible.length]);
  };
  body.addEventListener("click", (event) => {
    const row = event.target.closest("tr");
    if (row) open(Number(row.dataset.case));
  });
  byId("previous").addEventListener("click", () => step(-1));
  byId("next").addEventListener("click", () => step(1));
  byId("close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("keydown", (event) => {
    if (event.target.tagName === "INPUT" || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });
  dialog.addEventListener("close", () => {
    history.replaceState(null, "", location.pathname + location.search);
    const button = body.querySelector(`button[data-case="${current}"]`);
    (button && !button.closest("tr").hidden ? button : byId("kind")).focus();
  });

  /* plots of all cases */
  const good = data.cases.filter((each) => each.status === "ok");
  const points = (members, pick, template) => {
    const placed = members.filter((c) => pick(c).every(known));
    const groups = [["not flagged", placed.filter((c) => !c.review), COLOURS.plain, "circle"],
      ["flagged for review", placed.filter((c) => c.review), COLOURS.flagged, "diamond"]];
    return groups.filter(([, group]) => group.length).map(
      ([name, group, color, symbol]) => ({ name, mode: "markers", type: "scatter",
        x: group.map((c) => pick(c)[0]), y: group.map((c) => pick(c)[1]),
        customdata: group.map((c) => c.number), marker: { color, symbol, size: 7, opacity: .75 },
        hovertemplate: template }));
  };
  const line = (x0, x1, y0, y1, dash) => ({ type: "line", x0, x1, y0, y1, line: { color: COLOURS.line, dash, width: 1 } });
  const draw = ([id, traces, layout, label]) => {
    const host = byId(id);
    host.setAttribute("aria-label", label);
    Plotly.newPlot(host, traces, { ...theme(), margin: { l: 60, r: 15, t: 15, b: 50 }, hovermode: "closest",
      legend, ...layout }, settings);
    fit.observe(host);
    host.on("plotly_click", (event) => open(event.points[0].customdata));
  };
  const plots = () => {
    const both = good.filter((c) => known(c.ef) && known(c.ef_true));
    const predicted = good.filter((c) => known(c.ef)), stated = good.filter((c) => known(c.p_reduced));
    if (both.length) {
      const bias = both.reduce((sum, c) => sum + c.ef - c.ef_true, 0) / both.length;
      return [["scatter", points(both, (c) => [c.ef_true, c.ef],
        "Case %{customdata}<br>true %{x:.1f} %, predicted %{y:.1f} %<extra></extra>"),
        { xaxis: axis("true EF (%)", { range: [0, 100] }), yaxis: axis("predicted EF (%)", { range: [0, 100] }),
          shapes: [line(0, 100, 0, 100, "solid"), line(40, 40, 0, 100, "dash"), line(0, 100, 40, 40, "dash")] },
        "Predicted against true EF of every case"],
      ["difference", points(both, (c) => [(c.ef + c.ef_true) / 2, c.ef - c.ef_true],
        "Case %{customdata}<br>mean %{x:.1f} %, difference %{y:+.1f}<extra></extra>"),
        { xaxis: axis("mean of predicted and true EF (%)"), yaxis: axis("predicted - true EF (points)"),
          shapes: [{ ...line(0, 1, bias, bias, "solid"), xref: "paper" }] },
        "Difference of predicted and true EF of every case, against their mean"]];
    }
    if (predicted.length) {
      const order = [...predicted].sort((a, b) => a.ef - b.ef), rank = new Map(order.map((c, i) => [c.number, i + 1]));
      const traces = points(predicted, (c) => [rank.get(c.number), c.ef], "Case %{customdata}<br>EF %{y:.1f} %<extra></extra>");
      for (const trace of traces) {
        const members = trace.customdata.map((number) => cases.get(number));
        trace.error_y = { type: "data", symmetric: false, thickness: 1,
          array: members.map((c) => known(c.ef_upper) ? c.ef_upper - c.ef : 0),
          arrayminus: members.map((c) => known(c.ef_lower) ? c.ef - c.ef_lower : 0) };
      }
      return [["scatter", traces, { xaxis: axis("cases, by EF"), yaxis: axis("EF (%)", { range: [0, 100] }),
        shapes: [{ ...line(0, 1, 40, 40, "dash"), xref: "paper" }] },
        "Predicted EF of every case with its interval, in order of EF"]];
    }
    if (stated.length) {
      const labelled = stated.some((c) => known(c.ef_true));
      return [["scatter", points(stated, (c) => [labelled ? c.ef_true : c.number, c.p_reduced],
        "Case %{customdata}<br>probability of EF ≤ 40 %: %{y:.3f}<extra></extra>"),
        { xaxis: axis(labelled ? "true EF (%)" : "case"), yaxis: axis("probability of EF ≤ 40 %", { range: [-.03, 1.03] }),
          shapes: [...(labelled ? [line(40, 40, 0, 1, "dash")] : []),
            ...(known(data.threshold) ? [{ ...line(0, 1, data.threshold, data.threshold, "dot"), xref: "paper" }] : [])] },
        "Probability of reduced EF of every case"]];
    }
    return [];
  };
  const showPlots = () => {
    const drawn = plots();
    byId("plots").hidden = !drawn.length;
    byId("to-plots").hidden = !drawn.length;
    for (const [id] of drawn) byId(id).hidden = false;  // all first: they share the width
    drawn.forEach(draw);
  };
  filter();
  showPlots();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const plot of document.querySelectorAll(".js-plotly-plot")) Plotly.relayout(plot, theme());
  });
  const wanted = location.hash.match(/^#case-(\d+)$/);
  if (wanted) open(Number(wanted[1]));
})();
