// Both graphs together: they share colours, search and the chosen node.

function initGraphs(contents, measures) {
  const { graphs } = contents;
  const views = [
    new GraphView(byId("before"), "before", graphs.before, graphs.box, "Before"),
    new GraphView(byId("after"), "after", graphs.after, graphs.box, "After"),
  ];
  const measure = () => measures.find(({ id }) => id === chosen.measure);
  const colour = () => views.forEach((view) => view.colour(measure()));
  onChange("measure", colour);
  onChange("stretch", () => chosen.measure === "now" && colour());
  colour();
  let last = views[1];
  views.forEach((view) => view.svg.addEventListener("focus", () => (last = view)));
  onChange("node", (name) => views.forEach((view) => view.show(name)));
  initSearch(views);
  byId("details").addEventListener("keydown", (event) => {
    if (event.key === "Escape") last.svg.focus();
  });
  return views;
}

function initSearch(views) {
  const [query, found] = [byId("query"), byId("found")];
  let [hits, at] = [[], -1];
  const search = () => {
    const text = query.value.trim().toLowerCase();
    const test = text ? (box) => box.name.toLowerCase().includes(text) || box.op.toLowerCase().includes(text) : null;
    views.forEach((view) => view.match(test));
    const names = views.flatMap(({ graph }) => graph.boxes.filter((box) => test && test(box)).map((box) => box.name));
    hits = [...new Set(names)];
    at = -1;
    found.textContent = text
      ? `${counted(hits.length, "match").replace("matchs", "matches")}${hits.length ? ", Enter goes to the next" : ""}`
      : "";
  };
  query.addEventListener("input", search);
  byId("search").addEventListener("submit", (event) => {
    event.preventDefault();
    if (!hits.length) return;
    at = (at + 1) % hits.length;
    choose("node", hits[at], { again: true });
    found.textContent = `${at + 1} of ${hits.length}: ${hits[at]}`;
  });
}
