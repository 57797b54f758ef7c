// What is chosen on the page: a node by name, the measure that colours it, and a moment of the stream.

const chosen = { node: null, measure: "similarity", stretch: 0 };
const listeners = { node: [], measure: [], stretch: [], theme: [] };

const onChange = (what, listener) => listeners[what].push(listener);

function choose(what, value, options = {}) {
  if (chosen[what] === value && !options.again) return;
  chosen[what] = value;
  for (const listener of listeners[what]) listener(value, options);
}
