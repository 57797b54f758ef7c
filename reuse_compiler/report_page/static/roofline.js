// The roofline: every layer of both machines at its multiply-accumulates per byte and per second.

const ROOF_HEIGHT = 380;

function initRoofline({ report, roofline }) {
  const body = byId("roofline").querySelector(".body");
  const memories = [
    {
      id: "all",
      label: "DRAM and eDRAM",
      bytes: (layer, machine) => layer.dram[machine] + layer.edram[machine],
      roofs: ["dram", "edram"],
    },
    { id: "dram", label: "DRAM alone", bytes: (layer, machine) => layer.dram[machine], roofs: ["dram"] },
  ];
  let memory = memories[0];
  const plot = tag("div", { class: "plot roof" });
  const readout = tag("p", { class: "note readout" });
  const fieldset = tag("fieldset", { class: "choice" }, tag("legend", { class: "unseen" }, "Bytes of"));
  const redraw = drawnToWidth(plot, (width) =>
    drawRoofline(plot, readout, points(report, roofline, memory), roofline, memory, width),
  );
  choice(fieldset, "memory", memories, memory.id, (id) => {
    memory = memories.find((one) => one.id === id);
    redraw();
  });
  body.append(
    fieldset,
    plot,
    readout,
    tag(
      "p",
      { class: "note" },
      `Roofs: ${short(roofline.macs_per_second, "MAC/s")} of all lanes, ${short(roofline.dram_bytes_per_second, "B/s")} of DRAM, and the ${short(roofline.edram_bytes_per_second, "B/s")} that the eDRAM must give for every lane to take a weight in every cycle (the cost model sets it no other bound). ` +
        "A point counts all multiply-accumulates of its layer, skipped ones included: with reuse it moves right by the bytes saved, up by the time saved, and above the roof where it skips what the lanes could not have done. Layers that move no such byte stand at the right edge.",
    ),
  );
  onChange("node", redraw);
}

function points(report, roofline, memory) {
  const frames = Math.max(report.totals.frames, 1);
  return report.layers.flatMap((layer, number) => {
    if (!layer.macs || layer.backend === "host") return [];
    const at = (machine, key) => {
      const cycles = layer.cycles[key] / frames;
      const bytes = memory.bytes(roofline.layers[number], machine);
      return cycles
        ? {
            x: bytes ? layer.macs / frames / bytes : Infinity,
            y: (layer.macs / frames / cycles) * roofline.frequency_hz,
          }
        : null;
    };
    const [base, reuse] = [at(0, "baseline"), at(1, "reuse")];
    return base && reuse ? [{ layer, base, reuse }] : [];
  });
}

function drawRoofline(element, readout, all, roofline, memory, width) {
  const [left, right, top, base] = [56, 26, 30, ROOF_HEIGHT - 40];
  const finite = all.flatMap(({ base: b, reuse: r }) => [b, r]).filter(({ x }) => Number.isFinite(x));
  const ridge = (name) => roofline.macs_per_second / roofline[`${name}_bytes_per_second`];
  const xs = [...finite.map(({ x }) => x), ...memory.roofs.map(ridge)];
  const ys = [...all.flatMap(({ base: b, reuse: r }) => [b.y, r.y]), roofline.macs_per_second];
  const range = (values) => [
    Math.floor(Math.log10(Math.min(...values)) - 0.15),
    Math.ceil(Math.log10(Math.max(...values)) + 0.15),
  ];
  const [[x0, x1], [y0, y1]] = [range(xs), range(ys)];
  const x = (value) =>
    Number.isFinite(value)
      ? left + ((Math.log10(value) - x0) / (x1 - x0)) * (width - left - right - 24)
      : width - right - 6;
  const y = (value) => base - ((Math.log10(value) - y0) / (y1 - y0)) * (base - top);
  const svg = shape("svg", {
    width,
    height: ROOF_HEIGHT,
    role: "group",
    "aria-label": `Roofline of ${counted(all.length, "layer")}`,
  });
  for (let power = x0; power <= x1; power++)
    svg.append(
      shape("path", { class: "axis", d: `M${x(10 ** power)} ${top}V${base}` }),
      shape("text", { x: x(10 ** power), y: base + 16, "text-anchor": "middle" }, plain(10 ** power, 1)),
    );
  for (let power = y0; power <= y1; power++)
    svg.append(
      shape("path", { class: "axis", d: `M${left} ${y(10 ** power)}H${width - right}` }),
      shape("text", { x: left - 6, y: y(10 ** power) + 4, "text-anchor": "end" }, short(10 ** power)),
    );
  svg.append(
    shape(
      "text",
      { x: (left + width) / 2, y: base + 34, "text-anchor": "middle", class: "title" },
      `MACs per byte of ${memory.label}`,
    ),
    shape("text", { x: 4, y: 12, class: "title" }, "MAC/s"),
  );
  if (finite.length < 2 * all.length)
    svg.append(shape("text", { x: width - right - 6, y: base + 16, "text-anchor": "middle" }, "∞"));
  svg.append(
    shape("path", { class: "roof", d: `M${left} ${y(roofline.macs_per_second)}H${width - right}` }),
    shape("text", { x: left + 6, y: y(roofline.macs_per_second) - 6, class: "roof-label" }, "all lanes"),
  );
  for (const name of memory.roofs) {
    const slope = roofline[`${name}_bytes_per_second`];
    const from = Math.max(10 ** x0, 10 ** y0 / slope);
    svg.append(
      shape("path", {
        class: "roof",
        d: `M${x(from)} ${y(from * slope)}L${x(ridge(name))} ${y(roofline.macs_per_second)}`,
      }),
    );
    svg.append(
      shape(
        "text",
        { x: x(from) + 12, y: y(from * slope) + 10, class: "roof-label" },
        name === "dram" ? "DRAM" : "eDRAM",
      ),
    );
  }
  for (const point of all) svg.append(drawPoint(point, x, y, readout));
  const key = shape(
    "g",
    { class: "key" },
    shape("circle", { class: "base", cx: width - 178, cy: 8, r: 4.5 }),
    shape("text", { x: width - 168, y: 12 }, "baseline"),
    shape("circle", { class: "reuse", cx: width - 98, cy: 8, r: 4.5 }),
    shape("text", { x: width - 88, y: 12 }, "reuse"),
  );
  svg.append(key);
  readout.textContent = "Point at a layer to read it, click to choose it.";
  element.replaceChildren(svg);
}

function drawPoint({ layer, base, reuse }, x, y, readout) {
  const node = nodeOf(layer.name);
  const say = () =>
    (readout.textContent = `${layer.name}: baseline ${short(base.y, "MAC/s")}, reuse ${short(reuse.y, "MAC/s")}; ${plain(base.x === Infinity ? null : base.x, 3)} and ${plain(reuse.x === Infinity ? null : reuse.x, 3)} MACs a byte`);
  const [from, to] = [
    [x(base.x), y(base.y)],
    [x(reuse.x), y(reuse.y)],
  ];
  return shape(
    "g",
    {
      class: `layer-point${node === chosen.node ? " chosen" : ""}`,
      onpointerenter: say,
      onclick: () => choose("node", node),
    },
    shape("title", null, layer.name),
    shape("path", { class: "shift", d: `M${from.join(" ")}L${to.join(" ")}` }),
    shape("circle", { class: "base", cx: from[0], cy: from[1], r: 4.5 }),
    shape("circle", { class: "reuse", cx: to[0], cy: to[1], r: 4.5 }),
  );
}
