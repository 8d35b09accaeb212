// Reading needs none of this: it refreshes the overview, and offers a search where links alone cannot.
(() => {
  "use strict";

  const form = document.querySelector("form[data-goes-to]");
  if (form) {
    form.hidden = false;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const asked = new URLSearchParams();
      for (const [name, value] of new FormData(form)) {
        if (value.trim()) asked.append(name, value.trim());
      }
      location.assign(form.dataset.goesTo + (String(asked) ? "?" + asked : ""));
    });
  }

  const seconds = Number(document.body.dataset.refresh || 0);
  const place = document.getElementById("refreshing");
  if (!seconds || !place) return;
  const button = document.createElement("button");
  button.type = "button";
  const paused = () => sessionStorage.getItem("paused") === "yes";
  const show = () => {
    button.textContent = paused() ? "Refresh again every " + seconds + " s" : "Refreshes every " + seconds + " s · pause";
    button.setAttribute("aria-pressed", String(paused()));
  };
  button.addEventListener("click", () => {
    sessionStorage.setItem("paused", paused() ? "no" : "yes");
    show();
  });
  show();
  place.append(button);
  // Not under the hand of somebody who reads, selects or has gone to another tab.
  setInterval(() => {
    if (!paused() && document.visibilityState === "visible" && String(getSelection()) === "") location.reload();
  }, seconds * 1000);
})();
