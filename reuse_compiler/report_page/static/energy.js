// Energy by component, stacked: the baseline against the reuse machine.

function initEnergy({ report, components }) {
  const { energy_pj: spent, frames } = report.totals;
  const per = (machine, name) => (spent[machine][name] ?? 0) / Math.max(frames, 1);
  const total = (machine) => components.reduce((sum, name) => sum + per(machine, name), 0);
  const most = Math.max(total("baseline"), total("reuse"), 1e-12);
  const used = components.filter((name) => per("baseline", name) || per("reuse", name));
  const bar = (machine, label) =>
    tag(
      "div",
      { class: "stack-row" },
      tag("span", { class: "stack-name" }, label),
      tag(
        "div",
        { class: "stack", role: "img", "aria-label": `${label}: ${energy(total(machine))} a frame` },
        used
          .filter((name) => per(machine, name))
          .map((name) =>
            tag("span", {
              class: "part",
              style: `width:${((100 * per(machine, name)) / most).toFixed(3)}%;background:var(--part-${components.indexOf(name)})`,
              title: `${name}: ${energy(per(machine, name))}, ${percent(per(machine, name) / total(machine))}`,
            }),
          ),
      ),
      tag("span", { class: "stack-sum" }, energy(total(machine))),
    );
  const row = (name, key, first) => {
    const [base, reuse] = key ? [per("baseline", key), per("reuse", key)] : [total("baseline"), total("reuse")];
    return tag(
      "tr",
      { class: key ? null : "total" },
      tag("th", { scope: "row" }, first, name),
      tag("td", null, energy(base)),
      tag("td", null, energy(reuse)),
      tag("td", null, base ? percent(1 - reuse / base) : NONE),
      tag("td", null, percent(reuse / total("reuse"))),
    );
  };
  byId("energy")
    .querySelector(".body")
    .append(
      tag("div", { class: "stacks" }, bar("baseline", "Baseline"), bar("reuse", "Reuse")),
      tag(
        "div",
        { class: "scroll" },
        tag(
          "table",
          { class: "figures" },
          tag(
            "thead",
            null,
            tag(
              "tr",
              null,
              ["Component", "Baseline", "Reuse", "Saved", "Share of reuse"].map((text) =>
                tag("th", { scope: "col" }, text),
              ),
            ),
          ),
          tag(
            "tbody",
            null,
            used.map((name) =>
              row(
                name,
                name,
                tag("span", { class: "key", style: `background:var(--part-${components.indexOf(name)})` }),
              ),
            ),
            row("all", null, null),
          ),
        ),
      ),
      tag(
        "p",
        { class: "note" },
        "A frame on average, leakage over the frame's cycles included. Values come from the cost model; its constants are below.",
      ),
    );
}
