// Every constant that the costs rest on, with its unit and its source.

function initConstants({ report }) {
  const { constants, name, description } = report.hardware;
  let group = null;
  const rows = constants.flatMap((constant) => {
    const [part] = constant.name.split(".");
    const heading =
      part === group
        ? []
        : [tag("tr", { class: "group" }, tag("th", { colspan: 4, scope: "rowgroup" }, part.replace("_", " ")))];
    group = part;
    const value =
      typeof constant.value === "number"
        ? constant.value.toLocaleString("en", { maximumSignificantDigits: 10 })
        : String(constant.value);
    return [
      ...heading,
      tag(
        "tr",
        null,
        tag("th", { scope: "row" }, constant.name),
        tag("td", null, value),
        tag("td", { class: "word" }, constant.unit),
        tag("td", { class: "word source" }, constant.source),
      ),
    ];
  });
  byId("constants")
    .querySelector(".body")
    .append(
      tag(
        "p",
        null,
        `${name}: ${description}. Sources begin with a letter: P the paper, C a CACTI run, L literature, S scaled from literature, A an assumption of this project.`,
      ),
      tag(
        "div",
        { class: "scroll tall", tabindex: 0, role: "region", "aria-label": "Table of constants" },
        tag(
          "table",
          { class: "figures constants" },
          tag(
            "thead",
            null,
            tag(
              "tr",
              null,
              ["Constant", "Value", "Unit", "Source"].map((text) =>
                tag("th", { scope: "col", class: text === "Value" ? null : "word" }, text),
              ),
            ),
          ),
          tag("tbody", null, rows),
        ),
      ),
    );
}
