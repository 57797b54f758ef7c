// The one ramp of the page: from --ramp-low to --ramp-high, whatever the theme is.

const LEVELS = 64;

// Colours of the ramp as a canvas takes them, for the theme of now.
function rampColours() {
  const probe = tag("span", { hidden: true });
  document.body.append(probe);
  const colours = [];
  for (let level = 0; level < LEVELS; level++) {
    probe.style.color = `color-mix(in oklab, var(--ramp-low), var(--ramp-high) ${(100 * level) / (LEVELS - 1)}%)`;
    colours.push(getComputedStyle(probe).color);
  }
  probe.remove();
  return colours;
}

const rampLevel = (share) => Math.max(0, Math.min(LEVELS - 1, Math.round(share * (LEVELS - 1))));

const isDark = () => {
  const set = document.documentElement.dataset.theme;
  return set ? set === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
};

function initTheme(button) {
  const show = () => {
    button.textContent = isDark() ? "Light" : "Dark";
    for (const listener of listeners.theme) listener();
  };
  button.addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    show();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
  show();
}
