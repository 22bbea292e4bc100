"use strict";

{
  const heat = document.getElementById("heat");
  heat.addEventListener("input", () => {
    document.querySelector(".overlay").style.setProperty("--heat", heat.value / 100);
  });
}
