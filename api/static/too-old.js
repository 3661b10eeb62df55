document.addEventListener("DOMContentLoaded", function () {
  document.getElementById("app").textContent =
    "This browser is too old for the page (it has no ES modules). The same figures: " +
    location.origin + "/v1/metrics/network and /v1/exchanges; in a terminal: sudo collector watch";
});
