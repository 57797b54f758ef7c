// What colours a node: a value of its layers, and where it lies on the ramp from 0 to 1.

const DECADES = 4;

function initMeasures({ report, graphs, recording }) {
  const layers = report.layers;
  const frames = Math.max(report.totals.frames, 1);
  const sumOf = (box, read) => box.layers.reduce((sum, number) => sum + read(layers[number]), 0);
  const share = (box, weight, part) => {
    const whole = sumOf(box, weight);
    return whole ? sumOf(box, part) / whole : null;
  };
  const reuses = (layer) => layer.similarity !== null;
  const machine = { before: "baseline", after: "reuse" };

  const similarity = (box) =>
    share(
      box,
      (layer) => (reuses(layer) ? layer.inputs : 0),
      (layer) => (reuses(layer) ? layer.inputs * layer.similarity : 0),
    );
  const reuse = (box) =>
    share(
      box,
      (layer) => layer.macs,
      (layer) => layer.macs - layer.macs_computed,
    );
  const spent = (key) => (box, which) =>
    box.layers.length ? sumOf(box, (layer) => layer[key][machine[which]]) / frames : null;
  const now = (box) => {
    const rows = box.layers.filter((number) => recording.similarity[layers[number].name]);
    const inputs = rows.reduce((sum, number) => sum + layers[number].inputs, 0);
    const kept = rows.reduce(
      (sum, number) => sum + layers[number].inputs * recording.similarity[layers[number].name][chosen.stretch],
      0,
    );
    return inputs ? kept / inputs : null;
  };

  const shares = (id, label, value) => ({
    id,
    label,
    value,
    text: (v) => percent(v),
    place: (v) => v,
    ends: ["0 %", "100 %"],
  });
  const amounts = (id, label, key, text) => {
    const value = spent(key);
    const most = Math.max(
      ...graphs.before.boxes.map((box) => value(box, "before") ?? 0),
      ...graphs.after.boxes.map((box) => value(box, "after") ?? 0),
      1e-9,
    );
    const place = (v) => (v > 0 ? Math.max(0, 1 + Math.log10(v / most) / DECADES) : 0);
    return {
      id,
      label,
      value,
      text,
      place,
      ends: [text(most / 10 ** DECADES), text(most)],
      note: "a frame, logarithmic; before: baseline, after: reuse",
    };
  };
  const measures = [
    shares("similarity", "Similarity", similarity),
    shares("reuse", "Reuse", reuse),
    amounts("cycles", "Cycles", "cycles", (v) => short(v)),
    amounts("energy", "Energy", "energy_pj", energy),
  ];
  if (recording)
    measures.push({ ...shares("now", "Similarity at the scrubber", now), note: "at the chosen moment of the stream" });
  return measures;
}

function initMeasureChoice(measures) {
  choice(byId("measure"), "measure", measures, chosen.measure, (id) => choose("measure", id));
  const show = () => {
    const { ends, note } = measures.find(({ id }) => id === chosen.measure);
    byId("legend").replaceChildren(
      tag("span", null, ends[0]),
      tag("span", { class: "ramp", role: "img", "aria-label": `from ${ends[0]} to ${ends[1]}` }),
      tag("span", null, ends[1]),
      tag("span", { class: "swatch" }),
      tag("span", null, "no value"),
      ...(note ? [tag("span", { class: "note" }, note)] : []),
    );
  };
  onChange("measure", show);
  show();
}
