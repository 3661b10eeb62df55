// Before the first paint: the chosen theme, if one was chosen, so that nothing flashes.
(function () {
  try {
    var chosen = localStorage.getItem("netscope.theme");
    if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
  } catch (error) {
    // a browser that keeps nothing
  }
  if (/[#&]wall=1/.test(location.hash)) document.documentElement.classList.add("wall");
})();
