// The theme: the system's until the button is pressed. In the head, it runs before the page is painted.
"use strict";
{
  const root = document.documentElement;
  const kept = (change) => { try { return change(localStorage); } catch { return null; } }; // a frame may have none
  const stored = kept((store) => store.getItem("theme"));
  if (stored === "light" || stored === "dark") root.dataset.theme = stored;

  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";
  addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const label = () => { button.textContent = isDark() ? "Light" : "Dark"; };
    button.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      kept((store) => store.setItem("theme", root.dataset.theme));
      label();
    });
    system.addEventListener("change", label);
    label();
  });
}
