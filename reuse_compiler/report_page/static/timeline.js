// Similarity over the stream: all layers together, each of them, and cycles; a moment is chosen by clicking.

const LINE_HEIGHT = 132;
const MOST_LABELLED = 40;

function initTimeline(contents) {
  const { recording } = contents;
  if (!recording) return;
  byId("timeline").hidden = false;
  const names = Object.keys(recording.similarity);
  const count = recording.total.length || recording.cycles.length;
  const axis = {
    count,
    left: 0,
    width: 0,
    x: (number) => axis.left + ((number + 0.5) / count) * (axis.width - axis.left - 12),
  };
  axis.at = (x) =>
    Math.max(0, Math.min(count - 1, Math.floor(((x - axis.left) / (axis.width - axis.left - 12)) * count)));
  const [strip, lines, heat, cycles] = ["strip", "lines", "heat", "cycles"].map((name) =>
    tag("div", { class: `plot ${name}` }),
  );
  const readout = tag("p", { class: "note readout" });
  const charts = tag(
    "div",
    { class: "charts" },
    strip,
    tag("h3", null, "Similarity and reuse"),
    lines,
    tag("h3", null, "Similarity of each layer"),
    heat,
    readout,
    tag("h3", null, "Cycles of a frame"),
    cycles,
  );
  const body = byId("timeline").querySelector(".body");
  body.classList.toggle("bare", recording.pictures?.kind !== "pictures");
  body.append(frameViewer(contents, axis), charts);
  const note = recording.every > 1 ? ` Each value is the mean over ${recording.every} frames.` : "";
  body.append(
    tag(
      "p",
      { class: "note" },
      `${counted(recording.frames, "frame")} of ${recording.description}.${note} A sequence starts at frame ${recording.starts.slice(0, 6).map(whole).join(", ")}${recording.starts.length > 6 ? ` and ${recording.starts.length - 6} more` : ""}: its first frame is compared with zeros.`,
    ),
  );
  const cursors = [];
  const placeCursors = () => cursors.forEach((cursor) => cursor());
  const redraw = drawnToWidth(charts, (width) => {
    axis.width = width;
    axis.left = width < 560 ? 52 : 132;
    cursors.length = 0;
    drawStrip(strip, recording, axis, cursors);
    const ticks = [
      [0, "0 %"],
      [0.5, "50 %"],
      [1, "100 %"],
    ];
    lineChart(
      lines,
      axis,
      [
        { values: recording.total, label: "similarity", class: "line" },
        { values: recording.reuse, label: "reuse", class: "line second" },
        chosenLine(recording),
      ].filter((one) => one?.values.length),
      1,
      ticks,
      cursors,
    );
    drawHeat(heat, recording, names, axis, readout, cursors);
    const most = Math.max(...recording.cycles, recording.baseline_cycles) * 1.05 || 1;
    const level = { values: [recording.baseline_cycles], label: "baseline", class: "line level" };
    lineChart(
      cycles,
      axis,
      [level, { values: recording.cycles, label: "reuse", class: "line" }],
      most,
      [
        [0, "0"],
        [recording.baseline_cycles, short(recording.baseline_cycles)],
      ],
      cursors,
    );
    placeCursors();
  });
  onChange("stretch", placeCursors);
  onChange("theme", redraw);
  onChange("node", redraw);
  onChange("stretch", () =>
    document.querySelectorAll("#details .sparkline").forEach((drawing) => drawing.placeCursor()),
  );
}

function chosenLine(recording) {
  const values = recording.similarity[chosen.node];
  return values ? { values, label: middle(chosen.node, 18), class: "line third" } : null;
}

function withCursor(element, svg, axis, height, cursors, top = 0) {
  const line = shape("path", { class: "cursor" });
  svg.append(line);
  cursors.push(() => line.setAttribute("d", `M${axis.x(chosen.stretch).toFixed(1)} ${top}V${height}`));
  svg.addEventListener("pointerdown", (event) => {
    const follow = (moved) => choose("stretch", axis.at(moved.clientX - svg.getBoundingClientRect().left));
    follow(event);
    svg.setPointerCapture(event.pointerId);
    svg.addEventListener("pointermove", follow);
    svg.addEventListener("pointerup", () => svg.removeEventListener("pointermove", follow), { once: true });
  });
  element.replaceChildren(svg);
}

