// The page draws itself from its data, once.

const contents = JSON.parse(byId("contents").textContent);
nodeNames = new Set([...contents.graphs.before.boxes, ...contents.graphs.after.boxes].map((box) => box.name));
initTheme(byId("theme"));
initSummary(contents);
const measures = initMeasures(contents);
initMeasureChoice(measures);
initGraphs(contents, measures);
initDetails(contents);
initEnergy(contents);
initLayers(contents);
initTimeline(contents);
initRoofline(contents);
initConstants(contents);
document.documentElement.dataset.ready = String(Math.round(performance.now()));
