// @ts-check
// Runs before the first paint, as a classic script, so that a chosen theme never flashes in the other one.
// "auto" follows prefers-color-scheme and leaves no attribute.
(() => {
  const KEY = "xray-theme";
  const root = document.documentElement;
  const apply = (theme) => {
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
    else delete root.dataset.theme;
  };
  const read = () => {
    try {
      return localStorage.getItem(KEY) ?? "auto";
    } catch {
      return "auto"; // storage may be blocked; the page works without it
    }
  };
  apply(read());
  globalThis.xrayTheme = {
    read,
    set(theme) {
      try {
        localStorage.setItem(KEY, theme);
      } catch {
        // The choice then lasts as long as the page.
      }
      apply(theme);
      document.dispatchEvent(new CustomEvent("themechange"));
    },
  };
})();
