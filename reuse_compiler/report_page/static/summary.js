// Who, what, and the few figures that matter.

function initSummary({ report }) {
  const { totals, accuracy, stream, hardware, state, setup } = report;
  byId("title").textContent = fileName(report.model.path);
  byId("subtitle").textContent =
    `${counted(stream.frames, "frame")} of ${stream.name}` +
    (stream.sequences > 1 ? ` in ${whole(stream.sequences)} sequences` : "") +
    ` on ${hardware.name}: ${hardware.description}`;
  const sum = (parts) => Object.values(parts).reduce((a, b) => a + b, 0);
  const frames = Math.max(totals.frames, 1);
  const [spent, spentReuse] = [sum(totals.energy_pj.baseline), sum(totals.energy_pj.reuse)];
  const tiles = [
    [
      "Speedup",
      times(totals.speedup),
      `${short(totals.cycles.baseline / frames)} → ${short(totals.cycles.reuse / frames)} cycles a frame`,
    ],
    [
      "Energy saved",
      percent(totals.energy_saving),
      `${energy(spent / frames)} → ${energy(spentReuse / frames)} a frame`,
    ],
    ["Reuse", percent(totals.reuse), `of multiply-accumulates; ${percent(totals.reuse_nonzero)} without inputs of 0.0`],
    ["Similarity", percent(totals.similarity), "of inputs keep their index"],
    lossTile(accuracy),
    ["Area", `${fixed(totals.area_mm2.reuse, 2)} mm²`, `baseline ${fixed(totals.area_mm2.baseline, 2)} mm²`],
  ];
  byId("summary").append(
    ...tiles.map(([label, value, note]) =>
      tag(
        "div",
        { class: "tile" },
        tag("h3", null, label),
        tag("p", { class: "figure" }, value),
        tag("p", { class: "note" }, note),
      ),
    ),
  );
  const facts = [
    `Host: ${percent(totals.host_share)} of the baseline's cycles.`,
    `Kept state: ${byteSize(state.indices + state.linear)}, ${byteSize(state.buffer)} in the I/O buffer and ${byteSize(state.dram)} in DRAM.`,
    `Setup, once and outside all figures: ${short(setup.cycles.reuse)} cycles, ${energy(setup.energy_pj.reuse)}.`,
  ];
  if (report.refresh_estimate) {
    const refresh = report.refresh_estimate;
    facts.push(
      `With its rolling refresh, once in ${counted(refresh.every, "frame")}: speedup ${times(refresh.speedup_with_refresh)}, saving ${percent(refresh.energy_saving_with_refresh)}.`,
    );
  }
  if (report.guard) {
    const resets = Object.values(report.guard.resets).reduce((a, b) => a + b, 0);
    facts.push(`Guard: ${counted(resets, "frame")} quantized anew.`);
  }
  byId("summary").append(tag("p", { class: "facts" }, facts.join(" ")));
  byId("provenance").textContent =
    `${report.tool.name} ${report.tool.version} · model ${report.model.path} · sha256 ${report.model.sha256}`;
}

function lossTile(accuracy) {
  const verdict = accuracy.kept === true ? ", kept" : accuracy.kept === false ? ", NOT kept" : "";
  const note =
    accuracy.budget === null
      ? `${accuracy.metric} against fp32`
      : `${accuracy.metric}, budget ${plain(accuracy.budget)}${verdict}`;
  return ["Loss", plain(accuracy.value), note];
}
