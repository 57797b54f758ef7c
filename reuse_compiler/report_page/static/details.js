// The chosen node: its figures, its quantizer with the histogram under it, its similarity over time, its attributes.

function initDetails(contents) {
  const aside = byId("details");
  const show = () => {
    aside.classList.toggle("empty", chosen.node === null);
    aside.replaceChildren(...detailsOf(contents, chosen.node, aside.clientWidth - 32));
  };
  onChange("node", show);
  show();
}

function detailsOf(contents, name, width) {
  const find = (graph) =>
    graph.boxes.find((box) => box.name === name && box.kind === "node") ?? graph.boxes.find((box) => box.name === name);
  const [before, after] = [find(contents.graphs.before), find(contents.graphs.after)];
  if (!before && !after)
    return [
      tag("h3", null, "No node is chosen"),
      tag(
        "p",
        { class: "note" },
        "Click a node, find one by name, or go to a graph and use the arrow keys: its figures, quantizer, histogram and attributes appear here.",
      ),
    ];
  const box = after ?? before;
  const layers = box.layers.map((number) => contents.report.layers[number]);
  const parts = [tag("h3", null, name), tag("p", { class: "note" }, operators(before, after))];
  parts.push(...layers.map((layer) => layerFacts(layer, contents.report.totals.frames)));
  for (const site of after?.sites ?? []) parts.push(...siteParts(contents, site, width));
  const dense = contents.quantizers.find((row) => row.site === name && row.mode === "dense");
  if (dense) parts.push(tag("p", null, `Dense${dense.reason ? `: ${dense.reason}` : "."}`));
  if (after?.state_bytes) parts.push(tag("p", null, `Keeps ${byteSize(after.state_bytes)} from frame to frame.`));
  if (before) parts.push(facts("Before", before));
  if (after) parts.push(facts("After", after));
  return parts;
}

function operators(before, after) {
  if (!after && before.layers.length) return `${before.op}; the reuse model has parts of it`;
  if (!after) return `${before.op}; not in the reuse model: folded or fused into another node`;
  if (!before) return `${after.op}; made by the compiler`;
  return before.op === after.op ? after.op : `${before.op} → ${after.op}`;
}

const pair = (label, value) => [tag("dt", null, label), tag("dd", null, value)];

function layerFacts(layer, frames) {
  const per = (value) => value / Math.max(frames, 1);
  const speedup = layer.cycles.reuse ? layer.cycles.baseline / layer.cycles.reuse : null;
  const saving = layer.energy_pj.baseline ? 1 - layer.energy_pj.reuse / layer.energy_pj.baseline : null;
  return tag(
    "dl",
    { class: "facts" },
    pair("layer", `${layer.name}, ${layer.backend}`),
    layer.similarity === null ? [] : pair("similarity", percent(layer.similarity)),
    layer.macs ? pair("reuse", `${percent(layer.reuse)} of ${short(per(layer.macs))} MACs`) : [],
    layer.macs && layer.reuse_nonzero !== null ? pair("without inputs of 0.0", percent(layer.reuse_nonzero)) : [],
    pair(
      "cycles a frame",
      `${short(per(layer.cycles.baseline))} → ${short(per(layer.cycles.reuse))} (${times(speedup)})`,
    ),
    pair(
      "energy a frame",
      `${energy(per(layer.energy_pj.baseline))} → ${energy(per(layer.energy_pj.reuse))} (−${percent(saving)})`.replace(
        "−-",
        "+",
      ),
    ),
  );
}

function siteParts(contents, site, width) {
  const quantizer = contents.quantizers.find((row) => row.site === site);
  if (!quantizer || quantizer.mode === "dense") return [];
  const distribution = contents.distributions[quantizer.input];
  const parts = [tag("h4", null, `Quantizer of ${quantizer.input}`), tag("p", null, quantizerText(quantizer))];
  if (distribution?.shares.length) {
    parts.push(histogram(distribution, quantizer, width));
    parts.push(
      tag(
        "p",
        { class: "note" },
        `Inputs ${plain(distribution.minimum)} to ${plain(distribution.maximum)}, ${percent(distribution.zeros)} exactly 0.0; heights are square roots of shares, ${counted(quantizer.clusters, "centroid")} over them.`,
      ),
    );
  } else {
    parts.push(tag("p", { class: "note" }, "There is no profile, and so no histogram."));
  }
  if (quantizer.reason) parts.push(tag("p", { class: "note" }, `Chosen: ${quantizer.reason}`));
  const over = contents.recording?.similarity[site];
  if (over && over.length > 1) {
    parts.push(tag("h4", null, "Similarity by frame"), sparkline(over, width, `Similarity of ${site} over the stream`));
  }
  return parts;
}

function quantizerText({ kind, clusters, step, zero, centroids, deadband }) {
  const text =
    kind === "table"
      ? `a table of ${counted(clusters, "centroid")}, ${plain(centroids[0])} to ${plain(centroids.at(-1))}`
      : `linear, ${counted(clusters, "centroid")}, step ${plain(step)}, zero at ${whole(zero)}`;
  if (!deadband[1]) return text;
  return `${text}, deadband ${deadband[0] === deadband[1] ? plain(deadband[0]) : `${plain(deadband[0])} to ${plain(deadband[1])} by channel`}`;
}

function sparkline(values, width, label) {
  const [height, top] = [68, 16];
  const x = (number) => 6 + (number / (values.length - 1)) * (width - 12);
  const y = (value) => top + (1 - value) * (height - top - 6);
  const cursor = shape("path", { class: "cursor" });
  const place = () => cursor.setAttribute("d", `M${x(chosen.stretch)} 0V${height}`);
  place();
  const drawing = shape(
    "svg",
    { class: "sparkline", width, height, role: "img", "aria-label": label },
    shape("path", { class: "axis", d: `M6 ${y(0)}H${width - 6}M6 ${y(1)}H${width - 6}` }),
    shape("path", {
      class: "line",
      d: values.map((value, number) => `${number ? "L" : "M"}${x(number).toFixed(1)} ${y(value).toFixed(1)}`).join(""),
    }),
    cursor,
    shape("text", { x: width - 6, y: y(1) - 4, "text-anchor": "end" }, "100 %"),
  );
  drawing.placeCursor = place;
  return drawing;
}

function facts(title, box) {
  const rows = [
    ...box.reads.map((text) => ["reads", text]),
    ...box.writes.map((text) => ["gives", text]),
    ...box.attributes,
  ];
  return tag(
    "details",
    { open: rows.length <= 12 },
    tag("summary", null, `${title}: ${box.op}`),
    tag(
      "dl",
      { class: "attributes" },
      rows.map(([key, value]) => pair(key, value)),
    ),
  );
}
