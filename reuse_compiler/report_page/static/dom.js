// Elements. Text is always set as text, never as markup: names come from models and streams.

const SVG = "http://www.w3.org/2000/svg";

const byId = (id) => document.getElementById(id);

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") element.style.cssText = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

const tag = (name, attributes, ...children) => fill(document.createElement(name), attributes, children);
const shape = (name, attributes, ...children) => fill(document.createElementNS(SVG, name), attributes, children);

// Calls draw(width) now, and again whenever the width of the element changes.
function drawnToWidth(element, draw) {
  let drawn = 0;
  const observer = new ResizeObserver(() => {
    const width = Math.floor(element.clientWidth);
    if (width && width !== drawn) draw((drawn = width));
  });
  observer.observe(element);
  return () => drawn && draw(drawn);
}

// Fields that one of which is chosen, as a row of buttons.
function choice(fieldset, name, options, chosen, onChange) {
  for (const { id, label } of options) {
    const input = tag("input", { type: "radio", name, value: id, id: `${name}-${id}`, checked: id === chosen });
    input.addEventListener("change", () => onChange(id));
    fieldset.append(input, tag("label", { for: input.id }, label));
  }
}
