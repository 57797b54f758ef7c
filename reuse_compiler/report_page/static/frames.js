// The frame at the chosen moment, and the scrubber that chooses it.

function frameViewer({ recording, report }, axis) {
  const { pictures, every, frames } = recording;
  const last = axis.count - 1;
  const scrubber = tag("input", {
    type: "range",
    id: "scrubber",
    min: 0,
    max: last,
    value: 0,
    step: 1,
    "aria-label": "Moment of the stream",
  });
  const play = tag("button", { type: "button", id: "play" }, "Play");
  const text = tag("p", { id: "moment", "aria-live": "off" });
  const image =
    pictures?.kind === "pictures"
      ? tag("img", { id: "frame", alt: "", width: pictures.width, height: pictures.height })
      : null;
  const caption = image
    ? tag(
        "p",
        { class: "note" },
        `${pictures.caption}${pictures.every > 1 ? `; one frame in ${whole(pictures.every)} is shown` : ""}`,
      )
    : null;
  const show = () => {
    const stretch = chosen.stretch;
    const frame = stretch * every;
    scrubber.value = stretch;
    const until = Math.min(frame + every, frames) - 1;
    const where = every > 1 && until > frame ? `Frames ${whole(frame)} to ${whole(until)}` : `Frame ${whole(frame)}`;
    scrubber.setAttribute("aria-valuetext", `${where}, similarity ${percent(recording.total[stretch])}`);
    text.textContent = `${where} of ${whole(frames)}: similarity ${percent(recording.total[stretch])}, reuse ${percent(recording.reuse[stretch])}, ${short(recording.cycles[stretch])} cycles`;
    if (image) {
      const number = Math.min(pictures.uris.length - 1, Math.floor(frame / pictures.every));
      image.src = pictures.uris[number];
      image.alt = `Frame ${whole(number * pictures.every)} of ${recording.name}`;
    }
  };
  scrubber.addEventListener("input", () => choose("stretch", Number(scrubber.value)));
  onChange("stretch", show);
  initPlay(play, last, Math.max(40, Math.min(200, 12000 / axis.count)));
  show();
  return tag("div", { class: "frame-viewer" }, image, tag("div", { class: "scrub" }, play, scrubber), text, caption);
}

function initPlay(button, last, pause) {
  let timer = null;
  const stop = () => {
    clearInterval(timer);
    timer = null;
    button.textContent = "Play";
  };
  button.addEventListener("click", () => {
    if (timer) return stop();
    if (chosen.stretch >= last) choose("stretch", 0);
    button.textContent = "Pause";
    timer = setInterval(() => (chosen.stretch >= last ? stop() : choose("stretch", chosen.stretch + 1)), pause);
  });
}

// The stream as one picture, where a frame is a column: above the curves, on the same axis.
function drawStrip(element, recording, axis, cursors) {
  const { pictures } = recording;
  if (pictures?.kind !== "columns") return;
  const height = 112;
  const shown = (pictures.width * pictures.every) / Math.max(recording.frames, 1);
  const wide = (axis.width - axis.left - 12) * Math.min(shown, 1.02);
  const picture = shape("image", {
    href: pictures.uris[0],
    x: axis.left,
    y: 0,
    width: wide,
    height: height - 4,
    preserveAspectRatio: "none",
  });
  const svg = shape(
    "svg",
    { width: axis.width, height, role: "img", "aria-label": pictures.caption, class: "spectrum" },
    picture,
  );
  withCursor(element, svg, axis, height, cursors);
  element.append(
    tag(
      "p",
      { class: "note" },
      `${pictures.caption}${pictures.every > 1 ? `; one frame in ${whole(pictures.every)}` : ""}`,
    ),
  );
}
