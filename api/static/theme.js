// Before the first paint: the chosen theme, if one was chosen, so that nothing flashes; and the first question to the
// collector, so that its answer is there when the modules are.
(function () {
  try {
    var chosen = localStorage.getItem("netscope.theme");
    if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
  } catch (error) {
    // a browser that keeps nothing
  }
  if (/[#&]wall=1/.test(location.hash)) document.documentElement.classList.add("wall");
  var token = null;
  try {
    token = sessionStorage.getItem("netscope.token");
  } catch (error) {
    // a browser that keeps nothing
  }
  if (!token && !/[#&](filter|at)=/.test(location.hash) && window.fetch) {
    window.netscopeFirst = fetch("/v1/exchanges?limit=200", { cache: "no-store" });
    window.netscopeFirst.catch(function () {});
  }
})();