function lineChart(element, axis, series, most, ticks, cursors) {
  const [top, base] = [18, LINE_HEIGHT - 8];
  const y = (value) => base - (value / most) * (base - top);
  const svg = shape("svg", {
    width: axis.width,
    height: LINE_HEIGHT,
    role: "img",
    "aria-label": series
      .map(({ label, values }) => `${label}: mean ${plain(values.reduce((a, b) => a + b, 0) / values.length, 3)}`)
      .join("; "),
  });
  for (const [value, label] of ticks) {
    svg.append(
      shape("path", { class: "axis", d: `M${axis.left} ${y(value)}H${axis.width - 12}` }),
      shape("text", { x: axis.left - 8, y: y(value) + 4, "text-anchor": "end" }, label),
    );
  }
  let x = axis.left;
  for (const { values, label, class: name } of series) {
    const points =
      values.length > 1
        ? values.map((value, number) => `${axis.x(number).toFixed(1)} ${y(value).toFixed(1)}`)
        : values.flatMap((value) => [`${axis.left} ${y(value)}`, `${axis.width - 12} ${y(value)}`]);
    svg.append(shape("path", { class: name, d: `M${points.join("L")}` }));
    svg.append(shape("path", { class: name, d: `M${x} 7h14` }), shape("text", { x: x + 18, y: 11 }, label));
    x += 30 + label.length * 6.6;
  }
  withCursor(element, svg, axis, LINE_HEIGHT, cursors, top);
}

function drawHeat(element, recording, names, axis, readout, cursors) {
  if (!names.length) return void (readout.textContent = "No layer reuses.");
  const row = names.length <= MOST_LABELLED ? 15 : Math.max(3, Math.min(8, Math.floor(600 / names.length)));
  const height = row * names.length;
  const ratio = Math.min(devicePixelRatio || 1, 2);
  const wide = axis.width - axis.left - 12;
  const canvas = tag("canvas", {
    width: Math.round(wide * ratio),
    height: Math.round(height * ratio),
    style: `left:${axis.left}px;width:${wide}px;height:${height}px`,
  });
  const context = canvas.getContext("2d");
  const colours = rampColours();
  const low = lowest(recording);
  names.forEach((name, number) => {
    const gap = row >= 8 ? ratio : 0;
    recording.similarity[name].forEach((value, stretch) => {
      const [from, to] = [(stretch / axis.count) * canvas.width, ((stretch + 1) / axis.count) * canvas.width];
      context.fillStyle = colours[rampLevel((value - low) / (1 - low))];
      context.fillRect(Math.floor(from), number * row * ratio, Math.ceil(to) - Math.floor(from), row * ratio - gap);
    });
  });
  const labelled = row >= 15 && axis.left > 100;
  const labels = labelled
    ? names.map((name, number) =>
        shape(
          "text",
          {
            x: axis.left - 8,
            y: number * row + 11,
            "text-anchor": "end",
            class: name === chosen.node ? "chosen" : null,
          },
          middle(name, 18),
        ),
      )
    : [];
  const svg = shape(
    "svg",
    {
      width: axis.width,
      height,
      role: "img",
      "aria-label": `Similarity of ${counted(names.length, "layer")} over the stream, a row each`,
    },
    labels,
  );
  const say = (event) => {
    const box = svg.getBoundingClientRect();
    const name = names[Math.min(names.length - 1, Math.max(0, Math.floor((event.clientY - box.top) / row)))];
    const stretch = axis.at(event.clientX - box.left);
    readout.textContent = `${name}, frame ${whole(stretch * recording.every)}: ${percent(recording.similarity[name][stretch])}`;
    return name;
  };
  svg.addEventListener("pointermove", say);
  svg.addEventListener("click", (event) => choose("node", nodeOf(say(event))));
  const legend = [tag("span", null, percent(low, 0)), tag("span", { class: "ramp" }), tag("span", null, percent(1, 0))];
  readout.textContent = `${counted(names.length, "layer")} from input to output. Point to read, click to choose.`;
  withCursor(element, svg, axis, height, cursors);
  element.prepend(canvas);
  element.append(tag("div", { class: "legend", style: `margin-left:${axis.left}px` }, legend));
}

// Where the ramp of the layers begins: below all but the least of what was seen.
function lowest(recording) {
  const values = Object.values(recording.similarity)
    .flat()
    .sort((a, b) => a - b);
  return Math.min(0.9, Math.floor((values[Math.floor(values.length * 0.02)] ?? 0) * 10) / 10);
}
