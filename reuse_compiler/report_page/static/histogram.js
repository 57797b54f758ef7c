// The histogram of a tensor with the centroids of its quantizer over it.

const HISTOGRAM_HEIGHT = 120;

function centroidsOf(quantizer) {
  if (quantizer.centroids) return quantizer.centroids;
  if (quantizer.step === null) return [];
  return Array.from({ length: quantizer.clusters }, (_, k) => (k - quantizer.zero) * quantizer.step);
}

function histogram(distribution, quantizer, width) {
  const { low, width: bar, shares } = distribution;
  const centroids = centroidsOf(quantizer);
  const left = Math.min(low, centroids[0] ?? low);
  const right = Math.max(low + bar * shares.length, centroids.at(-1) ?? low);
  const across = (value) => 6 + ((value - left) / (right - left || 1)) * (width - 12);
  const most = Math.sqrt(Math.max(...shares, 1e-12));
  const base = HISTOGRAM_HEIGHT - 30;
  const bars = shares.map((share, number) => {
    const height = share ? Math.max(1, (Math.sqrt(share) / most) * (base - 6)) : 0;
    const x = across(low + bar * number);
    return shape("rect", {
      x: x.toFixed(1),
      y: (base - height).toFixed(1),
      width: Math.max(0.6, across(low + bar * (number + 1)) - x - 0.4).toFixed(1),
      height: height.toFixed(1),
    });
  });
  const apart = ((width - 12) / (right - left || 1)) * ((right - left) / Math.max(centroids.length - 1, 1));
  const ticks =
    centroids.length && apart >= 2.5
      ? shape("path", {
          class: "centroids",
          d: centroids.map((value) => `M${across(value).toFixed(1)} 4V${base + 6}`).join(""),
        })
      : centroids.length
        ? shape("rect", {
            class: "centroid-band",
            x: across(centroids[0]),
            y: base + 1,
            width: across(centroids.at(-1)) - across(centroids[0]),
            height: 5,
          })
        : null;
  const ends = [left, 0, right].filter(
    (value, number) => number !== 1 || (left < 0 && right > 0 && across(0) > 60 && across(0) < width - 60),
  );
  const labels = ends.map((value) =>
    shape(
      "text",
      { x: across(value), y: base + 20, "text-anchor": value === left ? "start" : value === right ? "end" : "middle" },
      plain(Math.abs(value) < bar ? 0 : value, 3),
    ),
  );
  const axis = shape("path", { class: "axis", d: `M6 ${base}H${width - 6}` });
  return shape(
    "svg",
    {
      class: "histogram",
      width,
      height: HISTOGRAM_HEIGHT,
      role: "img",
      "aria-label": `Histogram from ${plain(left)} to ${plain(right)} with ${counted(centroids.length, "centroid")}`,
    },
    shape("g", { class: "bars" }, bars),
    axis,
    ticks,
    labels,
  );
}
