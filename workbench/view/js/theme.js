// Dark or light, as the page around the view is: each host says it in its own way, else the system decides.

/** Dark or light, as the page has it around an element. */
export function themeOf(element) {
  const { body, documentElement: page } = document;
  if (element.closest(".dark")) return "dark"; // Gradio
  const jupyter = body.dataset.jpThemeLight;
  if (jupyter) return jupyter === "false" ? "dark" : "light";
  if (body.matches('[class*="vscode-"]')) { // of high contrast: dark, unless it is the light one
    return body.matches(".vscode-light, .vscode-high-contrast-light") ? "light" : "dark";
  }
  const colab = page.getAttribute("theme");
  if (colab) return colab === "dark" ? "dark" : "light";
  if (window.gradio_config) return "light"; // Gradio says dark with the class
  return window.matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

/** Call back when the theme may have changed; returns what stops it. */
export function watchTheme(changed) {
  const hosts = new MutationObserver(changed);
  const attributeFilter = ["class", "theme", "data-jp-theme-light", "data-jp-theme-name"];
  for (const node of [document.documentElement, document.body]) hosts.observe(node, { attributes: true, attributeFilter });
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  system.addEventListener("change", changed);
  return () => {
    hosts.disconnect();
    system.removeEventListener("change", changed);
  };
}

/** Give an element on the page its theme, now and whenever it changes; returns what stops it. */
export function followTheme(element) {
  const follow = () => { element.dataset.theme = themeOf(element); };
  follow();
  return watchTheme(follow);
}
