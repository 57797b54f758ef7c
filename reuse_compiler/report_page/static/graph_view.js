// One graph: boxes and edges, what is chosen, and the keys that lead through it.

const READABLE = 0.5;
const LONGEST_LABEL = 19;

class GraphView {
  constructor(figure, which, graph, size, title) {
    Object.assign(this, { which, graph, size, chosenBox: null });
    this.readers = graph.boxes.map(() => []);
    this.sources = graph.boxes.map(() => []);
    for (const [source, target] of graph.edges) {
      this.readers[source].push(target);
      this.sources[target].push(source);
    }
    this.byName = new Map(graph.boxes.map((box, number) => [box.name, number]));
    graph.boxes.forEach((box, number) => box.kind === "node" && this.byName.set(box.name, number));
    this.boxes = graph.boxes.map((box, number) => this.drawBox(box, number));
    this.edges = graph.edges.map(([source, target, path]) =>
      shape("path", { d: path, class: "edge", "data-ends": `${source} ${target}` }),
    );
    this.world = shape("g", null, shape("g", { class: "edges" }, this.edges), shape("g", null, this.boxes));
    this.svg = shape(
      "svg",
      {
        tabindex: 0,
        role: "application",
        "aria-label": `${title}: ${counted(graph.boxes.length, "box")}. Arrow keys go from node to node.`.replace(
          "boxs",
          "boxes",
        ),
      },
      this.world,
    );
    const stage = tag("div", { class: "stage" }, this.svg);
    figure.append(
      tag("figcaption", null, tag("span", null, title), tag("span", { class: "note" }, this.caption()), this.buttons()),
      stage,
    );
    this.viewport = new Viewport(stage, graph.width, graph.height, (x, y, scale) => this.apply(x, y, scale));
    this.viewport.fit();
    new ResizeObserver(() => (this.viewport.fitted ? this.viewport.fit() : this.viewport.show())).observe(stage);
    this.svg.addEventListener("click", (event) => this.click(event));
    this.svg.addEventListener("keydown", (event) => this.key(event));
  }

  caption() {
    const nodes = this.graph.boxes.filter((box) => box.kind === "node");
    const reuse = nodes.filter((box) => box.sites.length).length;
    return reuse ? `${counted(nodes.length, "node")}, ${whole(reuse)} with reuse` : counted(nodes.length, "node");
  }

  buttons() {
    const button = (label, name, act) =>
      tag("button", { type: "button", "aria-label": `${name}, graph ${this.which}`, title: name, onclick: act }, label);
    return tag(
      "span",
      { class: "zoom" },
      button("+", "Zoom in", () => this.viewport.zoom(1.4)),
      button("−", "Zoom out", () => this.viewport.zoom(1 / 1.4)),
      button("Fit", "Fit", () => this.viewport.fit()),
    );
  }

  drawBox(box, number) {
    const [width, height] = this.size;
    const classes = ["box", box.kind, box.sites.length ? "reuse" : ""].join(" ").trim();
    const label = shape("text", { y: -3, class: "name" }, middle(box.name, LONGEST_LABEL));
    const below = shape("text", { y: 11, class: "op" }, middle(box.op, LONGEST_LABEL + 4));
    const rect = shape("rect", {
      x: -width / 2,
      y: -height / 2,
      width,
      height,
      rx: box.kind === "node" ? 5 : height / 2,
    });
    return shape(
      "g",
      {
        class: classes,
        id: `${this.which}-${number}`,
        "data-number": number,
        transform: `translate(${box.at[0]} ${box.at[1]})`,
        role: "img",
        "aria-label": `${box.name}, ${box.op}`,
      },
      rect,
      label,
      below,
    );
  }

  apply(x, y, scale) {
    this.world.setAttribute("transform", `translate(${x.toFixed(2)} ${y.toFixed(2)}) scale(${scale.toFixed(4)})`);
    this.svg.classList.toggle("far", scale < 0.36);
  }

  colour(measure) {
    this.graph.boxes.forEach((box, number) => {
      const value = box.kind === "node" ? measure.value(box, this.which) : null;
      const element = this.boxes[number];
      const share = value === null ? null : measure.place(value);
      element.classList.toggle("valued", share !== null);
      element.classList.toggle("strong", share !== null && share > 0.45);
      element.style.setProperty("--share", share === null ? "0%" : `${(100 * share).toFixed(1)}%`);
    });
  }

  show(name) {
    if (this.chosenBox !== null) this.mark(this.chosenBox, false);
    const number = this.byName.get(name);
    this.chosenBox = number ?? null;
    if (number === undefined) return this.svg.removeAttribute("aria-activedescendant");
    this.mark(number, true);
    this.svg.setAttribute("aria-activedescendant", `${this.which}-${number}`);
    const [x, y] = this.graph.boxes[number].at;
    if (!(this.viewport.isInside(x, y, 40) && this.viewport.scale >= READABLE)) this.viewport.centre(x, y, 0.8);
  }

  mark(number, on) {
    this.boxes[number].classList.toggle("chosen", on);
    if (on) this.boxes[number].parentNode.append(this.boxes[number]);
    this.edges.forEach((edge, index) => {
      const [source, target] = this.graph.edges[index];
      if (source === number || target === number) edge.classList.toggle("near", on);
    });
  }

  match(test) {
    let matches = 0;
    this.graph.boxes.forEach((box, number) => {
      const fits = test === null || test(box);
      this.boxes[number].classList.toggle("dim", !fits);
      matches += fits;
    });
    return matches;
  }

  click(event) {
    const box = event.target.closest(".box");
    if (!box || this.viewport.moved > 4) return;
    this.svg.focus({ preventScroll: true });
    choose("node", this.graph.boxes[box.dataset.number].name, { again: true });
  }

  key(event) {
    const step = { ArrowDown: () => this.readers, ArrowUp: () => this.sources }[event.key];
    const at = this.chosenBox;
    let next = null;
    if (step) next = at === null ? 0 : step()[at][0];
    else if (event.key === "ArrowRight") next = at === null ? 0 : this.beside(at, 1);
    else if (event.key === "ArrowLeft") next = at === null ? 0 : this.beside(at, -1);
    else if (event.key === "Home") next = 0;
    else if (event.key === "End") next = this.boxes.length - 1;
    else if (event.key === "+" || event.key === "=") this.viewport.zoom(1.25);
    else if (event.key === "-") this.viewport.zoom(0.8);
    else if (event.key === "0") this.viewport.fit();
    else if (event.key === "Enter" && at !== null) byId("details").focus();
    else return;
    event.preventDefault();
    if (next !== null && next !== undefined) choose("node", this.graph.boxes[next].name);
  }

  // The box to the right or left in the same row, else the next or the previous one of the model.
  beside(at, direction) {
    const [x, y] = this.graph.boxes[at].at;
    let best = null;
    this.graph.boxes.forEach((box, number) => {
      const ahead = (box.at[0] - x) * direction;
      if (
        box.at[1] === y &&
        ahead > 0 &&
        ahead < 2 * this.size[0] &&
        (best === null || ahead < (this.graph.boxes[best].at[0] - x) * direction)
      )
        best = number;
    });
    return best ?? Math.max(0, Math.min(this.boxes.length - 1, at + direction));
  }
}
