// A row a layer: what repeats, what it costs, and bars for speedup and saving. Columns sort.

function initLayers({ report }) {
  const frames = Math.max(report.totals.frames, 1);
  const rows = report.layers.map((layer, number) => ({
    number,
    name: layer.name,
    op: layer.op,
    on: layer.backend,
    similarity: layer.similarity,
    reuse: layer.macs ? layer.reuse : null,
    nonzero: layer.macs ? layer.reuse_nonzero : null,
    base: layer.cycles.baseline / frames,
    cycles: layer.cycles.reuse / frames,
    speedup: layer.cycles.reuse ? layer.cycles.baseline / layer.cycles.reuse : null,
    energy: layer.energy_pj.baseline / frames,
    spent: layer.energy_pj.reuse / frames,
    saving: layer.energy_pj.baseline ? 1 - layer.energy_pj.reuse / layer.energy_pj.baseline : null,
  }));
  const most = Math.max(...rows.map((row) => row.speedup ?? 0), 1);
  const columns = [
    ["name", "Layer", null],
    ["op", "Operator", null],
    ["on", "On", null],
    ["similarity", "Similar", percent],
    ["reuse", "Reuse", percent],
    ["nonzero", "Reuse, not of 0.0", percent],
    ["base", "Cycles baseline", short],
    ["cycles", "Cycles reuse", short],
    ["speedup", "Speedup", times],
    ["energy", "Energy baseline", energy],
    ["spent", "Energy reuse", energy],
    ["saving", "Saved", percent],
  ];
  const length = { speedup: (row) => row.speedup / most, saving: (row) => Math.abs(row.saving) };
  const cell = (row, key, text) => {
    if (key === "name")
      return tag(
        "th",
        { scope: "row" },
        tag(
          "button",
          { type: "button", class: "link", title: row.name, onclick: () => chooseLayer(row.name) },
          middle(row.name, 34),
        ),
      );
    if (!text) return tag("td", { class: "word" }, row[key]);
    if (!length[key] || row[key] === null) return tag("td", null, text(row[key]));
    const worse = key === "speedup" ? row.speedup < 1 : row.saving < 0;
    return tag(
      "td",
      { class: "barred" },
      tag("span", {
        class: `bar${worse ? " worse" : ""}`,
        style: `--length:${Math.min(1, length[key](row)).toFixed(4)}`,
      }),
      tag("span", null, text(row[key])),
    );
  };
  const body = tag("tbody");
  const elements = rows.map((row) =>
    tag(
      "tr",
      { "data-layer": row.name },
      columns.map(([key, , text]) => cell(row, key, text)),
    ),
  );
  const order = { key: null, down: true };
  const fillBody = () => {
    const sorted = rows.map((_, number) => number);
    if (order.key) sorted.sort((a, b) => compare(rows[a][order.key], rows[b][order.key]) * (order.down ? -1 : 1));
    body.replaceChildren(...sorted.map((number) => elements[number]));
  };
  const headers = columns.map(([key, label, text]) =>
    tag(
      "th",
      { scope: "col", "aria-sort": "none", class: text ? null : "word" },
      tag(
        "button",
        {
          type: "button",
          class: "sort",
          onclick: () => {
            order.down = order.key === key ? !order.down : key !== "name";
            order.key = key;
            headers.forEach((header, index) =>
              header.setAttribute(
                "aria-sort",
                columns[index][0] !== key ? "none" : order.down ? "descending" : "ascending",
              ),
            );
            fillBody();
          },
        },
        label,
      ),
    ),
  );
  fillBody();
  byId("layers")
    .querySelector(".body")
    .append(
      tag(
        "div",
        { class: "scroll tall", tabindex: 0, role: "region", "aria-label": "Table of layers" },
        tag("table", { class: "figures layers" }, tag("thead", null, tag("tr", null, headers)), body),
      ),
      tag(
        "p",
        { class: "note" },
        "A frame on average. Reuse is the share of multiply-accumulates skipped; the column beside it leaves out those whose input is exactly 0.0, which a zero-skipping machine saves, too. Bars of saving show the size, red where reuse costs more.",
      ),
    );
  onChange("node", (name) =>
    elements.forEach((element) =>
      element.classList.toggle("chosen", nodeOf(element.dataset.layer) === name || element.dataset.layer === name),
    ),
  );
}

const compare = (a, b) =>
  a === null ? -1 : b === null ? 1 : typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b;

// The node that a layer belongs to: sites and directions of a recurrent layer are called after it, behind a dot.
let nodeNames = new Set();
const nodeOf = (layer) => {
  let name = layer;
  while (name && !nodeNames.has(name)) name = name.slice(0, Math.max(0, name.lastIndexOf(".")));
  return name || layer;
};
const chooseLayer = (layer) => {
  choose("node", nodeOf(layer), { again: true });
  byId("graphs").scrollIntoView({ block: "start" });
};
